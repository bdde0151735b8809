// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Customers} from "./Customers.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";

/// @notice What anybody does with reports, and what is claimed from them.
abstract contract Settling is Customers {
    uint256 public feesClaimed;
    uint256 public incentivesClaimed;

    function submitReport(uint256 seed) external counted {
        submitDrawn(seed, nobody);
    }

    function activateReport(uint256 seed) external counted {
        if (ledger.nextActivation() == ledger.nextEpoch()) submitDrawn(seed, nobody);
        activateNext();
    }

    /// @dev A report whose charges nobody brings in is cancelled by a stranger, and the reports before it stand.
    function abandonReport(uint256 seed) external counted {
        uint64 epoch = submitIncomplete(seed);
        try ledger.cancel(epoch) {
            revert("a report was cancelled before its time");
        } catch {}
        vm.warp(block.timestamp + clock.activationDelay() + 1);
        uint256 fund = ledger.incentiveFund();
        IEpochLedger.Totals memory t = ledger.record(epoch).totals;
        ledger.cancel(epoch);
        assertEq(ledger.incentiveFund(), fund + t.incentive + t.pools, "what it reserved is free again");
        returnAll(epoch, epoch + 1);
    }

    function claim(uint256 who, uint256 back, uint256 seed) external counted {
        address provider = providers[who % providers.length];
        if (ledger.nextActivation() == 0) settleDrawn(seed, nobody);
        uint64 newest = ledger.nextActivation() - 1;
        _claim(provider, newest - uint64(back % (newest + 1)));
        _claim(provider, newest);
    }

    /// @dev Claims if the leaf promises more than was claimed; a claim of nothing must be refused.
    function _claim(address provider, uint64 epoch) private {
        (IEpochLedger.Leaf memory leaf, bytes32[] memory proof) = leafOf(epoch, provider);
        if (leaf.provider == address(0)) return; // registered after that epoch
        uint256 fees = above(leaf.cumulativeFees, ledger.claimedFees(provider));
        uint256 incentive = above(leaf.cumulativeIncentive, ledger.claimedIncentive(provider));
        if (fees + incentive != 0) {
            uint256 before = paymentToken.balanceOf(provider);
            ledger.claim(epoch, _words(leaf), proof);
            assertEq(paymentToken.balanceOf(provider) - before, fees + incentive, "a claim pays the rise");
            feesClaimed += fees;
            incentivesClaimed += incentive;
        }
        try ledger.claim(epoch, _words(leaf), proof) {
            paidTwice = true;
        } catch {}
    }

    function _words(IEpochLedger.Leaf memory leaf) private pure returns (bytes32[2] memory words) {
        words = abi.decode(packed(leaf), (bytes32[2]));
    }

    function claimOwed(uint256 seed) external counted {
        address payee = seed % 2 == 0 ? treasury : vm.addr(verifierKeys[0]);
        while (ledger.owed(payee) == 0) {
            if (seed % 2 != 0) payee = vm.addr(verifierKeys[0]); // the set may have changed
            _makeChargeable();
            settleDrawn(seed, nobody);
            unchecked {
                seed += 2; // a draw, not a number: the last one is followed by the first
            }
        }
        uint256 before = paymentToken.balanceOf(payee);
        uint256 due = ledger.owed(payee);
        vm.startPrank(payee);
        ledger.claimOwed();
        try ledger.claimOwed() {
            paidTwice = true;
        } catch {}
        vm.stopPrank();
        assertEq(paymentToken.balanceOf(payee) - before, due);
    }

    function claimRewards(uint256 who, uint256 seed) external counted {
        address delegator = delegatorAt(who);
        address provider = active(seed);
        if (delegation.position(provider, delegator).amount == 0) _delegate(delegator, provider, seed);
        if (delegation.position(provider, delegator).rewards == 0) {
            vm.prank(customers[0]);
            ledger.fundIncentives(1e9);
            favoured = provider;
            settleDrawn(seed, nobody);
            delete favoured;
        }
        if (delegation.position(provider, delegator).rewards == 0) {
            // the delegator holds too little of the pool for a whole unit
            assertLt(delegation.position(provider, delegator).shares, delegation.pool(provider).shares / 1e6);
            return;
        }
        uint256 before = paymentToken.balanceOf(delegator);
        vm.startPrank(delegator);
        uint256 paid = delegation.claimRewards(provider);
        try delegation.claimRewards(provider) {
            paidTwice = true;
        } catch {}
        vm.stopPrank();
        assertEq(paymentToken.balanceOf(delegator) - before, paid);
        rewardsClaimed += paid;
    }

    function above(uint256 value, uint256 floor) internal pure returns (uint256) {
        return value > floor ? value - floor : 0;
    }
}
