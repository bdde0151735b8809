// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {Bounds} from "./libraries/Bounds.sol";

/// @title SpendingCaps
/// @notice The half of `JobEscrow` that moves no tokens: how much an epoch may cost a customer, and which keys may say so for it.
/// Documentation stands in `IJobEscrow`.
abstract contract SpendingCaps is IJobEscrow {
    using SafeCast for uint256;
    using Checkpoints for Checkpoints.Trace160;

    uint256 internal constant MOST_SESSION_SECONDS = 90 days;

    /// @dev The first line is one slot and the next two are another: a charge reads both and writes only the first.
    /// `thawing <= balance` always; `thawedAt` means nothing while nothing thaws. `acted`: deposited for itself.
    ///
    /// A cap holds from its epoch until the next point. The two newest points stand here, `last` after `prior` or in the same
    /// epoch, which voids `prior`; the points before them are in `olderCaps`, none of them later than the epoch that runs.
    struct Customer {
        uint120 balance;
        uint120 thawing;
        bool listed;
        bool acted;
        uint88 lastCap;
        uint40 lastFrom;
        uint88 priorCap;
        uint40 priorFrom;
        uint64 thawedAt;
        Checkpoints.Trace160 olderCaps;
    }

    struct Session {
        address customer;
        uint64 expiresAt;
        uint128 mostCap;
    }

    address public immutable clock;

    mapping(address customer => Customer) internal _customers;
    mapping(address key => Session) internal _sessions;

    constructor(address clock_) {
        clock = Bounds.known("clock", clock_);
    }

    // ---------------------------------------------------------------------------------------------------------- caps

    /// @inheritdoc IJobEscrow
    function setCap(uint128 capPerEpoch) external {
        _endSession(msg.sender);
        _setCap(msg.sender, capPerEpoch);
    }

    /// @inheritdoc IJobEscrow
    function setCapBySession(uint128 capPerEpoch) external {
        Session storage s = _sessions[msg.sender];
        if (block.timestamp >= s.expiresAt) revert NoSession(msg.sender);
        if (capPerEpoch > s.mostCap) revert CapAboveSession(capPerEpoch, s.mostCap);
        _setCap(s.customer, capPerEpoch);
    }

    /// @dev The new cap holds from the running epoch on if it is no less than what was planned for that, else from the
    /// next one on if it is no less than what was planned for that, else from the one after. Plans only ever fall.
    function _setCap(address customer_, uint128 capPerEpoch) internal {
        uint88 cap = uint88(Bounds.within("cap", capPerEpoch, 0, type(uint88).max));
        Customer storage c = _customers[customer_];
        uint64 running = IEpochClock(clock).currentEpoch();
        uint40 fromEpoch = uint256(running).toUint40();
        if (cap < _capAt(c, running)) fromEpoch += cap < _capAt(c, running + 1) ? 2 : 1;

        (uint88 lastCap, uint40 lastFrom, uint40 priorFrom) = (c.lastCap, c.lastFrom, c.priorFrom);
        if (lastFrom < fromEpoch) {
            // both points stay: the older of them moves, unless the newer one had voided it
            // what was there before does not matter
            // slither-disable-next-line unused-return
            if (priorFrom != lastFrom) c.olderCaps.push(priorFrom, c.priorCap);
            (c.priorCap, c.priorFrom) = (lastCap, lastFrom);
        } else if (priorFrom >= fromEpoch) {
            (c.priorCap, c.priorFrom) = (cap, fromEpoch);
        }
        (c.lastCap, c.lastFrom) = (cap, fromEpoch);
        emit CapSet(customer_, cap, fromEpoch);
    }

    /// @inheritdoc IJobEscrow
    function setSession(address key, uint64 expiresAt, uint128 mostCap) external {
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.known("key", key);
        Session storage s = _sessions[key];
        if (expiresAt == 0) {
            if (s.customer == address(0) || (msg.sender != s.customer && msg.sender != key)) revert NoSession(key);
            _endSession(key);
            return;
        }
        uint256 most = block.timestamp + MOST_SESSION_SECONDS;
        if (expiresAt > most) revert SessionTooLong(expiresAt, most);
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.within("expiresAt", expiresAt, block.timestamp + 1, most);
        if (key == msg.sender) revert KeyTaken(key, key);
        if (s.customer != msg.sender && block.timestamp < s.expiresAt) revert KeyTaken(key, s.customer);
        // a mere deposit by somebody else makes nobody a customer here, else it could take anybody's new key
        Customer storage c = _customers[key];
        if (c.acted || c.lastCap != 0 || c.lastFrom != 0) revert KeyTaken(key, key);
        _sessions[key] = Session({customer: msg.sender, expiresAt: expiresAt, mostCap: mostCap});
        emit SessionSet(msg.sender, key, expiresAt, mostCap);
    }

    function _endSession(address key) internal {
        address customer_ = _sessions[key].customer;
        if (customer_ == address(0)) return;
        delete _sessions[key];
        emit SessionSet(customer_, key, 0, 0);
    }

    // --------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IJobEscrow
    function sessionOf(address key) external view returns (address customer_, uint64 expiresAt, uint128 mostCap) {
        Session storage s = _sessions[key];
        if (block.timestamp < s.expiresAt) return (s.customer, s.expiresAt, s.mostCap);
    }

    /// @inheritdoc IJobEscrow
    function capFor(address customer_, uint64 epoch) external view returns (uint128) {
        return _capAt(_customers[customer_], epoch);
    }

    function _capAt(Customer storage c, uint64 epoch) internal view returns (uint88) {
        (uint88 last, uint40 lastFrom, uint88 prior, uint40 priorFrom) =
            (c.lastCap, c.lastFrom, c.priorCap, c.priorFrom);
        if (epoch >= lastFrom) return last;
        if (epoch >= priorFrom) return prior;
        return uint88(c.olderCaps.upperLookupRecent(epoch));
    }
}
