// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IJobEscrow} from "./IJobEscrow.sol";

/// @title IEpochLedger
/// @notice Keeps the epoch clock and the settlement rules, takes in epoch reports that bear a quorum of verifiers, and
/// pays what they say was earned.
///
/// A report goes through two steps. **Submission** checks its order, sums and signatures, takes the charges out of the
/// customers' escrow and reserves its incentive. **Activation**, a delay later, pushes the credits to the escrow, books
/// what verifiers and treasury are owed, and opens the leaves to claims. Both happen once per epoch, in order, and
/// anybody may make them.
///
/// Amounts in leaves are cumulative: one claim against the newest activated report pays all history, and a claim never
/// pays what was claimed before.
///
/// Books, in payment-token units, true after every call, with the fields of `books()`:
/// `token balance >= pending + fees + incentives + owed + incentiveFund`, equal unless somebody sent tokens unasked.
interface IEpochLedger {
    /// @param slotSeconds One probing interval.
    /// @param slotsPerEpoch At most 1,536, so that an epoch's slots fit in six words.
    /// @param activationDelay From submission to activation.
    /// @param reportDelay From the end of an epoch to the first moment its report is taken.
    struct Config {
        uint32 slotSeconds;
        uint32 slotsPerEpoch;
        uint64 activationDelay;
        uint64 reportDelay;
    }

    /// @notice Settlement parameters, in force for whole epochs.
    /// @param providerPpm Share of gross fees to the provider; the four shares sum to one million.
    /// @param incentivePerEpoch Most that one report may reserve from the incentive fund, payment-token units.
    /// @param stakeRate Payment-token units per whole stake token; used for caps only.
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

    /// @notice One provider's line in a report. docs/protocol.md, section 4.
    struct Leaf {
        address provider;
        uint128 cumulativeFees;
        uint128 cumulativeIncentive;
        uint32 uptimePpm;
        uint8 ttftP95Bucket;
        uint32 successPpm;
        uint32 verificationPpm;
        uint32 scorePpm;
        uint16 strikes;
        uint8 slashLevel;
        bytes32 harmed;
    }

    /// @notice The sums of a report:
    /// `charged + creditsFromFund = providerFees + verifierFees + treasury + slaFundIn + credits`.
    struct Totals {
        uint128 charged;
        uint128 providerFees;
        uint128 verifierFees;
        uint128 treasury;
        uint128 slaFundIn;
        uint128 credits;
        uint128 creditsFromFund;
        uint128 incentive;
    }

    /// @notice A verifier's share of an epoch's fees.
    struct Payee {
        address verifier;
        uint128 amount;
    }

    /// @notice A report as submitted. `previous` is the struct hash of the report before, zero for epoch 0.
    struct Report {
        uint64 epoch;
        bytes32 previous;
        bytes32 evidence;
        bytes32 state;
        bytes32 rules;
        uint64 checkpointBlock;
        bytes32 checkpointHash;
        Totals totals;
        Leaf[] leaves;
        IJobEscrow.Charge[] charges;
        IJobEscrow.Credit[] credits;
        Payee[] payees;
    }

    /// @notice What is kept of a report. `sumFees` and `sumIncentive` are the sums of its leaves' cumulative amounts.
    struct Record {
        bytes32 digest;
        bytes32 structHash;
        bytes32 root;
        bytes32 evidence;
        bytes32 state;
        bytes32 rules;
        bytes32 creditsHash;
        bytes32 payeesHash;
        Totals totals;
        uint64 submittedAt;
        uint64 activatesAt;
        bool activated;
        uint128 sumFees;
        uint128 sumIncentive;
    }

    /// @notice What the tokens here are for.
    /// @param pending Charges and incentives of reports that wait for activation.
    /// @param fees Providers' activated fees, not claimed.
    /// @param incentives Providers' activated incentives, not claimed.
    /// @param owed To verifiers and the treasury, not claimed.
    /// @param incentiveFund Not reserved by any report.
    struct Books {
        uint256 pending;
        uint256 fees;
        uint256 incentives;
        uint256 owed;
        uint256 incentiveFund;
    }

    event Opened(uint64 genesis);
    event RulesSet(uint64 indexed fromEpoch, Rules rules);
    event IncentivesFunded(address indexed from, uint256 amount, uint256 fundAfter);
    event ReportSubmitted(
        uint64 indexed epoch,
        bytes32 digest,
        bytes32 root,
        bytes32 evidence,
        bytes32 state,
        bytes32 rules,
        Totals totals,
        Leaf[] leaves,
        uint64 activatesAt
    );
    /// @notice Where the inputs of the report were read, and who signed it.
    event ReportSigned(
        uint64 indexed epoch, bytes32 structHash, uint64 checkpointBlock, bytes32 checkpointHash, address[] signers
    );
    event MovementsPublished(
        uint64 indexed epoch, IJobEscrow.Charge[] charges, IJobEscrow.Credit[] credits, Payee[] payees
    );
    event ReportActivated(uint64 indexed epoch);
    event Claimed(address indexed provider, uint64 indexed epoch, uint256 fees, uint256 incentive);
    event OwedClaimed(address indexed payee, uint256 amount);

