// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {IChallengeCourt} from "../../contracts/interfaces/IChallengeCourt.sol";
import {ProbeDays} from "../../contracts/libraries/ProbeDays.sol";

/// @dev The library behind calls, as the challenge court uses it.
contract Measuring {
    function majorityDown(IChallengeCourt.Day[] calldata days_) external pure returns (uint256) {
        return ProbeDays.majorityDown(days_, 0);
    }

    function isDown(IChallengeCourt.Day[] calldata days_, uint256 slot) external pure returns (bool) {
        return ProbeDays.isDown(days_, slot);
    }

    function compute(IChallengeCourt.Measured calldata m, uint256 slots, uint256 quorum)
        external
        pure
        returns (uint256, uint256, bool)
    {
        return ProbeDays.compute(m, slots, quorum);
    }
}

/// @notice Of every possible word: what a majority says is said slot by slot, and nobody outside it moves a slot.
contract MeasuringProof is Test {
    Measuring internal measuring = new Measuring();

    function _days(uint256 count) private pure returns (IChallengeCourt.Day[] memory days_) {
        days_ = new IChallengeCourt.Day[](count);
    }

    function _down(uint256 a, uint256 b, uint256 c) private view returns (uint256) {
        IChallengeCourt.Day[] memory days_ = _days(3);
        (days_[0].up[0], days_[1].up[0], days_[2].up[0]) = (a, b, c);
        return measuring.majorityDown(days_);
    }

    function check_one_day_is_its_own_majority(uint256 a) external view {
        IChallengeCourt.Day[] memory days_ = _days(1);
        days_[0].up[0] = a;
        assert(measuring.majorityDown(days_) == ~a);
    }

    function check_of_two_days_up_wins_the_tie(uint256 a, uint256 b) external view {
        IChallengeCourt.Day[] memory days_ = _days(2);
        (days_[0].up[0], days_[1].up[0]) = (a, b);
        assert(measuring.majorityDown(days_) == ~(a | b));
    }

    function check_of_three_days_two_decide(uint256 a, uint256 b, uint256 c) external view {
        assert(_down(a, b, c) == ~((a & b) | (a & c) | (b & c)));
    }

    function check_the_order_of_days_does_not_matter(uint256 a, uint256 b, uint256 c) external view {
        assert(_down(a, b, c) == _down(c, a, b));
        assert(_down(a, b, c) == _down(b, a, c));
    }

    function check_a_verifier_alone_moves_no_slot_on_which_two_others_agree(uint256 a, uint256 b, uint256 c, uint256 liar)
        external
        view
    {
        uint256 agreed = ~(a ^ b);
        assert(_down(a, b, c) & agreed == _down(a, b, liar) & agreed);
    }

    function check_two_of_five_move_no_slot_on_which_the_other_three_agree(
        uint256 a,
        uint256 b,
        uint256 c,
        uint256 d,
        uint256 e
    ) external view {
        IChallengeCourt.Day[] memory days_ = _days(5);
        (days_[0].up[0], days_[1].up[0], days_[2].up[0], days_[3].up[0], days_[4].up[0]) = (a, b, c, d, e);
        uint256 down = measuring.majorityDown(days_);
        assert(down & (a & b & c) == 0);
        assert(~down & ~(a | b | c) == 0);
    }

    function check_a_slot_looked_at_alone_says_what_the_word_says(uint256 a, uint256 b, uint256 c, uint8 slot)
        external
        view
    {
        IChallengeCourt.Day[] memory days_ = _days(3);
        (days_[0].up[0], days_[1].up[0], days_[2].up[0]) = (a, b, c);
        assert(measuring.isDown(days_, slot) == ((measuring.majorityDown(days_) >> slot) & 1 == 1));
    }

    function check_clearing_the_lowest_set_bit_lowers_the_count_by_one(uint256 x) external pure {
        vm.assume(x != 0);
        assert(ProbeDays.popcount(x & (x - 1)) + 1 == ProbeDays.popcount(x));
    }

    function check_no_bits_count_nothing_and_all_count_256() external pure {
        assert(ProbeDays.popcount(0) == 0);
        assert(ProbeDays.popcount(type(uint256).max) == 256);
    }

    function check_a_bit_is_in_the_epoch_exactly_when_its_slot_is(uint16 slots, uint8 bit) external pure {
        for (uint256 word = 0; word < 6; ++word) {
            bool inside = word * 256 + bit < slots;
            assert(((ProbeDays.inEpoch(slots, word) >> bit) & 1 == 1) == inside);
        }
    }

    function check_who_was_up_in_every_slot_has_all_of_its_uptime(uint256 duty, uint256 served, uint256 void)
        external
        view
    {
        IChallengeCourt.Measured memory m;
        (m.duty[0], m.served[0], m.void[0]) = (duty, served, void);
        m.days_ = _days(3);
        for (uint256 i = 0; i < 3; ++i) m.days_[i].up[0] = type(uint256).max;
        (uint256 uptimePpm,,) = measuring.compute(m, 256, 2);
        assert(uptimePpm == 1_000_000);
    }

    function check_below_a_quorum_nothing_speaks_against_a_provider(uint256 duty, uint256 up) external view {
        IChallengeCourt.Measured memory m;
        m.duty[0] = duty;
        m.days_ = _days(1);
        m.days_[0].up[0] = up;
        (uint256 uptimePpm, uint256 bucket, bool measured) = measuring.compute(m, 256, 2);
        assert(uptimePpm == 1_000_000 && bucket == 255 && !measured);
    }

    function check_a_served_slot_is_never_down(uint256 duty, uint256 up) external view {
        IChallengeCourt.Measured memory m;
        (m.duty[0], m.served[0]) = (duty, type(uint256).max);
        m.days_ = _days(2);
        (m.days_[0].up[0], m.days_[1].up[0]) = (up, up);
        (uint256 uptimePpm,,) = measuring.compute(m, 256, 2);
        assert(uptimePpm == 1_000_000);
    }
}
