// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {PpmMath} from "../../contracts/libraries/PpmMath.sol";

/// @notice Rounding goes the way its name says, and the parts of a whole sum to it.
/// @dev Amounts of 16 bits and the shares that the contracts use: a solver decides such products; wider ones are fuzzed.
contract RoundingProof is Test {
    function check_the_three_parts_of_a_slash_sum_to_it(uint16 taken) external pure {
        uint256 harmed = PpmMath.shareDown(taken, 500_000);
        uint256 prover = PpmMath.shareDown(taken, 200_000);
        uint256 burned = PpmMath.shareDown(taken, 300_000);
        assert(harmed + prover + burned <= taken);
        assert(taken - harmed - prover - burned <= 2);
    }

    function check_a_share_is_at_most_the_amount_and_rounding_up_adds_one_at_most(uint16 amount) external pure {
        uint256 down = PpmMath.shareDown(amount, 940_000);
        uint256 up = PpmMath.shareUp(amount, 940_000);
        assert(down <= up && up <= amount);
        assert(up == down || up == down + 1);
        assert(down * 1_000_000 <= uint256(amount) * 940_000 && uint256(amount) * 940_000 <= up * 1_000_000);
    }
}
