// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Sums
/// @notice Fees and incentives in one word with 64 bits besides, because every claim reads and writes two such words whole.
/// @dev From the top: the rest (64 bits), incentives (96), fees (96).
library Sums {
    uint256 private constant AMOUNT = type(uint96).max;

    function fees(uint256 word) internal pure returns (uint256) {
        return word & AMOUNT;
    }

    function incentives(uint256 word) internal pure returns (uint256) {
        return (word >> 96) & AMOUNT;
    }

    function rest(uint256 word) internal pure returns (uint64) {
        // the shift leaves 64 bits
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(word >> 192);
    }

    /// @notice A word without its rest.
    function amounts(uint256 word) internal pure returns (uint256) {
        return word & type(uint192).max;
    }

    /// @notice Two amounts as a word without a rest; such words may be added and subtracted while neither amount leaves its 96 bits.
    function both(uint256 fees_, uint256 incentives_) internal pure returns (uint256) {
        return incentives_ << 96 | fees_;
    }
}
