// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IJobEscrow} from "./IJobEscrow.sol";

/// @title IEpochLedger
/// @notice Takes in epoch reports that bear a quorum of verifiers, and pays what they say was earned.
///
/// A report goes through three steps, each open to anybody:
///
/// 1. **Submission** (`submit`) checks its order, totals, limits and signatures. What was signed names the rest by hash.
/// 2. **Completion** (`publishLeaves`, `takeCharges`) brings in leaves and charges, in chunks of at most 512 and in order,
///    each checked against what was signed. With the last chunk the sums must agree; then the activation delay runs.
///    A report of one chunk each needs one transaction: `multicall` makes several calls at once.
/// 3. **Activation** (`activate`), after the delay, opens the leaves to claims and books what verifiers and the treasury
///    are owed; `pushCredits` and `pushPools` bring credits to the escrow and rewards to delegators.
///
/// Until it is activated a report can be **cancelled**: by the challenge court on a proven fault, or by anybody when it
/// is still incomplete `activationDelay` after submission, or not activated 14 days after it could have been. Reports
/// behind it are cancelled with it, `refund` returns what they charged, and the epoch is reported anew once all is returned.
///
/// Amounts in leaves are cumulative: one claim against the newest activated report pays all history, and a claim never
/// pays what was claimed before.
///
/// Books, in payment-token units, true after every call, with the fields of `books()`:
/// `token balance >= pending + refunds + credits + pools + fees + incentives + owed + incentiveFund`, equal unless
/// somebody sent tokens unasked.
/// WARNING: tokens sent here by a plain transfer are nobody's and cannot be recovered.
/// WARNING: all fees ever earned through a ledger, and all incentives, stay below 2^96 payment-token units each.
interface IEpochLedger {
    /// @notice One provider's line in a report. docs/protocol.md, section 4.
    /// @param cumulativeFees All it ever earned in fees, this epoch included. @param cumulativeIncentive All incentives.
    /// @param uptimePpm Of the slots that count. @param successPpm Attempts served. @param verificationPpm Canaries answered
    /// as expected. @param scorePpm What the scheduler goes by. @param ttftP95Bucket 255 when nothing was measured.
    /// @param strikes In the window, this epoch included. @param slashLevel The code of `ISlashingCourt`, 1 for a strike alone.
    /// @param standing Routing weight: 0 whole, 1 half, 2 a quarter.
    /// @param measured A quorum attested and at least one slot counted.
    struct Leaf {
        address provider;
        uint96 cumulativeFees;
        uint96 cumulativeIncentive;
        uint24 uptimePpm;
        uint24 successPpm;
        uint24 verificationPpm;
        uint24 scorePpm;
        uint8 ttftP95Bucket;
        uint8 strikes;
        uint8 standing;
        uint8 slashLevel;
        bool measured;
    }

    /// @notice The sums of a report:
    /// `charged + creditsFromFund = providerFees + verifierFees + treasury + slaFundIn + credits`.
    /// @param charged Of customers. @param providerFees What leaves rose by. @param verifierFees To the payees.
    /// @param slaFundIn From fees to the SLA fund. @param credits To customers. @param creditsFromFund Of them, out of the SLA
    /// fund. @param incentive To providers, by their leaves. @param pools To delegators.
    struct Totals {
        uint128 charged;
        uint128 providerFees;
        uint128 verifierFees;
        uint128 treasury;
        uint128 slaFundIn;
        uint128 credits;
        uint128 creditsFromFund;
        uint128 incentive;
        uint128 pools;
    }

    /// @notice A verifier's share of an epoch's fees.
    struct Payee {
        address verifier;
        uint128 amount;
    }

    /// @notice What the delegators of one provider get for an epoch, out of the incentive fund.
    struct Pool {
        address provider;
        uint128 amount;
    }

    /// @notice Root over the pages that name the customers whom a slash of this provider compensates.
    struct Harm {
        address provider;
        bytes32 root;
    }

    /// @notice A report as signed. `previous` is the struct hash of the report before, zero for epoch 0.
    /// @param evidence Digest of everything it was computed from. @param state Digest of what the next epoch starts from.
    /// @param rules Digest of code and parameters it was computed with.
    /// @param checkpointBlock Where the chain was read; with its hash.
    /// @param leaves Root over all leaves. @param leafCount How many there are.
    /// @param measurements Root over what was measured, docs/protocol.md, section 4.
    /// @param movements `keccak256(abi.encode(Movements))`.
    /// @param harms Of every leaf with a slash level of 2 or more that has somebody to compensate, ascending by provider.
    struct Report {
        uint64 epoch;
        bytes32 previous;
        bytes32 evidence;
        bytes32 state;
        bytes32 rules;
        uint64 checkpointBlock;
        bytes32 checkpointHash;
        Totals totals;
        bytes32 leaves;
        uint32 leafCount;
        bytes32 measurements;
        bytes32 movements;
        Harm[] harms;
    }

