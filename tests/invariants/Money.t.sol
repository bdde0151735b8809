// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {Handler} from "./Handler.sol";

/// @notice No token is lost, made or paid twice, whatever people do in whatever order.
contract MoneyTest is Test {
    Handler internal handler;
    bytes4[] internal acts;

    function setUp() public {
        vm.warp(1_800_000_000);
        handler = new Handler();
        acts = [
            handler.stake.selector,
            handler.unbond.selector,
            handler.rebond.selector,
            handler.withdrawStake.selector,
            handler.declareMaintenance.selector,
            handler.delegate.selector,
            handler.undelegate.selector,
            handler.withdrawDelegation.selector,
            handler.setCommission.selector,
            handler.deposit.selector,
            handler.setCap.selector,
            handler.useSession.selector,
            handler.requestWithdrawal.selector,
            handler.cancelWithdrawal.selector,
            handler.withdraw.selector,
            handler.giveToFunds.selector,
            handler.submitReport.selector,
            handler.activateReport.selector,
            handler.abandonReport.selector,
            handler.claim.selector,
            handler.claimOwed.selector,
            handler.claimRewards.selector,
            handler.slash.selector,
            handler.withdrawCompensation.selector,
            handler.contestSlash.selector,
            handler.challengeReport.selector,
            handler.challengeSlash.selector,
            handler.proveProbeDays.selector,
            handler.proveReceipts.selector,
            handler.joinAndLeave.selector,
            handler.pause.selector,
            handler.passTime.selector
        ];
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: acts}));
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
