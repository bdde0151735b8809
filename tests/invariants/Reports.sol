// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Deployed} from "./Deployed.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";

/// @notice Draws reports that are correct by the rules of settlement, brings them in, activates and cancels them, and
/// keeps what was promised to whom.
abstract contract Reports is Deployed {
    /// @dev A report with everything it moves.
    struct Drawn {
        IEpochLedger.Report report;
        IEpochLedger.Leaf[] leaves;
        IJobEscrow.Charge[] charges;
        IJobEscrow.Credit[] credits;
        IEpochLedger.Pool[] pools;
        IEpochLedger.Payee[] payees;
    }

    /// @dev Somebody whose leaf is to be special: its slash level, uptime, harmed root and what was measured of it.
    struct Special {
        address provider;
        uint8 level;
        uint24 uptimePpm;
        bytes32 harmed;
        bytes32 measured;
    }

    struct Cumulative {
        uint96 fees;
        uint96 incentive;
    }

    /// @dev Ascending, as leaves are.
    address[] internal providers;
    address[] internal customers;

    /// @dev Struct hash of every report in force or waiting.
    mapping(uint64 epoch => bytes32) internal structHashOf;
    mapping(uint64 epoch => bytes) internal drawnOf;
    mapping(uint64 epoch => address[]) internal signersOf;

    /// @dev By the newest report, in force or waiting.
    mapping(address provider => Cumulative) internal cumulative;

    mapping(address customer => uint256) public charged;
    mapping(address customer => uint256) public credited;
    uint256 public feesActivated;
    uint256 public incentiveActivated;
    uint256 public poolsPushed;

    Special internal nobody;

    /// @dev Whose delegators get all that an epoch has for delegators; zero to draw it.
    address internal favoured;

    /// @dev Brings in the next report: charges drawn within caps and balances, fees by drawn weights, credits out of
    /// fees and fund, incentives and pools out of theirs. `seed` decides whether one transaction does it.
    function submitDrawn(uint256 seed, Special memory special) internal returns (uint64 epoch) {
        Drawn memory d = _draw(seed, special);
        epoch = _handIn(d, seed);
        IEpochLedger.Movements memory m = _movements(d);
        if (d.leaves.length != 0) {
            ledger.publishLeaves(epoch, _one(d.report.leaves), 0, _packed(d.leaves));
        }
        if (d.charges.length != 0) ledger.takeCharges(epoch, m, 0, d.charges);
        for (uint256 i = 0; i < d.charges.length; ++i) charged[d.charges[i].customer] += d.charges[i].amount;
        assertGt(ledger.record(epoch).completedAt, 0, "a report with all its chunks is complete");
    }

    /// @dev Brings in the signed part alone, with leaves but without charges: the report stays incomplete.
    function submitIncomplete(uint256 seed) internal returns (uint64 epoch) {
        Drawn memory d = _draw(seed, nobody);
        while (d.charges.length == 0) {
            _makeChargeable();
            unchecked {
                d = _draw(++seed, nobody);
            }
        }
        epoch = _handIn(d, seed);
        if (seed % 2 == 0) ledger.publishLeaves(epoch, _one(d.report.leaves), 0, _packed(d.leaves));
    }

    /// @dev Gives somebody a balance and a cap.
    function _makeChargeable() internal virtual;

    function _handIn(Drawn memory d, uint256 seed) private returns (uint64 epoch) {
        epoch = d.report.epoch;
        if (block.timestamp < clock.epochEnd(epoch)) vm.warp(clock.epochEnd(epoch));
        bytes32 digest = ledger.reportDigest(d.report);
        bytes[] memory signatures = new bytes[](2);
        delete signersOf[epoch];
        uint256 absent = seed % (verifierKeys.length - 1);
        for (uint256 i = 0; i < 2; ++i) {
            uint256 key = verifierKeys[i >= absent ? i + 1 : i];
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
            signatures[i] = abi.encodePacked(r, s, v);
            signersOf[epoch].push(vm.addr(key));
        }
        ledger.submit(d.report, signatures);
        structHashOf[epoch] = ledger.structHash(d.report);
        drawnOf[epoch] = abi.encode(d);
        _keepCumulative();
    }

    function activateNext() internal returns (uint64 epoch) {
        epoch = ledger.nextActivation();
        uint64 at = ledger.record(epoch).activatesAt;
        if (block.timestamp < at) vm.warp(at);
        Drawn memory d = abi.decode(drawnOf[epoch], (Drawn));
        IEpochLedger.Movements memory m = _movements(d);
        ledger.activate(epoch, m, d.payees);
        if (d.credits.length != 0) ledger.pushCredits(epoch, m, 0, d.credits);
        if (d.pools.length != 0) ledger.pushPools(epoch, m, 0, d.pools);
        for (uint256 i = 0; i < d.credits.length; ++i) credited[d.credits[i].customer] += d.credits[i].amount;
        feesActivated += d.report.totals.providerFees;
        incentiveActivated += d.report.totals.incentive;
        poolsPushed += d.report.totals.pools;
    }

    function settleDrawn(uint256 seed, Special memory special) internal returns (uint64 epoch) {
        epoch = submitDrawn(seed, special);
        while (ledger.nextActivation() <= epoch) activateNext();
    }

    /// @dev Makes sure that nothing waits for activation.
    function activateAll() internal {
        while (ledger.nextActivation() < ledger.nextEpoch()) activateNext();
    }

    /// @dev After `epoch` and what stood behind it were cancelled: returns all charges and forgets the reports.
    function returnAll(uint64 epoch, uint64 end) internal {
        for (uint64 e = epoch; e < end; ++e) {
            Drawn memory d = abi.decode(drawnOf[e], (Drawn));
            bytes32 digest = ledger.reportDigest(d.report);
            uint256 due = ledger.refundsDue();
            if (d.charges.length != 0 && due != 0) {
                IEpochLedger.Movements memory m = _movements(d);
                try ledger.refund(digest, m, 0, d.charges) {
                    for (uint256 i = 0; i < d.charges.length; ++i) {
                        charged[d.charges[i].customer] -= d.charges[i].amount;
                    }
                } catch {
                    // an incomplete report took nothing
                }
                try ledger.refund(digest, m, 0, d.charges) {
                    revert("a charge was returned twice");
                } catch {}
            }
        }
        assertEq(ledger.refundsDue(), 0, "everything that was charged came back");
        assertEq(ledger.nextEpoch(), epoch, "the epoch can be reported anew");
        _keepCumulative();
    }

    /// @dev A provider's leaf in a report and its proof.
    function leafOf(uint64 epoch, address provider)
        internal
        view
        returns (IEpochLedger.Leaf memory leaf, bytes32[] memory proof)
    {
        IEpochLedger.Leaf[] memory leaves = abi.decode(drawnOf[epoch], (Drawn)).leaves;
        bytes32[] memory nodes = _nodes(epoch, leaves);
        for (uint256 i = 0; i < leaves.length; ++i) {
            if (leaves[i].provider == provider) return (leaves[i], _proof(nodes, i));
        }
    }

    /// @dev Takes what the leaves of the newest report say as each provider's cumulative amounts.
    function _keepCumulative() private {
        for (uint256 i = 0; i < providers.length; ++i) delete cumulative[providers[i]];
        uint64 next = ledger.nextEpoch();
        if (next == 0) return;
        IEpochLedger.Leaf[] memory leaves = abi.decode(drawnOf[next - 1], (Drawn)).leaves;
        for (uint256 i = 0; i < leaves.length; ++i) {
            cumulative[leaves[i].provider] = Cumulative(leaves[i].cumulativeFees, leaves[i].cumulativeIncentive);
        }
    }

    /// @dev What waiting reports will move in the SLA fund.
    function pendingFund() internal view returns (uint256 inflow, uint256 outflow) {
        for (uint64 e = ledger.nextActivation(); e < ledger.nextEpoch(); ++e) {
            IEpochLedger.Totals memory t = ledger.record(e).totals;
            inflow += t.slaFundIn;
            outflow += t.creditsFromFund;
        }
    }

    // ------------------------------------------------------------------------------------------------------- drawing

    function _draw(uint256 seed, Special memory special) private view returns (Drawn memory d) {
        d.report.epoch = ledger.nextEpoch();
        if (d.report.epoch != 0) d.report.previous = structHashOf[d.report.epoch - 1];
        d.report.evidence = keccak256(abi.encode("evidence", d.report.epoch, seed));
        _drawCharges(d, seed);
        _drawShares(d, seed);
        _drawIncentive(d, seed);
        _mark(d, special);
        d.report.leafCount = uint32(d.leaves.length);
        d.report.leaves = _root(_nodes(d.report.epoch, d.leaves));
        d.report.movements = keccak256(abi.encode(_movements(d)));
    }

    function _mark(Drawn memory d, Special memory special) private pure {
        d.report.measurements = special.measured;
        for (uint256 i = 0; i < d.leaves.length; ++i) {
            if (d.leaves[i].provider != special.provider) continue;
            d.leaves[i].slashLevel = special.level;
            d.leaves[i].uptimePpm = special.uptimePpm;
            if (special.harmed == 0) continue;
            d.report.harms = new IEpochLedger.Harm[](1);
            d.report.harms[0] = IEpochLedger.Harm(special.provider, special.harmed);
        }
    }

    function _drawCharges(Drawn memory d, uint256 seed) private view {
        IJobEscrow.Charge[] memory all = new IJobEscrow.Charge[](customers.length);
        uint256 count;
        for (uint256 i = 0; i < customers.length; ++i) {
            uint256 most = escrow.customer(customers[i]).balance;
            uint256 cap = escrow.capFor(customers[i], d.report.epoch);
            uint256 amount = draw(seed, i, most < cap ? most : cap);
            if (amount == 0) continue;
            all[count++] = IJobEscrow.Charge(customers[i], uint128(amount));
            d.report.totals.charged += uint128(amount);
        }
        d.charges = new IJobEscrow.Charge[](count);
        for (uint256 i = 0; i < count; ++i) d.charges[i] = all[i];
    }

    function _drawShares(Drawn memory d, uint256 seed) private view {
        d.leaves = new IEpochLedger.Leaf[](providers.length);
        IJobEscrow.Credit[] memory all = new IJobEscrow.Credit[](providers.length);
        uint256 count;
        for (uint256 i = 0; i < providers.length; ++i) {
            IJobEscrow.Credit memory given = _drawLeaf(d, seed, i);
            if (given.amount != 0) all[count++] = given;
        }
        d.credits = new IJobEscrow.Credit[](count);
        for (uint256 i = 0; i < count; ++i) d.credits[i] = all[i];

        IEpochLedger.Totals memory t = d.report.totals;
        uint128 fee = uint128(uint256(t.charged) / 50);
        (t.verifierFees, t.treasury) = (fee, fee);
        d.payees = new IEpochLedger.Payee[](fee == 0 ? 0 : 1);
        if (fee != 0) d.payees[0] = IEpochLedger.Payee(vm.addr(verifierKeys[0]), fee);
        t.slaFundIn = t.charged + t.creditsFromFund - t.providerFees - t.verifierFees - t.treasury - t.credits;
    }

    /// @dev One provider's line: its fees are cut by a credit of which the fund may bear a part.
    function _drawLeaf(Drawn memory d, uint256 seed, uint256 i) private view returns (IJobEscrow.Credit memory) {
        IEpochLedger.Totals memory t = d.report.totals;
        uint128 earned =
            uint128(draw(seed, 100 + i, uint256(t.charged) * 940_000 / 1_000_000 / providers.length));
        uint128 cut = uint128(draw(seed, 200 + i, earned));
        (uint256 inflow, uint256 outflow) = pendingFund();
        uint256 fund = escrow.slaFund() + inflow - outflow - t.creditsFromFund;
        uint128 fromFund = uint128(draw(seed, 300 + i, fund / 4));
        IEpochLedger.Leaf memory leaf = d.leaves[i];
        leaf.provider = providers[i];
        leaf.cumulativeFees = cumulative[providers[i]].fees + uint96(earned - cut);
        leaf.cumulativeIncentive = cumulative[providers[i]].incentive;
        leaf.uptimePpm = 1_000_000;
        leaf.successPpm = 1_000_000;
        leaf.verificationPpm = 1_000_000;
        leaf.scorePpm = uint24(draw(seed, 500 + i, 1_000_000));
        leaf.measured = true;
        t.providerFees += earned - cut;
        t.credits += cut + fromFund;
        t.creditsFromFund += fromFund;
        return IJobEscrow.Credit(customers[(seed >> i) % customers.length], providers[i], cut + fromFund);
    }

    function _drawIncentive(Drawn memory d, uint256 seed) private view {
        uint256 most = ledger.incentiveFund();
        uint256 limit = clock.rulesFor(d.report.epoch).incentivePerEpoch;
        uint256 all = draw(seed, 400, most < limit ? most : limit);
        uint256 pool = draw(seed, 401, all);
        address provider = providers[seed % providers.length];
        if (favoured != address(0)) {
            pool = all = most < limit ? most : limit;
            provider = favoured;
        }
        d.report.totals.incentive = uint128(all - pool);
        d.report.totals.pools = uint128(pool);
        d.leaves[seed % providers.length].cumulativeIncentive += uint96(all - pool);
        d.pools = new IEpochLedger.Pool[](pool == 0 ? 0 : 1);
        if (pool != 0) d.pools[0] = IEpochLedger.Pool(provider, uint128(pool));
    }

    /// @dev A number up to `most`; one in four is an end of the range.
    function draw(uint256 seed, uint256 salt, uint256 most) internal pure returns (uint256) {
        uint256 drawn = uint256(keccak256(abi.encode(seed, salt)));
        if (drawn % 8 == 0) return 0;
        if (drawn % 8 == 1) return most;
        return (drawn >> 8) % (most + 1);
    }

    // ------------------------------------------------------------------------------------------------------- hashing

    function _movements(Drawn memory d) private pure returns (IEpochLedger.Movements memory m) {
        if (d.charges.length != 0) m.charges = _one(keccak256(abi.encode(d.charges)));
        if (d.credits.length != 0) m.credits = _one(keccak256(abi.encode(d.credits)));
        if (d.pools.length != 0) m.pools = _one(keccak256(abi.encode(d.pools)));
        m.payees = keccak256(abi.encode(d.payees));
    }

    function _one(bytes32 value) private pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = value;
    }

    function _packed(IEpochLedger.Leaf[] memory leaves) private pure returns (bytes memory all) {
        for (uint256 i = 0; i < leaves.length; ++i) {
            all = bytes.concat(all, packed(leaves[i]));
        }
    }

    /// @dev A leaf's 64 bytes, as they are published and claimed.
    function packed(IEpochLedger.Leaf memory leaf) internal pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(leaf.provider, leaf.cumulativeFees, leaf.cumulativeIncentive),
            abi.encodePacked(leaf.uptimePpm, leaf.successPpm, leaf.verificationPpm, leaf.scorePpm),
            abi.encodePacked(leaf.ttftP95Bucket, leaf.strikes, leaf.standing, leaf.slashLevel, leaf.measured, bytes3(0))
        );
    }

    function _nodes(uint64 epoch, IEpochLedger.Leaf[] memory leaves) private view returns (bytes32[] memory nodes) {
        nodes = new bytes32[](leaves.length);
        for (uint256 i = 0; i < nodes.length; ++i) nodes[i] = ledger.leafHash(epoch, leaves[i]);
    }

    function _root(bytes32[] memory nodes) private pure returns (bytes32) {
        uint256 width = nodes.length;
        while (width > 1) width = _fold(nodes, width);
        return nodes.length == 0 ? bytes32(0) : nodes[0];
    }

    function _proof(bytes32[] memory nodes, uint256 at) private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](0);
        uint256 width = nodes.length;
        while (width > 1) {
            if (at ^ 1 < width) proof = _append(proof, nodes[at ^ 1]);
            width = _fold(nodes, width);
            at /= 2;
        }
    }

    function _fold(bytes32[] memory nodes, uint256 width) private pure returns (uint256) {
        for (uint256 i = 0; i < width / 2; ++i) {
            (bytes32 a, bytes32 b) = (nodes[2 * i], nodes[2 * i + 1]);
            nodes[i] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
        }
        if (width % 2 == 1) nodes[width / 2] = nodes[width - 1];
        return (width + 1) / 2;
    }

    function _append(bytes32[] memory list, bytes32 value) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) longer[i] = list[i];
        longer[list.length] = value;
    }
}
