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
/// | 8 | hardware | 10 % | jail until a quorum has measured the hardware anew |
/// | 9 | two receipts for one attempt, proven by anybody, carried out at once | 25 % | removal |
///
/// A verifier that signed two ProbeDays for one provider and epoch loses its whole bond, one that signed a report found wrong a tenth,
/// once per report.
///
/// **Way of a slash.** `propose` (the proposer posts a bond) → challenge window → `execute`. In the window anybody may `contest` it with a
/// bond of the same size; then the arbitrator has to `rule`, and its silence cancels the slash. The challenge court cancels a slash
/// at once on a proof, as long as it is not carried out. A slash that would bring what was opened within 7 days above 5 % of all stake is
/// **queued**: it needs `release` by the timelock as well.
///
/// **Split.** Of what a provider lost, 50 % go to the customers who were harmed, by pages that anybody may hand in, 20 % to an outside prover, 30 % are burned. Where
/// there is nobody harmed or no prover, that part goes to the stake part of the SLA fund, with all dust.
///
/// **Bonds.** Both sides post the larger of `leastBond` and 1 % of the amount. The loser's goes half to the winner, half is burned. Where nobody was
/// judged both go back. The proposer's stays here until its slash is carried out or cancelled.
///
/// **Time.** Unbonding, of providers and of verifiers, is longer than settlement, challenge, arbitration and the longest pause together, by a
/// margin: whoever begins to leave with its deed is still within reach when it is judged. The constructor asserts that, and that no
/// more than one pause fits into that time.
///
/// Books, in stake-token units, true after every call: `token balance >= totalBonds + totalHarmed`, equal unless somebody sent tokens unasked.
/// WARNING: tokens sent here by a plain transfer are nobody's and cannot be recovered.
interface ISlashingCourt {
    /// @param challengeSeconds From proposal to execution. @param arbitrationSeconds From `contest` to the arbitrator's silence.
    /// @param marginSeconds What unbonding exceeds settlement, challenge, arbitration and the longest pause by, at least.
    /// @param leastBond Of proposer and contestant, stake-token units.
    struct Config {
        uint64 challengeSeconds;
        uint64 arbitrationSeconds;
        uint64 marginSeconds;
        uint128 leastBond;
    }

    /// @notice Where a slash stands. Open and Upheld ones can be carried out; Executed and Cancelled are final.
    enum Stage {
        None,
        Open,
        Contested,
        Upheld,
        Executed,
        Cancelled
    }