    /// @notice Hashes of what a report moves: `keccak256(abi.encode(chunk))` of each chunk of at most 512, in order, and
    /// `keccak256(abi.encode(payees))`. No chunk is empty: where nothing moves there is none.
    struct Movements {
        bytes32[] charges;
        bytes32[] credits;
        bytes32[] pools;
        bytes32 payees;
    }

    /// @notice What is kept of a report. All zero if there is none. The rest of what was signed stands in `ReportSubmitted` and
    /// `ReportSigned`: whatever is read there must hash to `structHash`.
    /// @param sumFees What its leaves' cumulative fees sum to; its leaves are held against that.
    /// @param signers `keccak256(abi.encode(signers))`, ascending.
    /// @param completedAt Zero while chunks are missing. @param activatesAt Zero while chunks are missing.
    struct Record {
        bytes32 digest;
        bytes32 structHash;
        bytes32 root;
        bytes32 measurements;
        bytes32 movements;
        bytes32 signers;
        Totals totals;
        uint32 leafCount;
        uint64 submittedAt;
        uint64 completedAt;
        uint64 activatesAt;
        bool activated;
        uint128 sumFees;
        uint128 sumIncentive;
    }

    /// @notice How much of a report came in: chunks of each kind.
    struct Progress {
        uint16 leafChunks;
        uint16 chargeChunks;
        uint16 creditChunks;
        uint16 poolChunks;
    }

    /// @notice What the tokens here are for.
    /// @param pending Charges taken and incentives reserved by reports that wait for activation.
    /// @param refunds Charges of cancelled reports, to be returned.
    /// @param credits Activated, not pushed to the escrow. @param pools Activated, not pushed to delegators.
    /// @param fees Providers' activated fees, not claimed. @param incentives Providers' activated incentives, not claimed.
    /// @param owed To verifiers and the treasury, not claimed.
    /// @param incentiveFund Not reserved by any report.
    struct Books {
        uint256 pending;
        uint256 refunds;
        uint256 credits;
        uint256 pools;
        uint256 fees;
        uint256 incentives;
        uint256 owed;
        uint256 incentiveFund;
    }

    /// @notice The incentive fund grew.
    event IncentivesFunded(address indexed from, uint256 amount, uint256 fundAfter);
    /// @notice A report was signed and taken in; with `ReportSigned` it carries everything that was signed.
    event ReportSubmitted(
        uint64 indexed epoch,
        bytes32 indexed digest,
        bytes32 root,
        uint32 leafCount,
        bytes32 evidence,
        bytes32 state,
        bytes32 rules,
        bytes32 measurements,
        bytes32 movements,
        Totals totals,
        Harm[] harms
    );
    /// @notice Where the inputs of the report were read, and who signed it.
    event ReportSigned(
        uint64 indexed epoch, bytes32 structHash, bytes32 previous, uint64 checkpointBlock, bytes32 checkpointHash, address[] signers
    );
    /// @notice Leaves as packed, 64 bytes each; the first is number `chunk * 512` of the report.
    event LeavesPublished(uint64 indexed epoch, uint256 indexed chunk, bytes packed);
    /// @notice All leaves and charges of a report are in.
    event ReportCompleted(uint64 indexed epoch, uint64 activatesAt);
    /// @notice A report took effect: payees and the treasury are owed theirs, leaves can be claimed.
    event ReportActivated(uint64 indexed epoch, Payee[] payees);
    /// @notice A chunk of delegators' rewards went to the delegation contract.
    event PoolsPushed(uint64 indexed epoch, uint256 indexed chunk, Pool[] pools);
    /// @notice A chunk of credits went to the escrow, which tells of each.
    event CreditsPushed(uint64 indexed epoch, uint256 indexed chunk, uint256 amount);
    /// @notice A report was undone; `toRefund` of its charges had been taken.
    event ReportCancelled(uint64 indexed epoch, bytes32 indexed digest, address by, uint256 toRefund);
    /// @notice A chunk of a cancelled report's charges went back to the escrow, which tells of each.
    event Refunded(bytes32 indexed digest, uint256 indexed chunk, uint256 amount);
    /// @notice A provider was paid, against its leaf in the report of `epoch`.
    event Claimed(address indexed provider, uint64 indexed epoch, uint256 fees, uint256 incentive);
    event OwedClaimed(address indexed payee, uint256 amount);

