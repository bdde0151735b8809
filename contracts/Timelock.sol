// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

import {Bounds} from "./libraries/Bounds.sol";

/// @title Timelock
/// @notice OpenZeppelin's TimelockController without an administrator, and with two promises more.
///
/// It can become slower, but never faster than it was deployed. And what it does to itself (proposers, executors, its delay)
/// waits three and a half times as long as anything else: 48 hours for a parameter, 7 days for who may propose one.
/// @dev A proposer may also cancel what waits. Where `address(0)` is an executor, anybody may carry out what has waited.
contract Timelock is TimelockController {
    uint256 internal constant MOST_DELAY = 14 days;

    /// @notice The delay it was deployed with; `updateDelay` refuses less.
    uint256 public immutable leastDelay;

    constructor(uint256 minDelay, address[] memory proposers, address[] memory executors)
        TimelockController(minDelay, proposers, executors, address(0))
    {
        leastDelay = Bounds.within("minDelay", minDelay, 0, MOST_DELAY);
    }

    /// @notice How long a call of this contract to itself waits.
    function ownDelay() public view returns (uint256) {
        return getMinDelay() * 7 / 2;
    }

    /// @inheritdoc TimelockController
    function schedule(
        address target,
        uint256 value,
        bytes calldata data,
        bytes32 predecessor,
        bytes32 salt,
        uint256 delay
    ) public override {
        _checkOwn(target, delay);
        super.schedule(target, value, data, predecessor, salt, delay);
    }

    /// @inheritdoc TimelockController
    function scheduleBatch(
        address[] calldata targets,
        uint256[] calldata values,
        bytes[] calldata payloads,
        bytes32 predecessor,
        bytes32 salt,
        uint256 delay
    ) public override {
        for (uint256 i = 0; i < targets.length; ++i) {
            _checkOwn(targets[i], delay);
        }
        super.scheduleBatch(targets, values, payloads, predecessor, salt, delay);
    }

    /// @notice Changes the delay of what is scheduled from then on: from what it was deployed with to 14 days. Only by a call of its own.
    function updateDelay(uint256 newDelay) public override {
        super.updateDelay(newDelay);
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.within("newDelay", newDelay, leastDelay, MOST_DELAY);
    }

    function _checkOwn(address target, uint256 delay) private view {
        if (target == address(this) && delay < ownDelay()) revert TimelockInsufficientDelay(delay, ownDelay());
    }
}
