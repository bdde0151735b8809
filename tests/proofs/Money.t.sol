// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Market} from "./Market.sol";
import {IBondedOperators} from "../../contracts/interfaces/IBondedOperators.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";

/// @notice For every amount: what leaves one account arrives in another, once.
contract MoneyProof is Market {
    function check_stake_moves_exactly_its_amount(uint96 amount) external {
        vm.assume(amount != 0);
        _register();
        vm.prank(PROVIDER);
        staking.stake(amount);
        assert(staking.totalStake() == amount);
        assert(staking.provider(PROVIDER).stake == amount);
        assert(stakeToken.balanceOf(address(staking)) == amount);
        assert(stakeToken.balanceOf(PROVIDER) == PLENTY - amount);
    }

    function check_unbonding_takes_from_the_stake_what_it_adds_to_the_pool(uint96 amount, uint96 out) external {
        vm.assume(out != 0 && out <= amount);
        _register();
        vm.startPrank(PROVIDER);
        staking.stake(amount);
        IProviderStaking.FeesAtRisk memory nothing;
        staking.unbond(out, nothing);
        vm.stopPrank();
        assert(staking.totalStake() == amount - out);
        assert(staking.totalUnbonding() == out);
        assert(staking.provider(PROVIDER).unbonding == out);
    }

    function check_a_slash_takes_no_more_than_was_asked_and_was_there(uint96 amount, uint96 asked, uint8 consequence)
        external
    {
        vm.assume(amount != 0 && consequence <= uint8(type(IProviderStaking.Consequence).max));
        _register();
        vm.prank(PROVIDER);
        staking.stake(amount);
        vm.prank(address(court));
        uint256 taken = staking.slash(PROVIDER, asked, IProviderStaking.Consequence(consequence));
        assert(taken == (asked < amount ? asked : amount));
        assert(staking.totalStake() == amount - taken);
        assert(stakeToken.balanceOf(address(court)) == taken);
        assert(staking.provider(PROVIDER).slashedTotal == taken);
    }

    function check_a_deposit_is_in_the_books_of_whom_it_was_for(address customer, uint96 amount) external {
        vm.assume(customer != address(0) && amount != 0);
        vm.prank(CUSTOMER);
        escrow.deposit(customer, amount);
        assert(escrow.customer(customer).balance == amount);
        assert(escrow.totalBalances() == amount);
        assert(paymentToken.balanceOf(address(escrow)) == amount);
    }

    function check_a_charge_never_exceeds_cap_or_balance(uint80 deposited, uint80 cap, uint80 amount) external {
        vm.assume(deposited != 0);
        vm.startPrank(CUSTOMER);
        escrow.deposit(CUSTOMER, deposited);
        escrow.setCap(cap);
        vm.stopPrank();
        IJobEscrow.Charge[] memory charges = new IJobEscrow.Charge[](1);
        charges[0] = IJobEscrow.Charge(CUSTOMER, amount);
        vm.prank(address(ledger));
        (bool ok,) = address(escrow).call(abi.encodeCall(escrow.charge, (0, charges)));
        assert(ok == (amount != 0 && amount <= cap && amount <= deposited));
        uint256 left = ok ? deposited - amount : deposited;
        assert(escrow.customer(CUSTOMER).balance == left);
        assert(escrow.totalBalances() == left);
        assert(paymentToken.balanceOf(address(ledger)) == deposited - left);
    }

    function check_a_charge_leaves_no_more_thawing_than_there_is(uint80 deposited, uint80 thawing, uint80 amount)
        external
    {
        vm.assume(thawing != 0 && thawing <= deposited && amount != 0 && amount <= deposited);
        vm.startPrank(CUSTOMER);
        escrow.deposit(CUSTOMER, deposited);
        escrow.setCap(type(uint88).max);
        escrow.requestWithdrawal(thawing);
        vm.stopPrank();
        IJobEscrow.Charge[] memory charges = new IJobEscrow.Charge[](1);
        charges[0] = IJobEscrow.Charge(CUSTOMER, amount);
        vm.prank(address(ledger));
        escrow.charge(0, charges);
        IJobEscrow.CustomerView memory c = escrow.customer(CUSTOMER);
        assert(c.balance == deposited - amount);
        assert(c.thawing == (thawing < c.balance ? thawing : c.balance));
    }

    function check_what_has_thawed_is_paid_once(uint80 deposited, uint80 out) external {
        vm.assume(out != 0 && out <= deposited);
        vm.startPrank(CUSTOMER);
        escrow.deposit(CUSTOMER, deposited);
        escrow.requestWithdrawal(out);
        vm.warp(block.timestamp + 130);
        assert(escrow.withdraw() == out);
        (bool again,) = address(escrow).call(abi.encodeCall(escrow.withdraw, ()));
        vm.stopPrank();
        assert(!again);
        assert(paymentToken.balanceOf(CUSTOMER) == PLENTY - deposited + out);
        assert(escrow.totalBalances() == deposited - out);
    }

    function check_a_withdrawal_succeeds_in_a_pause(uint80 deposited, uint32 pause) external {
        vm.assume(deposited != 0 && pause != 0 && pause <= guardian.mostPauseSeconds());
        vm.startPrank(CUSTOMER);
        escrow.deposit(CUSTOMER, deposited);
        escrow.requestWithdrawal(deposited);
        vm.stopPrank();
        vm.warp(block.timestamp + 130);
        guardian.pause(pause);
        vm.prank(CUSTOMER);
        assert(escrow.withdraw() == deposited);
    }

    function check_a_pause_ends_within_the_longest_there_is(uint64 seconds_) external {
        (bool ok,) = address(guardian).call(abi.encodeCall(guardian.pause, (seconds_)));
        assert(ok == (seconds_ != 0 && seconds_ <= guardian.mostPauseSeconds()));
        assert(guardian.pausedUntil() <= block.timestamp + guardian.mostPauseSeconds());
    }

    function check_compensation_is_paid_once(uint96 amount) external {
        vm.assume(amount != 0);
        vm.prank(CUSTOMER);
        stakeToken.transfer(address(court), amount);
        address[] memory customers = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (customers[0], amounts[0]) = (CUSTOMER, amount);
        vm.startPrank(address(court));
        stakeToken.approve(address(escrow), amount);
        escrow.compensate(customers, amounts);
        vm.stopPrank();
        vm.startPrank(CUSTOMER);
        assert(escrow.withdrawCompensation() == amount);
        (bool again,) = address(escrow).call(abi.encodeCall(escrow.withdrawCompensation, ()));
        vm.stopPrank();
        assert(!again && escrow.totalCompensation() == 0);
        assert(stakeToken.balanceOf(CUSTOMER) == PLENTY);
    }

    function check_a_bond_comes_back_once_and_not_before_its_time(uint32 wait) external {
        vm.startPrank(CUSTOMER);
        stakeToken.approve(address(gateways), type(uint256).max);
        gateways.join("http://gateway");
        gateways.leave();
        vm.warp(block.timestamp + wait);
        (bool ok,) = address(gateways).call(abi.encodeCall(gateways.withdraw, ()));
        assert(ok == (wait >= 120));
        (bool again,) = address(gateways).call(abi.encodeCall(gateways.withdraw, ()));
        assert(!(ok && again));
        vm.stopPrank();
        assert(gateways.totalBonds() == (ok ? 0 : 5_000e18));
    }
}
