// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "./IEpochLedger.sol";

/// @title IEpochClock
/// @notice Knows what time it is, which settlement rules hold for an epoch, and within which limits a report must stay.
///
/// Time is cut into slots and epochs of a fixed length from `genesis` on. **Rules** shape a settlement; they hold for
/// whole epochs and change from the next epoch on. **Limits** are a sanity check on reports; they change at once, so
/// that a report they hold up by mistake can be let through by the same timelock that set them.
interface IEpochClock {
    /// @notice What the clock is deployed with and keeps for ever.
    /// @param slotSeconds One probing interval, 1 to 300.
    /// @param slotsPerEpoch At least 10 and at most 1,536, so that an epoch's slots fit in six words.
    /// @param activationDelay From a complete report to its activation; 1 second to 7 days.
    /// @param reportDelay From the end of an epoch to the first moment its report is taken; at most a day.
    struct Config {
        uint32 slotSeconds;
        uint32 slotsPerEpoch;
        uint64 activationDelay;
        uint64 reportDelay;
    }

    /// @notice Settlement parameters, in force for whole epochs.
    /// @param providerPpm Share of gross fees to the provider; the four shares sum to one million.
    /// @param verifierPpm To the verifiers. @param slaFundPpm To the SLA fund. @param treasuryPpm To the treasury.
    /// @param incentivePerEpoch Most that one report may reserve from the incentive fund, payment-token units.
    /// @param stakeRate Payment-token units per whole stake token; used for caps and for the lock of fees at risk.
    /// @param ttftTargetMs Time to first token up to which latency scores fully.
    /// @param probeGapSlots About every how many slots a verifier probes a provider.
    struct Rules {
        uint32 providerPpm;
        uint32 verifierPpm;
        uint32 slaFundPpm;
        uint32 treasuryPpm;
        uint128 incentivePerEpoch;
        uint128 stakeRate;
        uint32 ttftTargetMs;
        uint32 probeGapSlots;
    }

    /// @notice What no report may exceed, whoever signed it.
    /// @param mostCharged Most that one report may charge, payment-token units.
    /// @param growthFloor Charges up to this are never called growth.
    /// @param mostPerProvider Most that a provider may claim per epoch passed since its last claim, payment-token units.
    /// @param mostGrowthPpm Charges of a report at most this share of the larger of `growthFloor` and the report before.
    /// @param mostSlashedPpm Leaves with a slash level of 2 and more, at most this share of all leaves, rounded up.
    struct Limits {
        uint128 mostCharged;
        uint128 growthFloor;
        uint128 mostPerProvider;
        uint32 mostGrowthPpm;
        uint32 mostSlashedPpm;
    }

    /// @notice Epoch 0 begins at `genesis`.
    event Opened(uint64 genesis);
    /// @notice From `fromEpoch` on, and until the next such event, these rules hold.
    event RulesSet(uint64 indexed fromEpoch, Rules rules);
    /// @notice From now on these limits hold.
    event LimitsSet(Limits limits);

    error AlreadyOpen(uint64 genesis);
    /// @notice The clock was not started yet.
    error NotOpen();
    /// @notice The four shares of a fee do not sum to the whole.
    error WrongShares(uint256 sum, uint256 expected);

    /// @notice Starts the clock: epoch 0 begins at `genesis`. Once, by the access manager's permission.
    /// @dev Requires `genesis` from this moment to 30 days ahead.
    function open(uint64 genesis_) external;

    /// @notice Sets the settlement rules from the next epoch on, by the access manager's permission.
    /// @dev Requirements: provider share 80 to 100 %, the others at most 10 % each, all four summing to the whole;
    /// incentive up to 2^96 - 1; stake rate up to 10^27; ttft target 50 to 60,000 ms; probe gap of 1 slot to a whole epoch.
    function setRules(Rules calldata rules_) external;

    /// @notice Sets the limits of reports at once, by the access manager's permission.
    /// @dev Requirements: most charged, growth floor and most per provider 1 to 2^96 - 1; growth 100 % to 10,000 %; slashed 0.1 %
    /// to 100 %.
    function setLimits(Limits calldata limits_) external;

    /// @notice First second of epoch 0; zero until the clock is opened.
    function genesis() external view returns (uint64);
    function slotSeconds() external view returns (uint32);
    function slotsPerEpoch() external view returns (uint32);
    function epochSeconds() external view returns (uint64);
    function reportDelay() external view returns (uint64);
    function activationDelay() external view returns (uint64);

    /// @notice Epoch + report delay + activation delay: the least time from a deed to its effect.
    function settlementSeconds() external view returns (uint64);

    /// @notice The epoch that contains this moment; 0 before genesis.
    function currentEpoch() external view returns (uint64);

    /// @notice First second of an epoch. Requires the clock to have been opened.
    function epochStart(uint64 epoch) external view returns (uint64);

    /// @notice First second after an epoch. Requires the clock to have been opened.
    function epochEnd(uint64 epoch) external view returns (uint64);

    /// @notice The rules of the running epoch.
    function rules() external view returns (Rules memory);

    /// @notice The rules of any epoch; of one that has not begun, as they stand.
    function rulesFor(uint64 epoch) external view returns (Rules memory);

    /// @notice The limits as they stand.
    function limits() external view returns (Limits memory);

    /// @notice Of the limits, the one that every claim is held against.
    function mostPerProvider() external view returns (uint256);

    /// @notice The largest power of two that `mostPerProvider` is not below, as its exponent.
    function mostPerProviderBits() external view returns (uint8);

    /// @notice Refuses the report of an epoch that ended less than `reportDelay` ago, and totals that do not balance or exceed what
    /// rules, limits and funds permit.
    /// @param chargedBefore Charges of the report before. @param incentiveFund What no report has reserved.
    /// @param slaFund What the SLA fund will hold when this report is activated, without its own inflow.
    /// @dev Reverts with EpochRunning, TotalsUnbalanced or TotalAboveLimit of `IEpochLedger`. Every total that passes is below 2^96.
    function checkReport(
        uint64 epoch,
        IEpochLedger.Totals calldata totals,
        uint256 chargedBefore,
        uint256 incentiveFund,
        uint256 slaFund
    ) external view;

    /// @notice Refuses more slashed leaves, of `leafCount`, than the limits permit.
    /// @dev Reverts with TotalAboveLimit of `IEpochLedger`.
    function checkSlashed(uint256 slashed, uint256 leafCount) external view;
}
