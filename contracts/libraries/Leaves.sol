// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "../interfaces/IEpochLedger.sol";

/// @title Leaves
/// @notice Packs and hashes the leaves of an epoch report and folds them into its root.
/// @dev A packed leaf is two words:
///
///     word 0: provider (160 bits) ‖ cumulative fees (96)
///     word 1: cumulative incentive (96) ‖ uptime, success, verification, score in ppm (24 each) ‖ ttft bucket, strikes,
///             standing, slash level, measured (8 each) ‖ 24 zero bits
///
/// The Python side is `contracts.leaves`; both are held together by tests.
library Leaves {
    /// @notice Most leaves in one chunk: a power of two, so that a chunk is a whole subtree.
    uint256 internal constant CHUNK = 512;

    /// @notice Bytes of a packed leaf.
    uint256 internal constant LEAF_BYTES = 64;

    /// @dev Bits of word 1 that are zero in every well-formed leaf: the last 24, all of `measured` but one, all of `standing` but
    /// two, and the upper four of each share.
    uint256 private constant ZERO_BITS = 0x00000000f00000f00000f00000f000000000fc00feffffff;

    /// @dev Where those bits are zero, adding this carries into one of `CARRIES` when a share exceeds 1,000,000 (each gets
    /// 2^20 - 1,000,001) or the standing exceeds 2 (it gets 1).
    uint256 private constant RAISE = 0x0000000000bdbf00bdbf00bdbf00bdbf0000010000000000;
    uint256 private constant CARRIES = 0x000000001000001000001000001000000000040000000000;

    /// @notice What was seen of a report's leaves so far.
    /// @param last The provider of the newest leaf. @param slashed Leaves with a slash level of 2 and more.
    struct Seen {
        address last;
        uint256 fees;
        uint256 incentive;
        uint256 slashed;
    }

    /// @notice Hashes a chunk of packed leaves and returns its root; adds to `seen`.
    /// @param first Number of the first leaf in the report.
    /// @dev Requires providers strictly ascending after `seen.last`, and no malformed leaf. One pass; the words are hashed as they stand
    /// in calldata.
    function foldChunk(address ledger, uint64 epoch, bytes calldata packed, uint256 first, Seen memory seen)
        internal
        view
        returns (bytes32)
    {
        uint256 count = packed.length / LEAF_BYTES;
        bytes32[] memory nodes = new bytes32[]((count + 1) / 2);
        uint256 faults;
        assembly ("memory-safe") {
            // the five words that are hashed, beyond the free pointer
            let words := mload(0x40)
            mstore(words, chainid())
            mstore(add(words, 0x20), ledger)
            mstore(add(words, 0x40), epoch)

            let last := mload(seen)
            let fees := mload(add(seen, 0x20))
            let incentive := mload(add(seen, 0x40))
            let slashed := mload(add(seen, 0x60))
            let copied := add(words, 0x60)
            let from := packed.offset
            let end := add(from, shl(6, count))
            for { let to := add(nodes, 0x20) } lt(from, end) { to := add(to, 0x20) } {
                calldatacopy(copied, from, 0x40)
                mstore(0x00, keccak256(words, 0xa0))
                let a := keccak256(0x00, 0x20)
                {
                    let word0 := calldataload(from)
                    let word1 := calldataload(add(from, 0x20))
                    fees := add(fees, and(word0, 0xffffffffffffffffffffffff))
                    incentive := add(incentive, shr(160, word1))
                    slashed := add(slashed, gt(and(word1, 0xff00000000), 0x1ffffffff))
                    let provider := shr(96, word0)
                    faults :=
                        or(
                            or(faults, iszero(gt(provider, last))),
                            or(and(word1, ZERO_BITS), and(add(word1, RAISE), CARRIES))
                        )
                    last := provider
                }
                from := add(from, 0x40)
                if eq(from, end) {
                    mstore(to, a)
                    break
                }
                calldatacopy(copied, from, 0x40)
                mstore(0x00, keccak256(words, 0xa0))
                let b := keccak256(0x00, 0x20)
                {
                    let word0 := calldataload(from)
                    let word1 := calldataload(add(from, 0x20))
                    fees := add(fees, and(word0, 0xffffffffffffffffffffffff))
                    incentive := add(incentive, shr(160, word1))
                    slashed := add(slashed, gt(and(word1, 0xff00000000), 0x1ffffffff))
                    let provider := shr(96, word0)
                    faults :=
                        or(
                            or(faults, iszero(gt(provider, last))),
                            or(and(word1, ZERO_BITS), and(add(word1, RAISE), CARRIES))
                        )
                    last := provider
                }
                from := add(from, 0x40)
                let greater := shl(5, gt(a, b))
                mstore(greater, a)
                mstore(xor(greater, 0x20), b)
                mstore(to, keccak256(0x00, 0x40))
            }
            if iszero(faults) {
                mstore(seen, last)
                mstore(add(seen, 0x20), fees)
                mstore(add(seen, 0x40), incentive)
                mstore(add(seen, 0x60), slashed)
            }
        }
        if (faults != 0) _refuse(packed, first, seen.last);
        return root(nodes);
    }

    /// @dev Names the first leaf that is out of order or malformed.
    function _refuse(bytes calldata packed, uint256 first, address last) private pure {
        for (uint256 at = 0; at < packed.length; at += LEAF_BYTES) {
            address provider = address(bytes20(packed[at:]));
            if (provider <= last) revert IEpochLedger.LeavesNotAscending(last, provider);
            last = provider;
            uint256 word = uint256(bytes32(packed[at + 32:]));
            unchecked {
                if ((word & ZERO_BITS) | ((word + RAISE) & CARRIES) != 0) revert IEpochLedger.MalformedLeaf(first);
                ++first;
            }
        }
    }

    /// @notice The root over leaves, or over the roots of chunks; zero for none. Overwrites its argument.
    /// @dev Level by level, left to right: neighbours are paired by `keccak256(min ‖ max)`, an odd last node moves up
    /// unchanged. OpenZeppelin's `MerkleProof` verifies the proofs of this tree.
    function root(bytes32[] memory nodes) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            let width := mload(nodes)
            let first := add(nodes, 0x20)
            if width {
                for {} gt(width, 1) {} {
                    let to := first
                    let from := first
                    for { let end := add(first, shl(5, and(width, not(1)))) } lt(from, end) { from := add(from, 0x40) } {
                        let a := mload(from)
                        let b := mload(add(from, 0x20))
                        let greater := shl(5, gt(a, b))
                        mstore(greater, a)
                        mstore(xor(greater, 0x20), b)
                        mstore(to, keccak256(0x00, 0x40))
                        to := add(to, 0x20)
                    }
                    if and(width, 1) { mstore(to, mload(from)) }
                    width := shr(1, add(width, 1))
                }
                value := mload(first)
            }
        }
    }

    /// @notice Whether a node and its neighbours on the way up lead to a root: OpenZeppelin's `MerkleProof` in fewer steps.
    function verify(bytes32[] calldata proof, bytes32 expected, bytes32 node) internal pure returns (bool) {
        assembly ("memory-safe") {
            let at := proof.offset
            for { let end := add(at, shl(5, proof.length)) } lt(at, end) { at := add(at, 0x20) } {
                let other := calldataload(at)
                let greater := shl(5, gt(node, other))
                mstore(greater, node)
                mstore(xor(greater, 0x20), other)
                node := keccak256(0x00, 0x40)
            }
        }
        return node == expected;
    }

    /// @notice The doubly hashed leaf, bound to one chain, one ledger and one epoch:
    /// `keccak256(keccak256(chainId ‖ ledger ‖ epoch ‖ word0 ‖ word1))`.
    /// @dev Hashed twice so that no inner node of the tree can be presented as a leaf.
    function hash(address ledger, uint64 epoch, IEpochLedger.Leaf calldata leaf) internal view returns (bytes32) {
        (uint256 word0, uint256 word1) = pack(leaf);
        return _hash(ledger, epoch, word0, word1);
    }

    /// @notice As above, of a leaf as it was published. Whoever compares with a root need not ask whether it is well-formed: all
    /// leaves under a root are.
    function hash(address ledger, uint64 epoch, bytes32[2] calldata packed) internal view returns (bytes32) {
        return _hash(ledger, epoch, uint256(packed[0]), uint256(packed[1]));
    }

    function _hash(address ledger, uint64 epoch, uint256 word0, uint256 word1) private view returns (bytes32 value) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, chainid())
            mstore(add(words, 0x20), ledger)
            mstore(add(words, 0x40), epoch)
            mstore(add(words, 0x60), word0)
            mstore(add(words, 0x80), word1)
            mstore(0x00, keccak256(words, 0xa0))
            value := keccak256(0x00, 0x20)
        }
    }

    /// @notice What a packed leaf says was earned, and by whom.
    function earned(bytes32[2] calldata packed)
        internal
        pure
        returns (address provider, uint256 fees, uint256 incentive)
    {
        provider = address(bytes20(packed[0]));
        fees = uint256(packed[0]) & type(uint96).max;
        incentive = uint256(packed[1]) >> 160;
    }

    /// @notice A leaf as two words.
    function pack(IEpochLedger.Leaf calldata leaf) internal pure returns (uint256 word0, uint256 word1) {
        word0 = uint256(uint160(leaf.provider)) << 96 | leaf.cumulativeFees;
        word1 = uint256(leaf.cumulativeIncentive) << 160 | uint256(leaf.uptimePpm) << 136
            | uint256(leaf.successPpm) << 112 | uint256(leaf.verificationPpm) << 88 | uint256(leaf.scorePpm) << 64
            | uint256(leaf.ttftP95Bucket) << 56 | uint256(leaf.strikes) << 48 | uint256(leaf.standing) << 40
            | uint256(leaf.slashLevel) << 32 | (leaf.measured ? 1 << 24 : 0);
    }
}