    error AlreadyOpen(uint64 genesis);
    error NotOpen();
    error ZeroAmount();
    error WrongShares(uint256 sum, uint256 expected);
    error WrongEpoch(uint64 epoch, uint64 expected);
    error EpochRunning(uint64 epoch, uint256 reportableAt, uint256 time);
    error WrongPrevious(bytes32 previous, bytes32 expected);
    error ZeroEvidence();
    error LeavesNotAscending(address before, address provider);
    error WrongSum(string name, uint256 stated, uint256 computed);
    error TotalsUnbalanced(uint256 inflow, uint256 outflow);
    /// @notice A total exceeds what the rules of the epoch, or a fund, permit.
    error TotalAboveLimit(string name, uint256 amount, uint256 limit);
    error UnknownReport(uint64 epoch);
    error NotYetActive(uint64 epoch, uint256 activatesAt, uint256 time);
    error NotActivated(uint64 epoch);
    error WrongMovements(uint64 epoch, bytes32 found, bytes32 expected);
    error NotInRoot(uint64 epoch, bytes32 leafHash, bytes32 root);
    error NothingToClaim(address payee);
    /// @notice The leaves promise more than all reports have funded: a report lowered somebody's cumulative amount.
    error ClaimAboveFunds(uint256 amount, uint256 funds);

    /// @notice Starts the clock: epoch 0 begins at `genesis`. Once, by the access manager's permission.
    /// @dev Requires `genesis` from this moment to 30 days ahead.
    function open(uint64 genesis_) external;

    /// @notice Sets the settlement rules from the next epoch on, by the access manager's permission.
    /// @dev Requirements: provider share 80 to 100 %, the others at most 10 % each, all four summing to the whole; stake
    /// rate up to 10^27; ttft target 50 to 60,000 ms; probe gap of 1 slot to a whole epoch.
    function setRules(Rules calldata rules_) external;

    /// @notice Gives `amount` to the incentive fund. Anybody may.
    function fundIncentives(uint256 amount) external;

    /// @notice Takes in the report of the next epoch.
    /// @dev Requirements, in the order in which they are checked: the epoch is the next one; it ended at least
    /// `reportDelay` ago; `previous` is the struct hash of the report before; evidence is not zero; leaves strictly
    /// ascending by provider; leaves' sums equal the sums before plus the totals; charges, credits and payees sum to
    /// their totals; the totals balance; verifier, treasury and provider totals within their shares of what was
    /// charged; incentive within the rules and the fund; the SLA fund, counting reports that wait, covers its part;
    /// signers strictly ascending and a quorum of the verifiers; every charge within cap and balance.
    /// Effects: charges are taken from the escrow and the incentive from the fund; both wait here for activation.
    /// @param signatures 65 bytes `r || s || v` each, in ascending order of their signers, over `reportDigest`.
    function submit(Report calldata report, bytes[] calldata signatures) external;

    /// @notice Gives effect to a report whose activation delay has passed. In order, anybody may.
    /// @dev Requires `credits` and `payees` exactly as in the report.
    function activate(uint64 epoch, IJobEscrow.Credit[] calldata credits, Payee[] calldata payees) external;

    /// @notice Pays a leaf's provider what it has earned and not claimed; anybody may call.
    /// @dev Requirements: the report of `epoch` is activated; the leaf is in its root; something is unclaimed.
    /// An older report pays less, never twice.
    function claim(Leaf calldata leaf, uint64 epoch, bytes32[] calldata proof)
        external
        returns (uint256 fees, uint256 incentive);

    /// @notice Pays the caller what it is owed as a verifier or as the treasury; returns the amount.
    function claimOwed() external returns (uint256 amount);

    // ------------------------------------------------------------------------------------------------------- clock

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

    // ----------------------------------------------------------------------------------------------------- settings

    function rules() external view returns (Rules memory);
    function rulesFor(uint64 epoch) external view returns (Rules memory);
    function paymentToken() external view returns (address);
    function escrow() external view returns (address);
    function verifiers() external view returns (address);
    function treasury() external view returns (address);

    // ------------------------------------------------------------------------------------------------------ reports

    function nextEpoch() external view returns (uint64);
    function nextActivation() external view returns (uint64);

    /// @notice What is kept of an epoch's report; all zero if there is none.
    function record(uint64 epoch) external view returns (Record memory);

    function domainSeparator() external view returns (bytes32);

    /// @notice The EIP-712 struct hash of a report, which the next report names as `previous`.
    function structHash(Report calldata report) external view returns (bytes32);

    /// @notice The EIP-712 digest that verifiers sign.
    function reportDigest(Report calldata report) external view returns (bytes32);

    function leafHash(uint64 epoch, Leaf calldata leaf) external view returns (bytes32);

    /// @notice Whether a leaf is in the root of an epoch's report, activated or not.
    function verifyLeaf(uint64 epoch, Leaf calldata leaf, bytes32[] calldata proof) external view returns (bool);

    // -------------------------------------------------------------------------------------------------------- books

    function incentiveFund() external view returns (uint256);
    function owed(address payee) external view returns (uint256);
    function claimedFees(address provider) external view returns (uint256);
    function claimedIncentive(address provider) external view returns (uint256);
    function books() external view returns (Books memory);
}
