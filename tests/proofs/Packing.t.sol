// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {Leaves} from "../../contracts/libraries/Leaves.sol";
import {Sums} from "../../contracts/libraries/Sums.sol";

/// @dev What the ledger does with one packed leaf.
contract Folding {
    function pack(IEpochLedger.Leaf calldata leaf) external pure returns (uint256, uint256) {
        return Leaves.pack(leaf);
    }

    function fold(bytes calldata packed, address last) external view returns (bytes32 root, Leaves.Seen memory seen) {
        seen.last = last;
        root = Leaves.foldChunk(address(1), 7, packed, 0, seen);
    }

    function hash(IEpochLedger.Leaf calldata leaf) external view returns (bytes32) {
        return Leaves.hash(address(1), 7, leaf);
    }

    function hash(bytes32[2] calldata packed) external view returns (bytes32) {
        return Leaves.hash(address(1), 7, packed);
    }

    function earned(bytes32[2] calldata packed) external pure returns (address, uint256, uint256) {
        return Leaves.earned(packed);
    }
}

/// @notice Of every possible leaf: it is packed without loss, hashed the same on both ways in, and refused when malformed.
contract PackingProof is Test {
    Folding internal folding = new Folding();

    function check_every_field_of_a_leaf_can_be_read_back_from_its_two_words(IEpochLedger.Leaf calldata leaf)
        external
        view
    {
        (uint256 a, uint256 b) = folding.pack(leaf);
        assert(address(uint160(a >> 96)) == leaf.provider);
        assert(uint96(a) == leaf.cumulativeFees);
        assert(uint96(b >> 160) == leaf.cumulativeIncentive);
        assert(uint24(b >> 136) == leaf.uptimePpm);
        assert(uint24(b >> 112) == leaf.successPpm);
        assert(uint24(b >> 88) == leaf.verificationPpm);
        assert(uint24(b >> 64) == leaf.scorePpm);
        assert(uint8(b >> 56) == leaf.ttftP95Bucket);
        assert(uint8(b >> 48) == leaf.strikes);
        assert(uint8(b >> 40) == leaf.standing);
        assert(uint8(b >> 32) == leaf.slashLevel);
        assert((uint8(b >> 24) == 1) == leaf.measured);
        assert(uint24(b) == 0);
    }

    function check_exactly_the_well_formed_leaves_are_taken(uint256 a, uint256 b, address last) external view {
        bool ascending = address(uint160(a >> 96)) > last;
        bool whole = uint24(b >> 136) <= 1_000_000 && uint24(b >> 112) <= 1_000_000 && uint24(b >> 88) <= 1_000_000
            && uint24(b >> 64) <= 1_000_000;
        bool formed = whole && uint8(b >> 40) <= 2 && uint8(b >> 24) <= 1 && uint24(b) == 0;
        try folding.fold(abi.encodePacked(a, b), last) returns (bytes32, Leaves.Seen memory seen) {
            assert(ascending && formed);
            assert(seen.last == address(uint160(a >> 96)));
            assert(seen.fees == uint96(a));
            assert(seen.incentive == b >> 160);
            assert(seen.slashed == (uint8(b >> 32) >= 2 ? 1 : 0));
        } catch {
            assert(!(ascending && formed));
        }
    }

    function check_a_leaf_of_a_claim_hashes_as_the_one_that_was_published(IEpochLedger.Leaf calldata leaf)
        external
        view
    {
        (uint256 a, uint256 b) = folding.pack(leaf);
        bytes32[2] memory words = [bytes32(a), bytes32(b)];
        assert(folding.hash(words) == folding.hash(leaf));
        try folding.fold(abi.encodePacked(a, b), address(0)) returns (bytes32 root, Leaves.Seen memory) {
            assert(root == folding.hash(words));
        } catch {
            // malformed, or of nobody
        }
    }

    function check_a_claim_reads_from_a_packed_leaf_what_the_leaf_says(IEpochLedger.Leaf calldata leaf) external view {
        (uint256 a, uint256 b) = folding.pack(leaf);
        (address provider, uint256 fees, uint256 incentive) = folding.earned([bytes32(a), bytes32(b)]);
        assert(provider == leaf.provider);
        assert(fees == leaf.cumulativeFees);
        assert(incentive == leaf.cumulativeIncentive);
    }

    function check_two_sums_and_a_rest_share_a_word_without_touching(uint96 fees, uint96 incentives, uint64 rest)
        external
        pure
    {
        uint256 word = uint256(rest) << 192 | Sums.both(fees, incentives);
        assert(Sums.fees(word) == fees);
        assert(Sums.incentives(word) == incentives);
        assert(Sums.rest(word) == rest);
        assert(Sums.amounts(word) == Sums.both(fees, incentives));
    }

    function check_a_claim_moves_both_sums_by_their_own_amounts(
        uint96 feesDue,
        uint96 incentivesDue,
        uint96 fees,
        uint96 incentives,
        uint64 rest
    ) external pure {
        vm.assume(fees <= feesDue && incentives <= incentivesDue);
        uint256 both = Sums.both(fees, incentives);
        uint256 left = (uint256(rest) << 192 | Sums.both(feesDue, incentivesDue)) - both;
        assert(Sums.fees(left) == feesDue - fees);
        assert(Sums.incentives(left) == incentivesDue - incentives);
        assert(Sums.rest(left) == rest);
        assert(left + both == (uint256(rest) << 192 | Sums.both(feesDue, incentivesDue)));
    }
}
