// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Reports} from "./Reports.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";

/// @notice Everything people can do with money, one function each, called in random order with random arguments.
/// @dev An act first brings about what it needs (somebody who unbonds must have stake), so that it always succeeds and
/// none is silently skipped; `tried` and `done` prove it. Each act checks what it moved.
contract Handler is Reports {
    mapping(bytes4 act => uint256) public tried;
    mapping(bytes4 act => uint256) public done;

    /// @dev What ever went in and came out, by account.
    mapping(address provider => uint256) public staked;
    mapping(address provider => uint256) public unstaked;
    mapping(address provider => uint256) public slashedSeen;
    mapping(address customer => uint256) public deposited;
    mapping(address customer => uint256) public withdrawn;
    mapping(address customer => uint256) public compensationWithdrawn;
    uint256 public feesClaimed;
    uint256 public incentivesClaimed;
    uint256 public burned;
    bool public paidTwice;

    address[] internal gatewayOperators;
    uint256 internal registered;

    modifier counted() {
        ++tried[msg.sig];
        _;
        ++done[msg.sig];
    }

    constructor() {
        deploy();
        for (uint256 i = 0; i < 4; ++i) _register();
        for (uint256 i = 0; i < 3; ++i) _addCustomer(makeAddr(string.concat("customer ", vm.toString(i))));
        for (uint256 i = 0; i < 2; ++i) {
            gatewayOperators.push(makeAddr(string.concat("gateway ", vm.toString(i))));
            fund(gatewayOperators[i]);
        }
    }

    // --------------------------------------------------------------------------------------------------------- stake

    function stake(uint256 who, uint256 amount) external counted {
        _stake(_present(who), bound(amount, 1, 1e24));
    }

    function _stake(address provider, uint256 amount) private {
        vm.prank(provider);
        staking.stake(amount);
        staked[provider] += amount;
    }

    function unbond(uint256 who, uint256 amount) external counted {
        _unbond(_present(who), amount);
    }

    function _unbond(address provider, uint256 amount) private returns (uint256) {
        if (staking.provider(provider).stake == 0) _stake(provider, bound(amount, 1, 1e24));
        if (staking.unbonds(provider).length == 10) vm.warp(block.timestamp + staking.unbondingSeconds());
        uint256 before = staking.provider(provider).stake;
        amount = bound(amount, 1, before);
        vm.prank(provider);
        staking.unbond(amount);
        assertEq(staking.provider(provider).stake, before - amount, "unbond moves exactly its amount");
        return amount;
    }

    function withdrawStake(uint256 who, uint256 amount) external counted {
        address provider = _present(who);
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

    // ---------------------------------------------------------------------------------------------------- customers

    function deposit(uint256 who, uint256 amount) external counted {
        _deposit(_customer(who), bound(amount, 1, 1e15));
    }

    function _deposit(address customer, uint256 amount) private {
        vm.prank(customer);
        escrow.deposit(customer, amount);
        deposited[customer] += amount;
    }

    function setCap(uint256 who, uint128 cap) external counted {
        address customer = _customer(who);
        uint64 running = ledger.currentEpoch();
        uint128 before = escrow.capFor(customer, running);
        vm.prank(customer);
        escrow.setCap(cap);
        assertEq(escrow.capFor(customer, running), cap > before ? cap : before, "a running epoch's cap never falls");
        assertEq(escrow.capFor(customer, running + 1), cap);
    }

    function requestWithdrawal(uint256 who, uint256 amount) external counted {
        _requestWithdrawal(_customer(who), amount);
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
        address customer = _customer(who);
        if (escrow.customer(customer).thawing == 0) _requestWithdrawal(customer, who);
        vm.prank(customer);
        escrow.cancelWithdrawal();
    }

    function withdraw(uint256 who, uint256 amount) external counted {
        address customer = _customer(who);
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

    function withdrawCompensation(uint256 who, uint256 seed) external counted {
        address customer = _customer(who);
        if (escrow.customer(customer).compensation == 0) _slash(_slashable(seed), 7, customer, seed);
        uint256 before = stakeToken.balanceOf(customer);
        vm.startPrank(customer);
        uint256 paid = escrow.withdrawCompensation();
        try escrow.withdrawCompensation() {
            paidTwice = true;
        } catch {}
        vm.stopPrank();
        assertEq(stakeToken.balanceOf(customer) - before, paid);
        compensationWithdrawn[customer] += paid;
    }

    function giveToFunds(uint256 who, uint256 amount) external counted {
        vm.startPrank(_customer(who));
        escrow.fundSla(bound(amount, 1, 1e12));
        escrow.fundSlaStake(bound(amount, 1, 1e24));
        ledger.fundIncentives(bound(amount, 1, 1e12));
        vm.stopPrank();
    }

    // ------------------------------------------------------------------------------------------------------- reports

    function submitReport(uint256 seed) external counted {
        submitDrawn(seed, address(0), 0, 0);
    }

    function activateReport(uint256 seed) external counted {
        if (ledger.nextActivation() == ledger.nextEpoch()) submitDrawn(seed, address(0), 0, 0);
        activateNext();
    }

    function claim(uint256 who, uint256 back, uint256 seed) external counted {
        address provider = providers[who % providers.length];
        if (ledger.nextActivation() == 0) settleDrawn(seed, address(0), 0, 0);
        uint64 newest = ledger.nextActivation() - 1;
        _claim(provider, newest - uint64(back % (newest + 1)));
        _claim(provider, newest);
    }

    /// @dev Claims if the leaf promises more than was claimed; a claim of nothing must be refused.
    function _claim(address provider, uint64 epoch) private {
        (IEpochLedger.Leaf memory leaf, bytes32[] memory proof) = leafOf(epoch, provider);
        if (leaf.provider == address(0)) return; // registered after that epoch
        uint256 fees = _above(leaf.cumulativeFees, ledger.claimedFees(provider));
        uint256 incentive = _above(leaf.cumulativeIncentive, ledger.claimedIncentive(provider));
        if (fees + incentive != 0) {
            uint256 before = paymentToken.balanceOf(provider);
            ledger.claim(leaf, epoch, proof);
            assertEq(paymentToken.balanceOf(provider) - before, fees + incentive, "a claim pays the rise");
            feesClaimed += fees;
            incentivesClaimed += incentive;
        }
        try ledger.claim(leaf, epoch, proof) {
            paidTwice = true;
        } catch {}
    }

    function claimOwed(uint256 seed) external counted {
        address payee = seed % 2 == 0 ? treasury : vm.addr(verifierKeys[0]);
        while (ledger.owed(payee) == 0) {
            vm.prank(customers[0]);
            escrow.setCap(type(uint128).max);
            _deposit(customers[0], 1e9);
            settleDrawn(seed, address(0), 0, 0);
            unchecked {
                ++seed; // a draw, not a number: the last one is followed by the first
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

    // --------------------------------------------------------------------------------------------------------- slash

    function slash(uint256 who, uint256 level, uint256 seed) external counted {
        address provider = _slashable(who);
        // half of the slashed have tried to run: all their stake is unbonding
        if (seed % 2 == 0) _unbond(provider, type(uint256).max);
        _slash(provider, uint8(bound(level, 2, 8)), seed % 3 == 0 ? address(0) : _customer(seed), seed);
    }

    /// @dev Settles an epoch with this level for this provider, proposes and executes; `harmed` zero for nobody.
    function _slash(address provider, uint8 level, address harmed, uint256 seed) private {
        (address[] memory people, uint128[] memory weights) = _harmed(harmed, seed);
        bytes32 digest = people.length == 0 ? bytes32(0) : keccak256(abi.encode(people, weights));
        uint64 epoch = settleDrawn(seed, provider, level, digest);
        (IEpochLedger.Leaf memory leaf, bytes32[] memory proof) = leafOf(epoch, provider);
        uint256 id = court.propose(epoch, leaf, proof, people, weights);
        try court.propose(epoch, leaf, proof, people, weights) {
            paidTwice = true;
        } catch {}
        vm.warp(block.timestamp + court.challengeSeconds());
        _execute(provider, id, people, weights);
    }

    function _execute(address provider, uint256 id, address[] memory people, uint128[] memory weights) private {
        IProviderStaking.ProviderView memory before = staking.provider(provider);
        uint256 matured = staking.withdrawable(provider);
        uint256 burnedBefore = stakeToken.balanceOf(BURN_ADDRESS);
        uint256 taken = court.execute(id, people, weights);
        try court.execute(id, people, weights) {
            paidTwice = true;
        } catch {}
        IProviderStaking.ProviderView memory later = staking.provider(provider);
        assertEq(staking.withdrawable(provider), matured, "a slash never touches what has matured");
        assertEq(before.stake + before.unbonding - later.stake - later.unbonding, taken, "taken is what is missing");
        assertEq(later.slashedTotal, before.slashedTotal + taken, "slashed total grows by what was taken");
        assertLe(taken, court.slash(id).amount);
        uint256 there = before.stake + before.unbonding;
        assertEq(taken, there < court.slash(id).amount ? there : court.slash(id).amount, "all that is there, at most");
        slashedSeen[provider] += taken;
        burned += stakeToken.balanceOf(BURN_ADDRESS) - burnedBefore;
    }

    function _harmed(address one, uint256 seed)
        private
        view
        returns (address[] memory people, uint128[] memory weights)
    {
        if (one == address(0)) return (people, weights);
        (people, weights) = (new address[](2), new uint128[](2));
        (people[0], weights[0]) = (one, uint128(1 + seed % 1e9));
        (people[1], weights[1]) = (_customer(seed >> 8), uint128(1 + (seed >> 64) % 1e9));
    }

    // ----------------------------------------------------------------------------------------------- bonds and time

    function joinAndLeave(uint256 who) external counted {
        address operator = gatewayOperators[who % gatewayOperators.length];
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

    function passTime(uint256 secondsLater) external counted {
        vm.warp(block.timestamp + bound(secondsLater, 1, 200));
    }

    // -------------------------------------------------------------------------------------------------------- people

    function _customer(uint256 who) private view returns (address) {
        return customers[who % customers.length];
    }

    /// @dev A provider that is not removed; registers one when all are.
    function _present(uint256 who) private returns (address) {
        for (uint256 i = 0; i < providers.length; ++i) {
            address provider = providers[(who % providers.length + i) % providers.length];
            if (staking.provider(provider).status != IProviderStaking.Status.Removed) return provider;
        }
        return _register();
    }

    /// @dev A provider that is not removed and has enough at stake that a slash takes something.
    function _slashable(uint256 who) private returns (address provider) {
        provider = _present(who);
        if (staking.provider(provider).stake < WHOLE_STAKE) _stake(provider, 1_000 * WHOLE_STAKE);
    }

    function _register() private returns (address provider) {
        provider = makeAddr(string.concat("provider ", vm.toString(registered++)));
        fund(provider);
        vm.prank(provider);
        staking.register(provider, 1, uint32(registered), bytes32(uint256(1)), "local", "http://provider");
        providers.push(provider);
        for (uint256 i = providers.length - 1; i != 0 && providers[i - 1] > providers[i]; --i) {
            (providers[i - 1], providers[i]) = (providers[i], providers[i - 1]);
        }
        _stake(provider, 3_000 * WHOLE_STAKE);
    }

    function _addCustomer(address customer) private {
        fund(customer);
        customers.push(customer);
        for (uint256 i = customers.length - 1; i != 0 && customers[i - 1] > customers[i]; --i) {
            (customers[i - 1], customers[i]) = (customers[i], customers[i - 1]);
        }
        _deposit(customer, 1e12);
        vm.prank(customer);
        escrow.setCap(1e10);
    }

    function _above(uint256 value, uint256 floor) private pure returns (uint256) {
        return value > floor ? value - floor : 0;
    }

    // ---------------------------------------------------------------------------------------------------------- books

    /// @dev Each of the following is one invariant, checked by `Money.t.sol` after every act.
    function checkTokensAreWhatTheBooksSay() external view {
        assertEq(
            stakeToken.balanceOf(address(staking)),
            staking.totalStake() + staking.totalUnbonding() + staking.totalMatured(),
            "staking"
        );
        assertEq(stakeToken.balanceOf(address(verifiers)), verifiers.totalBonds(), "verifiers");
        assertEq(stakeToken.balanceOf(address(gateways)), gateways.totalBonds(), "gateways");
        assertEq(
            stakeToken.balanceOf(address(escrow)), escrow.totalCompensation() + escrow.stakeSlaFund(), "escrow's stake"
        );
        assertEq(stakeToken.balanceOf(address(court)), 0, "court");
        assertEq(paymentToken.balanceOf(address(escrow)), escrow.totalBalances() + escrow.slaFund(), "escrow");
        IEpochLedger.Books memory b = ledger.books();
        assertEq(
            paymentToken.balanceOf(address(ledger)),
            b.pending + b.fees + b.incentives + b.owed + b.incentiveFund,
            "ledger"
        );
    }

    function checkProvidersAddUp() external view {
        uint256 stakes;
        uint256 leaving;
        uint256 slashed;
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
            slashed += p.slashedTotal;
        }
        assertEq(stakes, staking.totalStake());
        assertEq(leaving, staking.totalUnbonding() + staking.totalMatured());
        assertLe(burned, slashed * 3 / 10, "three tenths are burned, rounded down");
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
        for (uint256 i = 0; i < providers.length; ++i) {
            assertLe(ledger.claimedFees(providers[i]), cumulativeFees[providers[i]], "nobody above its leaf");
            assertLe(ledger.claimedIncentive(providers[i]), cumulativeIncentive[providers[i]]);
        }
    }
}
