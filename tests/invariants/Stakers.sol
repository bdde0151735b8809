// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Reports} from "./Reports.sol";
import {IDelegation} from "../../contracts/interfaces/IDelegation.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";

/// @notice What providers and delegators do with their stake.
abstract contract Stakers is Reports {
    mapping(bytes4 act => uint256) public tried;
    mapping(bytes4 act => uint256) public done;
    bool public paidTwice;

    /// @dev What ever went in and came out, by account.
    mapping(address provider => uint256) public staked;
    mapping(address provider => uint256) public unstaked;
    mapping(address provider => uint256) public slashedSeen;
    uint256 public delegatedIn;
    uint256 public delegatedOut;
    uint256 public delegatedSlashed;
    uint256 public rewardsClaimed;

    address[] internal delegators;
    mapping(address provider => uint256) internal signerKeys;
    uint256 internal registered;

    modifier counted() {
        ++tried[msg.sig];
        _;
        ++done[msg.sig];
    }

    // --------------------------------------------------------------------------------------------------------- stake

    function stake(uint256 who, uint256 amount) external counted {
        _stake(present(who), bound(amount, 1, 1e24));
    }

    function _stake(address provider, uint256 amount) internal {
        vm.prank(provider);
        staking.stake(amount);
        staked[provider] += amount;
    }

    function unbond(uint256 who, uint256 amount) external counted {
        _unbond(present(who), amount);
    }

    /// @dev Unbonds what the fees at risk leave free.
    function _unbond(address provider, uint256 amount) internal returns (uint256) {
        IProviderStaking.FeesAtRisk memory risk = riskOf(provider);
        uint256 locked = staking.lockedFor(provider, risk);
        uint256 before = staking.provider(provider).stake;
        if (before <= locked) {
            _stake(provider, locked - before + bound(amount, 1, 1e24));
            before = staking.provider(provider).stake;
        }
        if (staking.unbonds(provider).length == 10) vm.warp(block.timestamp + staking.unbondingSeconds());
        if (before != locked) {
            // one unit more than is free must be refused, whatever the amount that is asked for after that
            vm.prank(provider);
            try staking.unbond(before - locked + 1, risk) {
                revert("an unbond left less than ten times the fees at risk");
            } catch {}
        }
        amount = bound(amount, 1, before - locked);
        vm.prank(provider);
        staking.unbond(amount, risk);
        assertEq(staking.provider(provider).stake, before - amount, "unbond moves exactly its amount");
        return amount;
    }

    function rebond(uint256 who, uint256 amount) external counted {
        address provider = present(who);
        if (staking.provider(provider).unbonding == 0) _unbond(provider, amount);
        IProviderStaking.ProviderView memory before = staking.provider(provider);
        amount = bound(amount, 1, before.unbonding);
        vm.prank(provider);
        staking.rebond(amount);
        IProviderStaking.ProviderView memory later = staking.provider(provider);
        assertEq(later.stake, before.stake + amount, "what is rebonded is staked");
        assertEq(later.unbonding, before.unbonding - amount, "and has left the pool");
    }

    function withdrawStake(uint256 who, uint256 amount) external counted {
        address provider = present(who);
        if (staking.withdrawable(provider) == 0) {
            _unbond(provider, amount);
            vm.warp(block.timestamp + staking.unbondingSeconds());
        }
        uint256 expected = staking.withdrawable(provider);
        uint256 before = stakeToken.balanceOf(provider);
        vm.startPrank(provider);
        uint256 paid = staking.withdraw();
        try staking.withdraw() {
            paidTwice = true;
        } catch {}
        vm.stopPrank();
        assertEq(paid, expected, "withdraw pays what was withdrawable");
        assertEq(stakeToken.balanceOf(provider) - before, paid);
        unstaked[provider] += paid;
    }

    function declareMaintenance(uint256 who, uint256 length) external counted {
        address provider = present(who);
        uint256 index = staking.maintenanceCount(provider);
        // the allowance of thirty days is used up now and then, and comes back with time
        vm.warp(block.timestamp + 31 days);
        uint64 start = uint64(block.timestamp) + staking.noticeSeconds();
        vm.startPrank(provider);
        staking.declareMaintenance(start, start + uint64(bound(length, 1, staking.maintenanceSeconds())));
        if (length % 2 == 0) staking.cancelMaintenance(index);
        vm.stopPrank();
        assertEq(staking.maintenance(provider, start, start + 1).length, length % 2, "declared unless taken back");
    }

    // ---------------------------------------------------------------------------------------------------- delegation

    function delegate(uint256 who, uint256 behind, uint256 amount) external counted {
        _delegate(delegatorAt(who), active(behind), amount);
    }

    function _delegate(address delegator, address provider, uint256 amount) internal {
        uint256 most = 16 * staking.provider(provider).stake;
        uint256 there = delegation.delegatedTo(provider);
        if (there >= most) {
            _stake(provider, there / 16 + 1e18);
            most = 16 * staking.provider(provider).stake;
        }
        amount = bound(amount, most - there < 1e6 ? 1 : 1e6, most - there);
        vm.startPrank(delegator);
        try delegation.delegate(provider, most - there + 1) {
            revert("more than sixteen times the own stake was delegated");
        } catch {}
        delegation.delegate(provider, amount);
        vm.stopPrank();
        delegatedIn += amount;
        assertEq(delegation.delegatedTo(provider), there + amount, "what is delegated stands behind the provider");
    }

    function undelegate(uint256 who, uint256 behind, uint256 part) external counted {
        _undelegate(delegatorAt(who), active(behind), part);
    }

    function _undelegate(address delegator, address provider, uint256 part) internal {
        IDelegation.PositionView memory p = delegation.position(provider, delegator);
        if (p.amount == 0) {
            _delegate(delegator, provider, part);
            p = delegation.position(provider, delegator);
        }
        vm.startPrank(delegator);
        uint256 shares = bound(part, 1, p.shares);
        try delegation.undelegate(provider, shares) {} catch {
            // ten exits are open, or the shares are worth less than a unit
            vm.warp(block.timestamp + 2 * staking.unbondingSeconds());
            if (delegation.position(provider, delegator).withdrawable != 0) {
                delegatedOut += delegation.withdraw(provider);
            }
            delegation.undelegate(provider, p.shares);
        }
        vm.stopPrank();
    }

    function withdrawDelegation(uint256 who, uint256 behind, uint256 part) external counted {
        (address delegator, address provider) = (delegatorAt(who), active(behind));
        if (delegation.position(provider, delegator).withdrawable == 0) {
            _undelegate(delegator, provider, part);
            vm.warp(block.timestamp + 2 * staking.unbondingSeconds());
        }
        uint256 expected = delegation.position(provider, delegator).withdrawable;
        uint256 before = stakeToken.balanceOf(delegator);
        vm.startPrank(delegator);
        uint256 paid = delegation.withdraw(provider);
        try delegation.withdraw(provider) {
            paidTwice = true;
        } catch {}
        vm.stopPrank();
        assertEq(paid, expected, "a delegator is paid what was withdrawable");
        assertEq(stakeToken.balanceOf(delegator) - before, paid);
        delegatedOut += paid;
    }

    function setCommission(uint256 who, uint256 ppm) external counted {
        address provider = present(who);
        uint64 running = clock.currentEpoch();
        uint32 before = delegation.commissionFor(provider, running);
        uint32 next = uint32(bound(ppm, 0, 1_000_000));
        vm.prank(provider);
        delegation.setCommission(next);
        uint32 soon = delegation.commissionFor(provider, running + 1);
        assertLe(delegation.commissionFor(provider, running), before, "no rise within the running epoch");
        assertTrue(soon <= before, "no rise in the next epoch either");
        assertEq(delegation.commissionFor(provider, running + 2), next);
    }

    // -------------------------------------------------------------------------------------------------------- people

    /// @dev What shows the fees that can still be taken back from a provider.
    function riskOf(address provider) internal view returns (IProviderStaking.FeesAtRisk memory risk) {
        uint64 next = ledger.nextEpoch();
        if (next == 0) return risk;
        (risk.newest, risk.newestProof) = leafOf(next - 1, provider);
        uint256 open = court.challengeSeconds() + court.arbitrationSeconds();
        for (uint64 e = ledger.nextActivation(); e != 0; --e) {
            IEpochLedger.Record memory r = ledger.record(e - 1);
            if (!r.activated || r.activatesAt + open > block.timestamp) continue;
            (IEpochLedger.Leaf memory leaf, bytes32[] memory proof) = leafOf(e - 1, provider);
            if (leaf.provider != address(0)) (risk.closedEpoch, risk.closed, risk.closedProof) = (e - 1, leaf, proof);
            break;
        }
    }

    function delegatorAt(uint256 who) internal view returns (address) {
        return delegators[who % delegators.length];
    }

    /// @dev A provider that is not removed; registers one when all are.
    function present(uint256 who) internal returns (address) {
        for (uint256 i = 0; i < providers.length; ++i) {
            address provider = providers[(who % providers.length + i) % providers.length];
            if (staking.provider(provider).status != IProviderStaking.Status.Removed) return provider;
        }
        return register();
    }

    /// @dev A provider that is active, with stake of its own; registers one when there is none.
    function active(uint256 who) internal returns (address) {
        for (uint256 i = 0; i < providers.length; ++i) {
            address provider = providers[(who % providers.length + i) % providers.length];
            if (staking.provider(provider).status == IProviderStaking.Status.Active) {
                if (staking.provider(provider).stake == 0) _stake(provider, 3_000 * WHOLE_STAKE);
                return provider;
            }
        }
        return register();
    }

    /// @dev A provider that is not removed and has enough at stake that a slash takes something.
    function slashable(uint256 who) internal returns (address provider) {
        provider = present(who);
        if (staking.provider(provider).stake < WHOLE_STAKE) _stake(provider, 1_000 * WHOLE_STAKE);
    }

    function register() internal returns (address provider) {
        string memory name = string.concat("provider ", vm.toString(registered++));
        provider = makeAddr(name);
        fund(provider);
        (address signer, uint256 key) = makeAddrAndKey(string.concat("signer of ", name));
        signerKeys[provider] = key;
        vm.prank(provider);
        staking.register(signer, 1, uint32(registered), bytes32(uint256(1)), "local", "http://provider");
        providers.push(provider);
        for (uint256 i = providers.length - 1; i != 0 && providers[i - 1] > providers[i]; --i) {
            (providers[i - 1], providers[i]) = (providers[i], providers[i - 1]);
        }
        _stake(provider, 3_000 * WHOLE_STAKE);
    }
}