    /// @notice A slash as it stands.
    /// @param executableAt End of the challenge window. @param ruleBy When the arbitrator's silence cancels; zero if never contested.
    /// @param contestant Zero if never contested. @param bond Of the proposer, and of the contestant as well.
    /// @param amount What will be asked of the stake, after the cut. @param taken What was given.
    /// @param queued Waits for `release` as well. @param harmed Root over the pages of the harmed; zero for nobody.
    /// @param harmedPart Of what was taken, for the harmed. @param harmedGiven Of that, handed out so far, dust included.
    /// @param pagesGiven How many pages of the harmed are in.
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
        bytes32 taken;
        uint8 attestationType;
        bytes32 attestation;
    }

    /// @notice A verifier's view of a provider over an epoch; docs/protocol.md, section 2.
    struct ProbeDay {
        address provider;
        uint64 epoch;
        uint256[6] up;
        uint256 histogram;
    }

    /// @notice A slash was opened; for two receipts it has no bond and is carried out in the same call.
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
    /// @notice The arbitrator has to rule before `ruleBy`.
    event SlashContested(uint256 indexed id, address indexed contestant, uint256 bond, bytes32 reason, uint64 ruleBy);
    /// @notice The arbitrator decided; what it overturned is cancelled as well.
    event SlashRuled(uint256 indexed id, bool upheld);
    /// @notice A queued slash may go on.
    event SlashReleased(uint256 indexed id);
    /// @notice `by` is the challenge court on a proof, the arbitrator, or whoever pointed at a silence.
    event SlashCancelled(uint256 indexed id, address by);
    /// @notice A slash was carried out; the parts sum to `taken`. What is for the harmed waits here for their pages.
    event SlashExecuted(
        uint256 indexed id,
        address indexed provider,
        uint256 taken,
        uint256 toHarmed,
        uint256 toProver,
        uint256 toSlaFund,
        uint256 burned
    );
    /// @notice The customers of a page got `given` together, by their weights, each rounded down.
    event PageCompensated(uint256 indexed id, uint32 indexed index, uint256 given);
    /// @notice All pages are in; `dust` of the harmed part went to the SLA fund.
    event CompensationClosed(uint256 indexed id, uint256 dust);
    /// @notice A bond left; the parts sum to it. `winner` is zero where it went back.
    event BondSettled(
        uint256 indexed id, address indexed poster, uint256 toPoster, address winner, uint256 toWinner, uint256 burned
    );
    /// @notice Two receipts for one attempt were shown.
    event ReceiptsEquivocated(uint256 indexed id, address indexed provider, bytes32 job, uint32 attempt, address prover);
    /// @notice Two ProbeDays for one provider and epoch were shown.
    event DaysEquivocated(address indexed verifier, address indexed provider, uint64 indexed epoch, address prover);
    /// @notice A verifier lost `taken` of its bond.
    event VerifierSlashed(address indexed verifier, uint64 indexed epoch, uint256 taken);
    /// @notice Where all that verifiers lost in one call went; the parts sum to it.
    event VerifierSlashSplit(
        uint64 indexed epoch,
        address vindicated,
        uint256 toVindicated,
        address prover,
        uint256 toProver,
        uint256 toSlaFund,
        uint256 burned
    );

    /// @notice Only the challenge court may.
    error NotChallengeCourt(address caller);
    /// @notice The report is not in force.
    error NotActivated(uint64 epoch);
    /// @notice The report says nothing of the kind.
    error NotInRoot(uint64 epoch, address provider);
    /// @notice The leaf's level costs no stake.
    error NothingToSlash(uint8 code, uint8 least);
    /// @notice No such code.
    error UnknownCode(uint8 code, uint8 most);
    /// @notice Slash `id` is for this provider and epoch.
    error AlreadyProposed(uint256 id);
    /// @notice Too long ago.
    error OutOfStatute(uint256 deadline, uint256 time);
    /// @notice No slash has this id.
    error UnknownSlash(uint256 id);
    /// @notice Not possible where the slash stands.
    error WrongStage(uint256 id, Stage stage);
    /// @notice The slash can still be contested.
    error ChallengeWindowOpen(uint256 id, uint64 executableAt, uint256 time);
    /// @notice The slash can no longer be contested.
    error ChallengeWindowClosed(uint256 id, uint64 executableAt, uint256 time);
    /// @notice The arbitrator's time is over.
    error RulingLate(uint256 id, uint64 ruleBy, uint256 time);
    /// @notice Somebody's time to decide is not over.
    error RulingPending(uint256 id, uint256 until, uint256 time);
    /// @notice The slash waits for `release`.
    error Queued(uint256 id);
    /// @notice Nothing is to be released.
    error NotQueued(uint256 id);
    /// @notice Not all signers of the report in their order, or somebody named where nobody may be.
    error WrongSigners(bytes32 found, bytes32 expected);
    /// @notice The page is not one of the slash's.
    error WrongPage(uint256 id, bytes32 found, bytes32 root);
    /// @notice The page is in.
    error PageGiven(uint256 id, uint32 index);
    /// @notice A customer without a weight, or a weight without a customer.
    error LengthMismatch(uint256 customers, uint256 weights);
    /// @notice The pages promise more than there is.
    error PageAboveRest(uint256 given, uint256 rest);
    /// @notice The two receipts (or ProbeDays) are the same, or not of one attempt (or provider and epoch).
    error NotEquivocal();
    /// @notice Signed by somebody else, or not at all.
    error WrongSigner(address signer, address expected);
    /// @notice This was shown before.
    error AlreadyPunished(bytes32 key);
    /// @notice The operator has no bond that could be taken.
    error NothingBonded(address operator);

    /// @notice Opens a slash from a leaf; returns its id, counted from 1. Anybody may; not while paused.
    /// @dev Requirements: the report of `epoch` is activated; the leaf is in its root; its level is 2 to 8; no slash
    /// was proposed for this provider and epoch; at most 28 days since the report could be activated; the provider is registered; an
    /// allowance for the bond.
    /// Effects: executable after the challenge window. Availability (codes 2 to 4) uses up what is left of the provider's 10 % in 30
    /// days and is cut to it, if need be to nothing.
    function propose(uint64 epoch, IEpochLedger.Leaf calldata leaf, bytes32[] calldata proof) external returns (uint256 id);

    /// @notice Puts an open slash before the arbitrator; anybody may, with a bond. Never paused.
    /// @dev Requirements: Open, inside its challenge window; an allowance for a bond like the proposer's.
    /// @param reason Digest of what is put forward.
    function contest(uint256 id, bytes32 reason) external;

    /// @notice Decides a contested slash, by the access manager's permission, before `ruleBy`.
    /// @dev Upheld, the contestant's bond goes half to the proposer, half is burned, and the slash can be carried out when its challenge
    /// window is over. Overturned, it is cancelled, the proposer's bond goes half to the contestant, half is burned.
    /// @param wrongSigners All signers of the report in their order, each to lose a tenth of its bond to the vindicated provider, up to
    /// the amount; of the rest 30 % are burned, 70 % go to the SLA fund. Empty if it was not their fault; must be empty when upheld.
    function rule(uint256 id, bool upheld, address[] calldata wrongSigners) external;

    /// @notice Lets a queued slash go on, by the access manager's permission.
    function release(uint256 id) external;

    /// @notice Cancels a contested slash on which the arbitrator kept silent, or a queued one that nobody released within 28 days of its
    /// proposal; the bonds go back. Anybody may; never paused.
    function lapse(uint256 id) external;

    /// @notice Carries a slash out after its challenge window; returns what was taken. Anybody may; not while paused.
    /// @dev Requirements: Open or Upheld; not queued. Effects: takes up to the amount, jails for codes 5 and 8, removes for 6; the
    /// proposer's bond goes back; burns 30 %, holds 50 % for the harmed where there are any, and gives the rest to the SLA fund.
    function execute(uint256 id) external returns (uint256 taken);

    /// @notice Gives one page of harmed customers their part, as compensation in the escrow. Anybody may; never paused.
    /// @dev Requirements: Executed; the page is in the slash's root and was not given; what it gives is there. With the last page what
    /// rounding left goes to the SLA fund.
    function compensate(uint256 id, Page calldata page, bytes32[] calldata proof) external;

    /// @notice Shows two receipts that a provider signed for one attempt, and slashes it at once; returns the id. Anybody may.
    /// @dev Requirements: same job, attempt, provider and request digest, different otherwise; both signed by keys the provider ever named; the earlier
    /// slot began at most 28 days ago, so whoever remembers its receipts that long cannot be led to sign a second one; neither this attempt nor another
    /// one of the provider in the epoch of the earlier slot was shown before.
    /// Effects: takes 25 % of the required stake and removes the provider: 20 % of what the provider itself lost to the caller, nothing of what its
    /// delegators lost, 30 % burned, the rest to the SLA fund. What was taken counts towards the breaker, but it never waits. Never paused.
    function proveReceipts(Receipt calldata a, bytes calldata signatureA, Receipt calldata b, bytes calldata signatureB)
        external
        returns (uint256 id);

    /// @notice Shows two ProbeDays that a verifier signed for one provider and epoch, and takes its bond at once. Anybody may; never paused.
    /// @dev Requirements: same provider and epoch, different otherwise; one signer; it has a bond; not shown before. Effects: 20 % to the
    /// caller, 30 % burned, 50 % to the SLA fund.
    function proveProbeDays(ProbeDay calldata a, bytes calldata signatureA, ProbeDay calldata b, bytes calldata signatureB) external;

    /// @notice Cancels an open, contested or upheld slash on a proof; the proposer's bond goes half to `prover`, half is burned, a contestant's goes back.
    /// With no prover (zero) nobody was wrong, and the proposer's goes back too.
    /// Requires the challenge court.
    function cancel(uint256 id, address prover) external;

    /// @notice Takes `ppm` of the bonds of signers: up to `lost` goes to the vindicated provider, of the rest 20 % to the prover, 30 % are burned,
    /// the remainder goes to the SLA fund. Requires the challenge court, and the report as yet on record.
    /// @dev Whoever was punished for this report, or has no bond left, is passed over. The whole bond is taken for two ProbeDays about `vindicated`.
    function punish(uint64 epoch, address[] calldata signers, uint256 ppm, address vindicated, uint256 lost, address prover) external;

    /// @notice What bonds and slashes are paid in.
    function stakeToken() external view returns (address);
    /// @notice Where slashes are taken.
    function staking() external view returns (address);
    /// @notice Whose customers are compensated, and which holds the SLA fund.
    function escrow() external view returns (address);
    /// @notice The ledger's clock.
    function clock() external view returns (address);
    /// @notice Whose reports lead to slashes.
    function epochLedger() external view returns (address);
    /// @notice Who signs reports.
    function verifiers() external view returns (address);
    /// @notice Who may cancel and punish on a proof.
    function challengeCourt() external view returns (address);
    /// @notice Who may pause `propose` and `execute`.
    function guardian() external view returns (address);
    /// @notice From proposal to execution.
    function challengeSeconds() external view returns (uint64);
    /// @notice From `contest` to the arbitrator's silence.
    function arbitrationSeconds() external view returns (uint64);
    /// @notice What unbonding exceeds settlement, challenge, arbitration and the longest pause by, at least.
    function marginSeconds() external view returns (uint64);
    /// @notice Of proposer and contestant, stake-token units.
    function leastBond() external view returns (uint128);
    /// @notice A slash; all zero if there is none.
    function slash(uint256 id) external view returns (Slash memory);
    /// @notice How many were opened; ids count from 1.
    function slashCount() external view returns (uint256);

    /// @notice The id of the slash of a provider from a leaf of an epoch; zero for none.
    function slashOf(address provider, uint64 epoch) external view returns (uint256);

    /// @notice What the proposer or a contestant must post for an amount.
    function bondFor(uint256 amount) external view returns (uint256);

    /// @notice Size of a code in ppm of the required stake; zero below 2.
    function codePpm(uint8 code) external pure returns (uint32);

    /// @notice What availability slashes may still take from a provider today, in ppm of its required stake.
    function availabilityLeftPpm(address provider) external view returns (uint256);

    /// @notice Amounts of slashes opened (of two receipts: what was taken) today and on the 7 days before (UTC), cancelled ones included, and the sum above which further ones are queued.
    function breaker() external view returns (uint256 opened, uint256 limit);

    /// @notice Whether a page of the harmed was given.
    function pageGiven(uint256 id, uint32 index) external view returns (bool);

    /// @notice Bonds of proposers and contestants held here.
    function totalBonds() external view returns (uint256);
    /// @notice Parts of harmed customers held here for their pages.
    function totalHarmed() external view returns (uint256);
}
