// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "../interfaces/IEpochLedger.sol";

/// @title Leaves
/// @notice Hashes the leaves of an epoch report and folds them into its root.
/// @dev The Python side is `rewards.leaves`; both are held together by shared vectors in the tests.
library Leaves {
    /// @notice The doubly hashed leaf, bound to one chain, one ledger and one epoch.
    /// @dev Hashed twice so that no inner node of the tree can be presented as a leaf.
    function hash(address ledger, uint64 epoch, IEpochLedger.Leaf calldata leaf) internal view returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(block.chainid, ledger, epoch, leaf))));
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
