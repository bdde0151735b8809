// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IChallengeCourt} from "./interfaces/IChallengeCourt.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {Messages} from "./libraries/Messages.sol";
import {ProbeDays} from "./libraries/ProbeDays.sol";

/// @title ReportWords
/// @notice The half of `ChallengeCourt` that judges nothing: it checks that what is shown is what a report said and was made from, and who
/// signed it. Documentation stands in `IChallengeCourt`.
abstract contract ReportWords is IChallengeCourt {
    address public immutable clock;
    address public immutable epochLedger;
    address public immutable staking;
    address public immutable slashingCourt;
    address public immutable verifiers;
    address public immutable gateways;
    uint256 internal immutable _slots;
    uint256 internal immutable _quorum;

    constructor(
        address epochLedger_,
        address staking_,
        address slashingCourt_,
        address verifiers_,
        address gateways_
    ) {
        epochLedger = Bounds.known("epochLedger", epochLedger_);
        staking = Bounds.known("staking", staking_);
        slashingCourt = Bounds.known("slashingCourt", slashingCourt_);
        verifiers = Bounds.known("verifiers", verifiers_);
        gateways = Bounds.known("gateways", gateways_);
        clock = IEpochLedger(epochLedger_).clock();
        Bounds.linked("epochLedger.challengeCourt", IEpochLedger(epochLedger_).challengeCourt(), address(this));
        Bounds.linked("epochLedger.verifiers", IEpochLedger(epochLedger_).verifiers(), verifiers_);
        Bounds.linked("staking.epochLedger", IProviderStaking(staking_).epochLedger(), epochLedger_);
        Bounds.linked("slashingCourt.challengeCourt", ISlashingCourt(slashingCourt_).challengeCourt(), address(this));
        Bounds.linked("slashingCourt.epochLedger", ISlashingCourt(slashingCourt_).epochLedger(), epochLedger_);
        Bounds.linked("slashingCourt.staking", ISlashingCourt(slashingCourt_).staking(), staking_);
        Bounds.linked("slashingCourt.verifiers", ISlashingCourt(slashingCourt_).verifiers(), verifiers_);
        Bounds.linked("gateways.clock", IBondedOperators(gateways_).clock(), clock);
        _slots = IEpochClock(clock).slotsPerEpoch();
        _quorum = IBondedOperators(verifiers_).quorum();
    }

    // ------------------------------------------------------------------------------------------------- the report

    /// @dev The leaf is the report's, and the signers are those who signed it.
    function _check(Target calldata target) internal view returns (IEpochLedger.Record memory record) {
        record = IEpochLedger(epochLedger).record(target.epoch);
        if (record.digest == 0) revert UnknownReport(target.epoch);
        if (!IEpochLedger(epochLedger).verifyLeaf(target.epoch, target.leaf, target.leafProof)) {
            revert NotInRoot(target.epoch, target.leaf.provider);
        }
        bytes32 found = keccak256(abi.encode(target.signers));
        if (found != record.signers) revert WrongSigners(found, record.signers);
    }

    /// @dev As `_check`, and the measured leaf is what the report was made from.
    function _checkMeasured(Target calldata target, Measured calldata measured, bytes32[] calldata proof)
        internal
        view
        returns (IEpochLedger.Record memory record)
    {
        record = _check(target);
        address provider = target.leaf.provider;
        if (measured.provider != provider) revert NotMeasured(target.epoch, provider);
        _requireMeasured(target.epoch, record.measurements, measured, proof);
    }

    function _requireMeasured(uint64 epoch, bytes32 root, Measured calldata measured, bytes32[] calldata proof)
        internal
        view
    {
        if (MerkleProof.verifyCalldata(proof, root, measuredHash(epoch, measured))) return;
        revert NotMeasured(epoch, measured.provider);
    }

    // ----------------------------------------------------------------------------------------------------- signatures

    function _signed(bytes32 separator, uint64 epoch, address provider, Day calldata day)
        internal
        pure
        returns (bool)
    {
        bytes32 structHash = Messages.probeDay(provider, epoch, day.up, day.histogram);
        address signer = Messages.signer(separator, structHash, day.signature);
        return signer != address(0) && signer == day.verifier;
    }

    function _signer(bytes32 structHash, bytes calldata signature) internal view returns (address) {
        return Messages.signer(IEpochLedger(epochLedger).domainSeparator(), structHash, signature);
    }

    // ---------------------------------------------------------------------------------------------------------- slots

    function _checkSlot(uint256 slot) internal view {
        if (slot >= _slots) revert SlotOutsideEpoch(slot, _slots);
    }

    function _counts(Measured calldata measured, uint256 slot) internal pure returns (bool) {
        return ProbeDays.has(measured.duty, slot) && !ProbeDays.has(measured.void, slot);
    }

    function _isDown(Measured calldata measured, uint256 slot) internal view returns (bool) {
        return measured.days_.length >= _quorum && ProbeDays.isDown(measured.days_, slot);
    }

    /// @dev First second of a slot counted from genesis.
    function _begin(uint64 absolute) internal view returns (uint64) {
        return IEpochClock(clock).genesis() + absolute * IEpochClock(clock).slotSeconds();
    }

    // ---------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IChallengeCourt
    function compute(Measured calldata measured) public view returns (uint256, uint256, bool) {
        return ProbeDays.compute(measured, _slots, _quorum);
    }

    /// @inheritdoc IChallengeCourt
    function measuredHash(uint64 epoch, Measured calldata measured) public view returns (bytes32) {
        bytes32 inner = keccak256(
            abi.encode(
                block.chainid,
                epochLedger,
                epoch,
                measured.provider,
                measured.duty,
                measured.served,
                measured.void,
                keccak256(abi.encode(measured.days_))
            )
        );
        return keccak256(abi.encode(inner));
    }
}
