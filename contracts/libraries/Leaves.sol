// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "../interfaces/IEpochLedger.sol";

/// @title Leaves
/// @notice Hashes the leaves of an epoch report and folds them into its root.
/// @dev The Python side is `rewards.leaves`; both are held together by shared vectors in the tests.
library Leaves {
    /// @dev Eleven words: `IEpochLedger.Leaf` in the ABI encoding.
    uint256 internal constant LEAF_BYTES = 0x160;

    /// @notice The doubly hashed leaf, bound to one chain, one ledger and one epoch:
    /// `keccak256(keccak256(abi.encode(chainId, ledger, epoch, leaf)))`.
    /// @dev Hashed twice so that no inner node of the tree can be presented as a leaf. The words are taken as they stand
    /// in calldata: a word that is too large for its type gives a hash that no well-formed leaf has, and is refused
    /// where its field is read. Memory beyond the free pointer is borrowed, so a thousand leaves need no more than one.
    function hash(address ledger, uint64 epoch, IEpochLedger.Leaf calldata leaf) internal view returns (bytes32 value) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, chainid())
            mstore(add(buffer, 0x20), ledger)
            mstore(add(buffer, 0x40), epoch)
            calldatacopy(add(buffer, 0x60), leaf, LEAF_BYTES)
            mstore(0x00, keccak256(buffer, add(0x60, LEAF_BYTES)))
            value := keccak256(0x00, 0x20)
        }
    }

    /// @notice The root over hashes, zero for none. Overwrites its argument.
    /// @dev Level by level, left to right: neighbours are paired by `keccak256(min || max)`, an odd last node moves up
    /// unchanged. OpenZeppelin's `MerkleProof` verifies the proofs of this tree.
    function root(bytes32[] memory nodes) internal pure returns (bytes32) {
        uint256 width = nodes.length;
        if (width == 0) return bytes32(0);
        while (width > 1) {
            uint256 pairs = width / 2;
            for (uint256 i = 0; i < pairs; ++i) {
                nodes[i] = _pair(nodes[2 * i], nodes[2 * i + 1]);
            }
            if (width % 2 == 1) nodes[pairs] = nodes[width - 1];
            width = pairs + (width % 2);
        }
        return nodes[0];
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32 value) {
        if (b < a) (a, b) = (b, a);
        assembly ("memory-safe") {
            mstore(0x00, a)
            mstore(0x20, b)
            value := keccak256(0x00, 0x40)
        }
    }
}
