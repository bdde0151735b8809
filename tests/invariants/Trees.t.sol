// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {Leaves} from "../../contracts/libraries/Leaves.sol";

/// @notice The ledger's own steps from a leaf to a root against OpenZeppelin's. Fuzzed: the order of two nodes decides where
/// each is written, and a solver takes no memory place that it does not know.
contract TreesTest is Test {
    function verify(bytes32[] calldata proof, bytes32 root, bytes32 node) external pure returns (bool, bool) {
        return (Leaves.verify(proof, root, node), MerkleProof.verifyCalldata(proof, root, node));
    }

    function testFuzz_a_proof_leads_to_the_root_that_openzeppelin_computes(bytes32[] calldata proof, bytes32 node)
        external
        view
    {
        (bool ours, bool theirs) = this.verify(proof, MerkleProof.processProofCalldata(proof, node), node);
        assertTrue(ours && theirs);
    }

    function testFuzz_a_proof_leads_to_no_other_root(bytes32[] calldata proof, bytes32 root, bytes32 node) external view {
        vm.assume(root != MerkleProof.processProofCalldata(proof, node));
        (bool ours, bool theirs) = this.verify(proof, root, node);
        assertFalse(ours || theirs);
    }
}
