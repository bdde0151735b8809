// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {LedgerBooks} from "./LedgerBooks.sol";
import {IDelegation} from "./interfaces/IDelegation.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {Sums} from "./libraries/Sums.sol";

/// @title LedgerEffects
/// @notice What becomes of a report that `EpochLedger` took in: activation with its pushes, or cancellation with its refunds.
/// Documentation stands in `IEpochLedger`.
abstract contract LedgerEffects is LedgerBooks {
    /// @dev Longer than the guardian can pause activations.
    uint64 internal constant OVERDUE_SECONDS = 14 days;

    // ------------------------------------------------------------------------------------------------------ activate

    /// @inheritdoc IEpochLedger
    function activate(uint64 epoch, Movements calldata movements, Payee[] calldata payees)
        external
        nonReentrant
        whenOpen
    {
        uint64 next = nextActivation();
        if (epoch < next) revert AlreadyActivated(epoch);
        if (epoch != next) revert WrongEpoch(epoch, next);
        Stored storage r = _submitted(epoch);
        if (r.completedAt == 0) revert Incomplete(epoch);
        uint64 activatesAt = _activatesAt(r);
        if (block.timestamp < activatesAt) revert NotYetActive(epoch, activatesAt, block.timestamp);
        _checkMovements(epoch, movements, r.movements);

        (uint96 providerFees, uint96 incentive, uint96 slaFundIn) = _rest(epoch, r);
        uint96 slaFundOut = r.creditsFromFund;
        _leaveWaiting(r, incentive, slaFundIn, r.charged);
        _raiseDue(next, providerFees, incentive);
        _credits += r.credits;
        _pools += r.pools;
        _owe(r, payees, movements.payees);
        emit ReportActivated(epoch, payees);

        if (slaFundIn != 0 || slaFundOut != 0) {
            _bring(escrow, slaFundIn, abi.encodeCall(IJobEscrow.settleFund, (slaFundIn, slaFundOut)));
        }
    }

    /// @dev No amount leaves its 96 bits: what was ever activated, claimed or not, is at most what the sums of the report say.
    function _raiseDue(uint64 epoch, uint96 providerFees, uint96 incentive) private {
        uint256 bits = IEpochClock(clock).mostPerProviderBits();
        uint256 amounts = Sums.amounts(_due) + Sums.both(providerFees, incentive);
        _due = (bits << 56 | (uint256(epoch) + 1)) << 192 | amounts;
    }

    function _owe(Stored storage r, Payee[] calldata payees, bytes32 expected) private {
        (bytes32 hash, uint96 sum) = Chunks.digest(payees);
        _checkHash(hash, expected);
        _checkSum("payees", r.verifierFees, sum);
        for (uint256 i = 0; i < payees.length; ++i) {
            owed[payees[i].verifier] += payees[i].amount;
        }
        if (r.treasury != 0) owed[treasury] += r.treasury;
        _owedTotal += sum + r.treasury;
    }

    /// @dev Takes a report, of whose charges `taken` came in, out of what waits.
    function _leaveWaiting(Stored storage r, uint96 incentive, uint96 slaFundIn, uint96 taken) private {
        _pending -= taken + incentive + r.pools;
        unchecked {
            _pendingSlaFund -= uint128(slaFundIn) - r.creditsFromFund;
        }
    }

    /// @inheritdoc IEpochLedger
    function pushCredits(
        uint64 epoch,
        Movements calldata movements,
        uint256 chunk,
        IJobEscrow.Credit[] calldata credits
    ) external nonReentrant {
        Stored storage r = _activated(epoch, movements);
        (bytes32 hash, uint96 sum) = Chunks.digest(credits);
        bool last = _checkChunk(epoch, chunk, r.creditChunks, movements.credits, credits.length, hash);
        uint96 pushed = sum + (chunk == 0 ? 0 : _carries[epoch].credited);
        _checkPart("credits", r.credits, pushed, false);
        r.creditChunks += 1;
        if (!last) _carries[epoch].credited = pushed;
        _credits -= sum;
        emit CreditsPushed(epoch, chunk, sum);
        _bring(escrow, sum, abi.encodeCall(IJobEscrow.credit, (credits)));
    }

    /// @inheritdoc IEpochLedger
    function pushPools(uint64 epoch, Movements calldata movements, uint256 chunk, Pool[] calldata pools)
        external
        nonReentrant
    {
        Stored storage r = _activated(epoch, movements);
        (bytes32 hash, uint96 sum) = Chunks.digest(pools);
        bool last = _checkChunk(epoch, chunk, r.poolChunks, movements.pools, pools.length, hash);
        uint96 pushed = sum + (chunk == 0 ? 0 : _carries[epoch].pooled);
        _checkPart("pools", r.pools, pushed, false);
        r.poolChunks += 1;
        if (!last) _carries[epoch].pooled = pushed;
        _pools -= sum;
        emit PoolsPushed(epoch, chunk, pools);
        _bring(delegation, sum, abi.encodeCall(IDelegation.reward, (pools)));
    }

    function _activated(uint64 epoch, Movements calldata movements) private view returns (Stored storage r) {
        if (epoch >= nextActivation()) revert NotActivated(epoch);
        r = _reports[epoch];
        _checkMovements(epoch, movements, r.movements);
    }

    // -------------------------------------------------------------------------------------------------------- cancel

    /// @inheritdoc IEpochLedger
    function cancel(uint64 epoch) external nonReentrant {
        if (epoch < nextActivation()) revert AlreadyActivated(epoch);
        Stored storage r = _submitted(epoch);
        if (msg.sender == challengeCourt) {
            _struck[_digest(r.structHash)] = true;
        } else {
            uint64 from =
                r.completedAt == 0 ? r.submittedAt + _activationDelay : _activatesAt(r) + OVERDUE_SECONDS;
            if (block.timestamp <= from) revert NotCancellable(epoch, from, block.timestamp);
        }
        // at most MOST_WAITING rounds; the newest first, so that every event finds the epochs behind it gone
        uint64 newest = nextEpoch;
        nextEpoch = epoch;
        while (newest > epoch) _cancel(--newest);
    }

    function _cancel(uint64 epoch) private {
        Stored storage r = _reports[epoch];
        bytes32 digest = _digest(r.structHash);
        uint96 taken = r.chargesTaken ? r.charged : _carries[epoch].charged;
        (, uint96 incentive, uint96 slaFundIn) = _rest(epoch, r);
        _leaveWaiting(r, incentive, slaFundIn, taken);
        _incentiveFund += incentive + r.pools;
        _refunds += taken;
        if (taken != 0) {
            Cancelled storage c = _cancelled[digest];
            (c.movements, c.epoch, c.chunks, c.returned) = (r.movements, epoch, r.chargeChunks, 0);
        }
        delete _reports[epoch];
        delete _carries[epoch];
        emit ReportCancelled(epoch, digest, msg.sender, taken);
    }

    /// @inheritdoc IEpochLedger
    function refund(bytes32 digest, Movements calldata movements, uint256 chunk, IJobEscrow.Charge[] calldata charges)
        external
        nonReentrant
    {
        Cancelled storage c = _cancelled[digest];
        if (c.chunks == 0) revert NotCancelled(digest);
        _checkMovements(c.epoch, movements, c.movements);
        // a chunk that was never taken would be returned out of what is due to others
        _checkNext(c.epoch, chunk, c.returned, c.chunks);
        (bytes32 hash, uint96 sum) = Chunks.digest(charges);
        _checkChunk(c.epoch, chunk, c.returned, movements.charges, charges.length, hash);
        c.returned += 1;
        _refunds -= sum;
        emit Refunded(digest, chunk, sum);
        _bring(escrow, sum, abi.encodeCall(IJobEscrow.returnCharges, (c.epoch, charges)));
    }
}
