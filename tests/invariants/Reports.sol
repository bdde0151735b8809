// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Deployed} from "./Deployed.sol";
import {IEpochLedger} from "../../contracts/interfaces/IEpochLedger.sol";
import {IJobEscrow} from "../../contracts/interfaces/IJobEscrow.sol";

/// @notice Draws reports that are correct by the rules of settlement, submits and activates them, and keeps what was
/// promised to whom.
abstract contract Reports is Deployed {
    /// @dev Ascending, as leaves are.
    address[] internal providers;
    address[] internal customers;

    bytes32 internal previous;
    uint256 internal pendingSlaFundIn;
    uint256 internal pendingSlaFundOut;

    mapping(address provider => uint128) internal cumulativeFees;
    mapping(address provider => uint128) internal cumulativeIncentive;
    mapping(address customer => uint256) internal charged;
    mapping(address customer => uint256) internal credited;
    uint256 internal feesActivated;
    uint256 internal incentiveActivated;

    /// @dev abi.encode(Leaf[]), abi.encode(Credit[], Payee[], Totals) by epoch.
    mapping(uint64 epoch => bytes) internal leavesOf;
    mapping(uint64 epoch => bytes) internal movementsOf;

    /// @dev Submits the next report: charges drawn within caps and balances, fees by drawn weights, credits out of
    /// fees and fund, an incentive for one provider. `target` gets slash level `level` and `harmed` (if not zero).
    function submitDrawn(uint256 seed, address target, uint8 level, bytes32 harmed) internal returns (uint64 epoch) {
        IEpochLedger.Report memory r;
        epoch = ledger.nextEpoch();
        r.epoch = epoch;
        r.previous = previous;
        r.evidence = keccak256(abi.encode("evidence", epoch));
        _drawCharges(r, seed);
        _drawShares(r, seed);
        _drawIncentive(r, seed);
        for (uint256 i = 0; i < r.leaves.length; ++i) {
            if (r.leaves[i].provider == target) (r.leaves[i].slashLevel, r.leaves[i].harmed) = (level, harmed);
        }
        if (block.timestamp < ledger.epochEnd(epoch)) vm.warp(ledger.epochEnd(epoch));

        bytes32 digest = ledger.reportDigest(r);
        bytes[] memory signatures = new bytes[](2);
        uint256 absent = seed % 3;
        for (uint256 i = 0; i < 2; ++i) {
            (uint8 v, bytes32 rr, bytes32 s) = vm.sign(verifierKeys[i >= absent ? i + 1 : i], digest);
            signatures[i] = abi.encodePacked(rr, s, v);
        }
        ledger.submit(r, signatures);

        previous = ledger.structHash(r);
        pendingSlaFundIn += r.totals.slaFundIn;
        pendingSlaFundOut += r.totals.creditsFromFund;
        leavesOf[epoch] = abi.encode(r.leaves);
        movementsOf[epoch] = abi.encode(r.credits, r.payees, r.totals);
        for (uint256 i = 0; i < r.charges.length; ++i) charged[r.charges[i].customer] += r.charges[i].amount;
    }

    function activateNext() internal returns (uint64 epoch) {
        epoch = ledger.nextActivation();
        uint64 at = ledger.record(epoch).activatesAt;
        if (block.timestamp < at) vm.warp(at);
        (IJobEscrow.Credit[] memory credits, IEpochLedger.Payee[] memory payees, IEpochLedger.Totals memory t) =
            abi.decode(movementsOf[epoch], (IJobEscrow.Credit[], IEpochLedger.Payee[], IEpochLedger.Totals));
        ledger.activate(epoch, credits, payees);
        for (uint256 i = 0; i < credits.length; ++i) credited[credits[i].customer] += credits[i].amount;
        pendingSlaFundIn -= t.slaFundIn;
        pendingSlaFundOut -= t.creditsFromFund;
        feesActivated += t.providerFees;
        incentiveActivated += t.incentive;
    }

    function settleDrawn(uint256 seed, address target, uint8 level, bytes32 harmed) internal returns (uint64 epoch) {
        epoch = submitDrawn(seed, target, level, harmed);
        while (ledger.nextActivation() <= epoch) activateNext();
    }

    /// @dev A provider's leaf in a report and its proof.
    function leafOf(uint64 epoch, address provider)
        internal
        view
        returns (IEpochLedger.Leaf memory leaf, bytes32[] memory proof)
    {
        IEpochLedger.Leaf[] memory leaves = abi.decode(leavesOf[epoch], (IEpochLedger.Leaf[]));
        bytes32[] memory nodes = new bytes32[](leaves.length);
        uint256 at = type(uint256).max;
        for (uint256 i = 0; i < leaves.length; ++i) {
            nodes[i] = ledger.leafHash(epoch, leaves[i]);
            if (leaves[i].provider == provider) at = i;
        }
        if (at != type(uint256).max) (leaf, proof) = (leaves[at], _proof(nodes, at));
    }

    // ------------------------------------------------------------------------------------------------------- drawing

    function _drawCharges(IEpochLedger.Report memory r, uint256 seed) private view {
        r.charges = new IJobEscrow.Charge[](customers.length);
        for (uint256 i = 0; i < customers.length; ++i) {
            uint256 most = escrow.customer(customers[i]).balance;
            uint256 cap = escrow.capFor(customers[i], r.epoch);
            uint256 amount = _draw(seed, i, most < cap ? most : cap);
            r.charges[i] = IJobEscrow.Charge(customers[i], uint128(amount));
            r.totals.charged += uint128(amount);
        }
    }

    function _drawShares(IEpochLedger.Report memory r, uint256 seed) private view {
        IEpochLedger.Totals memory t = r.totals;
        r.leaves = new IEpochLedger.Leaf[](providers.length);
        r.credits = new IJobEscrow.Credit[](providers.length);
        uint256 fund = escrow.slaFund() + pendingSlaFundIn - pendingSlaFundOut;
        uint256 share = uint256(t.charged) * 940_000 / 1_000_000 / providers.length;
        for (uint256 i = 0; i < providers.length; ++i) {
            // a provider's fees are cut by a credit of which the fund may bear a part
            uint128 earned = uint128(_draw(seed, 100 + i, share));
            uint128 cut = uint128(_draw(seed, 200 + i, earned));
            uint128 fromFund = uint128(_draw(seed, 300 + i, fund / 4));
            fund -= fromFund;
            r.leaves[i].provider = providers[i];
            r.leaves[i].cumulativeFees = cumulativeFees[providers[i]] + earned - cut;
            r.leaves[i].cumulativeIncentive = cumulativeIncentive[providers[i]];
            r.credits[i] = IJobEscrow.Credit(customers[(seed >> i) % customers.length], providers[i], cut + fromFund);
            t.providerFees += earned - cut;
            t.credits += cut + fromFund;
            t.creditsFromFund += fromFund;
        }
        r.payees = new IEpochLedger.Payee[](1);
        r.payees[0] = IEpochLedger.Payee(vm.addr(verifierKeys[0]), uint128(uint256(t.charged) / 50));
        t.verifierFees = r.payees[0].amount;
        t.treasury = uint128(uint256(t.charged) / 50);
        t.slaFundIn = t.charged + t.creditsFromFund - t.providerFees - t.verifierFees - t.treasury - t.credits;
    }

    function _drawIncentive(IEpochLedger.Report memory r, uint256 seed) private {
        uint256 most = ledger.incentiveFund();
        uint256 limit = ledger.rulesFor(r.epoch).incentivePerEpoch;
        r.totals.incentive = uint128(_draw(seed, 400, most < limit ? most : limit));
        r.leaves[seed % r.leaves.length].cumulativeIncentive += r.totals.incentive;
        for (uint256 i = 0; i < r.leaves.length; ++i) {
            cumulativeFees[r.leaves[i].provider] = r.leaves[i].cumulativeFees;
            cumulativeIncentive[r.leaves[i].provider] = r.leaves[i].cumulativeIncentive;
        }
    }

    /// @dev A number up to `most`; one in four is an end of the range.
    function _draw(uint256 seed, uint256 salt, uint256 most) internal pure returns (uint256) {
        uint256 drawn = uint256(keccak256(abi.encode(seed, salt)));
        if (drawn % 8 == 0) return 0;
        if (drawn % 8 == 1) return most;
        return (drawn >> 8) % (most + 1);
    }

    function _proof(bytes32[] memory nodes, uint256 at) private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](0);
        uint256 width = nodes.length;
        while (width > 1) {
            if (at ^ 1 < width) proof = _append(proof, nodes[at ^ 1]);
            for (uint256 i = 0; i < width / 2; ++i) {
                (bytes32 a, bytes32 b) = (nodes[2 * i], nodes[2 * i + 1]);
                nodes[i] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
            }
            if (width % 2 == 1) nodes[width / 2] = nodes[width - 1];
            (width, at) = ((width + 1) / 2, at / 2);
        }
    }

    function _append(bytes32[] memory list, bytes32 value) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) longer[i] = list[i];
        longer[list.length] = value;
    }
}
