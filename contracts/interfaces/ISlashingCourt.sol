// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "./IEpochLedger.sol";

/// @title ISlashingCourt
/// @notice Opens slashes, lets them be contested, carries them out and splits what was taken.
///
/// Nobody chooses a size: level and provider come from a leaf of an activated report or from a proof, the sizes are
/// constants here, the base is the provider's required stake. Whoever proposes or executes gains nothing by it.
///
/// | code | trigger | size of the required stake | besides |
/// | --- | --- | --- | --- |
/// | 2, 3, 4 | uptime | 1, 2, 4 %; together at most 10 % in a rolling 30 days, the rest is cut | |
/// | 5 | outage > 48 h | 10 % | jail |
/// | 6 | outage > 120 h | 20 % | removal |
/// | 7 | wrong result | 10 % | |
/// | 8 | hardware | 10 % | jail, until measured again |
/// | 9 | two receipts for one attempt, proven by anybody, carried out at once | 25 % | removal |
///
/// A verifier that signed two ProbeDays for one provider and epoch loses its whole bond, one that signed a report found wrong a tenth.
///
/// **Way of a slash.** `propose` (the proposer posts a bond) → challenge window → `execute`. In the window anybody may `contest` it with a
/// bond of the same size; then the arbitrator has to `rule`, and its silence cancels the slash. The challenge court cancels a slash
/// at once on a proof. While slashes of more than 5 % of all stake were opened within 7 days, further ones are **queued**: they
/// need `release` by the timelock.
///
/// **Split.** Of what a provider lost, 50 % go to the customers who were harmed, by pages that anybody may hand in, 20 % to an outside prover, 30 % are burned. Where
/// there is nobody harmed or no prover, that part goes to the stake part of the SLA fund, with all dust.
///
/// **Bonds.** Both sides post the larger of `leastBond` and 1 % of the amount. The loser's goes half to the winner, half is burned. Where nobody was judged both go back.
///
/// Books, in stake-token units: `token balance >= totalBonds + totalHarmed`.
interface ISlashingCourt {
    /// @param challengeSeconds From proposal to execution. @param arbitrationSeconds From `contest` to the arbitrator's silence.
    /// @param marginSeconds What unbonding exceeds settlement, challenge and arbitration by, at least.
    /// @param leastBond Of proposer and contestant, stake-token units.
    struct Config {
        uint64 challengeSeconds;
        uint64 arbitrationSeconds;
        uint64 marginSeconds;
        uint128 leastBond;
    }

    enum Stage {
        None,
        Open,
        Contested,
        Upheld,
        Executed,
        Cancelled
    }

    /// @param amount What will be asked of the stake, after the cut. @param taken What was given.
    /// @param queued Waits for `release` as well.
    /// @param harmedPart Of what was taken, for the harmed. @param harmedGiven Of that, handed out so far.
    struct Slash {
        address provider;
        uint64 epoch;
        uint8 code;
        Stage stage;
        bool queued;
        uint64 proposedAt;
        uint64 executableAt;
        uint64 ruleBy;
        address proposer;
        address contestant;
        uint256 bond;
        uint256 amount;
        uint256 taken;
        bytes32 harmed;
        uint256 harmedPart;
        uint256 harmedGiven;
        uint32 pagesGiven;
    }

    /// @notice One page of the customers harmed by a provider; a leaf of the tree under `harmed` is
    /// `keccak256(keccak256(abi.encode(page)))`.
    /// @param pages How many there are. @param totalWeight Over all pages.
    struct Page {
        uint32 index;
        uint32 pages;
        uint256 totalWeight;
        address[] customers;
        uint128[] weights;
    }

    /// @notice A receipt as signed by a provider; docs/protocol.md, section 2.
    struct Receipt {
        bytes32 job;
        uint32 attempt;
        address provider;
        bytes32 model;
        uint64 slot;
        uint32 inputTokens;
        uint32 cachedTokens;
        uint32 outputTokens;
        uint32 ttftMs;
        uint32 itlUs;
        uint128 chargeAtto;
        bytes32 requestDigest;
        bytes32 responseDigest;
        uint8 status;
    }

