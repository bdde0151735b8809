// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "./IEpochLedger.sol";
import {ISlashingCourt} from "./ISlashingCourt.sol";

/// @title IChallengeCourt
/// @notice Judges by code whether what a report says of a provider follows from what verifiers signed.
///
/// A challenge is a proof: it succeeds or reverts, and nobody is asked. While the report waits for activation it is
/// cancelled and must be made anew, with every report behind it; after that the slash it led to is cancelled, as long as it is not carried out. Unless
/// the fault cannot have been seen by them, everybody who signed the report loses a tenth of its bond: to the provider up to what the slash would
/// have taken, then to the challenger, the fire and the SLA fund (`ISlashingCourt.punish`). Challenges are never paused and need no bond.
///
/// What was measured is committed by the report's root `measurements`: one leaf per provider, in the order of the report's leaves, hashed as
/// `keccak256(keccak256(abi.encode(chainId, ledger, epoch, provider, duty, served, void, keccak256(abi.encode(days)))))`.
///
/// Grounds: 1 a ProbeDay is not a verifier's, or there is no quorum · 2 uptime, p95 or an outage differ when computed again · 3 a slot before registration or in declared
/// maintenance counts · 4 a slot in which more than 30 % of providers were down counts · 5 a verifier without whose day the leaf would be another signed two ·
/// 6 the leaf contradicts itself or the leaf before · 7 customers were served in slots that count as down. Duplicates and slashes out of statute are
/// refused by `ISlashingCourt.propose` itself.
///
/// Every challenge requires the leaf to be in the report's root and the signers to be those of the report, all of them in their order; those about
/// measurements that the measured leaf is of the same provider and in the root `measurements`; and, once the report is in force, a slash of that
/// provider from it that is Open, Contested or Upheld.
interface IChallengeCourt {
    /// @notice One verifier's ProbeDay as used in a report; its signature is checked by ground 1 alone, and by ground 5 of one day.
    struct Day {
        address verifier;
        uint256[6] up;
        uint256 histogram;
        bytes signature;
    }

    /// @notice What a report's verifiers put together about one provider.
    /// @param duty Slots that count before void ones are taken out. @param served Slots in which a customer was served.
    /// @param void Slots that were void for the market; the same in every leaf. @param days_ Ascending by verifier.
    struct Measured {
        address provider;
        uint256[6] duty;
        uint256[6] served;
        uint256[6] void;
        Day[] days_;
    }

    /// @notice What is challenged: a leaf of a report, and who signed it.
    /// @param signers Of the report, ascending, all of them.
    struct Target {
        uint64 epoch;
        IEpochLedger.Leaf leaf;
        bytes32[] leafProof;
        address[] signers;
    }

    /// @notice A gateway's acceptance of a receipt; docs/protocol.md, section 2.
    struct Countersignature {
        bytes32 receipt;
        address customer;
        uint64 slot;
        uint32 ttftMs;
        uint32 itlUs;
        uint8 serviceClass;
    }

    /// @notice A customer who was served: the provider's receipt, and the acceptance that says in which slot; each with its signature.
    struct Served {
        ISlashingCourt.Receipt receipt;
        bytes signature;
        Countersignature counter;
        bytes countersignature;
    }

    /// @notice A proof held. What it led to stands in the events of the ledger or of the slashing court.
    /// @param slashId Of the slash that was cancelled; zero when the report was.
    event ChallengeSustained(
        uint64 indexed epoch, address indexed provider, uint8 indexed ground, address challenger, uint256 slashId
    );

    /// @notice The report says nothing of the kind.
    error NotInRoot(uint64 epoch, address provider);
    /// @notice This was not measured, or of another provider.
    error NotMeasured(uint64 epoch, address provider);
    /// @notice Not the signers of the report.
    error WrongSigners(bytes32 found, bytes32 expected);
    /// @notice There is no such report, or it was cancelled.
    error UnknownReport(uint64 epoch);
    /// @notice The report is in force and led to no slash that could still be cancelled.
    error NothingToUndo(uint64 epoch, address provider);
    /// @notice What was shown is as the report says.
    error NoFault(uint8 ground);
    /// @notice The leaf's level follows all the same from what was shown, which makes the uptime this: show more, or what speaks against the leaf.
    error LevelStands(uint8 level, uint256 uptimePpm);
    /// @notice Slots count from the beginning of the epoch; that of a countersignature from genesis.
    error SlotOutsideEpoch(uint256 slot, uint256 slots);
    /// @notice Each provider counts once.
    error ProvidersNotAscending(address before, address provider);
    /// @notice There is no such day.
    error DayNotFound(uint256 index, uint256 length);
    /// @notice Nothing is computed from more days than the set can have verifiers; having them is a fault by ground 1.
    error TooManyDays(uint256 days_, uint256 most);
    /// @notice A measured leaf without a proof, or a proof without one.
    error LengthMismatch(uint256 others, uint256 proofs);

