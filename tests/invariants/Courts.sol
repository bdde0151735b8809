// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Settling} from "./Settling.sol";
import {IChallengeCourt} from "../../contracts/interfaces/IChallengeCourt.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "../../contracts/interfaces/ISlashingCourt.sol";

/// @notice Slashes on every way through the court, challenges of reports and slashes, and proofs against signers.
abstract contract Courts is Settling {
    mapping(address customer => uint256) public compensationWithdrawn;
    uint256 public providersLost;
    uint256 public burned;
    uint256 private _jobs;

    // ------------------------------------------------------------------------------------------------------- slashes

    function slash(uint256 who, uint256 code, uint256 seed) external counted {
        _slash(slashable(who), uint8(bound(code, 2, 8)), seed % 3 == 0 ? address(0) : customerAt(seed), seed);
    }

    /// @dev Half of the slashed have tried to run: all that is free of their stake is unbonding.
    function _slash(address provider, uint8 code, address harmed, uint256 seed) private {
        if (seed % 2 == 0) _unbond(provider, type(uint256).max);
        ISlashingCourt.Page memory page = _page(harmed, seed);
        uint256 id = _propose(provider, code, page, seed);
        vm.warp(court.slash(id).executableAt);
        if (court.slash(id).queued) court.release(id);
        _execute(provider, id);
        if (harmed != address(0)) _compensate(id, page);
    }

    function withdrawCompensation(uint256 who, uint256 seed) external counted {
        address customer = customerAt(who);
        while (escrow.customer(customer).compensation == 0) {
            _slash(slashable(seed), 7, customer, seed);
            unchecked {
                ++seed;
            }
        }
        uint256 due = escrow.customer(customer).compensation;
        uint256 before = stakeToken.balanceOf(customer);
        vm.startPrank(customer);
        uint256 paid = escrow.withdrawCompensation();
        try escrow.withdrawCompensation() {
            paidTwice = true;
        } catch {}
        vm.stopPrank();
        assertEq(paid, due);
        assertEq(stakeToken.balanceOf(customer) - before, paid);
        compensationWithdrawn[customer] += paid;
    }

    /// @dev The accused contests: the arbitrator upholds, overturns with or without blame, or keeps silent.
    function contestSlash(uint256 who, uint256 outcome, uint256 seed) external counted {
        address provider = slashable(who);
        uint256 id = _propose(provider, 7, _page(address(0), seed), seed);
        vm.prank(provider);
        court.contest(id, keccak256("reason"));
        outcome %= 4;
        if (outcome == 0) {
            court.rule(id, true, new address[](0));
            if (block.timestamp < court.slash(id).executableAt) vm.warp(court.slash(id).executableAt);
            if (court.slash(id).queued) court.release(id);
            _execute(provider, id);
            return;
        }
        // what matures while the ruling is awaited is out of reach without anybody having taken it
        if (outcome == 3) vm.warp(court.slash(id).ruleBy + 1);
        uint256 stakeBefore = _slashableOf(provider);
        if (outcome == 3) {
            court.lapse(id);
        } else {
            court.rule(id, false, outcome == 1 ? new address[](0) : signersOf[court.slash(id).epoch]);
            replaceExpelled();
        }
        assertEq(_slashableOf(provider), stakeBefore, "an overturned slash takes nothing");
        vm.warp(block.timestamp + 1 days);
        _refuseExecution(id);
    }

    function _propose(address provider, uint8 code, ISlashingCourt.Page memory page, uint256 seed)
        private
        returns (uint256 id)
    {
        bytes32 root = page.customers.length == 0 ? bytes32(0) : keccak256(abi.encode(keccak256(abi.encode(page))));
        uint64 epoch = settleDrawn(seed, Special(provider, code, 400_000, root, 0));
        (IEpochLedger.Leaf memory leaf, bytes32[] memory proof) = leafOf(epoch, provider);
        vm.startPrank(customerAt(seed >> 16));
        id = court.propose(epoch, leaf, proof);
        try court.propose(epoch, leaf, proof) {
            revert("a provider was accused twice of one epoch");
        } catch {}
        vm.stopPrank();
        assertEq(court.slash(id).harmed, root);
    }

    function _slashableOf(address provider) private view returns (uint256) {
        IProviderStaking.ProviderView memory p = staking.provider(provider);
        return p.stake + p.unbonding + delegation.pool(provider).delegated + delegation.pool(provider).unbonding;
    }

    function _execute(address provider, uint256 id) private {
        IProviderStaking.ProviderView memory before = staking.provider(provider);
        uint256 matured = staking.withdrawable(provider);
        uint256 burnedBefore = stakeToken.balanceOf(BURN_ADDRESS);
        uint256 there = _slashableOf(provider);
        uint256 taken = court.execute(id);
        _refuseExecution(id);
        IProviderStaking.ProviderView memory later = staking.provider(provider);
        assertEq(staking.withdrawable(provider), matured, "a slash never touches what has matured");
        assertEq(there - _slashableOf(provider), taken, "taken is what is missing");
        uint256 amount = court.slash(id).amount;
        assertEq(taken, there < amount ? there : amount, "all that is there, at most");
        assertLe(stakeToken.balanceOf(BURN_ADDRESS) - burnedBefore, taken * 3 / 10 + court.slash(id).bond);
        _bookLoss(provider, before.stake + before.unbonding - later.stake - later.unbonding, taken);
    }

    /// @dev Of what was taken, `own` was the provider's and the rest its delegators'.
    function _bookLoss(address provider, uint256 own, uint256 taken) private {
        slashedSeen[provider] += own;
        delegatedSlashed += taken - own;
        if (own < taken) {
            IProviderStaking.ProviderView memory p = staking.provider(provider);
            assertEq(p.stake + p.unbonding, 0, "delegators lose only when the provider has lost all");
        }
    }

    function _refuseExecution(uint256 id) private {
        try court.execute(id) {
            paidTwice = true;
        } catch {}
    }

    function _page(address harmed, uint256 seed) private view returns (ISlashingCourt.Page memory page) {
        if (harmed == address(0)) return page;
        page.pages = 1;
        (page.customers, page.weights) = (new address[](2), new uint128[](2));
        (page.customers[0], page.weights[0]) = (harmed, uint128(1 + seed % 1e9));
        (page.customers[1], page.weights[1]) = (customerAt(seed >> 8), uint128(1 + (seed >> 64) % 1e9));
        page.totalWeight = uint256(page.weights[0]) + page.weights[1];
    }

    function _compensate(uint256 id, ISlashingCourt.Page memory page) private {
        if (court.slash(id).harmedPart == 0) return;
        uint256 before = escrow.totalCompensation();
        court.compensate(id, page, new bytes32[](0));
        assertLe(escrow.totalCompensation() - before, court.slash(id).harmedPart, "no more than their part");
        assertEq(court.totalHarmed(), 0, "nothing stays with the court when all pages are in");
        try court.compensate(id, page, new bytes32[](0)) {
            paidTwice = true;
        } catch {}
    }

    // ---------------------------------------------------------------------------------------------------- challenges

    /// @dev A report says of a provider that was always up that it was down: before activation it is undone.
    function challengeReport(uint256 who, uint256 seed) external counted {
        activateAll();
        address provider = slashable(who);
        uint64 epoch = submitDrawn(seed, Special(provider, 4, 1_000_000, 0, 0));
        if (seed % 2 == 0) submitDrawn(seed >> 1, nobody);
        uint64 end = ledger.nextEpoch();
        uint256 bonds = verifiers.totalBonds();
        challenges.challengeLeaf(_target(epoch, provider));
        assertLt(verifiers.totalBonds(), bonds, "those who signed it lose a part of their bonds");
        returnAll(epoch, end);
        replaceExpelled();
    }

    /// @dev A slash rests on words from which another uptime follows: it is cancelled and the provider is paid.
    function challengeSlash(uint256 who, uint256 seed) external counted {
        address provider = slashable(who);
        activateAll();
        IChallengeCourt.Measured memory m = _alwaysUp(provider, ledger.nextEpoch());
        bytes32 root = challenges.measuredHash(ledger.nextEpoch(), m);
        uint64 epoch = settleDrawn(seed, Special(provider, 4, 400_000, 0, root));
        (IEpochLedger.Leaf memory leaf, bytes32[] memory proof) = leafOf(epoch, provider);
        vm.prank(customerAt(seed));
        uint256 id = court.propose(epoch, leaf, proof);
        uint256 before = _slashableOf(provider);
        uint256 held = stakeToken.balanceOf(provider);
        challenges.challengeComputation(_target(epoch, provider), m, new bytes32[](0));
        assertEq(_slashableOf(provider), before, "a slash that was proven wrong takes nothing");
        assertGe(stakeToken.balanceOf(provider), held, "the vindicated lose nothing");
        vm.warp(block.timestamp + 1 days);
        _refuseExecution(id);
        replaceExpelled();
    }

    function _target(uint64 epoch, address provider) private view returns (IChallengeCourt.Target memory t) {
        t.epoch = epoch;
        (t.leaf, t.leafProof) = leafOf(epoch, provider);
        t.signers = signersOf[epoch];
    }

    function _alwaysUp(address provider, uint64 epoch) private view returns (IChallengeCourt.Measured memory m) {
        m.provider = provider;
        m.duty[0] = (1 << 60) - 1;
        m.days_ = new IChallengeCourt.Day[](2);
        for (uint256 i = 0; i < 2; ++i) {
            m.days_[i].verifier = vm.addr(verifierKeys[i]);
            m.days_[i].up[0] = (1 << 60) - 1;
            ISlashingCourt.ProbeDay memory day = ISlashingCourt.ProbeDay(provider, epoch, m.days_[i].up, 0);
            m.days_[i].signature = _sign(verifierKeys[i], _dayHash(day));
        }
    }

    // -------------------------------------------------------------------------------------------------------- proofs

    /// @dev A verifier that signs two views of one provider and epoch loses its whole bond, once.
    function proveProbeDays(uint256 who, uint256 seed) external counted {
        uint256 key = verifierKeys[who % verifierKeys.length];
        ISlashingCourt.ProbeDay memory a;
        (a.provider, a.epoch, a.up[0]) = (providers[seed % providers.length], uint64(seed >> 200), 1);
        ISlashingCourt.ProbeDay memory b = ISlashingCourt.ProbeDay(a.provider, a.epoch, [uint256(2), 0, 0, 0, 0, 0], 0);
        (bytes memory sa, bytes memory sb) = (_sign(key, _dayHash(a)), _sign(key, _dayHash(b)));
        uint256 bonds = verifiers.totalBonds();
        court.proveProbeDays(a, sa, b, sb);
        assertEq(verifiers.totalBonds(), bonds - verifiers.bond(), "the whole bond");
        try court.proveProbeDays(b, sb, a, sa) {
            paidTwice = true;
        } catch {}
        replaceExpelled();
    }

    /// @dev A provider that signs two receipts for one attempt loses a quarter and is removed, at once.
    function proveReceipts(uint256 who, uint256 seed) external counted {
        address provider = slashable(who);
        ISlashingCourt.Receipt memory a;
        (a.job, a.provider, a.slot) = (bytes32(++_jobs), provider, uint64(block.timestamp - clock.genesis()));
        ISlashingCourt.Receipt memory b = abi.decode(abi.encode(a), (ISlashingCourt.Receipt));
        b.outputTokens = uint32(bound(seed, 1, type(uint32).max));
        uint256 key = signerKeys[provider];
        (bytes memory sa, bytes memory sb) = (_sign(key, _receiptHash(a)), _sign(key, _receiptHash(b)));
        IProviderStaking.ProviderView memory before = staking.provider(provider);
        uint256 there = _slashableOf(provider);
        uint256 id = court.proveReceipts(a, sa, b, sb);
        uint256 taken = there - _slashableOf(provider);
        assertEq(court.slash(id).taken, taken);
        IProviderStaking.ProviderView memory later = staking.provider(provider);
        assertTrue(later.status == IProviderStaking.Status.Removed, "removed for ever");
        _bookLoss(provider, before.stake + before.unbonding - later.stake - later.unbonding, taken);
        try court.proveReceipts(b, sb, a, sa) {
            paidTwice = true;
        } catch {}
    }

    function _sign(uint256 key, bytes32 structHash) private view returns (bytes memory) {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", ledger.domainSeparator(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _dayHash(ISlashingCourt.ProbeDay memory day) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("ProbeDay(address provider,uint64 epoch,uint256[6] up,uint256 histogram)"),
                day.provider,
                day.epoch,
                keccak256(abi.encodePacked(day.up)),
                day.histogram
            )
        );
    }

    function _receiptHash(ISlashingCourt.Receipt memory receipt) private pure returns (bytes32) {
        bytes32 kind = keccak256(
            "Receipt(bytes32 job,uint32 attempt,address provider,bytes32 model,uint64 slot,uint32 inputTokens,uint32 cachedTokens,uint32 outputTokens,uint32 ttftMs,uint32 itlUs,uint128 chargeAtto,bytes32 requestDigest,bytes32 responseDigest,uint8 status,bytes32 taken,uint8 attestationType,bytes32 attestation)"
        );
        return keccak256(bytes.concat(kind, abi.encode(receipt)));
    }
}
