// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Market} from "./Market.sol";
import {IEpochClock} from "../../contracts/interfaces/IEpochClock.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";

/// @notice What one contract alone may ask of another is refused to every other caller, with whatever arguments.
contract AccessProof is Market {
    function _refused(address who, address target, bytes memory data) private {
        vm.prank(who);
        (bool ok,) = target.call(data);
        assert(!ok);
    }

    function check_nobody_but_the_court_slashes_stake(address who, uint256 amount, uint8 consequence) external {
        vm.assume(who != address(court) && consequence <= uint8(type(IProviderStaking.Consequence).max));
        _register();
        IProviderStaking.Consequence what = IProviderStaking.Consequence(consequence);
        _refused(who, address(staking), abi.encodeCall(staking.slash, (PROVIDER, amount, what)));
    }

    function check_nobody_but_staking_slashes_delegation(address who, uint256 amount, address to) external {
        vm.assume(who != address(staking));
        _refused(who, address(delegation), abi.encodeCall(delegation.slash, (PROVIDER, amount, to)));
    }

    function check_nobody_but_the_court_takes_bonds(address who, address operator, uint256 ppm) external {
        vm.assume(who != address(court));
        _refused(who, address(verifiers), abi.encodeCall(verifiers.slash, (operator, ppm)));
        _refused(who, address(gateways), abi.encodeCall(gateways.slash, (operator, ppm)));
    }

    function check_nobody_but_the_ledger_charges_customers(address who, uint64 epoch, address customer, uint128 amount)
        external
    {
        vm.assume(who != address(ledger));
        IJobEscrow.Charge[] memory charges = new IJobEscrow.Charge[](1);
        charges[0] = IJobEscrow.Charge(customer, amount);
        _refused(who, address(escrow), abi.encodeCall(escrow.charge, (epoch, charges)));
        _refused(who, address(escrow), abi.encodeCall(escrow.returnCharges, (epoch, charges)));
    }

    function check_nobody_but_the_ledger_credits_customers(address who, address customer, uint128 amount) external {
        vm.assume(who != address(ledger));
        IJobEscrow.Credit[] memory credits = new IJobEscrow.Credit[](1);
        credits[0] = IJobEscrow.Credit(customer, PROVIDER, amount);
        _refused(who, address(escrow), abi.encodeCall(escrow.credit, (credits)));
    }

    function check_nobody_but_the_ledger_moves_the_sla_fund(address who, uint256 inflow, uint256 outflow) external {
        vm.assume(who != address(ledger));
        _refused(who, address(escrow), abi.encodeCall(escrow.settleFund, (inflow, outflow)));
    }

    function check_nobody_but_the_court_compensates(address who, address customer, uint256 amount) external {
        vm.assume(who != address(court));
        address[] memory customers = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (customers[0], amounts[0]) = (customer, amount);
        _refused(who, address(escrow), abi.encodeCall(escrow.compensate, (customers, amounts)));
    }

    function check_nobody_but_the_ledger_rewards_delegators(address who, address provider, uint128 amount) external {
        vm.assume(who != address(ledger));
        IEpochLedger.Pool[] memory pools = new IEpochLedger.Pool[](1);
        pools[0] = IEpochLedger.Pool(provider, amount);
        _refused(who, address(delegation), abi.encodeCall(delegation.reward, (pools)));
    }

    function check_nobody_but_the_challenge_court_cancels_a_slash(address who, uint256 id, address prover) external {
        vm.assume(who != address(challenges));
        _refused(who, address(court), abi.encodeCall(court.cancel, (id, prover)));
    }

    function check_nobody_but_the_challenge_court_punishes_signers(
        address who,
        uint64 epoch,
        address signer,
        uint256 ppm,
        uint256 lost
    ) external {
        vm.assume(who != address(challenges));
        address[] memory signers = new address[](1);
        signers[0] = signer;
        _refused(who, address(court), abi.encodeCall(court.punish, (epoch, signers, ppm, who, lost, who)));
    }

    function check_nobody_cancels_a_report_that_is_not_there(address who, uint64 epoch) external {
        _refused(who, address(ledger), abi.encodeCall(ledger.cancel, (epoch)));
    }

    function check_nobody_without_the_role_rules_or_releases(address who, uint256 id, bool upheld) external {
        vm.assume(who != address(this));
        _refused(who, address(court), abi.encodeCall(court.rule, (id, upheld, new address[](0))));
        _refused(who, address(court), abi.encodeCall(court.release, (id)));
    }

    function check_nobody_without_the_role_pauses(address who, uint64 seconds_) external {
        vm.assume(who != address(this));
        _refused(who, address(guardian), abi.encodeCall(guardian.pause, (seconds_)));
        _refused(who, address(guardian), abi.encodeCall(guardian.unpause, ()));
    }

    function check_nobody_without_the_role_sets_rules_or_limits(
        address who,
        IEpochClock.Rules calldata rules,
        IEpochClock.Limits calldata limits
    ) external {
        vm.assume(who != address(this));
        _refused(who, address(clock), abi.encodeCall(clock.setRules, (rules)));
        _refused(who, address(clock), abi.encodeCall(clock.setLimits, (limits)));
    }
}
