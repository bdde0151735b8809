// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IChallengeCourt} from "./interfaces/IChallengeCourt.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {ReportWords} from "./ReportWords.sol";
import {Levels} from "./libraries/Levels.sol";
import {Messages} from "./libraries/Messages.sol";
import {PpmMath} from "./libraries/PpmMath.sol";
import {ProbeDays} from "./libraries/ProbeDays.sol";

/// @title ChallengeCourt
/// @notice The half that judges. Documentation stands in `IChallengeCourt`.
/// @dev Keeps no state and holds no tokens: every call is a proof against what other contracts keep.
contract ChallengeCourt is ReportWords {
    uint8 internal constant SIGNATURES = 1;
    uint8 internal constant COMPUTATION = 2;
    uint8 internal constant DUTY = 3;
    uint8 internal constant VOID = 4;
    uint8 internal constant EQUIVOCATION = 5;
    uint8 internal constant LEAF = 6;
    uint8 internal constant SERVED = 7;
    uint8 internal constant SERVED_STATUS = 0;
    uint8 internal constant MOST_LEVEL = 8;
    uint8 internal constant MOST_STANDING = 2;
    uint256 internal constant SIGNER_PPM = 100_000;
    uint256 internal constant VOID_PPM = 300_000;

    constructor(
        address epochLedger_,
        address staking_,
        address slashingCourt_,
        address verifiers_,
        address gateways_
    ) ReportWords(epochLedger_, staking_, slashingCourt_, verifiers_, gateways_) {}

    // ------------------------------------------------------------------------------------- what verifiers signed

    /// @inheritdoc IChallengeCourt
    function challengeSignatures(Target calldata target, Measured calldata measured, bytes32[] calldata proof)
        external
    {
        IEpochLedger.Record memory record = _checkMeasured(target, measured, proof);
        uint256 length = measured.days_.length;
        bool fault = length > ProbeDays.MOST_DAYS || (target.leaf.measured && length < _quorum);
        if (!fault) fault = _someDayIsWrong(target.epoch, measured, record.submittedAt);
        if (!fault) revert NoFault(SIGNATURES);
        _sustain(SIGNATURES, target, record.activated, target.signers, SIGNER_PPM);
    }

    /// @dev Whoever is in the set when a report is made may have a day in it, so nobody who signed honestly can be blamed for one.
    function _someDayIsWrong(uint64 epoch, Measured calldata measured, uint64 submittedAt)
        private
        view
        returns (bool)
    {
        bytes32 separator = IEpochLedger(epochLedger).domainSeparator();
        uint64 start = IEpochClock(clock).epochStart(epoch);
        address before;
        for (uint256 i = 0; i < measured.days_.length; ++i) {
            Day calldata day = measured.days_[i];
            if (day.verifier <= before || !_signed(separator, epoch, measured.provider, day)) return true;
            if (!IBondedOperators(verifiers).wasMember(day.verifier, start, submittedAt + 1)) return true;
            before = day.verifier;
        }
        return false;
    }

    /// @inheritdoc IChallengeCourt
    function challengeEquivocation(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        uint256 index,
        ISlashingCourt.ProbeDay calldata other,
        bytes calldata signature
    ) external {
        IEpochLedger.Record memory record = _checkMeasured(target, measured, proof);
        if (index >= measured.days_.length) revert DayNotFound(index, measured.days_.length);
        Day calldata day = measured.days_[index];
        if (!_contradicts(target.epoch, measured.provider, day, other, signature)) revert NoFault(EQUIVOCATION);
        uint256[6] memory nowhere;
        (uint256 uptimePpm, bool stands) = _again(target, measured, nowhere, index);
        // a report that waits moves more than a slash by the uptime
        if (record.activated ? stands : uptimePpm == target.leaf.uptimePpm) {
            revert LevelStands(target.leaf.slashLevel, uptimePpm);
        }
        address[] memory wrong = new address[](1);
        wrong[0] = day.verifier;
        _sustain(EQUIVOCATION, target, record.activated, wrong, PpmMath.WHOLE_PPM);
    }

    function _contradicts(
        uint64 epoch,
        address provider,
        Day calldata day,
        ISlashingCourt.ProbeDay calldata other,
        bytes calldata signature
    ) private view returns (bool) {
        if (other.provider != provider || other.epoch != epoch) return false;
        bytes32 separator = IEpochLedger(epochLedger).domainSeparator();
        if (!_signed(separator, epoch, provider, day)) return false;
        bytes32 otherHash = Messages.probeDay(provider, epoch, other.up, other.histogram);
        if (otherHash == Messages.probeDay(provider, epoch, day.up, day.histogram)) return false;
        return Messages.signer(separator, otherHash, signature) == day.verifier;
    }

    // ------------------------------------------------------------------------------------- what follows from it

    /// @inheritdoc IChallengeCourt
    function challengeComputation(Target calldata target, Measured calldata measured, bytes32[] calldata proof)
        external
    {
        IEpochLedger.Record memory record = _checkMeasured(target, measured, proof);
        (uint256 uptimePpm, uint256 bucket, bool measured_) = compute(measured);
        IEpochLedger.Leaf calldata leaf = target.leaf;
        bool same = leaf.uptimePpm == uptimePpm && leaf.ttftP95Bucket == bucket && leaf.measured == measured_;
        if (same && leaf.slashLevel > Levels.MOST_AVAILABILITY) {
            uint256[6] memory nowhere;
            (, same) = _again(target, measured, nowhere, measured.days_.length);
        }
        if (same) revert NoFault(COMPUTATION);
        _sustain(COMPUTATION, target, record.activated, target.signers, SIGNER_PPM);
    }

    /// @inheritdoc IChallengeCourt
    function challengeDuty(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        uint256 slot
    ) external {
        IEpochLedger.Record memory record = _checkMeasured(target, measured, proof);
        _checkSlot(slot);
        if (!_counts(measured, slot) || _onDuty(measured.provider, target.epoch, slot)) revert NoFault(DUTY);
        _sustain(DUTY, target, record.activated, target.signers, SIGNER_PPM);
    }

    function _onDuty(address provider, uint64 epoch, uint256 slot) private view returns (bool) {
        // slots of an epoch with a report are far below 2^64
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 begin = _begin(uint64(epoch * _slots + slot));
        if (begin < IProviderStaking(staking).provider(provider).registeredAt) return false;
        return IProviderStaking(staking).maintenance(provider, begin, begin + 1).length == 0;
    }

    /// @inheritdoc IChallengeCourt
    function challengeVoid(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        uint256 slot,
        Measured[] calldata others,
        bytes32[][] calldata proofs
    ) external {
        IEpochLedger.Record memory record = _checkMeasured(target, measured, proof);
        _checkSlot(slot);
        if (others.length != proofs.length) revert LengthMismatch(others.length, proofs.length);
        if (!_counts(measured, slot) || !_isVoid(target.epoch, record, slot, others, proofs)) revert NoFault(VOID);
        _sustain(VOID, target, record.activated, target.signers, SIGNER_PPM);
    }

    function _isVoid(
        uint64 epoch,
        IEpochLedger.Record memory record,
        uint256 slot,
        Measured[] calldata others,
        bytes32[][] calldata proofs
    ) private view returns (bool) {
        uint256 onDuty = record.leafCount;
        uint256 down;
        for (uint256 i = 0; i < others.length; ++i) {
            address before = i == 0 ? address(0) : others[i - 1].provider;
            if (others[i].provider <= before) revert ProvidersNotAscending(before, others[i].provider);
            _requireMeasured(epoch, record.measurements, others[i], proofs[i]);
            if (!ProbeDays.has(others[i].duty, slot)) --onDuty;
            else if (_isDown(others[i], slot)) ++down;
        }
        return down * PpmMath.WHOLE_PPM > onDuty * VOID_PPM;
    }

    /// @inheritdoc IChallengeCourt
    function challengeServed(
        Target calldata target,
        Measured calldata measured,
        bytes32[] calldata proof,
        Served[] calldata shown
    ) external {
        if (!_checkMeasured(target, measured, proof).activated) revert NothingToUndo(target.epoch, measured.provider);
        uint256[6] memory also;
        for (uint256 i = 0; i < shown.length; ++i) {
            uint256 slot = _slotOf(target.epoch, shown[i].counter.slot);
            if (!_downIn(measured, slot) || !_served(measured.provider, shown[i])) revert NoFault(SERVED);
            also[slot / 256] |= uint256(1) << (slot % 256);
        }
        if (shown.length == 0) revert NoFault(SERVED);
        (uint256 uptimePpm, bool stands) = _again(target, measured, also, measured.days_.length);
        if (stands) revert LevelStands(target.leaf.slashLevel, uptimePpm);
        _sustain(SERVED, target, true, new address[](0), 0);
    }

    /// @dev The uptime with customers served in the slots `also` and the verifier of day `struck` having said up everywhere, and whether the
    /// leaf's level is called for all the same.
    function _again(Target calldata target, Measured calldata measured, uint256[6] memory also, uint256 struck)
        private
        view
        returns (uint256 uptimePpm, bool stands)
    {
        (uint256[6] memory counted, uint256[6] memory down) =
            ProbeDays.downs(measured, also, struck, _slots, _quorum);
        uptimePpm = ProbeDays.uptime(counted, down);
        stands = Levels.stands(
            target.leaf.slashLevel,
            uptimePpm,
            counted,
            down,
            IEpochClock(clock).slotSeconds(),
            target.epoch != 0
        );
    }

    /// @dev The slot of an epoch by its number from genesis, as in receipts.
    function _slotOf(uint64 epoch, uint64 absolute) private view returns (uint256) {
        uint256 first = epoch * _slots;
        if (absolute < first || absolute - first >= _slots) revert SlotOutsideEpoch(absolute, _slots);
        return absolute - first;
    }

    function _downIn(Measured calldata measured, uint256 slot) private view returns (bool) {
        return _counts(measured, slot) && !ProbeDays.has(measured.served, slot) && _isDown(measured, slot);
    }

    /// @dev The provider signed that it served, and a gateway of that slot accepted it.
    function _served(address provider, Served calldata one) private view returns (bool) {
        bytes32 structHash = Messages.receipt(one.receipt);
        if (structHash != one.counter.receipt || one.receipt.provider != provider) return false;
        if (one.receipt.status != SERVED_STATUS) return false;
        address signer = _signer(structHash, one.signature);
        if (signer == address(0) || IProviderStaking(staking).providerOfSigner(signer) != provider) return false;
        address gateway = _signer(Messages.countersignature(one.counter), one.countersignature);
        uint64 begin = _begin(one.counter.slot);
        uint64 end = begin + IEpochClock(clock).slotSeconds();
        return gateway != address(0) && IBondedOperators(gateways).wasMember(gateway, begin, end);
    }

    // ------------------------------------------------------------------------------------------- what a leaf says

    /// @inheritdoc IChallengeCourt
    function challengeLeaf(Target calldata target) external {
        IEpochLedger.Record memory record = _check(target);
        if (!_contradictsItself(target.leaf)) revert NoFault(LEAF);
        _sustain(LEAF, target, record.activated, target.signers, SIGNER_PPM);
    }

    function _contradictsItself(IEpochLedger.Leaf calldata leaf) private pure returns (bool) {
        uint8 level = leaf.slashLevel;
        if (level > MOST_LEVEL || leaf.standing > MOST_STANDING) return true;
        if (
            leaf.uptimePpm > PpmMath.WHOLE_PPM || leaf.successPpm > PpmMath.WHOLE_PPM
                || leaf.verificationPpm > PpmMath.WHOLE_PPM || leaf.scorePpm > PpmMath.WHOLE_PPM
        ) return true;
        if (level == 0 || level > Levels.MOST_MEASURED) return false;
        if (!leaf.measured) return true;
        return level <= Levels.MOST_AVAILABILITY && leaf.uptimePpm >= Levels.uptimeBelow(level);
    }

    /// @inheritdoc IChallengeCourt
    function challengeSequence(
        Target calldata target,
        IEpochLedger.Leaf calldata before,
        bytes32[] calldata beforeProof
    ) external {
        IEpochLedger.Record memory record = _check(target);
        IEpochLedger.Leaf calldata leaf = target.leaf;
        if (
            target.epoch == 0 || before.provider != leaf.provider
                || !IEpochLedger(epochLedger).verifyLeaf(target.epoch - 1, before, beforeProof)
        ) revert NotInRoot(target.epoch, before.provider);
        bool fell = leaf.cumulativeFees < before.cumulativeFees
            || leaf.cumulativeIncentive < before.cumulativeIncentive;
        if (!fell && !_failedWithoutLoss(leaf, before.scorePpm)) revert NoFault(LEAF);
        _sustain(LEAF, target, record.activated, target.signers, SIGNER_PPM);
    }

    /// @dev A failure leaves a score at least one ppm lower; the lowest stays.
    function _failedWithoutLoss(IEpochLedger.Leaf calldata leaf, uint256 scoreBefore) private pure returns (bool) {
        bool failed = leaf.uptimePpm < PpmMath.WHOLE_PPM || leaf.successPpm < PpmMath.WHOLE_PPM
            || leaf.verificationPpm < PpmMath.WHOLE_PPM;
        return failed && leaf.scorePpm != 0 && leaf.scorePpm >= scoreBefore;
    }

    // ---------------------------------------------------------------------------------------------------- judgement

    /// @dev Punishes first: a cancelled report leaves the record by which the punished are told apart.
    function _sustain(uint8 ground, Target calldata target, bool activated, address[] memory wrong, uint256 ppm)
        private
    {
        address provider = target.leaf.provider;
        uint256 id;
        uint256 lost;
        if (activated) (id, lost) = _slashToUndo(target.epoch, provider);
        else lost = _wouldLose(provider, target.leaf.slashLevel);
        // two ProbeDays vindicate nobody: for its bond back a verifier would undo whatever slash a provider likes
        if (ground == EQUIVOCATION) lost = 0;
        emit ChallengeSustained(target.epoch, provider, ground, msg.sender, id);
        if (wrong.length != 0) {
            ISlashingCourt(slashingCourt).punish(target.epoch, wrong, ppm, provider, lost, msg.sender);
        }
        // the proposer could not know of a receipt that was kept back, and nobody shall earn by bringing one forth
        if (activated) ISlashingCourt(slashingCourt).cancel(id, ground == SERVED ? address(0) : msg.sender);
        else IEpochLedger(epochLedger).cancel(target.epoch);
    }

    function _slashToUndo(uint64 epoch, address provider) private view returns (uint256 id, uint256 amount) {
        id = ISlashingCourt(slashingCourt).slashOf(provider, epoch);
        ISlashingCourt.Slash memory s = ISlashingCourt(slashingCourt).slash(id);
        if (
            s.stage == ISlashingCourt.Stage.None || s.stage == ISlashingCourt.Stage.Executed
                || s.stage == ISlashingCourt.Stage.Cancelled
        ) revert NothingToUndo(epoch, provider);
        return (id, s.amount);
    }

    /// @dev What the slash of a report that waits would have been opened with at this moment.
    function _wouldLose(address provider, uint8 level) private view returns (uint256) {
        if (level < Levels.LEAST_SLASHED || level > MOST_LEVEL) return 0;
        uint256 ppm = ISlashingCourt(slashingCourt).codePpm(level);
        if (level <= Levels.MOST_AVAILABILITY) {
            ppm = Math.min(ppm, ISlashingCourt(slashingCourt).availabilityLeftPpm(provider));
        }
        return PpmMath.shareDown(IProviderStaking(staking).provider(provider).requiredStake, ppm);
    }
}
