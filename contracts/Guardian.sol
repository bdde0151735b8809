// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

import {IGuardian} from "./interfaces/IGuardian.sol";
import {Bounds} from "./libraries/Bounds.sol";

/// @title Guardian
/// @notice Documentation stands in `IGuardian`.
contract Guardian is IGuardian, AccessManaged {
    uint256 internal constant MOST_PAUSE = 7 days;
    uint64 internal constant BETWEEN_PAUSES = 30 days;

    uint64 public immutable mostPauseSeconds;

    uint64 public pausedUntil;
    uint64 public nextPauseAt;

    constructor(address authority_, uint64 mostPauseSeconds_) AccessManaged(Bounds.known("authority", authority_)) {
        mostPauseSeconds = uint64(Bounds.within("mostPauseSeconds", mostPauseSeconds_, 1, MOST_PAUSE));
    }

    /// @inheritdoc IGuardian
    function pause(uint64 seconds_) external restricted {
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.within("seconds", seconds_, 1, mostPauseSeconds);
        if (block.timestamp < nextPauseAt) revert PausedTooRecently(nextPauseAt, block.timestamp);
        uint64 time = uint64(block.timestamp);
        pausedUntil = time + seconds_;
        nextPauseAt = time + BETWEEN_PAUSES;
        emit Paused(msg.sender, pausedUntil);
    }

    /// @inheritdoc IGuardian
    function unpause() external restricted {
        if (!paused()) revert NotPaused();
        pausedUntil = uint64(block.timestamp);
        emit Unpaused(msg.sender);
    }

    /// @inheritdoc IGuardian
    function requireOpen() external view {
        if (paused()) revert StillPaused(pausedUntil);
    }

    /// @inheritdoc IGuardian
    function betweenPauses() external pure returns (uint64) {
        return BETWEEN_PAUSES;
    }

    /// @inheritdoc IGuardian
    function paused() public view returns (bool) {
        return block.timestamp < pausedUntil;
    }
}
