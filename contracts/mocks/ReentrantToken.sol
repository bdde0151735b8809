// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {DevToken} from "../DevToken.sol";

/// @notice Whom a token tells of its transfers.
interface ITransferWatcher {
    function onTransfer(address from, address to, uint256 amount) external;
}

/// @title ReentrantToken
/// @notice A token with the hooks of ERC-777, on the way out and on the way in, and worse: whoever watches it is called in the middle of everybody's
/// transfers. Tests show that no second payment comes of it.
contract ReentrantToken is DevToken {
    ITransferWatcher public watcher;

    constructor(string memory name_, string memory symbol_, uint8 decimals_) DevToken(name_, symbol_, decimals_) {}

    /// @notice Calls `watcher_` before and after every transfer; zero calls nobody.
    function watch(ITransferWatcher watcher_) external {
        watcher = watcher_;
    }

    function _update(address from, address to, uint256 amount) internal override {
        bool told = address(watcher) != address(0) && from != address(0) && to != address(0);
        if (told) watcher.onTransfer(from, to, amount);
        super._update(from, to, amount);
        if (told) watcher.onTransfer(from, to, amount);
    }
}
