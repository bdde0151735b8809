// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {Authority} from "../../contracts/Authority.sol";
import {BondedOperators} from "../../contracts/BondedOperators.sol";
import {ChallengeCourt} from "../../contracts/ChallengeCourt.sol";
import {Delegation} from "../../contracts/Delegation.sol";
import {DevToken} from "../../contracts/DevToken.sol";
import {EpochClock} from "../../contracts/EpochClock.sol";
import {EpochLedger} from "../../contracts/EpochLedger.sol";
import {Guardian} from "../../contracts/Guardian.sol";
import {JobEscrow} from "../../contracts/JobEscrow.sol";
import {ProviderStaking} from "../../contracts/ProviderStaking.sol";
import {SlashingCourt} from "../../contracts/SlashingCourt.sol";
import {IBondedOperators} from "../../contracts/interfaces/IBondedOperators.sol";
import {IEpochClock} from "../../contracts/interfaces/IEpochClock.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "../../contracts/interfaces/ISlashingCourt.sol";

/// @dev Shows which address the next contract will get.
contract Signpost {}

/// @notice All contracts, one provider and one customer, for proofs about every possible call.
/// @dev The prover numbers new contracts upwards from the first, so their addresses are known beforehand.
abstract contract Market is Test {
    DevToken internal stakeToken;
    DevToken internal paymentToken;
    Authority internal authority;
    Guardian internal guardian;
    EpochClock internal clock;
    EpochLedger internal ledger;
    ProviderStaking internal staking;
    Delegation internal delegation;
    JobEscrow internal escrow;
    BondedOperators internal verifiers;
    BondedOperators internal gateways;
    SlashingCourt internal court;
    ChallengeCourt internal challenges;

    address internal constant TREASURY = address(0x7777);
    address internal constant PROVIDER = address(0x1111);
    address internal constant CUSTOMER = address(0x2222);
    uint256 internal constant PLENTY = 1 << 100;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        stakeToken = new DevToken("Stake", "STK", 18);
        paymentToken = new DevToken("Payment", "PAY", 6);
        authority = new Authority(address(this));
        guardian = new Guardian(address(authority), 30);
        clock = new EpochClock(
            address(authority),
            IEpochClock.Config(1, 60, 4, 0),
            IEpochClock.Rules(940_000, 20_000, 20_000, 20_000, 5e6, 1e6, 2_000, 4),
            IEpochClock.Limits(type(uint96).max, 1e16, type(uint96).max, 100_000_000, 1_000_000)
        );
        address[8] memory at;
        uint160 last = uint160(address(new Signpost()));
        for (uint160 i = 0; i < 8; ++i) at[i] = address(last + 1 + i);
        _deployMoney(at);
        require(address(challenges) == at[7], "addresses are not as foretold");
        clock.open(uint64(block.timestamp));
        _fund(PROVIDER, address(staking), address(delegation));
        _fund(CUSTOMER, address(escrow), address(court));
    }

    function _deployMoney(address[8] memory at) private {
        (address stake, address payment) = (address(stakeToken), address(paymentToken));
        (address time, address pause) = (address(clock), address(guardian));
        ledger = new EpochLedger(time, payment, at[3], at[4], at[2], TREASURY, at[7], pause);
        staking = new ProviderStaking(
            stake, time, at[0], at[6], at[2], at[4], pause, IProviderStaking.Config(120, 200e18, 10, 600)
        );
        delegation = new Delegation(stake, payment, time, at[1], at[0], pause);
        escrow = new JobEscrow(payment, stake, time, at[0], at[6], pause, IJobEscrow.Config(130));
        IBondedOperators.Config memory bonds = IBondedOperators.Config(5_000e18, 5, 3, 2, 120);
        verifiers = new BondedOperators(stake, time, at[6], pause, bonds);
        gateways = new BondedOperators(stake, time, at[6], pause, bonds);
        court = new SlashingCourt(
            stake, at[1], at[3], at[0], at[4], at[7], address(authority), pause, ISlashingCourt.Config(6, 6, 6, 10e18)
        );
        challenges = new ChallengeCourt(at[0], at[1], at[6], at[4], at[5]);
    }

    function _fund(address who, address first, address second) private {
        stakeToken.mint(who, PLENTY);
        paymentToken.mint(who, PLENTY);
        vm.startPrank(who);
        stakeToken.approve(first, type(uint256).max);
        stakeToken.approve(second, type(uint256).max);
        paymentToken.approve(first, type(uint256).max);
        vm.stopPrank();
    }

    function _register() internal {
        vm.prank(PROVIDER);
        staking.register(address(0x3333), 0, 1, bytes32(uint256(1)), "local", "http://provider");
    }
}
