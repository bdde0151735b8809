// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {DevToken} from "../DevToken.sol";

/// @title ShrinkingToken
/// @notice A token whose issuer can lower anybody's balance, as rebasing ones in circulation do.
contract ShrinkingToken is DevToken {
    constructor() DevToken("Shrinking", "SHR", 18) {}

    /// @notice Takes `amount` out of the world.
    function shrink(address holder, uint256 amount) external {
        _burn(holder, amount);
    }
}
