// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {LedgerBooks} from "./LedgerBooks.sol";
import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {Leaves} from "./libraries/Leaves.sol";

/// @title LedgerIntake
/// @notice How `EpochLedger` takes in a report: submission, and completion by leaves and charges. Documentation stands in
/// `IEpochLedger`.
abstract contract LedgerIntake is LedgerBooks {
    using SafeCast for uint256;
    using Address for address;

    uint256 internal constant MOST_WAITING = 64;

    // -------------------------------------------------------------------------------------------------------- submit

    /// @inheritdoc IEpochLedger
    function submit(Report calldata report, bytes[] calldata signatures) external nonReentrant whenOpen {
        uint64 epoch = report.epoch;
        _checkOrder(report, epoch);
        bytes32 hash = structHash(report);
        bytes32 digest = _digest(hash);
        if (_struck[digest]) revert ReportStruck(digest);
        _takeHarms(hash, report.harms);
        _checkReport(report.totals, epoch);
        address[] memory signers = _recover(digest, signatures);
        IBondedOperators(verifiers).checkQuorum(signers);

        Stored storage r = _reports[epoch];
        r.structHash = hash;
        r.root = report.leaves;
        r.measurements = report.measurements;
        r.movements = report.movements;
        r.signers = keccak256(abi.encode(signers));
        r.leafCount = report.leafCount;
        _keepTotals(report.totals, r, epoch);
        nextEpoch = epoch + 1;
        _announce(report, epoch, digest);
        emit ReportSigned(epoch, hash, report.previous, report.checkpointBlock, report.checkpointHash, signers);
        if (r.leafCount == 0) {
            _checkHash(r.root, 0);
            _closeLeaves(epoch, r, 0, 0);
        }
    }

    function _announce(Report calldata report, uint64 epoch, bytes32 digest) private {
        emit ReportSubmitted(
            epoch,
            digest,
            report.leaves,
            report.leafCount,
            report.evidence,
            report.state,
            report.rules,
            report.measurements,
            report.movements,
            report.totals,
            report.harms
        );
    }

    function _checkOrder(Report calldata report, uint64 epoch) private view {
        if (_refunds != 0) revert RefundsDue(_refunds);
        if (epoch != nextEpoch) revert WrongEpoch(epoch, nextEpoch);
        if (epoch != 0 && _reports[epoch - 1].completedAt == 0) revert Incomplete(epoch - 1);
        bytes32 expected = epoch == 0 ? bytes32(0) : _reports[epoch - 1].structHash;
        if (report.previous != expected) revert WrongPrevious(report.previous, expected);
        uint256 waiting = epoch - nextActivation();
        if (waiting >= MOST_WAITING) revert TooManyWaiting(waiting, MOST_WAITING);
        if (report.evidence == 0) revert ZeroEvidence();
    }

    function _takeHarms(bytes32 hash, Harm[] calldata harms) private {
        address before;
        for (uint256 i = 0; i < harms.length; ++i) {
            address provider = harms[i].provider;
            if (provider <= before) revert HarmsNotAscending(before, provider);
            before = provider;
            _harmed[hash][provider] = harms[i].root;
        }
    }

    function _checkReport(Totals calldata totals, uint64 epoch) private view {
        uint256 slaFund;
        if (totals.creditsFromFund != 0) {
            // reports that wait activate before this one, so the fund will have moved by theirs
            uint256 fund = IJobEscrow(escrow).slaFund();
            unchecked {
                // cutting it is the reduction modulo 2^128
                // forge-lint: disable-next-line(unsafe-typecast)
                slaFund = uint128(fund + _pendingSlaFund);
            }
        }
        uint256 before = epoch == 0 ? 0 : _reports[epoch - 1].charged;
        IEpochClock(clock).checkReport(epoch, totals, before, _incentiveFund, slaFund);
    }

    function _recover(bytes32 digest, bytes[] calldata signatures) private pure returns (address[] memory signers) {
        signers = new address[](signatures.length);
        for (uint256 i = 0; i < signatures.length; ++i) {
            ECDSA.RecoverError fault;
            // the third value only details the fault
            // slither-disable-next-line unused-return
            (signers[i], fault,) = ECDSA.tryRecoverCalldata(digest, signatures[i]);
            if (fault != ECDSA.RecoverError.NoError) revert ECDSA.ECDSAInvalidSignature();
        }
    }

    /// @dev Every total is below 2^96: the clock saw to that.
    function _keepTotals(Totals calldata t, Stored storage r, uint64 epoch) private {
        uint96 charged = uint96(t.charged);
        uint96 fromFund = uint96(t.creditsFromFund);
        uint96 incentive = uint96(t.incentive);
        uint96 pools = uint96(t.pools);
        (uint96 feesBefore, uint96 incentiveBefore) = _sumsBefore(epoch);
        r.charged = charged;
        r.chargesTaken = charged == 0;
        r.verifierFees = uint96(t.verifierFees);
        r.treasury = uint96(t.treasury);
        r.submittedAt = uint64(block.timestamp);
        r.credits = uint96(t.credits);
        r.creditsFromFund = fromFund;
        r.pools = pools;
        r.sumFees = feesBefore + uint96(t.providerFees);
        r.sumIncentive = incentiveBefore + incentive;

        unchecked {
            _pendingSlaFund += t.slaFundIn - fromFund;
        }
        _incentiveFund -= incentive + pools;
        _pending += incentive + pools;
    }

    // ------------------------------------------------------------------------------------------------------ complete

    /// @inheritdoc IEpochLedger
    function publishLeaves(uint64 epoch, bytes32[] calldata roots, uint256 chunk, bytes calldata packed)
        external
        nonReentrant
        whenOpen
    {
        Stored storage r = _submitted(epoch);
        bool last = _checkLeafChunk(r, epoch, roots, chunk, packed.length);
        emit LeavesPublished(epoch, chunk, packed);
        Leaves.Seen memory seen;
        Carry storage carry = _carries[epoch];
        if (chunk != 0) seen = Leaves.Seen(carry.provider, carry.fees, carry.incentive, carry.slashed);
        _checkHash(Leaves.foldChunk(address(this), epoch, packed, chunk * CHUNK, seen), roots[chunk]);
        if (seen.slashed != 0) IEpochClock(clock).checkSlashed(seen.slashed, r.leafCount);

        r.leafChunks += 1;
        if (last) {
            _closeLeaves(epoch, r, seen.fees, seen.incentive);
        } else {
            (carry.provider, carry.slashed) = (seen.last, uint32(seen.slashed));
            (carry.fees, carry.incentive) = (seen.fees.toUint96(), seen.incentive.toUint96());
        }
    }

    /// @dev Whether the chunk is the last.
    function _checkLeafChunk(
        Stored storage r,
        uint64 epoch,
        bytes32[] calldata roots,
        uint256 chunk,
        uint256 length
    ) private view returns (bool last) {
        uint256 count = r.leafCount;
        uint256 chunks = _chunks(count);
        _checkNext(epoch, chunk, r.leafChunks, chunks);
        if (roots.length != chunks) revert WrongChunkLength(roots.length, chunks);
        _checkHash(Leaves.root(roots), r.root);
        last = chunk + 1 == chunks;
        uint256 expected = (last ? count - chunk * CHUNK : CHUNK) * Leaves.LEAF_BYTES;
        if (length != expected) revert WrongChunkLength(length, expected);
    }

    /// @dev All leaves are in: checks their sums.
    function _closeLeaves(uint64 epoch, Stored storage r, uint256 fees, uint256 incentive) private {
        _checkSum("leaves.cumulativeFees", r.sumFees, fees);
        _checkSum("leaves.cumulativeIncentive", r.sumIncentive, incentive);
        if (r.chargesTaken) _complete(epoch, r);
    }

    function _complete(uint64 epoch, Stored storage r) private {
        r.completedAt = uint64(block.timestamp);
        emit ReportCompleted(epoch, _activatesAt(r));
    }

    /// @inheritdoc IEpochLedger
    function takeCharges(
        uint64 epoch,
        Movements calldata movements,
        uint256 chunk,
        IJobEscrow.Charge[] calldata charges
    ) external nonReentrant whenOpen {
        Stored storage r = _submitted(epoch);
        _checkMovements(epoch, movements, r.movements);
        if (r.chargesTaken) revert AlreadyComplete(epoch);
        (bytes32 hash, uint96 sum) = Chunks.digest(charges);
        bool last = _checkChunk(epoch, chunk, r.chargeChunks, movements.charges, charges.length, hash);
        Carry storage carry = _carries[epoch];
        uint96 taken = sum;
        if (chunk != 0) {
            // inside a chunk the escrow checks the order
            address before = carry.customer;
            if (charges[0].customer <= before) revert ChargesNotAscending(before, charges[0].customer);
            taken += carry.charged;
        }
        _checkPart("charges", r.charged, taken, last);

        r.chargeChunks += 1;
        _pending += sum;
        if (last) {
            r.chargesTaken = true;
            if (r.leafChunks == _chunks(r.leafCount)) _complete(epoch, r);
        } else {
            (carry.customer, carry.charged) = (charges[charges.length - 1].customer, taken);
        }
        // it answers the sum, which was computed above and is what it moves
        // slither-disable-next-line unused-return
        escrow.functionCall(abi.encodeCall(IJobEscrow.charge, (epoch, charges)));
    }
}
