// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Deployed} from "./Deployed.sol";
import {IChallengeCourt} from "../../contracts/interfaces/IChallengeCourt.sol";
import {IEpochClock} from "../../contracts/interfaces/IEpochClock.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";
import {Bounds} from "../../contracts/libraries/Bounds.sol";
import {PpmMath} from "../../contracts/libraries/PpmMath.sol";
import {ProbeDays} from "../../contracts/libraries/ProbeDays.sol";

/// @notice Whatever arguments somebody gives: the contracts do what a plain reckoning says, or refuse.
contract ArgumentsTest is Deployed {
    address private _provider;
    address private _customer;
    address private _delegator;

    function setUp() public {
        vm.warp(1_800_000_000);
        deploy();
        _provider = makeAddr("provider");
        _customer = makeAddr("customer");
        _delegator = makeAddr("delegator");
        fund(_provider);
        fund(_customer);
        fund(_delegator);
        vm.prank(_provider);
        staking.register(makeAddr("signer"), 0, 1, bytes32(uint256(1)), "local", "http://provider");
    }

    // ------------------------------------------------------------------------------------------------- measurement

    function majority(IChallengeCourt.Day[] calldata days_, uint256 word) external pure returns (uint256) {
        return ProbeDays.majorityDown(days_, word);
    }

    function p95(IChallengeCourt.Day[] calldata days_) external pure returns (uint256) {
        return ProbeDays.p95Bucket(days_);
    }

    function testFuzz_a_slot_is_down_when_more_than_half_of_any_number_of_days_say_so(uint256 seed, uint8 count) public view {
        IChallengeCourt.Day[] memory days_ = _days(seed, bound(count, 1, 64));
        uint256 down = this.majority(days_, 2);
        for (uint256 slot = seed % 17; slot < 256; slot += 17) {
            uint256 zeros;
            for (uint256 i = 0; i < days_.length; ++i) zeros += 1 - ((days_[i].up[2] >> slot) & 1);
            assertEq((down >> slot) & 1, zeros * 2 > days_.length ? 1 : 0, "a slot differs from its count");
        }
    }

    function testFuzz_the_p95_bucket_is_that_of_the_summed_counters(uint256 seed, uint8 count) public view {
        IChallengeCourt.Day[] memory days_ = _days(seed, bound(count, 1, 64));
        uint256[16] memory sums;
        uint256 total;
        for (uint256 i = 0; i < days_.length; ++i) {
            for (uint256 b = 0; b < 16; ++b) {
                sums[b] += uint16(days_[i].histogram >> (16 * b));
                total += uint16(days_[i].histogram >> (16 * b));
            }
        }
        uint256 expected = 255;
        uint256 reached;
        for (uint256 b = 0; b < 16 && total != 0; ++b) {
            reached += sums[b];
            if (reached * 100 >= total * 95) {
                expected = b;
                break;
            }
        }
        assertEq(this.p95(days_), expected);
    }

    /// @dev Words of which many are sparse or dense, counters of which many are zero.
    function _days(uint256 seed, uint256 count) private pure returns (IChallengeCourt.Day[] memory days_) {
        days_ = new IChallengeCourt.Day[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 a = uint256(keccak256(abi.encode(seed, i, "a")));
            uint256 b = uint256(keccak256(abi.encode(seed, i, "b")));
            days_[i].up[2] = seed % 3 == 0 ? a & b : seed % 3 == 1 ? a | b : a;
            days_[i].histogram = seed % 5 == 0 ? a & b & (type(uint256).max << (b % 256)) : b;
        }
    }

    // -------------------------------------------------------------------------------------------------------- shares

    function testFuzz_parts_of_an_amount_sum_to_it(uint256 amount, uint256 ppm) public pure {
        amount = bound(amount, 0, type(uint256).max / 1e6);
        ppm = bound(ppm, 0, 1_000_000);
        uint256 down = PpmMath.shareDown(amount, ppm);
        assertEq(down + PpmMath.shareUp(amount, 1_000_000 - ppm), amount);
        assertEq(down, amount * ppm / 1_000_000);
    }

    function testFuzz_stake_of_any_size_goes_in_and_out_without_gain_or_loss(uint128 amount, uint128 out) public {
        amount = uint128(bound(amount, 1, type(uint128).max));
        out = uint128(bound(out, 1, amount));
        stakeToken.mint(_provider, amount);
        uint256 before = stakeToken.balanceOf(_provider);
        IProviderStaking.FeesAtRisk memory nothing;
        vm.startPrank(_provider);
        staking.stake(amount);
        staking.unbond(out, nothing);
        vm.warp(block.timestamp + 120);
        assertEq(staking.withdraw(), out);
        vm.stopPrank();
        assertEq(stakeToken.balanceOf(_provider), before - amount + out);
        assertEq(staking.provider(_provider).stake, amount - out);
    }

    /// @dev Four exits, a slash in the middle, a rebond: in all nothing appears, and what is missing was slashed.
    function testFuzz_exits_lose_in_proportion_and_only_to_the_slash(uint256 seed, uint128 taken, uint128 back) public {
        uint256 total;
        IProviderStaking.FeesAtRisk memory nothing;
        vm.startPrank(_provider);
        staking.stake(1e24);
        for (uint256 i = 0; i < 4; ++i) {
            uint256 amount = bound(uint256(keccak256(abi.encode(seed, i))), 1, 2e23);
            staking.unbond(amount, nothing);
            total += amount;
        }
        vm.stopPrank();
        uint256 own = 1e24 - total;
        vm.prank(address(court));
        uint256 slashed = staking.slash(_provider, taken, IProviderStaking.Consequence.None);
        assertEq(slashed, taken < 1e24 ? taken : 1e24);
        uint256 left = slashed > own ? total - (slashed - own) : total;
        assertEq(staking.provider(_provider).unbonding, left);
        uint256 sum;
        IProviderStaking.Unbond[] memory open = staking.unbonds(_provider);
        for (uint256 i = 0; i < open.length; ++i) sum += open[i].amount;
        assertLe(sum, left, "the exits are worth no more than what is in the pool");
        assertLe(left - sum, 4, "each rounds down by less than a unit");
        if (left != 0) {
            back = uint128(bound(back, 1, left));
            uint256 stakeBefore = staking.provider(_provider).stake;
            vm.prank(_provider);
            staking.rebond(back);
            assertEq(staking.provider(_provider).stake, stakeBefore + back);
            assertEq(staking.provider(_provider).unbonding, left - back);
        }
    }

    function testFuzz_delegators_together_never_get_more_than_they_brought(uint128 mine, uint128 theirs, uint128 taken)
        public
    {
        vm.prank(_provider);
        staking.stake(1e30);
        mine = uint128(bound(mine, 1, 8e30));
        theirs = uint128(bound(theirs, 1, 8e30));
        vm.prank(_delegator);
        uint256 a = delegation.delegate(_provider, mine);
        vm.prank(_customer);
        stakeToken.approve(address(delegation), type(uint256).max);
        vm.prank(_customer);
        uint256 b = delegation.delegate(_provider, theirs);
        vm.prank(address(staking));
        uint256 slashed = delegation.slash(_provider, taken, address(court));
        assertLe(slashed, uint256(mine) + theirs);
        uint256 worth = delegation.position(_provider, _delegator).amount + delegation.position(_provider, _customer).amount;
        uint256 left = uint256(mine) + theirs - slashed;
        assertLe(worth, left);
        assertLe(left - worth, 2, "two positions round down by less than a unit each");
        assertEq(a, mine);
        assertEq(b, theirs);
    }

    // ---------------------------------------------------------------------------------------------------------- caps

    /// @dev A customer changes its cap at random moments; a plain list of what was said decides what holds.
    function testFuzz_a_cap_holds_as_it_was_set_for_every_epoch(uint256 seed) public {
        uint256[16] memory expected;
        for (uint256 i = 0; i < 4; ++i) {
            uint256 drawn = uint256(keccak256(abi.encode(seed, i)));
            vm.warp(block.timestamp + drawn % 150);
            uint256 running = clock.currentEpoch();
            uint256 cap = (drawn >> 8) % 5;
            // a raise holds from the running epoch, a lowering from the one after the next
            uint256 from = cap >= expected[running] ? running : running + 2;
            vm.prank(_customer);
            escrow.setCap(uint128(cap));
            for (uint256 e = from; e < 16; ++e) expected[e] = cap;
            for (uint256 e = 0; e < 16; ++e) {
                assertGe(escrow.capFor(_customer, uint64(e)), e < running ? 0 : min(expected[e], cap));
                if (e >= running + 2) assertEq(escrow.capFor(_customer, uint64(e)), cap, "from then on what was said");
                if (e < running) assertEq(escrow.capFor(_customer, uint64(e)), expected[e], "the past stands");
                expected[e] = escrow.capFor(_customer, uint64(e));
            }
        }
    }

    function min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    // --------------------------------------------------------------------------------------------------------- bounds

    function testFuzz_rules_are_taken_exactly_within_their_bounds(IEpochClock.Rules memory r) public {
        if (r.providerPpm % 2 == 0) {
            // half of the draws have shares that sum to the whole
            r.verifierPpm = r.verifierPpm % 110_000;
            r.slaFundPpm = r.slaFundPpm % 110_000;
            r.treasuryPpm = r.treasuryPpm % 110_000;
            r.providerPpm = 1_000_000 - r.verifierPpm - r.slaFundPpm - r.treasuryPpm;
            r.stakeRate = uint128(bound(r.stakeRate, 0, 2e27));
            if (r.probeGapSlots % 3 != 0) r.incentivePerEpoch = uint96(r.incentivePerEpoch);
            r.ttftTargetMs = uint32(bound(r.ttftTargetMs, 0, 70_000));
            r.probeGapSlots = uint32(bound(r.probeGapSlots, 0, 70));
        }
        bool fair = r.providerPpm >= 800_000 && r.providerPpm <= 1_000_000 && r.verifierPpm <= 100_000
            && r.slaFundPpm <= 100_000 && r.treasuryPpm <= 100_000
            && uint256(r.providerPpm) + r.verifierPpm + r.slaFundPpm + r.treasuryPpm == 1_000_000 && r.stakeRate <= 1e27
            && r.incentivePerEpoch <= type(uint96).max && r.ttftTargetMs >= 50 && r.ttftTargetMs <= 60_000 && r.probeGapSlots >= 1 && r.probeGapSlots <= 60;
        try clock.setRules(r) {
            assertTrue(fair, "rules out of bounds were taken");
            assertEq(abi.encode(clock.rulesFor(clock.currentEpoch() + 1)), abi.encode(r));
        } catch {
            assertFalse(fair, "rules within their bounds were refused");
        }
    }

    function testFuzz_a_moment_lies_in_the_epoch_it_is_said_to(uint64 later) public {
        later = uint64(bound(later, 0, 1e15));
        vm.warp(clock.genesis() + later);
        uint64 epoch = clock.currentEpoch();
        assertLe(clock.epochStart(epoch), block.timestamp);
        assertGt(clock.epochEnd(epoch), block.timestamp);
    }

    function testFuzz_a_value_passes_exactly_within_its_bounds(uint256 value, uint256 least, uint256 most) public {
        if (value >= least && value <= most) {
            assertEq(this.within(value, least, most), value);
        } else {
            vm.expectRevert(abi.encodeWithSelector(Bounds.OutOfBounds.selector, "value", value, least, most));
            this.within(value, least, most);
        }
    }

    function within(uint256 value, uint256 least, uint256 most) external pure returns (uint256) {
        return Bounds.within("value", value, least, most);
    }
}
