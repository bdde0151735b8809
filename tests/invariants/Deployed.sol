// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {Authority} from "../../contracts/Authority.sol";
import {BondedOperators} from "../../contracts/BondedOperators.sol";
import {DevToken} from "../../contracts/DevToken.sol";
import {EpochLedger} from "../../contracts/EpochLedger.sol";
import {JobEscrow} from "../../contracts/JobEscrow.sol";
import {ProviderStaking} from "../../contracts/ProviderStaking.sol";
import {SlashingCourt} from "../../contracts/SlashingCourt.sol";
import {IBondedOperators} from "../../contracts/interfaces/IBondedOperators.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "../../contracts/interfaces/ISlashingCourt.sol";

/// @notice All contracts with a devnet's parameters, three verifiers whose keys are known, and the clock running.
abstract contract Deployed is Test {
    uint256 internal constant WHOLE_STAKE = 1e18;
    uint256 internal constant WHOLE_PAYMENT = 1e6;
    address internal constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    DevToken internal stakeToken;
    DevToken internal paymentToken;
    EpochLedger internal ledger;
    ProviderStaking internal staking;
    JobEscrow internal escrow;
    BondedOperators internal verifiers;
    BondedOperators internal gateways;
    SlashingCourt internal court;
    address internal treasury = makeAddr("treasury");

    /// @dev Private keys in ascending order of their addresses.
    uint256[] internal verifierKeys;

    function deploy() internal {
        stakeToken = new DevToken("Stake", "STK", 18);
        paymentToken = new DevToken("Payment", "PAY", 6);
        Authority authority = new Authority(address(this));
        uint64 nonce = vm.getNonce(address(this));
        address escrowAt = vm.computeCreateAddress(address(this), nonce + 2);
        address courtAt = vm.computeCreateAddress(address(this), nonce + 5);
        ledger = new EpochLedger(
            address(paymentToken),
            escrowAt,
            vm.computeCreateAddress(address(this), nonce + 3),
            treasury,
            address(authority),
            IEpochLedger.Config(1, 60, 4, 0),
            IEpochLedger.Rules(940_000, 20_000, 20_000, 20_000, uint128(5 * WHOLE_PAYMENT), 1e6, 2_000, 4)
        );
        address at = address(ledger);
        staking = new ProviderStaking(
            address(stakeToken), at, courtAt, IProviderStaking.Config(120, uint128(200 * WHOLE_STAKE))
        );
        escrow = new JobEscrow(address(paymentToken), address(stakeToken), at, courtAt, IJobEscrow.Config(130));
        IBondedOperators.Config memory bonds =
            IBondedOperators.Config(uint128(5_000 * WHOLE_STAKE), 3, 3, 2, 120);
        verifiers = new BondedOperators(address(stakeToken), at, bonds);
        gateways = new BondedOperators(address(stakeToken), at, bonds);
        court = new SlashingCourt(
            address(stakeToken), address(staking), address(escrow), at, ISlashingCourt.Config(6)
        );
        for (uint256 i = 0; i < 3; ++i) {
            (address verifier, uint256 key) = makeAddrAndKey(string.concat("verifier ", vm.toString(i)));
            _insertKey(key);
            fund(verifier);
            vm.prank(verifier);
            verifiers.join("http://verifier");
        }
        ledger.open(uint64(block.timestamp));
    }

    /// @dev Gives somebody more of both tokens than it can spend, and lets the contracts take them.
    function fund(address who) internal {
        stakeToken.mint(who, 1e40);
        paymentToken.mint(who, 1e30);
        vm.startPrank(who);
        stakeToken.approve(address(staking), type(uint256).max);
        stakeToken.approve(address(verifiers), type(uint256).max);
        stakeToken.approve(address(gateways), type(uint256).max);
        stakeToken.approve(address(escrow), type(uint256).max);
        paymentToken.approve(address(escrow), type(uint256).max);
        paymentToken.approve(address(ledger), type(uint256).max);
        vm.stopPrank();
    }

    function _insertKey(uint256 key) private {
        verifierKeys.push(key);
        for (uint256 i = verifierKeys.length - 1; i != 0; --i) {
            if (vm.addr(verifierKeys[i - 1]) < vm.addr(verifierKeys[i])) break;
            (verifierKeys[i - 1], verifierKeys[i]) = (verifierKeys[i], verifierKeys[i - 1]);
        }
    }
}
