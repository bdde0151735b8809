// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title SilentToken
/// @notice A token of the old kind: its functions return nothing at all; what it cannot do it refuses.
contract SilentToken {
    uint8 public constant decimals = 6;

    mapping(address holder => uint256) public balanceOf;
    mapping(address holder => mapping(address spender => uint256)) public allowance;

    error TooLittle(uint256 held, uint256 needed);

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed < amount) revert TooLittle(allowed, amount);
        allowance[from][msg.sender] = allowed - amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        uint256 held = balanceOf[from];
        if (held < amount) revert TooLittle(held, amount);
        balanceOf[from] = held - amount;
        balanceOf[to] += amount;
    }
}
