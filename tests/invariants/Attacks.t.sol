// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Deployed} from "./Deployed.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";
import {IProviderStaking} from "../../contracts/interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "../../contracts/interfaces/ISlashingCourt.sol";
import {IChallengeCourt} from "../../contracts/interfaces/IChallengeCourt.sol";
import {Bounds} from "../../contracts/libraries/Bounds.sol";
import {Messages} from "../../contracts/libraries/Messages.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice Hashes what the contracts hash; the library takes calldata.
contract Reader {
    function receiptHash(ISlashingCourt.Receipt calldata r) external pure returns (bytes32) {
        return Messages.receipt(r);
    }

    function acceptanceHash(IChallengeCourt.Countersignature calldata c) external pure returns (bytes32) {
        return Messages.countersignature(c);
    }

    function dayHash(address about, uint64 epoch, uint256[6] calldata up, uint256 histogram)
        external
        pure
        returns (bytes32)
    {
        return Messages.probeDay(about, epoch, up, histogram);
    }
}

/// @notice Attacks that once succeeded, each by its whole way through the contracts.
contract Attacks is Deployed {
    Reader internal reader;
    address internal provider;
    uint256 internal signerKey;
    mapping(uint64 => bytes32) internal hashes;

    function setUp() public {
        deploy();
        reader = new Reader();
        provider = makeAddr("provider");
        address s;
        (s, signerKey) = makeAddrAndKey("provider signer");
        fund(provider);
        vm.startPrank(provider);
        staking.register(s, 0, 1, keccak256("offer"), "here", "http://provider");
        staking.stake(200 * WHOLE_STAKE);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------------------------------------------- tools

    function sign(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        bytes32 digest = MessageHashUtils.toTypedDataHash(ledger.domainSeparator(), structHash);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function signers() internal view returns (address[] memory list) {
        list = new address[](2);
        for (uint256 i = 0; i < 2; ++i) list[i] = vm.addr(verifierKeys[i]);
    }

    function submit(IEpochLedger.Report memory report) internal returns (bytes32 digest) {
        if (block.timestamp < clock.epochEnd(report.epoch)) vm.warp(clock.epochEnd(report.epoch));
        if (report.epoch != 0) report.previous = hashes[report.epoch - 1];
        report.evidence = bytes32(uint256(1));
        hashes[report.epoch] = ledger.structHash(report);
        digest = ledger.reportDigest(report);
        bytes[] memory signatures = new bytes[](2);
        for (uint256 i = 0; i < 2; ++i) signatures[i] = sign(verifierKeys[i], hashes[report.epoch]);
        ledger.submit(report, signatures);
    }

    function charge(string memory name, uint128 amount) internal returns (IJobEscrow.Charge[] memory list) {
        address who = makeAddr(name);
        fund(who);
        vm.startPrank(who);
        escrow.deposit(who, amount);
        escrow.setCap(amount);
        vm.stopPrank();
        list = new IJobEscrow.Charge[](1);
        list[0] = IJobEscrow.Charge(who, amount);
    }

    function leafOf(address who, uint8 level, uint24 uptime) internal pure returns (IEpochLedger.Leaf memory leaf) {
        leaf.provider = who;
        (leaf.uptimePpm, leaf.successPpm, leaf.verificationPpm, leaf.scorePpm) = (uptime, 1e6, 1e6, 5e5);
        (leaf.ttftP95Bucket, leaf.slashLevel, leaf.measured) = (255, level, true);
    }

    function packed(IEpochLedger.Leaf memory leaf) internal pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(leaf.provider, leaf.cumulativeFees, leaf.cumulativeIncentive),
            abi.encodePacked(leaf.uptimePpm, leaf.successPpm, leaf.verificationPpm, leaf.scorePpm),
            abi.encodePacked(leaf.ttftP95Bucket, leaf.strikes, leaf.standing, leaf.slashLevel, leaf.measured, bytes3(0))
        );
    }

    // ------------------------------------------------------------------------------------------------------- attacks

    function testAChunkThatWasNeverTakenIsNotRefundedOutOfWhatIsDueToOthers() public {
        IJobEscrow.Charge[] memory a = charge("a", 1000);
        IJobEscrow.Charge[] memory b = charge("b", 600);
        IJobEscrow.Charge[] memory c = charge("c", 5000);
        if (a[0].customer > b[0].customer) (a, b) = (b, a);
        // epoch 0: one chunk, charged to c, complete
        IEpochLedger.Report memory first;
        first.totals.charged = 5000;
        first.totals.slaFundIn = 5000;
        IEpochLedger.Movements memory m0;
        m0.charges = new bytes32[](1);
        m0.charges[0] = keccak256(abi.encode(c));
        first.movements = keccak256(abi.encode(m0));
        bytes32 digest0 = submit(first);
        ledger.takeCharges(0, m0, 0, c);
        // epoch 1: two chunks, of which one is taken
        IEpochLedger.Report memory second;
        second.epoch = 1;
        second.totals.charged = a[0].amount + b[0].amount;
        second.totals.slaFundIn = second.totals.charged;
        IEpochLedger.Movements memory m1;
        m1.charges = new bytes32[](2);
        m1.charges[0] = keccak256(abi.encode(a));
        m1.charges[1] = keccak256(abi.encode(b));
        second.movements = keccak256(abi.encode(m1));
        bytes32 digest1 = submit(second);
        ledger.takeCharges(1, m1, 0, a);

        vm.prank(address(challenges));
        ledger.cancel(0);
        assertEq(ledger.refundsDue(), 5000 + a[0].amount);
        ledger.refund(digest1, m1, 0, a);
        vm.expectRevert(abi.encodeWithSelector(IEpochLedger.AlreadyComplete.selector, 1));
        ledger.refund(digest1, m1, 1, b);
        ledger.refund(digest0, m0, 0, c);
        assertEq(ledger.refundsDue(), 0, "settlement can go on");
    }

    function receipts(address who, uint256 key, uint64 slot) internal view returns (
        ISlashingCourt.Receipt memory a, bytes memory sa, ISlashingCourt.Receipt memory b, bytes memory sb
    ) {
        a.job = keccak256(abi.encode(who, slot));
        a.provider = who;
        a.slot = slot;
        b = abi.decode(abi.encode(a), (ISlashingCourt.Receipt));
        b.outputTokens = 1;
        sa = sign(key, reader.receiptHash(a));
        sb = sign(key, reader.receiptHash(b));
    }

    function testWhoHasNoStakeCannotTripTheBreaker() public {
        address mallory = makeAddr("mallory");
        (address s, uint256 key) = makeAddrAndKey("mallory signer");
        vm.prank(mallory);
        staking.register(s, 5, 10_000, keccak256("offer"), "here", "http://m");
        (ISlashingCourt.Receipt memory a, bytes memory sa, ISlashingCourt.Receipt memory b, bytes memory sb) =
            receipts(mallory, key, 0);
        vm.prank(mallory);
        court.proveReceipts(a, sa, b, sb);
        (uint256 opened, uint256 limit) = court.breaker();
        assertLe(opened, limit, "every slash of seven days would be queued");
    }

    function testAProverIsNotPaidOutOfDelegatorsTokens() public {
        address dora = makeAddr("dora");
        fund(dora);
        vm.prank(dora);
        delegation.delegate(provider, 3_200 * WHOLE_STAKE);
        IProviderStaking.FeesAtRisk memory none;
        vm.prank(provider);
        staking.unbond(200 * WHOLE_STAKE, none);
        vm.warp(block.timestamp + 121);
        vm.prank(provider);
        staking.withdraw();
        address friend = makeAddr("friend of the provider");
        uint256 most = clock.currentEpoch();
        for (uint64 e = 0; e < most; ++e) {
            (ISlashingCourt.Receipt memory a, bytes memory sa, ISlashingCourt.Receipt memory b, bytes memory sb) =
                receipts(provider, signerKey, e * 60);
            vm.prank(friend);
            court.proveReceipts(a, sa, b, sb);
        }
        assertEq(stakeToken.balanceOf(friend), 0, "delegators would pay who shows their provider");
    }

    function testNobodyFillsTheYearsAheadWithWindowsThatOthersMustPass() public {
        uint64 latest = uint64(block.timestamp) + 90 days;
        vm.startPrank(provider);
        staking.declareMaintenance(latest - 1, latest);
        vm.expectRevert(
            abi.encodeWithSelector(
                Bounds.OutOfBounds.selector, "startsAt", latest + 1, block.timestamp + staking.noticeSeconds(), latest
            )
        );
        staking.declareMaintenance(latest + 1, latest + 2);
        vm.stopPrank();
    }

    function measuredOf(address who, bool down, uint256 days_)
        internal
        view
        returns (IChallengeCourt.Measured memory m)
    {
        m.provider = who;
        m.duty[0] = (1 << 60) - 1;
        m.days_ = new IChallengeCourt.Day[](days_);
        for (uint256 i = 0; i < days_; ++i) {
            m.days_[i].verifier = vm.addr(verifierKeys[i]);
            if (!down) m.days_[i].up[0] = (1 << 60) - 1;
            m.days_[i].signature = sign(verifierKeys[i], reader.dayHash(who, 0, m.days_[i].up, 0));
        }
    }

    /// @dev A report of one leaf, in force, and the slash it calls for.
    function openSlash(IEpochLedger.Leaf memory leaf, IChallengeCourt.Measured memory m) internal returns (uint256) {
        IEpochLedger.Report memory r;
        r.leafCount = 1;
        r.leaves = ledger.leafHash(0, leaf);
        r.measurements = challenges.measuredHash(0, m);
        IEpochLedger.Movements memory mv;
        mv.payees = keccak256(abi.encode(new IEpochLedger.Payee[](0)));
        r.movements = keccak256(abi.encode(mv));
        submit(r);
        bytes32[] memory roots = new bytes32[](1);
        roots[0] = r.leaves;
        ledger.publishLeaves(0, roots, 0, packed(leaf));
        vm.warp(block.timestamp + 5);
        ledger.activate(0, mv, new IEpochLedger.Payee[](0));
        address proposer = makeAddr("proposer");
        fund(proposer);
        vm.prank(proposer);
        return court.propose(0, leaf, new bytes32[](0));
    }

    function testAVerifiersBondDoesNotGoToTheProviderWhoseSlashItUndoes() public {
        address big = makeAddr("big");
        (address s,) = makeAddrAndKey("big signer");
        fund(big);
        vm.startPrank(big);
        staking.register(s, 5, 100, keccak256("offer"), "here", "http://b");
        staking.stake(staking.requiredStake(5, 100));
        vm.stopPrank();
        IEpochLedger.Leaf memory leaf = leafOf(big, 5, 0);
        IChallengeCourt.Measured memory m = measuredOf(big, true, 2);
        openSlash(leaf, m);

        uint256 before = stakeToken.balanceOf(big);
        ISlashingCourt.ProbeDay memory other;
        other.provider = big;
        other.up[0] = 1;
        bytes memory signature = sign(verifierKeys[0], reader.dayHash(big, 0, other.up, 0));
        challenges.challengeEquivocation(
            IChallengeCourt.Target(0, leaf, new bytes32[](0), signers()), m, new bytes32[](0), 0, other, signature
        );
        assertEq(stakeToken.balanceOf(big), before, "the two would undo any slash at no cost");
    }

    function testAReceiptThatAGatewayMakesUpDoesNotUndoASlashThatRestsOnSixtySlots() public {
        (address gateway, uint256 key) = makeAddrAndKey("gateway");
        fund(gateway);
        vm.prank(gateway);
        gateways.join("http://gateway");
        IChallengeCourt.Measured memory m = measuredOf(provider, true, 2);
        IChallengeCourt.Target memory target =
            IChallengeCourt.Target(0, leafOf(provider, 4, 0), new bytes32[](0), signers());
        uint256 id = openSlash(target.leaf, m);
        IChallengeCourt.Served[] memory shown = new IChallengeCourt.Served[](30);
        for (uint64 i = 0; i < 30; ++i) shown[i] = served(i, key);
        IChallengeCourt.Served[] memory one = new IChallengeCourt.Served[](1);
        one[0] = shown[0];
        vm.expectRevert(abi.encodeWithSelector(IChallengeCourt.LevelStands.selector, 4, 16_666));
        challenges.challengeServed(target, m, new bytes32[](0), one);
        challenges.challengeServed(target, m, new bytes32[](0), shown);
        assertEq(uint8(court.slash(id).stage), uint8(ISlashingCourt.Stage.Cancelled), "half an epoch is no level 4");
    }

    function served(uint64 slot, uint256 gatewayKey) internal view returns (IChallengeCourt.Served memory one) {
        (one.receipt.provider, one.receipt.slot) = (provider, slot);
        one.counter.receipt = reader.receiptHash(one.receipt);
        one.counter.slot = slot;
        one.signature = sign(signerKey, one.counter.receipt);
        one.countersignature = sign(gatewayKey, reader.acceptanceHash(one.counter));
    }

    function testTheBondOfOneVerifierBuysNobodyOutOfWhatTheOthersSaw() public {
        IChallengeCourt.Measured memory m = measuredOf(provider, true, 3);
        IEpochLedger.Leaf memory leaf = leafOf(provider, 4, 0);
        uint256 id = openSlash(leaf, m);
        ISlashingCourt.ProbeDay memory other;
        (other.provider, other.up[0]) = (provider, 1);
        bytes memory signature = sign(verifierKeys[0], reader.dayHash(provider, 0, other.up, 0));
        IChallengeCourt.Target memory target = IChallengeCourt.Target(0, leaf, new bytes32[](0), signers());
        vm.expectRevert(abi.encodeWithSelector(IChallengeCourt.LevelStands.selector, 4, 0));
        challenges.challengeEquivocation(target, m, new bytes32[](0), 0, other, signature);
        ISlashingCourt.ProbeDay memory own = ISlashingCourt.ProbeDay(provider, 0, m.days_[0].up, 0);
        court.proveProbeDays(other, signature, own, m.days_[0].signature);
        assertEq(uint8(court.slash(id).stage), uint8(ISlashingCourt.Stage.Open), "the bond is gone, the slash is not");
    }

    function testAProviderThatIsJailedForItsHardwareDoesNotComeBackUnmeasured() public {
        uint256 id = openSlash(leafOf(provider, 8, 1e6), measuredOf(provider, false, 2));
        vm.warp(court.slash(id).executableAt);
        if (court.slash(id).queued) court.release(id);
        court.execute(id);
        vm.startPrank(provider);
        staking.stake(200 * WHOLE_STAKE);
        uint64 from = clock.currentEpoch() + 1;
        vm.expectRevert(abi.encodeWithSelector(IProviderStaking.NotMeasuredSince.selector, provider, from));
        staking.unjail();
        vm.stopPrank();
    }

    function testNoPauseIsLongEnoughForStakeToLeaveBeforeItIsJudged() public {
        uint256 judged = clock.settlementSeconds() + court.challengeSeconds() + court.arbitrationSeconds();
        uint256 reach = judged + court.marginSeconds() + guardian.mostPauseSeconds();
        assertGe(staking.unbondingSeconds(), reach);
        assertGe(verifiers.unbondingSeconds(), reach);
        IProviderStaking.FeesAtRisk memory none;
        vm.prank(provider);
        staking.unbond(200 * WHOLE_STAKE, none);
        uint256 id = openSlash(leafOf(provider, 8, 1e6), measuredOf(provider, false, 2));
        vm.warp(court.slash(id).executableAt - 1);
        fund(address(this));
        court.contest(id, 0);
        vm.warp(court.slash(id).ruleBy - 1);
        court.rule(id, true, new address[](0));
        if (court.slash(id).queued) court.release(id);
        guardian.pause(guardian.mostPauseSeconds());
        vm.warp(guardian.pausedUntil());
        assertEq(court.execute(id), 20 * WHOLE_STAKE, "it is still there");
    }
}
