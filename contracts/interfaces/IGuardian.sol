// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title IGuardian
/// @notice A pause that expires by itself.
///
/// While it lasts nobody can bring money in, hand in or activate a report, or open or carry out a slash. Everything by
/// which people get their own money out keeps working: withdrawals, unbonding, refunds, claims, pages of a compensation,
/// and so do challenges. Who stands before a judge cannot wait a pause out: unbonding is longer than all of a judgement and the longest pause
/// together (`ISlashingCourt`). A contract that can be paused asks `requireOpen`.
interface IGuardian {
    event Paused(address indexed by, uint64 until);
    event Unpaused(address indexed by);

    error StillPaused(uint64 until);
    error PausedTooRecently(uint64 nextPauseAt, uint256 time);
    error NotPaused();

    /// @notice Pauses for `seconds_`, by the access manager's permission.
    /// @dev Requirements: 1 second to `mostPauseSeconds`; at least 30 days since the last pause began.
    function pause(uint64 seconds_) external;

    /// @notice Ends a pause early, by the access manager's permission. The 30 days still count from its beginning.
    function unpause() external;

    /// @notice Reverts with StillPaused while a pause lasts.
    function requireOpen() external view;

    function paused() external view returns (bool);

    /// @notice The longest pause: at most 7 days, fixed at deployment.
    function mostPauseSeconds() external view returns (uint64);

    /// @notice From the beginning of a pause to that of the next, at least: 30 days.
    function betweenPauses() external view returns (uint64);

    /// @notice When the pause ends, or ended; zero if there never was one.
    function pausedUntil() external view returns (uint64);

    /// @notice When the next pause may begin; zero if there never was one.
    function nextPauseAt() external view returns (uint64);
}
