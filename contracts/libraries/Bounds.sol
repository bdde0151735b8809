// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Bounds
/// @notice What every constructor and setter asks of its arguments.
library Bounds {
    /// @notice An argument lies outside the bounds that the code sets.
    error OutOfBounds(string name, uint256 value, uint256 least, uint256 most);

    /// @notice An address that must be known is zero.
    error ZeroAddress(string name);

    /// @notice Another contract was deployed for somebody else: check the predicted addresses.
    error WrongLink(string name, address found, address expected);

    /// @notice Refuses a value below `least` or above `most`; returns it otherwise.
    function within(string memory name, uint256 value, uint256 least, uint256 most) internal pure returns (uint256) {
        if (value < least || value > most) revert OutOfBounds(name, value, least, most);
        return value;
    }

    /// @notice Refuses the zero address; returns the address otherwise.
    function known(string memory name, address value) internal pure returns (address) {
        if (value == address(0)) revert ZeroAddress(name);
        return value;
    }

    /// @notice Refuses two addresses that differ.
    function linked(string memory name, address found, address expected) internal pure {
        if (found != expected) revert WrongLink(name, found, expected);
    }
}
