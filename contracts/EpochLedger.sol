// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {EpochClock} from "./EpochClock.sol";
import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";
import {Leaves} from "./libraries/Leaves.sol";
import {PpmMath} from "./libraries/PpmMath.sol";

/// @title EpochLedger
/// @notice Documentation stands in `IEpochLedger`.
contract EpochLedger is EpochClock, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using SafeCast for uint256;

    bytes32 internal constant REPORT_TYPEHASH = keccak256(
        "Report(uint64 epoch,bytes32 previous,bytes32 evidence,bytes32 state,bytes32 rules,uint64 checkpointBlock,bytes32 checkpointHash,bytes32 totals,bytes32 leaves,bytes32 movements)"
    );

    IERC20 internal immutable _token;
    address public immutable escrow;
    address public immutable verifiers;
    address public immutable treasury;

    uint64 public nextEpoch;
    uint64 public nextActivation;
    uint256 public incentiveFund;

    /// @dev Of reports that wait for activation: tokens held for them, and what they will move in the SLA fund.
    uint256 internal _pending;
    uint256 internal _pendingSlaFundIn;
    uint256 internal _pendingSlaFundOut;

    uint256 internal _feesClaimed;
    uint256 internal _incentivesClaimed;
    uint256 internal _owedTotal;

    mapping(uint64 epoch => Record) internal _records;
    mapping(address payee => uint256) public owed;
    mapping(address provider => uint256) public claimedFees;
    mapping(address provider => uint256) public claimedIncentive;

    constructor(
        address paymentToken_,
        address escrow_,
        address verifiers_,
        address treasury_,
        address authority_,
        Config memory config,
        Rules memory rules_
    ) EpochClock(authority_, config, rules_) EIP712("Bonded", "1") {
        _token = IERC20(Bounds.known("paymentToken", paymentToken_));
        escrow = Bounds.known("escrow", escrow_);
        verifiers = Bounds.known("verifiers", verifiers_);
        treasury = Bounds.known("treasury", treasury_);
    }

    /// @inheritdoc IEpochLedger
    function fundIncentives(uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        incentiveFund += amount;
        emit IncentivesFunded(msg.sender, amount, incentiveFund);
        _token.pull(msg.sender, amount);
    }

    // -------------------------------------------------------------------------------------------------------- submit

    /// @inheritdoc IEpochLedger
    function submit(Report calldata report, bytes[] calldata signatures) external nonReentrant {
        _checkOrder(report);
        Record storage record_ = _records[report.epoch];
        bytes32 root = _takeLeaves(report, record_);
        _checkMovements(report);
        _checkTotals(report.epoch, report.totals);

        bytes32 hash = _structHash(report, root);
        bytes32 digest = _hashTypedDataV4(hash);
        address[] memory signers = _recover(digest, signatures);
        IBondedOperators(verifiers).checkQuorum(signers);

        _keep(report, record_, root, hash, digest);
        emit ReportSigned(report.epoch, hash, report.checkpointBlock, report.checkpointHash, signers);
        emit MovementsPublished(report.epoch, report.charges, report.credits, report.payees);
        IJobEscrow(escrow).charge(report.epoch, report.charges);
    }

    function _checkOrder(Report calldata report) private view {
        if (report.epoch != nextEpoch) revert WrongEpoch(report.epoch, nextEpoch);
        uint256 reportableAt = uint256(epochEnd(report.epoch)) + reportDelay;
        if (block.timestamp < reportableAt) revert EpochRunning(report.epoch, reportableAt, block.timestamp);
        bytes32 expected = report.epoch == 0 ? bytes32(0) : _records[report.epoch - 1].structHash;
        if (report.previous != expected) revert WrongPrevious(report.previous, expected);
        if (report.evidence == 0) revert ZeroEvidence();
    }

    /// @dev Checks order and sums of the leaves, keeps the sums and returns the root.
    function _takeLeaves(Report calldata report, Record storage record_) private returns (bytes32) {
        Leaf[] calldata leaves = report.leaves;
        bytes32[] memory nodes = new bytes32[](leaves.length);
        address before;
        uint256 fees;
        uint256 incentive;
        for (uint256 i = 0; i < nodes.length; ++i) {
            Leaf calldata leaf = leaves[i];
            address provider = leaf.provider;
            if (provider <= before) revert LeavesNotAscending(before, provider);
            before = provider;
            fees += leaf.cumulativeFees;
            incentive += leaf.cumulativeIncentive;
            nodes[i] = Leaves.hash(address(this), report.epoch, leaf);
        }
        (uint256 feesBefore, uint256 incentiveBefore) = _sumsBefore(report.epoch);
        _checkSum("leaves.cumulativeFees", feesBefore + report.totals.providerFees, fees);
        _checkSum("leaves.cumulativeIncentive", incentiveBefore + report.totals.incentive, incentive);
        (record_.sumFees, record_.sumIncentive) = (fees.toUint128(), incentive.toUint128());
        return Leaves.root(nodes);
    }

    function _sumsBefore(uint64 epoch) private view returns (uint256 fees, uint256 incentive) {
        if (epoch == 0) return (0, 0);
        Record storage before = _records[epoch - 1];
        return (before.sumFees, before.sumIncentive);
    }

    function _checkMovements(Report calldata report) private pure {
        uint256 sum;
        for (uint256 i = 0; i < report.charges.length; ++i) sum += report.charges[i].amount;
        _checkSum("charges", report.totals.charged, sum);
        sum = 0;
        for (uint256 i = 0; i < report.credits.length; ++i) sum += report.credits[i].amount;
        _checkSum("credits", report.totals.credits, sum);
        sum = 0;
        for (uint256 i = 0; i < report.payees.length; ++i) sum += report.payees[i].amount;
        _checkSum("payees", report.totals.verifierFees, sum);
    }

    function _checkSum(string memory name, uint256 stated, uint256 computed) private pure {
        if (stated != computed) revert WrongSum(name, stated, computed);
    }

    function _checkTotals(uint64 epoch, Totals calldata t) private view {
        uint256 inflow = uint256(t.charged) + t.creditsFromFund;
        uint256 outflow = uint256(t.providerFees) + t.verifierFees + t.treasury + t.slaFundIn + t.credits;
        if (inflow != outflow) revert TotalsUnbalanced(inflow, outflow);

        Rules memory r = rulesFor(epoch);
        _checkLimit("providerFees", t.providerFees, PpmMath.shareDown(t.charged, r.providerPpm));
        _checkLimit("verifierFees", t.verifierFees, PpmMath.shareDown(t.charged, r.verifierPpm));
        _checkLimit("treasury", t.treasury, PpmMath.shareDown(t.charged, r.treasuryPpm));
        _checkLimit("creditsFromFund", t.creditsFromFund, t.credits);
        _checkLimit("incentive", t.incentive, r.incentivePerEpoch);
        _checkLimit("incentive", t.incentive, incentiveFund);
        // reports that wait activate before this one, so the fund will have moved by theirs
        uint256 fund = IJobEscrow(escrow).slaFund() + _pendingSlaFundIn - _pendingSlaFundOut;
        _checkLimit("creditsFromFund", t.creditsFromFund, fund + t.slaFundIn);
    }

    function _checkLimit(string memory name, uint256 amount, uint256 limit) private pure {
        if (amount > limit) revert TotalAboveLimit(name, amount, limit);
    }

    function _recover(bytes32 digest, bytes[] calldata signatures) private pure returns (address[] memory signers) {
        signers = new address[](signatures.length);
        for (uint256 i = 0; i < signatures.length; ++i) signers[i] = ECDSA.recoverCalldata(digest, signatures[i]);
    }

    function _keep(Report calldata report, Record storage record_, bytes32 root, bytes32 hash, bytes32 digest)
        private
    {
        Totals calldata t = report.totals;
        uint64 activatesAt = uint64(block.timestamp) + activationDelay;
        record_.digest = digest;
        record_.structHash = hash;
        record_.root = root;
        record_.evidence = report.evidence;
        record_.state = report.state;
        record_.rules = report.rules;
        record_.creditsHash = keccak256(abi.encode(report.credits));
        record_.payeesHash = keccak256(abi.encode(report.payees));
        record_.totals = t;
        record_.submittedAt = uint64(block.timestamp);
        record_.activatesAt = activatesAt;

        nextEpoch = report.epoch + 1;
        incentiveFund -= t.incentive;
        _pending += uint256(t.charged) + t.incentive;
        _pendingSlaFundIn += t.slaFundIn;
        _pendingSlaFundOut += t.creditsFromFund;
        emit ReportSubmitted(
            report.epoch, digest, root, report.evidence, report.state, report.rules, t, report.leaves, activatesAt
        );
    }

    // ------------------------------------------------------------------------------------------------------ activate

    /// @inheritdoc IEpochLedger
    function activate(uint64 epoch, IJobEscrow.Credit[] calldata credits, Payee[] calldata payees)
        external
        nonReentrant
    {
        if (epoch != nextActivation) revert WrongEpoch(epoch, nextActivation);
        Record storage record_ = _records[epoch];
        if (record_.submittedAt == 0) revert UnknownReport(epoch);
        if (block.timestamp < record_.activatesAt) revert NotYetActive(epoch, record_.activatesAt, block.timestamp);
        _checkHash(epoch, keccak256(abi.encode(credits)), record_.creditsHash);
        _checkHash(epoch, keccak256(abi.encode(payees)), record_.payeesHash);

        Totals memory t = record_.totals;
        record_.activated = true;
        nextActivation = epoch + 1;
        _pending -= uint256(t.charged) + t.incentive;
        _pendingSlaFundIn -= t.slaFundIn;
        _pendingSlaFundOut -= t.creditsFromFund;
        _owedTotal += uint256(t.verifierFees) + t.treasury;
        owed[treasury] += t.treasury;
        for (uint256 i = 0; i < payees.length; ++i) owed[payees[i].verifier] += payees[i].amount;
        emit ReportActivated(epoch);

        uint256 due = uint256(t.credits) - t.creditsFromFund + t.slaFundIn;
        if (due != 0) _token.forceApprove(escrow, due);
        IJobEscrow(escrow).credit(credits, t.creditsFromFund, t.slaFundIn);
    }

    function _checkHash(uint64 epoch, bytes32 found, bytes32 expected) private pure {
        if (found != expected) revert WrongMovements(epoch, found, expected);
    }

    // --------------------------------------------------------------------------------------------------------- claim

    /// @inheritdoc IEpochLedger
    function claim(Leaf calldata leaf, uint64 epoch, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 fees, uint256 incentive)
    {
        Record storage record_ = _records[epoch];
        if (!record_.activated) revert NotActivated(epoch);
        bytes32 hash = leafHash(epoch, leaf);
        if (!MerkleProof.verifyCalldata(proof, record_.root, hash)) revert NotInRoot(epoch, hash, record_.root);

        address provider = leaf.provider;
        fees = _above(leaf.cumulativeFees, claimedFees[provider]);
        incentive = _above(leaf.cumulativeIncentive, claimedIncentive[provider]);
        if (fees + incentive == 0) revert NothingToClaim(provider);
        // a quorum could sign leaves that lower one provider to raise another; what others are due must stay here
        Record storage newest = _records[nextActivation - 1];
        uint256 feesLeft = newest.sumFees - _feesClaimed;
        uint256 incentivesLeft = newest.sumIncentive - _incentivesClaimed;
        if (fees > feesLeft) revert ClaimAboveFunds(fees, feesLeft);
        if (incentive > incentivesLeft) revert ClaimAboveFunds(incentive, incentivesLeft);

        claimedFees[provider] += fees;
        claimedIncentive[provider] += incentive;
        _feesClaimed += fees;
        _incentivesClaimed += incentive;
        emit Claimed(provider, epoch, fees, incentive);
        _token.safeTransfer(provider, fees + incentive);
    }

    function _above(uint256 value, uint256 floor) private pure returns (uint256) {
        return value > floor ? value - floor : 0;
    }

    /// @inheritdoc IEpochLedger
    function claimOwed() external nonReentrant returns (uint256 amount) {
        amount = owed[msg.sender];
        if (amount == 0) revert NothingToClaim(msg.sender);
        owed[msg.sender] = 0;
        _owedTotal -= amount;
        emit OwedClaimed(msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    // --------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IEpochLedger
    function paymentToken() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IEpochLedger
    function record(uint64 epoch) external view returns (Record memory) {
        return _records[epoch];
    }

    /// @inheritdoc IEpochLedger
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IEpochLedger
    function structHash(Report calldata report) public view returns (bytes32) {
        bytes32[] memory nodes = new bytes32[](report.leaves.length);
        for (uint256 i = 0; i < nodes.length; ++i) nodes[i] = leafHash(report.epoch, report.leaves[i]);
        return _structHash(report, Leaves.root(nodes));
    }

    /// @inheritdoc IEpochLedger
    function reportDigest(Report calldata report) external view returns (bytes32) {
        return _hashTypedDataV4(structHash(report));
    }

    function _structHash(Report calldata report, bytes32 root) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                REPORT_TYPEHASH,
                report.epoch,
                report.previous,
                report.evidence,
                report.state,
                report.rules,
                report.checkpointBlock,
                report.checkpointHash,
                keccak256(abi.encode(report.totals)),
                root,
                _movementsHash(report)
            )
        );
    }

    function _movementsHash(Report calldata report) private pure returns (bytes32) {
        return keccak256(abi.encode(report.charges, report.credits, report.payees));
    }

    /// @inheritdoc IEpochLedger
    function leafHash(uint64 epoch, Leaf calldata leaf) public view returns (bytes32) {
        return Leaves.hash(address(this), epoch, leaf);
    }

    /// @inheritdoc IEpochLedger
    function verifyLeaf(uint64 epoch, Leaf calldata leaf, bytes32[] calldata proof) external view returns (bool) {
        bytes32 root = _records[epoch].root;
        return root != 0 && MerkleProof.verifyCalldata(proof, root, leafHash(epoch, leaf));
    }

    /// @inheritdoc IEpochLedger
    function books() external view returns (Books memory b) {
        (uint256 fees, uint256 incentive) = _sumsBefore(nextActivation);
        b.pending = _pending;
        b.fees = fees - _feesClaimed;
        b.incentives = incentive - _incentivesClaimed;
        b.owed = _owedTotal;
        b.incentiveFund = incentiveFund;
    }
}
