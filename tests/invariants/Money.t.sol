// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {Handler} from "./Handler.sol";

/// @notice No token is lost, made or paid twice, whatever people do in whatever order.
/// @dev Each campaign draws from acts of its own; the cheap ones run often, the one with everything less often.
abstract contract Campaign is Test {
    Handler internal handler;
    bytes4[] internal acts;

    function setUp() public {
        vm.warp(1_800_000_000);
        handler = new Handler();
        _choose();
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: acts}));
    }

    function _choose() internal virtual;

    function _chooseStakes() internal {
        acts.push(handler.stake.selector);
        acts.push(handler.unbond.selector);
        acts.push(handler.rebond.selector);
        acts.push(handler.withdrawStake.selector);
        acts.push(handler.declareMaintenance.selector);
        acts.push(handler.delegate.selector);
        acts.push(handler.undelegate.selector);
        acts.push(handler.withdrawDelegation.selector);
        acts.push(handler.setCommission.selector);
        acts.push(handler.proveReceipts.selector);
        acts.push(handler.joinAndLeave.selector);
        acts.push(handler.pause.selector);
        acts.push(handler.passTime.selector);
    }

    function _chooseCustomers() internal {
        acts.push(handler.deposit.selector);
        acts.push(handler.setCap.selector);
        acts.push(handler.useSession.selector);
        acts.push(handler.requestWithdrawal.selector);
        acts.push(handler.cancelWithdrawal.selector);
        acts.push(handler.withdraw.selector);
        acts.push(handler.giveToFunds.selector);
        acts.push(handler.submitReport.selector);
        acts.push(handler.activateReport.selector);
        acts.push(handler.claim.selector);
        acts.push(handler.claimOwed.selector);
    }

    function _chooseCourts() internal {
        acts.push(handler.abandonReport.selector);
        acts.push(handler.claimRewards.selector);
        acts.push(handler.slash.selector);
        acts.push(handler.withdrawCompensation.selector);
        acts.push(handler.contestSlash.selector);
        acts.push(handler.challengeReport.selector);
        acts.push(handler.challengeSlash.selector);
        acts.push(handler.proveProbeDays.selector);
    }

    /// @notice Conservation per token, in every contract; accounts sum to the totals; nothing is paid twice.
    function invariant_money_is_neither_lost_nor_made() public view {
        handler.checkTokensAreWhatTheBooksSay();
        handler.checkProvidersAddUp();
        handler.checkDelegatorsAddUp();
        handler.checkCustomersAddUp();
        handler.checkClaimsAreFunded();
        assertFalse(handler.paidTwice(), "no path pays twice");
    }

    /// @notice An act that was tried was done: none is silently skipped or always refused.
    function afterInvariant() public view {
        invariant_money_is_neither_lost_nor_made();
        for (uint256 i = 0; i < acts.length; ++i) {
            assertEq(handler.done(acts[i]), handler.tried(acts[i]), "every act that is tried succeeds");
        }
    }

    /// @notice Every act succeeds from the beginning and again after every other: none of the campaign's acts is empty.
    function test_every_act_succeeds_in_a_first_and_a_second_round() public {
        for (uint256 round = 1; round <= 2; ++round) {
            for (uint256 i = 0; i < acts.length; ++i) {
                bytes memory words = abi.encode(round * 7919 + i, 104729 * (i + 1), 31 * round + i);
                (bool ok,) = address(handler).call(bytes.concat(acts[i], words));
                assertTrue(ok, "an act was refused");
                assertEq(handler.done(acts[i]), round, "an act did not count");
                invariant_money_is_neither_lost_nor_made();
            }
        }
    }
}

/// forge-config: ci.invariant.runs = 1600
/// forge-config: ci.invariant.depth = 100
contract StakesTest is Campaign {
    function _choose() internal override {
        _chooseStakes();
    }
}

/// forge-config: ci.invariant.runs = 1200
/// forge-config: ci.invariant.depth = 100
contract CustomersTest is Campaign {
    function _choose() internal override {
        _chooseCustomers();
    }
}

/// forge-config: ci.invariant.runs = 220
/// forge-config: ci.invariant.depth = 100
contract EverythingTest is Campaign {
    function _choose() internal override {
        _chooseStakes();
        _chooseCustomers();
        _chooseCourts();
    }
}
