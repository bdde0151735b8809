// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title ReentrantToken
/// @notice A token that tells its receiver, as some in circulation do, with a receiver that calls back; tests show that
/// no second payment comes of it.
contract ReentrantToken is ERC20 {
    address public caller;
    bytes public callback;
    bytes public answer;

    constructor() ERC20("Reentrant", "RE") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice At the next transfers that `from_` makes, call it back with `data` and keep what it answers.
    function arm(address from_, bytes calldata data) external {
        (caller, callback) = (from_, data);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != caller || from == address(0)) return;
        // whether the second entry is refused is what the tests read from the answer
        // forge-lint: disable-next-line(unchecked-call)
        (, answer) = from.call(callback);
    }
}