    error ZeroAmount();
    /// @notice A report that the challenge court cancelled is never taken again.
    error ReportStruck(bytes32 digest);
    /// @notice Too many reports wait: activate the oldest first.
    error TooManyWaiting(uint256 waiting, uint256 most);
    error WrongEpoch(uint64 epoch, uint64 expected);
    error EpochRunning(uint64 epoch, uint256 reportableAt, uint256 time);
    error WrongPrevious(bytes32 previous, bytes32 expected);
    error ZeroEvidence();
    /// @notice Charges of a cancelled report wait for `refund`.
    error RefundsDue(uint256 amount);
    /// @notice Chunks come in order, each once.
    error WrongChunk(uint256 chunk, uint256 expected);
    /// @notice A chunk, a list of roots or the payees are not what was signed.
    error WrongChunkHash(bytes32 found, bytes32 expected);
    /// @notice Bytes of packed leaves, number of roots, or number of items (of which at most 512 make a chunk).
    error WrongChunkLength(uint256 length, uint256 expected);
    /// @notice The hashes of movements are not those that were signed.
    error WrongMovements(uint64 epoch, bytes32 found, bytes32 expected);
    error LeavesNotAscending(address before, address provider);
    error HarmsNotAscending(address before, address provider);
    error ChargesNotAscending(address before, address customer);
    /// @notice A packed leaf has bits that no well-formed leaf has.
    error MalformedLeaf(uint256 index);
    /// @notice Leaves, charges, credits, pools or payees do not sum to the total that was signed.
    error WrongSum(string name, uint256 stated, uint256 computed);
    error TotalsUnbalanced(uint256 inflow, uint256 outflow);
    /// @notice A total exceeds what the rules of the epoch, the limits, or a fund permit.
    error TotalAboveLimit(string name, uint256 amount, uint256 limit);
    error UnknownReport(uint64 epoch);
    error Incomplete(uint64 epoch);
    /// @notice All chunks of this kind are in, pushed or returned.
    error AlreadyComplete(uint64 epoch);
    error NotYetActive(uint64 epoch, uint256 activatesAt, uint256 time);
    error NotActivated(uint64 epoch);
    error AlreadyActivated(uint64 epoch);
    /// @notice Anybody may cancel it after `from`, unless it is completed or activated until then.
    error NotCancellable(uint64 epoch, uint256 from, uint256 time);
    /// @notice No report of this digest was cancelled after it took charges.
    error NotCancelled(bytes32 digest);
    error NotInRoot(uint64 epoch, bytes32 leafHash, bytes32 root);
    error NothingToClaim(address payee);
    /// @notice The leaves promise more than all reports have funded: a report lowered somebody's cumulative amount.
    error ClaimAboveFunds(uint256 amount, uint256 funds);
    /// @notice The claim exceeds what the limits permit for the epochs since the last one.
    error ClaimAboveLimit(uint256 amount, uint256 limit);

    /// @notice Makes several calls of this contract, all or none; returns what each returned.
    function multicall(bytes[] calldata data) external returns (bytes[] memory results);

    /// @notice Gives `amount` to the incentive fund. Anybody may, unless paused.
    function fundIncentives(uint256 amount) external;

    /// @notice Takes in the signed part of the next epoch's report. Not while paused.
    /// @dev Requirements, in the order in which they are checked: no refunds are due; the epoch is the next one; the report before
    /// is complete, and `previous` its struct hash; fewer than 64 reports wait; evidence is not zero; the challenge court never cancelled
    /// this very report; harms strictly ascending; the epoch ended at least `reportDelay` ago; the totals balance; provider, verifier
    /// and treasury totals within their shares of what was charged; charged and growth within the limits; incentive and pools together
    /// within the rules and the fund; the SLA fund, counting reports that wait, covers its part; signers strictly ascending and a quorum
    /// of the verifiers. A report without leaves has a zero root. All but the order and the signers is the clock's `checkReport`.
    /// Effects: incentive and pools leave the fund and wait here for activation.
    /// @param signatures 65 bytes `r || s || v` each, in ascending order of their signers, over `reportDigest`.
    function submit(Report calldata report, bytes[] calldata signatures) external;

    /// @notice Brings in the next chunk of leaves, packed, 64 bytes each, 512 in every chunk but the last. Not while paused.
    /// @param roots Roots of all chunks; folded they are the report's `leaves`.
    /// @dev Requirements: as many roots as chunks, all of the chunk's bytes, every leaf well-formed; providers strictly
    /// ascending over all chunks; at most the limit of slashed leaves; with the last chunk, the sums before plus the totals.
    function publishLeaves(uint64 epoch, bytes32[] calldata roots, uint256 chunk, bytes calldata packed) external;