    /// @notice Ground 1: a day is not signed by its verifier, or its verifier was in the set at no moment from the beginning of the epoch to the
    /// submission of the report; days do not ascend by verifier or are more than 64; or the leaf was measured with fewer days than a quorum.
    function challengeSignatures(Target calldata target, Measured calldata measured, bytes32[] calldata proof) external;
    /// @notice Ground 2: uptime, p95 bucket or whether anything was measured differ from what `compute` says, or the level is that of an outage
    /// (5 or 6) of which these words hold nothing: no run that is long enough, and the first slot that counts is up.
    function challengeComputation(Target calldata target, Measured calldata measured, bytes32[] calldata proof) external;
    /// @notice Ground 3: a slot counts that began before the provider registered, or in maintenance it had declared.
    /// @param slot Of the epoch, counted from its beginning.
    function challengeDuty(Target calldata target, Measured calldata measured, bytes32[] calldata proof, uint256 slot) external;

    /// @notice Ground 4: a slot counts in which more than 30 % of the providers on duty were down by majority, served or not.
    /// @dev Every leaf of the report stands for a provider on duty until `others` shows that it was not. So `others` need not name everybody: those that were
    /// down suffice, if they are more than 30 % of all leaves.
    /// @param others Ascending by provider: providers that were down in `slot` or not on duty then, the challenged one among them if it counts.
    function challengeVoid(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        uint256 slot,
        Measured[] calldata others,
        bytes32[][] calldata proofs
    ) external;

    /// @notice Ground 5: a verifier signed two ProbeDays for this provider and epoch, and without its day the leaf would be another.
    /// @dev Computed again as though that verifier had said up in every slot. A slash stands where its level follows from the others' days all
    /// the same (ground 7 says how that is found); a report that waits stands where the uptime is the leaf's. The verifier loses its bond in
    /// any case, by `ISlashingCourt.proveProbeDays`, so its bond alone buys nobody out of what the others saw.
    /// @param index Of the day in `measured` that its verifier contradicted by `other`. Only that verifier is punished, with its whole bond, of
    /// which the provider gets nothing: the two could undo its slashes at no cost otherwise.
    function challengeEquivocation(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        uint256 index,
        ISlashingCourt.ProbeDay calldata other,
        bytes calldata signature
    ) external;

    /// @notice Ground 6: the leaf contradicts itself: a level 1 to 4 harsher than its uptime calls for, a level 1 to 6 without a measurement, a level
    /// above 8, a share above the whole, a standing that does not exist.
    function challengeLeaf(Target calldata target) external;

    /// @notice Ground 6: the leaf contradicts the one of the epoch before: a cumulative amount fell, or a failure (uptime, success or verification below
    /// the whole) did not lower the score.
    function challengeSequence(Target calldata target, IEpochLedger.Leaf calldata before, bytes32[] calldata beforeProof) external;

    /// @notice Ground 7: customers were served in slots that count as down, and with those slots up the leaf's level does not follow. Nobody is
    /// punished: the receipts may have been kept from them.
    /// @dev Each of `shown` is of another slot, or counts once: a receipt with status served, signed by a key the provider ever named; a
    /// countersignature of it by a gateway that was in the set in that slot; the slot counts as down. Then uptime is computed again.
    /// Levels 2 to 4 stand while it is below what the level asks for (95, 90, 50 %); the guard by the market's median is left out. Levels 5 and 6
    /// stand while a run of down slots is long enough, or the first slot that counts is down: an outage that came from the epoch before
    /// may have been as long as it takes. Levels 7 and 8 stand: having served does not excuse a wrong result or hardware.
    /// Cancels a slash only, never a report that waits: one gateway that keeps receipts back must not hold up everybody's settlement. The
    /// proposer's bond goes back: nobody earns by bringing a receipt forth.
    function challengeServed(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        Served[] calldata shown
    ) external;

    /// @notice What the contract computes from what was measured. Reverts when there are more than 64 days.
    function compute(Measured calldata measured)
        external
        view
        returns (uint256 uptimePpm, uint256 ttftP95Bucket, bool measured_);

    /// @notice The measured leaf's hash: a leaf of the tree under a report's `measurements`.
    function measuredHash(uint64 epoch, Measured calldata measured) external view returns (bytes32);
    /// @notice The ledger's clock.
    function clock() external view returns (address);

    /// @notice Whose reports are judged.
    function epochLedger() external view returns (address);

    /// @notice Who registered when, and when maintenance was declared.
    function staking() external view returns (address);

    /// @notice Whose slashes are cancelled, and which punishes.
    function slashingCourt() external view returns (address);

    /// @notice Whose days count.
    function verifiers() external view returns (address);

    /// @notice Whose countersignatures count.
    function gateways() external view returns (address);
}
