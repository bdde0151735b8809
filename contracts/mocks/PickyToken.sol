// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {DevToken} from "../DevToken.sol";

/// @title PickyToken
/// @notice A token whose issuer bans holders, as some in circulation do: nothing reaches or leaves them.
contract PickyToken is DevToken {
    mapping(address holder => bool) public banned;

    error Banned(address holder);

    constructor() DevToken("Picky", "PICK", 6) {}

    /// @notice Bans a holder.
    function ban(address holder) external {
        banned[holder] = true;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (banned[from]) revert Banned(from);
        if (banned[to]) revert Banned(to);
        super._update(from, to, amount);
    }
}