    /// @notice A verifier's view of a provider over an epoch; docs/protocol.md, section 2.
    struct ProbeDay {
        address provider;
        uint64 epoch;
        uint256[6] up;
        uint256 histogram;
    }

    event SlashProposed(
        uint256 indexed id,
        address indexed provider,
        uint64 indexed epoch,
        uint8 code,
        uint256 amount,
        uint64 executableAt,
        address proposer,
        uint256 bond,
        bytes32 harmed,
        bool queued
    );
    /// @notice Availability slashes of 30 days reached their limit: `full` was cut to `amount`.
    event SlashCut(uint256 indexed id, address indexed provider, uint256 full, uint256 amount);
    event SlashContested(uint256 indexed id, address indexed contestant, uint256 bond, bytes32 reason, uint64 ruleBy);
    event SlashRuled(uint256 indexed id, bool upheld);
    event SlashReleased(uint256 indexed id);
    /// @notice `by` is the challenge court on a proof, the arbitrator, or whoever pointed at a silence.
    event SlashCancelled(uint256 indexed id, address by);
    event SlashExecuted(
        uint256 indexed id,
        address indexed provider,
        uint256 taken,
        uint256 toHarmed,
        uint256 toProver,
        uint256 toSlaFund,
        uint256 burned
    );
    event PageCompensated(uint256 indexed id, uint32 indexed index, uint256 given);
    /// @notice All pages are in; `dust` of the harmed part went to the SLA fund.
    event CompensationClosed(uint256 indexed id, uint256 dust);
    event BondSettled(uint256 indexed id, address indexed poster, uint256 toPoster, address winner, uint256 toWinner, uint256 burned);
    /// @notice Two receipts for one attempt were shown.
    event ReceiptsEquivocated(uint256 indexed id, address indexed provider, bytes32 job, uint32 attempt, address prover);
    /// @notice Two ProbeDays for one provider and epoch were shown.
    event DaysEquivocated(address indexed verifier, address indexed provider, uint64 indexed epoch, address prover);
    /// @notice A verifier lost `taken` of its bond; of all that was taken in this call, parts as they were given.
    event VerifierSlashed(address indexed verifier, uint64 indexed epoch, uint256 taken);
    event VerifierSlashSplit(uint64 indexed epoch, address vindicated, uint256 toVindicated, address prover, uint256 toProver, uint256 toSlaFund, uint256 burned);

    error NotChallengeCourt(address caller);
    error NotActivated(uint64 epoch);
    error NotInRoot(uint64 epoch, address provider);
    error NothingToSlash(uint8 code, uint8 least);
    error UnknownCode(uint8 code, uint8 most);
    error AlreadyProposed(uint256 id);
    error OutOfStatute(uint256 deadline, uint256 time);
    error UnknownSlash(uint256 id);
    error WrongStage(uint256 id, Stage stage);
    error ChallengeWindowOpen(uint256 id, uint64 executableAt, uint256 time);
    error ChallengeWindowClosed(uint256 id, uint64 executableAt, uint256 time);
    error RulingLate(uint256 id, uint64 ruleBy, uint256 time);
    error RulingPending(uint256 id, uint256 until, uint256 time);
    error Queued(uint256 id);
    error NotQueued(uint256 id);
    error WrongSigners(bytes32 found, bytes32 expected);
    error WrongPage(uint256 id, bytes32 found, bytes32 root);
    error PageGiven(uint256 id, uint32 index);
    error LengthMismatch(uint256 customers, uint256 weights);
    error PageAboveRest(uint256 given, uint256 rest);
    /// @notice The two receipts (or ProbeDays) are the same, or not of one attempt (or provider and epoch).
    error NotEquivocal();
    error WrongSigner(address signer, address expected);
    error AlreadyPunished(bytes32 key);

