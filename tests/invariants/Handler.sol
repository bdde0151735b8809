// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Courts} from "./Courts.sol";
import {IDelegation} from "../../contracts/interfaces/IDelegation.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";

/// @notice Everything people can do with money, one function each, called in random order with random arguments.
/// @dev An act first brings about what it needs (somebody who unbonds must have stake), so that it always succeeds and
/// none is silently skipped; `tried` and `done` prove it. Each act checks what it moved.
contract Handler is Courts {
    address[] private _gatewayOperators;

    constructor() {
        deploy();
        fund(address(this));
        for (uint256 i = 0; i < 3; ++i) register();
        for (uint256 i = 0; i < 3; ++i) addCustomer(makeAddr(string.concat("customer ", vm.toString(i))));
        for (uint256 i = 0; i < 2; ++i) {
            _gatewayOperators.push(makeAddr(string.concat("gateway ", vm.toString(i))));
            fund(_gatewayOperators[i]);
            delegators.push(makeAddr(string.concat("delegator ", vm.toString(i))));
            fund(delegators[i]);
        }
    }

    // ----------------------------------------------------------------------------------------- bonds, pause and time

    function joinAndLeave(uint256 who) external counted {
        address operator = _gatewayOperators[who % _gatewayOperators.length];
        vm.startPrank(operator);
        if (gateways.isMember(operator)) {
            gateways.leave();
        } else {
            uint64 at = gateways.member(operator).releaseAt;
            if (at != 0) {
                if (block.timestamp < at) vm.warp(at);
                assertEq(gateways.withdraw(), gateways.bond());
                try gateways.withdraw() {
                    paidTwice = true;
                } catch {}
            }
            gateways.join("http://gateway");
        }
        vm.stopPrank();
    }

    /// @dev In a pause nothing comes in, and what can be withdrawn is withdrawn.
    function pause(uint256 who, uint256 seconds_) external counted {
        if (block.timestamp < guardian.nextPauseAt()) vm.warp(guardian.nextPauseAt());
        address provider = present(who);
        guardian.pause(uint64(bound(seconds_, 1, guardian.mostPauseSeconds())));
        vm.startPrank(provider);
        try staking.stake(1) {
            revert("stake came in during a pause");
        } catch {}
        if (staking.withdrawable(provider) != 0) unstaked[provider] += staking.withdraw();
        vm.stopPrank();
        address customer = customerAt(who);
        IJobEscrow.CustomerView memory c = escrow.customer(customer);
        if (c.thawing != 0 && c.thawedAt <= block.timestamp) {
            vm.prank(customer);
            withdrawn[customer] += escrow.withdraw();
        }
        if (seconds_ % 2 == 0) guardian.unpause();
        else vm.warp(guardian.pausedUntil());
        assertFalse(guardian.paused(), "a pause ends by itself");
    }

    function passTime(uint256 secondsLater) external counted {
        vm.warp(block.timestamp + bound(secondsLater, 1, 200));
    }

    // ---------------------------------------------------------------------------------------------------------- books

    /// @dev Each of the following is one invariant, checked by `Money.t.sol` after every act.
    function checkTokensAreWhatTheBooksSay() external view {
        assertEq(
            stakeToken.balanceOf(address(staking)),
            staking.totalStake() + staking.totalUnbonding() + staking.totalMatured(),
            "staking"
        );
        assertEq(
            stakeToken.balanceOf(address(delegation)),
            delegation.totalDelegated() + delegation.totalUnbonding() + delegation.totalMatured(),
            "delegation"
        );
        assertEq(stakeToken.balanceOf(address(verifiers)), verifiers.totalBonds(), "verifiers");
        assertEq(stakeToken.balanceOf(address(gateways)), gateways.totalBonds(), "gateways");
        assertEq(
            stakeToken.balanceOf(address(escrow)), escrow.totalCompensation() + escrow.stakeSlaFund(), "escrow's stake"
        );
        assertEq(stakeToken.balanceOf(address(court)), court.totalBonds() + court.totalHarmed(), "court");
        assertEq(paymentToken.balanceOf(address(escrow)), escrow.totalBalances() + escrow.slaFund(), "escrow");
        assertEq(paymentToken.balanceOf(address(delegation)), delegation.totalRewards(), "rewards");
        IEpochLedger.Books memory b = ledger.books();
        assertEq(
            paymentToken.balanceOf(address(ledger)),
            b.pending + b.refunds + b.credits + b.pools + b.fees + b.incentives + b.owed + b.incentiveFund,
            "ledger"
        );
    }

    function checkProvidersAddUp() external view {
        uint256 stakes;
        uint256 leaving;
        for (uint256 i = 0; i < providers.length; ++i) {
            IProviderStaking.ProviderView memory p = staking.provider(providers[i]);
            uint256 out = staking.withdrawable(providers[i]);
            assertEq(
                staked[providers[i]],
                p.stake + p.unbonding + out + unstaked[providers[i]] + p.slashedTotal,
                "bonded = staked + leaving + paid + slashed"
            );
            assertEq(p.slashedTotal, slashedSeen[providers[i]], "slashed only by the court, and never less");
            assertLe(p.slashedTotal, staked[providers[i]]);
            stakes += p.stake;
            leaving += p.unbonding + out;
        }
        assertEq(stakes, staking.totalStake());
        assertEq(leaving, staking.totalUnbonding() + staking.totalMatured());
    }

    function checkDelegatorsAddUp() external view {
        assertEq(
            delegatedIn,
            delegation.totalDelegated() + delegation.totalUnbonding() + delegation.totalMatured() + delegatedOut
                + delegatedSlashed,
            "delegated = there + leaving + paid + slashed"
        );
        assertEq(poolsPushed, delegation.totalRewards() + rewardsClaimed, "rewards = there + paid");
        uint256 promised;
        for (uint256 i = 0; i < providers.length; ++i) {
            uint256 standing;
            for (uint256 j = 0; j < delegators.length; ++j) {
                IDelegation.PositionView memory p = delegation.position(providers[i], delegators[j]);
                standing += p.amount;
                promised += p.rewards;
            }
            promised += delegation.position(providers[i], providers[i]).rewards;
            assertLe(standing, delegation.delegatedTo(providers[i]), "shares are never worth more than the pool");
        }
        assertLe(promised, delegation.totalRewards(), "rewards are promised once");
    }

    function checkCustomersAddUp() external view {
        uint256 balances;
        uint256 compensations;
        for (uint256 i = 0; i < customers.length; ++i) {
            IJobEscrow.CustomerView memory c = escrow.customer(customers[i]);
            assertEq(
                deposited[customers[i]] + credited[customers[i]],
                c.balance + charged[customers[i]] + withdrawn[customers[i]],
                "paid in + credited = there + charged + paid out"
            );
            assertLe(c.thawing, c.balance, "thawing is a part of the balance");
            balances += c.balance;
            compensations += c.compensation;
        }
        assertEq(balances, escrow.totalBalances());
        assertEq(compensations, escrow.totalCompensation());
    }

    function checkClaimsAreFunded() external view {
        assertLe(feesClaimed, feesActivated, "fees");
        assertLe(incentivesClaimed, incentiveActivated, "incentives");
        IEpochLedger.Books memory b = ledger.books();
        assertEq(b.fees, feesActivated - feesClaimed);
        assertEq(b.incentives, incentiveActivated - incentivesClaimed);
        assertEq(b.refunds, 0, "what a cancelled report charged went back");
        for (uint256 i = 0; i < providers.length; ++i) {
            assertLe(ledger.claimedFees(providers[i]), cumulative[providers[i]].fees, "nobody above its leaf");
            assertLe(ledger.claimedIncentive(providers[i]), cumulative[providers[i]].incentive);
        }
    }
}
