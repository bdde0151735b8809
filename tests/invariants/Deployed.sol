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

/// @notice All contracts with a devnet's parameters, verifiers whose keys are known, and the clock running.
abstract contract Deployed is Test {
    uint256 internal constant WHOLE_STAKE = 1e18;
    uint256 internal constant WHOLE_PAYMENT = 1e6;
    uint256 internal constant VERIFIERS = 4;
    address internal constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    DevToken internal stakeToken;
    DevToken internal paymentToken;
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
    address internal treasury = makeAddr("treasury");

    /// @dev Private keys of the members of the set, in ascending order of their addresses.
    uint256[] internal verifierKeys;
    uint256 internal verifiersMade;

    function deploy() internal {
        stakeToken = new DevToken("Stake", "STK", 18);
        paymentToken = new DevToken("Payment", "PAY", 6);
        Authority authority = new Authority(address(this));
        guardian = new Guardian(address(authority), 30);
        clock = new EpochClock(
            address(authority),
            IEpochClock.Config(1, 60, 4, 0),
            IEpochClock.Rules(940_000, 20_000, 20_000, 20_000, uint128(5 * WHOLE_PAYMENT), 1e6, 2_000, 4),
            IEpochClock.Limits(type(uint96).max, 1e16, type(uint96).max, 100_000_000, 1_000_000)
        );
        _deployMoney(address(authority), vm.getNonce(address(this)));
        while (verifierKeys.length < VERIFIERS) addVerifier();
        clock.open(uint64(block.timestamp));
    }

    /// @dev The contracts that know each other: the n-th from here is created with the nonce `first + n`.
    function _deployMoney(address authority, uint64 first) private {
        address[8] memory at;
        for (uint64 i = 0; i < 8; ++i) at[i] = vm.computeCreateAddress(address(this), first + i);
        (address stake, address payment) = (address(stakeToken), address(paymentToken));
        (address time, address pause) = (address(clock), address(guardian));
        ledger = new EpochLedger(time, payment, at[3], at[4], at[2], treasury, at[7], pause);
        staking = new ProviderStaking(
            stake, time, at[0], at[6], at[2], at[4], pause,
            IProviderStaking.Config(120, uint128(200 * WHOLE_STAKE), 10, 600)
        );
        delegation = new Delegation(stake, payment, time, at[1], at[0], pause);
        escrow = new JobEscrow(payment, stake, time, at[0], at[6], pause, IJobEscrow.Config(130));
        IBondedOperators.Config memory bonds = IBondedOperators.Config(uint128(5_000 * WHOLE_STAKE), 5, 3, 2, 120);
        verifiers = new BondedOperators(stake, time, at[6], pause, bonds);
        gateways = new BondedOperators(stake, time, at[6], pause, bonds);
        court = new SlashingCourt(
            stake, at[1], at[3], at[0], at[4], at[7], authority, pause,
            ISlashingCourt.Config(6, 6, 6, uint128(10 * WHOLE_STAKE))
        );
        challenges = new ChallengeCourt(at[0], at[1], at[6], at[4], at[5]);
    }

    /// @dev Lets a fresh verifier join; its key is among `verifierKeys`.
    function addVerifier() internal {
        string memory name = string.concat("verifier ", vm.toString(verifiersMade++));
        (address verifier, uint256 key) = makeAddrAndKey(name);
        fund(verifier);
        vm.prank(verifier);
        verifiers.join("http://verifier");
        verifierKeys.push(key);
        for (uint256 i = verifierKeys.length - 1; i != 0; --i) {
            if (vm.addr(verifierKeys[i - 1]) < vm.addr(verifierKeys[i])) break;
            (verifierKeys[i - 1], verifierKeys[i]) = (verifierKeys[i], verifierKeys[i - 1]);
        }
    }

    /// @dev Forgets verifiers that were expelled and lets fresh ones join in their place.
    function replaceExpelled() internal {
        uint256 kept;
        for (uint256 i = 0; i < verifierKeys.length; ++i) {
            if (verifiers.isMember(vm.addr(verifierKeys[i]))) verifierKeys[kept++] = verifierKeys[i];
        }
        while (verifierKeys.length > kept) verifierKeys.pop();
        while (verifierKeys.length < VERIFIERS) addVerifier();
    }

    /// @dev Gives somebody more of both tokens than it can spend, and lets the contracts take them.
    function fund(address who) internal {
        stakeToken.mint(who, 1e40);
        paymentToken.mint(who, 1e30);
        vm.startPrank(who);
        address[6] memory takers = [
            address(staking), address(verifiers), address(gateways), address(escrow), address(delegation), address(court)
        ];
        for (uint256 i = 0; i < takers.length; ++i) stakeToken.approve(takers[i], type(uint256).max);
        paymentToken.approve(address(escrow), type(uint256).max);
        paymentToken.approve(address(ledger), type(uint256).max);
        vm.stopPrank();
    }
}
