// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {PpmMath} from "./libraries/PpmMath.sol";

/// @title EpochClock
/// @notice Documentation stands in `IEpochClock`.
contract EpochClock is IEpochClock, AccessManaged {
    uint256 internal constant MOST_SLOT_SECONDS = 300;
    uint256 internal constant LEAST_SLOTS = 10;
    uint256 internal constant MOST_SLOTS = 1_536;
    uint256 internal constant MOST_REPORT_DELAY = 1 days;
    uint256 internal constant MOST_ACTIVATION_DELAY = 7 days;
    uint256 internal constant MOST_LEAD = 30 days;
    uint256 internal constant LEAST_PROVIDER_PPM = 800_000;
    uint256 internal constant MOST_OTHER_PPM = 100_000;
    uint256 internal constant MOST_STAKE_RATE = 1e27;
    uint256 internal constant LEAST_TTFT_TARGET_MS = 50;
    uint256 internal constant MOST_TTFT_TARGET_MS = 60_000;
    uint256 internal constant LEAST_GROWTH_PPM = 1_000_000;
    uint256 internal constant MOST_GROWTH_PPM = 100_000_000;
    uint256 internal constant LEAST_SLASHED_PPM = 1_000;
    /// @dev The ledger keeps amounts of a report in 96 bits.
    uint256 internal constant MOST_AMOUNT = type(uint96).max;

    /// @dev `Rules` in two slots, and the epoch from which on they hold, until the next entry.
    struct RulesFrom {
        uint32 providerPpm;
        uint32 verifierPpm;
        uint32 slaFundPpm;
        uint32 treasuryPpm;
        uint128 incentivePerEpoch;
        uint128 stakeRate;
        uint32 ttftTargetMs;
        uint32 probeGapSlots;
        uint64 fromEpoch;
    }

    uint32 public immutable slotSeconds;
    uint32 public immutable slotsPerEpoch;
    uint64 public immutable activationDelay;
    uint64 public immutable reportDelay;

    uint64 public genesis;
    RulesFrom[] internal _rules;
    Limits internal _limits;

    constructor(address authority_, Config memory config, Rules memory rules_, Limits memory limits_)
        AccessManaged(Bounds.known("authority", authority_))
    {
        slotSeconds = uint32(Bounds.within("slotSeconds", config.slotSeconds, 1, MOST_SLOT_SECONDS));
        slotsPerEpoch = uint32(Bounds.within("slotsPerEpoch", config.slotsPerEpoch, LEAST_SLOTS, MOST_SLOTS));
        activationDelay = uint64(Bounds.within("activationDelay", config.activationDelay, 1, MOST_ACTIVATION_DELAY));
        reportDelay = uint64(Bounds.within("reportDelay", config.reportDelay, 0, MOST_REPORT_DELAY));
        _checkRules(rules_, config.slotsPerEpoch);
        _rules.push(_from(0, rules_));
        emit RulesSet(0, rules_);
        _setLimits(limits_);
    }

    /// @inheritdoc IEpochClock
    function open(uint64 genesis_) external restricted {
        if (genesis != 0) revert AlreadyOpen(genesis);
        genesis = uint64(Bounds.within("genesis", genesis_, block.timestamp, block.timestamp + MOST_LEAD));
        emit Opened(genesis_);
    }

    /// @inheritdoc IEpochClock
    function setRules(Rules calldata rules_) external restricted {
        _checkRules(rules_, slotsPerEpoch);
        bool begun = genesis != 0 && block.timestamp >= genesis;
        uint64 fromEpoch = begun ? currentEpoch() + 1 : 0;
        uint256 last = _rules.length - 1;
        // an epoch number of our own, not a balance: equal is what is meant
        // slither-disable-next-line incorrect-equality
        if (_rules[last].fromEpoch == fromEpoch) _rules[last] = _from(fromEpoch, rules_);
        else _rules.push(_from(fromEpoch, rules_));
        emit RulesSet(fromEpoch, rules_);
    }

    function _from(uint64 fromEpoch, Rules memory r) private pure returns (RulesFrom memory) {
        return RulesFrom({
            providerPpm: r.providerPpm,
            verifierPpm: r.verifierPpm,
            slaFundPpm: r.slaFundPpm,
            treasuryPpm: r.treasuryPpm,
            incentivePerEpoch: r.incentivePerEpoch,
            stakeRate: r.stakeRate,
            ttftTargetMs: r.ttftTargetMs,
            probeGapSlots: r.probeGapSlots,
            fromEpoch: fromEpoch
        });
    }

    function _checkRules(Rules memory r, uint256 slots) private pure {
        // checked, not needed
        // slither-disable-start unused-return
        Bounds.within("providerPpm", r.providerPpm, LEAST_PROVIDER_PPM, PpmMath.WHOLE_PPM);
        Bounds.within("verifierPpm", r.verifierPpm, 0, MOST_OTHER_PPM);
        Bounds.within("slaFundPpm", r.slaFundPpm, 0, MOST_OTHER_PPM);
        Bounds.within("treasuryPpm", r.treasuryPpm, 0, MOST_OTHER_PPM);
        // slither-disable-end unused-return
        uint256 sum = uint256(r.providerPpm) + r.verifierPpm + r.slaFundPpm + r.treasuryPpm;
        if (sum != PpmMath.WHOLE_PPM) revert WrongShares(sum, PpmMath.WHOLE_PPM);
        // checked, not needed
        // slither-disable-start unused-return
        Bounds.within("incentivePerEpoch", r.incentivePerEpoch, 0, MOST_AMOUNT);
        Bounds.within("stakeRate", r.stakeRate, 0, MOST_STAKE_RATE);
        Bounds.within("ttftTargetMs", r.ttftTargetMs, LEAST_TTFT_TARGET_MS, MOST_TTFT_TARGET_MS);
        Bounds.within("probeGapSlots", r.probeGapSlots, 1, slots);
        // slither-disable-end unused-return
    }

    /// @inheritdoc IEpochClock
    function setLimits(Limits calldata limits_) external restricted {
        _setLimits(limits_);
    }

    function _setLimits(Limits memory l) private {
        // checked, not needed
        // slither-disable-start unused-return
        Bounds.within("mostCharged", l.mostCharged, 1, MOST_AMOUNT);
        Bounds.within("growthFloor", l.growthFloor, 1, MOST_AMOUNT);
        Bounds.within("mostPerProvider", l.mostPerProvider, 1, MOST_AMOUNT);
        Bounds.within("mostGrowthPpm", l.mostGrowthPpm, LEAST_GROWTH_PPM, MOST_GROWTH_PPM);
        Bounds.within("mostSlashedPpm", l.mostSlashedPpm, LEAST_SLASHED_PPM, PpmMath.WHOLE_PPM);
        // slither-disable-end unused-return
        _limits = l;
        emit LimitsSet(l);
    }

    /// @inheritdoc IEpochClock
    function epochSeconds() public view returns (uint64) {
        return uint64(slotSeconds) * slotsPerEpoch;
    }

    /// @inheritdoc IEpochClock
    function settlementSeconds() external view returns (uint64) {
        return epochSeconds() + reportDelay + activationDelay;
    }

    /// @inheritdoc IEpochClock
    function currentEpoch() public view returns (uint64) {
        // zero means not opened
        // slither-disable-next-line incorrect-equality
        if (genesis == 0 || block.timestamp < genesis) return 0;
        return uint64((block.timestamp - genesis) / epochSeconds());
    }

    /// @inheritdoc IEpochClock
    function epochStart(uint64 epoch) public view returns (uint64) {
        // zero means not opened
        // slither-disable-next-line incorrect-equality
        if (genesis == 0) revert NotOpen();
        return genesis + epoch * epochSeconds();
    }

    /// @inheritdoc IEpochClock
    function epochEnd(uint64 epoch) public view returns (uint64) {
        return epochStart(epoch) + epochSeconds();
    }

    /// @inheritdoc IEpochClock
    function rules() external view returns (Rules memory) {
        return rulesFor(currentEpoch());
    }

    /// @inheritdoc IEpochClock
    function rulesFor(uint64 epoch) public view returns (Rules memory) {
        // the epochs asked for are recent, so the search begins at the newest entry; the first is in force from epoch 0
        uint256 i = _rules.length - 1;
        while (_rules[i].fromEpoch > epoch) --i;
        RulesFrom storage r = _rules[i];
        return Rules({
            providerPpm: r.providerPpm,
            verifierPpm: r.verifierPpm,
            slaFundPpm: r.slaFundPpm,
            treasuryPpm: r.treasuryPpm,
            incentivePerEpoch: r.incentivePerEpoch,
            stakeRate: r.stakeRate,
            ttftTargetMs: r.ttftTargetMs,
            probeGapSlots: r.probeGapSlots
        });
    }

    /// @inheritdoc IEpochClock
    function limits() external view returns (Limits memory) {
        return _limits;
    }

    /// @inheritdoc IEpochClock
    function mostPerProvider() external view returns (uint256) {
        return _limits.mostPerProvider;
    }

    /// @inheritdoc IEpochClock
    function mostPerProviderBits() external view returns (uint8) {
        return uint8(Math.log2(_limits.mostPerProvider));
    }

    /// @inheritdoc IEpochClock
    function checkReport(
        uint64 epoch,
        IEpochLedger.Totals calldata t,
        uint256 chargedBefore,
        uint256 incentiveFund,
        uint256 slaFund
    ) external view {
        uint256 reportableAt = uint256(epochEnd(epoch)) + reportDelay;
        if (block.timestamp < reportableAt) revert IEpochLedger.EpochRunning(epoch, reportableAt, block.timestamp);
        uint256 inflow = uint256(t.charged) + t.creditsFromFund;
        uint256 outflow = uint256(t.providerFees) + t.verifierFees + t.treasury + t.slaFundIn + t.credits;
        if (inflow != outflow) revert IEpochLedger.TotalsUnbalanced(inflow, outflow);

        Rules memory r = rulesFor(epoch);
        _checkLimit("providerFees", t.providerFees, PpmMath.shareDown(t.charged, r.providerPpm));
        _checkLimit("verifierFees", t.verifierFees, PpmMath.shareDown(t.charged, r.verifierPpm));
        _checkLimit("treasury", t.treasury, PpmMath.shareDown(t.charged, r.treasuryPpm));
        _checkLimit("charged", t.charged, _limits.mostCharged);
        uint256 base = Math.max(_limits.growthFloor, chargedBefore);
        _checkLimit("growth", t.charged, PpmMath.shareDown(base, _limits.mostGrowthPpm));
        uint256 incentive = uint256(t.incentive) + t.pools;
        _checkLimit("incentive", incentive, r.incentivePerEpoch);
        _checkLimit("incentive", incentive, incentiveFund);
        _checkLimit("credits", t.credits, MOST_AMOUNT);
        _checkLimit("creditsFromFund", t.creditsFromFund, t.credits);
        _checkLimit("creditsFromFund", t.creditsFromFund, slaFund + t.slaFundIn);
    }

    /// @inheritdoc IEpochClock
    function checkSlashed(uint256 slashed, uint256 leafCount) external view {
        _checkLimit("slashed", slashed, PpmMath.shareUp(leafCount, _limits.mostSlashedPpm));
    }

    function _checkLimit(string memory name, uint256 amount, uint256 limit) private pure {
        if (amount > limit) revert IEpochLedger.TotalAboveLimit(name, amount, limit);
    }
}
