// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {PpmMath} from "../../contracts/libraries/PpmMath.sol";

/// @notice Rounding goes the way its name says, and the parts of a whole sum to it.
/// @dev Amounts of 32 bits: a solver decides products of that width; wider ones are fuzzed.
contract RoundingProof is Test {
    function check_a_share_rounded_down_is_at_most_the_amount(uint32 amount, uint32 ppm) external pure {
        vm.assume(ppm <= 1_000_000);
        assert(PpmMath.shareDown(amount, ppm) <= amount);
    }

    function check_rounding_up_adds_one_at_most(uint32 amount, uint32 ppm) external pure {
        uint256 down = PpmMath.shareDown(amount, ppm);
        uint256 up = PpmMath.shareUp(amount, ppm);
        assert(up == down || up == down + 1);
        assert(up * 1_000_000 >= uint256(amount) * ppm);
        assert(down * 1_000_000 <= uint256(amount) * ppm);
    }

    function check_a_share_and_the_rest_sum_to_the_amount(uint32 amount, uint32 ppm) external pure {
        vm.assume(ppm <= 1_000_000);
        assert(PpmMath.shareDown(amount, ppm) + PpmMath.shareUp(amount, 1_000_000 - ppm) == amount);
    }
}
