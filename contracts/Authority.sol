// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title Authority
/// @notice OpenZeppelin's AccessManager, unchanged: who may set which parameter, after which delay.
/// @dev Compiled here because a library's own contract is not part of this project's build. Functions marked
/// `restricted` belong to its administrator until they are given to a role.
contract Authority is AccessManager {
    constructor(address administrator) AccessManager(administrator) {}
}
