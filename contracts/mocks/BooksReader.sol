// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IBondedOperators} from "../interfaces/IBondedOperators.sol";
import {IDelegation} from "../interfaces/IDelegation.sol";
import {IEpochLedger} from "../interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../interfaces/IJobEscrow.sol";
import {IProviderStaking} from "../interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "../interfaces/ISlashingCourt.sol";

/// @notice Reads, in one call, what every contract holds and what its books say it holds. For tests alone.
contract BooksReader {
    struct Contracts {
        address stakeToken;
        address paymentToken;
        address staking;
        address delegation;
        address escrow;
        address verifiers;
        address gateways;
        address court;
        address ledger;
    }

    /// @notice Per contract and token: what is there, what is booked. Then customers' balances one by one and their total, how many are listed and
    /// how many there are, and the stake tokens of contracts that keep none, beside zero.
    function read(Contracts calldata c, address[] calldata keepNothing)
        external
        view
        returns (uint256[2][12] memory pairs, bool thawFits)
    {
        (IERC20 stake, IERC20 pay) = (IERC20(c.stakeToken), IERC20(c.paymentToken));
        IProviderStaking s = IProviderStaking(c.staking);
        IDelegation d = IDelegation(c.delegation);
        IJobEscrow e = IJobEscrow(c.escrow);
        pairs[0] = [stake.balanceOf(c.staking), s.totalStake() + s.totalUnbonding() + s.totalMatured()];
        pairs[1] = [stake.balanceOf(c.verifiers), IBondedOperators(c.verifiers).totalBonds()];
        pairs[2] = [stake.balanceOf(c.gateways), IBondedOperators(c.gateways).totalBonds()];
        pairs[3] = [stake.balanceOf(c.escrow), e.totalCompensation() + e.stakeSlaFund()];
        pairs[4] = [stake.balanceOf(c.delegation), d.totalDelegated() + d.totalUnbonding() + d.totalMatured()];
        ISlashingCourt court = ISlashingCourt(c.court);
        pairs[5] = [stake.balanceOf(c.court), court.totalBonds() + court.totalHarmed()];
        pairs[6] = [pay.balanceOf(c.escrow), e.totalBalances() + e.slaFund()];
        pairs[7] = [pay.balanceOf(c.delegation), d.totalRewards()];
        pairs[8] = [pay.balanceOf(c.ledger), _booked(c.ledger)];
        (pairs[9][0], pairs[10][0], thawFits) = _customers(e);
        (pairs[9][1], pairs[10][1]) = (e.totalBalances(), e.customerCount());
        for (uint256 i = 0; i < keepNothing.length; ++i) pairs[11][0] += stake.balanceOf(keepNothing[i]);
    }

    function _booked(address ledger) private view returns (uint256) {
        IEpochLedger.Books memory b = IEpochLedger(ledger).books();
        return b.pending + b.refunds + b.credits + b.pools + b.fees + b.incentives + b.owed + b.incentiveFund;
    }

    function _customers(IJobEscrow escrow) private view returns (uint256 sum, uint256 listed, bool thawFits) {
        (address[] memory addresses, IJobEscrow.CustomerView[] memory views) =
            escrow.customers(0, escrow.customerCount());
        listed = addresses.length;
        thawFits = true;
        for (uint256 i = 0; i < views.length; ++i) {
            sum += views[i].balance;
            if (views[i].thawing > views[i].balance) thawFits = false;
        }
    }
}