    /// @notice Takes the next chunk of charges out of the escrow. Not while paused.
    /// @dev Requires customers strictly ascending over all chunks (the escrow sees to that within one) and, with the last chunk, the
    /// sum in the totals.
    function takeCharges(
        uint64 epoch,
        Movements calldata movements,
        uint256 chunk,
        IJobEscrow.Charge[] calldata charges
    ) external;

    /// @notice Gives effect to a complete report whose activation delay has passed. In order. Not while paused.
    /// @dev Requires the payees to sum to the verifiers' total. Effects: fees and incentives of its leaves can be claimed, verifiers and
    /// treasury are owed theirs, the SLA fund moves. A limit per provider that was lowered counts for claims from here on.
    function activate(uint64 epoch, Movements calldata movements, Payee[] calldata payees) external;

    /// @notice Brings the next chunk of an activated report's credits to the escrow. Never paused.
    /// @dev All chunks together at most the total; what they leave over of it stays booked.
    function pushCredits(
        uint64 epoch,
        Movements calldata movements,
        uint256 chunk,
        IJobEscrow.Credit[] calldata credits
    ) external;

    /// @notice Brings the next chunk of an activated report's delegation rewards to the delegation contract. Never paused.
    /// @dev As with `pushCredits`.
    function pushPools(uint64 epoch, Movements calldata movements, uint256 chunk, Pool[] calldata pools) external;

    /// @notice Undoes a report that is not activated, and every report behind it, the newest first. Never paused.
    /// @dev Requires the caller to be the challenge court, or the report to be incomplete and submitted more than
    /// `activationDelay` ago, or the report to have been ready for activation more than 14 days ago: longer than a pause, so that a
    /// report which cannot be activated holds nobody up for ever. What the court cancelled is never taken again; other
    /// cancelled reports may be.
    /// Effects: incentives and pools return to the fund, charges taken wait for `refund`.
    function cancel(uint64 epoch) external;

    /// @notice Returns the next chunk of charges that a cancelled report took. Never paused.
    function refund(bytes32 digest, Movements calldata movements, uint256 chunk, IJobEscrow.Charge[] calldata charges)
        external;

    /// @notice Pays a leaf's provider what it has earned and not claimed; anybody may call. Never paused.
    /// @param leaf Its two words as published: the leaf costs a third of what its fields would, one by one.
    /// @dev Requirements: the report of `epoch` is activated; the leaf is in its root; something is unclaimed; at most the
    /// limit per epoch since the provider's last claim. An older report pays less, never twice. A limit that was lowered
    /// counts from the next activation, one that was raised at once.
    function claim(uint64 epoch, bytes32[2] calldata leaf, bytes32[] calldata proof)
        external
        returns (uint256 fees, uint256 incentive);

    /// @notice Pays the caller what it is owed as a verifier or as the treasury; returns the amount. Never paused.
    function claimOwed() external returns (uint256 amount);

    function clock() external view returns (address);
    function paymentToken() external view returns (address);
    function escrow() external view returns (address);
    function verifiers() external view returns (address);
    function delegation() external view returns (address);
    function treasury() external view returns (address);
    function challengeCourt() external view returns (address);
    function guardian() external view returns (address);

    function nextEpoch() external view returns (uint64);
    function nextActivation() external view returns (uint64);
    function record(uint64 epoch) external view returns (Record memory);
    function progress(uint64 epoch) external view returns (Progress memory);

    /// @notice The root signed for a slashed provider's harmed customers; zero where there is none.
    function harmedRoot(uint64 epoch, address provider) external view returns (bytes32);

    function domainSeparator() external view returns (bytes32);

    /// @notice The EIP-712 struct hash of a report, which the next report names as `previous`.
    function structHash(Report calldata report) external view returns (bytes32);

    /// @notice The EIP-712 digest that verifiers sign.
    function reportDigest(Report calldata report) external view returns (bytes32);

    function leafHash(uint64 epoch, Leaf calldata leaf) external view returns (bytes32);

    /// @notice Whether a leaf is in the root of an epoch's report, activated or not.
    function verifyLeaf(uint64 epoch, Leaf calldata leaf, bytes32[] calldata proof) external view returns (bool);

    function incentiveFund() external view returns (uint256);
    function owed(address payee) external view returns (uint256);
    function claimedFees(address provider) external view returns (uint256);
    function claimedIncentive(address provider) external view returns (uint256);

    /// @notice The newest epoch a provider has claimed against, plus one; zero if it never claimed.
    function claimedThrough(address provider) external view returns (uint64);

    function refundsDue() external view returns (uint256);
    function books() external view returns (Books memory);
}