    /// @notice Opens a slash from a leaf; returns its id, counted from 1. Anybody may; not while paused.
    /// @dev Requirements: the report of `epoch` is activated; the leaf is in its root; its level is 2 to 8; no slash
    /// was proposed for this provider and epoch; at most 28 days since the report could be activated; an allowance for the bond.
    function propose(uint64 epoch, IEpochLedger.Leaf calldata leaf, bytes32[] calldata proof) external returns (uint256 id);

    /// @notice Puts an open slash before the arbitrator; anybody may, with a bond. Never paused.
    /// @param reason Digest of what is put forward.
    function contest(uint256 id, bytes32 reason) external;

    /// @notice Decides a contested slash, by the access manager's permission, before `ruleBy`.
    /// @param wrongSigners Signers of the report, to lose a tenth of their bonds to the vindicated provider; empty if it was
    /// not their fault. Must be empty when upheld.
    function rule(uint256 id, bool upheld, address[] calldata wrongSigners) external;

    /// @notice Lets a queued slash go on, by the access manager's permission.
    function release(uint256 id) external;

    /// @notice Cancels a contested slash on which the arbitrator kept silent, or a queued one that nobody released within the statute.
    /// Anybody may; never paused.
    function lapse(uint256 id) external;

    /// @notice Carries a slash out after its challenge window; returns what was taken. Anybody may; not while paused.
    function execute(uint256 id) external returns (uint256 taken);

    /// @notice Gives one page of harmed customers their part. Anybody may; never paused.
    function compensate(uint256 id, Page calldata page, bytes32[] calldata proof) external;

    /// @notice Shows two receipts that a provider signed for one attempt, and slashes it at once; returns the id. Anybody may.
    /// @dev Requirements: same job, attempt, provider and request digest, different otherwise; both signed by keys the provider ever named; the later
    /// slot at most 28 days ago; not shown before.
    function proveReceipts(Receipt calldata a, bytes calldata signatureA, Receipt calldata b, bytes calldata signatureB)
        external
        returns (uint256 id);

    /// @notice Shows two ProbeDays that a verifier signed for one provider and epoch, and takes its bond at once. Anybody may.
    function proveProbeDays(ProbeDay calldata a, bytes calldata signatureA, ProbeDay calldata b, bytes calldata signatureB) external;

    /// @notice Cancels an open or contested slash on a proof; the proposer's bond goes half to `prover`. Requires the challenge court.
    function cancel(uint256 id, address prover) external;

    /// @notice Takes `ppm` of the bonds of signers: up to `lost` goes to the vindicated provider, of the rest 20 % to the prover, 30 % are burned,
    /// the remainder goes to the SLA fund. Requires the challenge court.
    function punish(uint64 epoch, address[] calldata signers, uint256 ppm, address vindicated, uint256 lost, address prover) external;

    function stakeToken() external view returns (address);
    function staking() external view returns (address);
    function escrow() external view returns (address);
    function clock() external view returns (address);
    function epochLedger() external view returns (address);
    function verifiers() external view returns (address);
    function challengeCourt() external view returns (address);
    function guardian() external view returns (address);
    function challengeSeconds() external view returns (uint64);
    function arbitrationSeconds() external view returns (uint64);
    function marginSeconds() external view returns (uint64);
    function leastBond() external view returns (uint128);
    function slash(uint256 id) external view returns (Slash memory);
    function slashCount() external view returns (uint256);

    /// @notice The id of the slash of a provider from a leaf of an epoch; zero for none.
    function slashOf(address provider, uint64 epoch) external view returns (uint256);

    /// @notice What the proposer or a contestant must post for an amount.
    function bondFor(uint256 amount) external view returns (uint256);

    /// @notice Size of a code in ppm of the required stake.
    function codePpm(uint8 code) external pure returns (uint32);

    /// @notice What availability slashes may still take from a provider today, in ppm of its required stake.
    function availabilityLeftPpm(address provider) external view returns (uint256);

    /// @notice Amounts of slashes opened within the last 7 days, and the sum above which further ones are queued.
    function breaker() external view returns (uint256 opened, uint256 limit);
    function totalBonds() external view returns (uint256);
    function totalHarmed() external view returns (uint256);
}
