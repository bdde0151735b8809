// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEpochLedger} from "../interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../interfaces/IJobEscrow.sol";

/// @title Chunks
/// @notice Hashes lists of what a report moves as `keccak256(abi.encode(list))`, and sums their amounts, below 2^96.
/// @dev Every item is a struct of whole words, the last of them the amount. The words are taken as they stand in
/// calldata: every caller then reads or passes on each field, where a word too large for its type is refused.
library Chunks {
    function digest(IJobEscrow.Charge[] calldata list) internal pure returns (bytes32, uint96) {
        uint256 offset;
        assembly ("memory-safe") {
            offset := list.offset
        }
        return _digest(offset, list.length, 0x40);
    }

    function digest(IJobEscrow.Credit[] calldata list) internal pure returns (bytes32, uint96) {
        uint256 offset;
        assembly ("memory-safe") {
            offset := list.offset
        }
        return _digest(offset, list.length, 0x60);
    }

    function digest(IEpochLedger.Pool[] calldata list) internal pure returns (bytes32, uint96) {
        uint256 offset;
        assembly ("memory-safe") {
            offset := list.offset
        }
        return _digest(offset, list.length, 0x40);
    }

    function digest(IEpochLedger.Payee[] calldata list) internal pure returns (bytes32, uint96) {
        uint256 offset;
        assembly ("memory-safe") {
            offset := list.offset
        }
        return _digest(offset, list.length, 0x40);
    }

    function _digest(uint256 offset, uint256 length, uint256 itemBytes)
        private
        pure
        returns (bytes32 hash, uint96)
    {
        uint256 sum;
        assembly ("memory-safe") {
            let words := mload(0x40)
            let size := mul(length, itemBytes)
            mstore(words, 0x20)
            mstore(add(words, 0x20), length)
            calldatacopy(add(words, 0x40), offset, size)
            hash := keccak256(words, add(size, 0x40))
            let end := add(offset, size)
            for { let at := sub(add(offset, itemBytes), 0x20) } lt(at, end) { at := add(at, itemBytes) } {
                sum := add(sum, calldataload(at))
            }
        }
        return (hash, SafeCast.toUint96(sum));
    }
}
