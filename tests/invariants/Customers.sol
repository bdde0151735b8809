// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Stakers} from "./Stakers.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";

/// @notice What customers do with their money.
abstract contract Customers is Stakers {
    mapping(address customer => uint256) public deposited;
    mapping(address customer => uint256) public withdrawn;

    function deposit(uint256 who, uint256 amount) external counted {
        _deposit(customerAt(who), bound(amount, 1, 1e15));
    }

    function _deposit(address customer, uint256 amount) internal {
        vm.prank(customer);
        escrow.deposit(customer, amount);
        deposited[customer] += amount;
    }

    function setCap(uint256 who, uint128 cap) external counted {
        address customer = customerAt(who);
        cap = uint128(bound(cap, 0, type(uint88).max));
        uint64 running = clock.currentEpoch();
        uint128 before = escrow.capFor(customer, running);
        uint128 soon = escrow.capFor(customer, running + 1);
        vm.prank(customer);
        escrow.setCap(cap);
        assertEq(escrow.capFor(customer, running), cap > before ? cap : before, "a running epoch's cap never falls");
        assertGe(escrow.capFor(customer, running + 1), soon < cap ? soon : cap, "nor does the next epoch's by this");
        assertEq(escrow.capFor(customer, running + 2), cap);
    }

    function useSession(uint256 who, uint128 cap, uint256 seed) external counted {
        address customer = customerAt(who);
        address key = makeAddr(string.concat("session of ", vm.toString(customer)));
        cap = uint128(bound(cap, 0, type(uint88).max));
        vm.prank(customer);
        escrow.setSession(key, uint64(block.timestamp + bound(seed, 1, 90 days)), cap);
        vm.startPrank(key);
        escrow.setCapBySession(cap);
        try escrow.setCapBySession(cap + 1) {
            revert("a session passed its own limit");
        } catch {}
        vm.stopPrank();
        vm.prank(customer);
        escrow.setSession(key, 0, 0);
        vm.prank(key);
        try escrow.setCapBySession(0) {
            revert("a session outlived its end");
        } catch {}
    }

    function requestWithdrawal(uint256 who, uint256 amount) external counted {
        _requestWithdrawal(customerAt(who), amount);
    }

    function _requestWithdrawal(address customer, uint256 amount) private {
        IJobEscrow.CustomerView memory c = escrow.customer(customer);
        if (c.balance == c.thawing) {
            _deposit(customer, 1e9);
            c.balance += 1e9;
        }
        vm.prank(customer);
        escrow.requestWithdrawal(uint128(bound(amount, 1, c.balance - c.thawing)));
    }

    function cancelWithdrawal(uint256 who) external counted {
        address customer = customerAt(who);
        if (escrow.customer(customer).thawing == 0) _requestWithdrawal(customer, who);
        vm.prank(customer);
        escrow.cancelWithdrawal();
    }

    function withdraw(uint256 who, uint256 amount) external counted {
        address customer = customerAt(who);
        if (escrow.customer(customer).thawing == 0) _requestWithdrawal(customer, amount);
        uint64 at = escrow.customer(customer).thawedAt;
        if (block.timestamp < at) vm.warp(at);
        uint256 before = paymentToken.balanceOf(customer);
        vm.startPrank(customer);
        uint256 paid = escrow.withdraw();
        try escrow.withdraw() {
            paidTwice = true;
        } catch {}
        vm.stopPrank();
        assertEq(paymentToken.balanceOf(customer) - before, paid);
        withdrawn[customer] += paid;
    }

    function giveToFunds(uint256 who, uint256 amount) external counted {
        vm.startPrank(customerAt(who));
        escrow.fundSla(bound(amount, 1, 1e12));
        escrow.fundSlaStake(bound(amount, 1, 1e24));
        ledger.fundIncentives(bound(amount, 1, 1e12));
        if (amount % 3 == 0) {
            uint256 fund = escrow.stakeSlaFund();
            uint256 burned = stakeToken.balanceOf(BURN_ADDRESS);
            assertEq(escrow.burnSlaStake(), fund, "all of it");
            assertEq(stakeToken.balanceOf(BURN_ADDRESS), burned + fund, "to the fire");
        }
        vm.stopPrank();
    }

    function _makeChargeable() internal override {
        _deposit(customers[0], 1e9);
        vm.prank(customers[0]);
        escrow.setCap(type(uint88).max);
    }

    function customerAt(uint256 who) internal view returns (address) {
        return customers[who % customers.length];
    }

    function addCustomer(address customer) internal {
        fund(customer);
        customers.push(customer);
        for (uint256 i = customers.length - 1; i != 0 && customers[i - 1] > customers[i]; --i) {
            (customers[i - 1], customers[i]) = (customers[i], customers[i - 1]);
        }
        _deposit(customer, 1e12);
        vm.prank(customer);
        escrow.setCap(1e10);
    }
}
