// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "./IEpochLedger.sol";
import {ISlashingCourt} from "./ISlashingCourt.sol";

/// @title IChallengeCourt
/// @notice Judges by code whether what a report says of a provider follows from what verifiers signed.
///
/// A challenge is a proof: it succeeds or reverts, and nobody is asked. While the report waits for activation it is
/// cancelled and must be made anew; after that the slash it led to is cancelled, as long as it is not carried out. Unless the fault
/// cannot have been seen by them, everybody who signed the report loses a tenth of its bond: to the provider up to what the slash would
/// have taken, then to the challenger, the fire and the SLA fund (`ISlashingCourt.punish`). Challenges are never paused and need no bond.
///
/// What was measured is committed by the report's root `measurements`: one leaf per provider, in the order of the report's leaves, hashed as
/// `keccak256(keccak256(abi.encode(chainId, ledger, epoch, provider, duty, served, void, keccak256(abi.encode(days)))))`.
///
/// Grounds: 1 a ProbeDay is not a verifier's, or there is no quorum · 2 uptime or p95 differ when computed again · 3 a slot before registration or in declared
/// maintenance counts · 4 a slot in which more than 30 % of providers were down counts · 5 a verifier signed another ProbeDay ·
/// 6 the leaf contradicts itself or the leaf before · 7 a slot counts as down in which a customer was served. Duplicates and slashes out of statute are
/// refused by `ISlashingCourt.propose` itself.
interface IChallengeCourt {
    /// @notice One verifier's ProbeDay as used in a report.
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

    /// @notice What is challenged: a leaf of a report, what was measured, and who signed.
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
    }

    /// @param slashId Of the slash that was cancelled; zero when the report was.
    event ChallengeSustained(
        uint64 indexed epoch, address indexed provider, uint8 indexed ground, address challenger, uint256 slashId
    );

    error NotInRoot(uint64 epoch, address provider);
    error NotMeasured(uint64 epoch, address provider);
    error WrongSigners(bytes32 found, bytes32 expected);
    error UnknownReport(uint64 epoch);
    /// @notice The report is in force and led to no slash that could still be cancelled.
    error NothingToUndo(uint64 epoch, address provider);
    /// @notice What was shown is as the report says.
    error NoFault(uint8 ground);
    error SlotOutsideEpoch(uint256 slot, uint256 slots);
    error ProvidersNotAscending(address before, address provider);
    error DayNotFound(uint256 index, uint256 length);

    function challengeSignatures(Target calldata target, Measured calldata measured, bytes32[] calldata proof) external;
    function challengeComputation(Target calldata target, Measured calldata measured, bytes32[] calldata proof) external;
    function challengeDuty(Target calldata target, Measured calldata measured, bytes32[] calldata proof, uint256 slot) external;

    /// @param others Ascending by provider: enough providers that were down by majority in `slot`, each with its proof.
    function challengeVoid(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        uint256 slot,
        Measured[] calldata others,
        bytes32[][] calldata proofs
    ) external;

    /// @param index Of the day in `measured` that its verifier contradicted by `other`. Only that verifier is punished, with its whole bond.
    function challengeEquivocation(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        uint256 index,
        ISlashingCourt.ProbeDay calldata other,
        bytes calldata signature
    ) external;

    /// @notice The leaf contradicts itself: a level 1 to 4 harsher than its uptime calls for, a level without a measurement, a share above the whole,
    /// a standing that does not exist.
    function challengeLeaf(Target calldata target) external;

    /// @notice The leaf contradicts the one before: a cumulative amount fell, or a failure did not lower the score.
    function challengeSequence(Target calldata target, IEpochLedger.Leaf calldata before, bytes32[] calldata beforeProof) external;

    /// @notice A customer was served in a slot that counts as down. Nobody is punished: the receipt may have been kept from them.
    function challengeServed(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        ISlashingCourt.Receipt calldata receipt,
        bytes calldata signature,
        Countersignature calldata counter,
        bytes calldata countersignature
    ) external;

    /// @notice What the contract computes from what was measured. Reverts when there are more than 64 days.
    function compute(Measured calldata measured)
        external
        view
        returns (uint256 uptimePpm, uint256 ttftP95Bucket, bool measured_);

    function measuredHash(uint64 epoch, Measured calldata measured) external view returns (bytes32);
    function clock() external view returns (address);
    function epochLedger() external view returns (address);
    function staking() external view returns (address);
    function slashingCourt() external view returns (address);
    function verifiers() external view returns (address);
    function gateways() external view returns (address);
}
