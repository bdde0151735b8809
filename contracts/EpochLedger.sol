// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IDelegation} from "./interfaces/IDelegation.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IGuardian} from "./interfaces/IGuardian.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";
import {Leaves} from "./libraries/Leaves.sol";
import {PpmMath} from "./libraries/PpmMath.sol";

/// @title EpochLedger
/// @notice Documentation stands in `IEpochLedger`.
contract EpochLedger is IEpochLedger, EIP712, Multicall, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using SafeCast for uint256;

    bytes32 internal constant REPORT_TYPEHASH = keccak256(
        "Report(uint64 epoch,bytes32 previous,bytes32 evidence,bytes32 state,bytes32 rules,uint64 checkpointBlock,bytes32 checkpointHash,bytes32 totals,bytes32 leaves,uint32 leafCount,bytes32 measurements,bytes32 movements,bytes32 harms)"
    );
    uint256 internal constant CHUNK = Leaves.CHUNK;
    uint256 internal constant MOST_AMOUNT = type(uint96).max;
    uint256 internal constant MOST_WAITING = 64;
    /// @dev Longer than the guardian can pause activations.
    uint256 internal constant OVERDUE_SECONDS = 14 days;

    /// @dev What is kept of a report: `Record` without what follows from the rest. `slaFundIn` balances the other totals.
    struct Stored {
        bytes32 structHash;
        bytes32 root;
        bytes32 evidence;
        bytes32 state;
        bytes32 rules;
        bytes32 measurements;
        bytes32 movements;
        bytes32 signers;
        uint96 charged;
        uint96 providerFees;
        uint16 leafChunks;
        uint16 chargeChunks;
        uint16 creditChunks;
        uint16 poolChunks;
        uint96 verifierFees;
        uint96 treasury;
        uint64 submittedAt;
        uint96 credits;
        uint96 creditsFromFund;
        uint64 completedAt;
        uint96 incentive;
        uint96 pools;
        uint32 leafCount;
        bool chargesTaken;
        uint96 sumFees;
        uint96 sumIncentive;
    }

    /// @dev Carried from chunk to chunk; untouched where one chunk is all.
    struct Carry {
        address provider;
        uint32 slashed;
        address customer;
        uint96 charged;
        uint96 credited;
        uint96 pooled;
    }

    /// @dev A cancelled report whose charges are not all returned.
    struct Cancelled {
        bytes32 movements;
        uint64 epoch;
        uint16 chunks;
        uint16 returned;
    }

    IERC20 internal immutable _token;
    address public immutable clock;
    address public immutable escrow;
    address public immutable verifiers;
    address public immutable delegation;
    address public immutable treasury;
    address public immutable challengeCourt;
    address public immutable guardian;
    uint64 internal immutable _reportDelay;
    uint64 internal immutable _activationDelay;

    uint128 internal _incentiveFund;
    uint128 internal _pending;

    uint64 public nextEpoch;
    /// @dev What reports that wait for activation will move in the SLA fund.
    uint96 internal _pendingSlaFundIn;
    uint96 internal _pendingSlaFundOut;

    /// @dev Activated and not claimed; one slot with what every claim needs besides.
    uint96 internal _fees;
    uint96 internal _incentives;
    uint56 internal _nextActivation;
    /// @dev 2 to this power was within the limit per provider at the newest activation.
    uint8 internal _freeBits;

    uint128 internal _owedTotal;
    uint128 internal _credits;
    uint128 internal _pools;
    uint128 internal _refunds;

    mapping(uint64 epoch => Stored) internal _reports;
    mapping(uint64 epoch => Carry) internal _carries;
    mapping(bytes32 structHash => mapping(address provider => bytes32)) internal _harmed;
    mapping(bytes32 digest => Cancelled) internal _cancelled;
    mapping(bytes32 digest => bool) internal _struck;
    mapping(address payee => uint256) public owed;
    mapping(address provider => Claims) internal _claims;

    struct Claims {
        uint96 fees;
        uint96 incentive;
        uint64 through;
    }

    constructor(
        address clock_,
        address paymentToken_,
        address escrow_,
        address verifiers_,
        address delegation_,
        address treasury_,
        address challengeCourt_,
        address guardian_
    ) EIP712("Bonded", "1") {
        clock = Bounds.known("clock", clock_);
        _token = IERC20(Bounds.known("paymentToken", paymentToken_));
        escrow = Bounds.known("escrow", escrow_);
        verifiers = Bounds.known("verifiers", verifiers_);
        delegation = Bounds.known("delegation", delegation_);
        treasury = Bounds.known("treasury", treasury_);
        challengeCourt = Bounds.known("challengeCourt", challengeCourt_);
        guardian = Bounds.known("guardian", guardian_);
        _reportDelay = IEpochClock(clock_).reportDelay();
        _activationDelay = IEpochClock(clock_).activationDelay();
    }

    modifier whenOpen() {
        _requireOpen();
        _;
    }

    function _requireOpen() private view {
        IGuardian(guardian).requireOpen();
    }

    /// @inheritdoc IEpochLedger
    function fundIncentives(uint256 amount) external nonReentrant whenOpen {
        if (amount == 0) revert ZeroAmount();
        _fundIncentives(msg.sender, amount);
        _token.pull(msg.sender, amount);
    }

    function _fundIncentives(address from, uint256 amount) private {
        uint128 fund = (_incentiveFund + amount).toUint128();
        _incentiveFund = fund;
        emit IncentivesFunded(from, amount, fund);
    }

    // -------------------------------------------------------------------------------------------------------- submit

    /// @inheritdoc IEpochLedger
    function submit(Report calldata report, bytes[] calldata signatures) external nonReentrant whenOpen {
        _checkOrder(report);
        bytes32 hash = structHash(report);
        bytes32 digest = _hashTypedDataV4(hash);
        if (_struck[digest]) revert ReportStruck(digest);
        _takeHarms(hash, report.harms);
        _checkTotals(report);
        address[] memory signers = _recover(digest, signatures);
        IBondedOperators(verifiers).checkQuorum(signers);

        Stored storage r = _keep(report, hash, keccak256(abi.encode(signers)));
        _announce(report, digest);
        emit ReportSigned(
            report.epoch, hash, report.previous, report.checkpointBlock, report.checkpointHash, signers
        );
        if (report.leafCount == 0) {
            if (report.leaves != 0) revert WrongChunkHash(report.leaves, 0);
            _closeLeaves(report.epoch, r, 0, 0);
        }
    }

    function _announce(Report calldata report, bytes32 digest) private {
        emit ReportSubmitted(
            report.epoch,
            digest,
            report.leaves,
            report.leafCount,
            report.evidence,
            report.state,
            report.rules,
            report.measurements,
            report.movements,
            report.totals,
            report.harms
        );
    }

    function _checkOrder(Report calldata report) private view {
        uint64 epoch = report.epoch;
        if (_refunds != 0) revert RefundsDue(_refunds);
        if (epoch != nextEpoch) revert WrongEpoch(epoch, nextEpoch);
        uint256 reportableAt = uint256(IEpochClock(clock).epochEnd(epoch)) + _reportDelay;
        if (block.timestamp < reportableAt) revert EpochRunning(epoch, reportableAt, block.timestamp);
        if (epoch != 0 && _reports[epoch - 1].completedAt == 0) revert Incomplete(epoch - 1);
        bytes32 expected = epoch == 0 ? bytes32(0) : _reports[epoch - 1].structHash;
        if (report.previous != expected) revert WrongPrevious(report.previous, expected);
        uint256 waiting = epoch - _nextActivation;
        if (waiting >= MOST_WAITING) revert TooManyWaiting(waiting, MOST_WAITING);
        if (report.evidence == 0) revert ZeroEvidence();
    }

    function _takeHarms(bytes32 hash, Harm[] calldata harms) private {
        address before;
        for (uint256 i = 0; i < harms.length; ++i) {
            address provider = harms[i].provider;
            if (provider <= before) revert HarmsNotAscending(before, provider);
            before = provider;
            _harmed[hash][provider] = harms[i].root;
        }
    }

    function _checkTotals(Report calldata report) private view {
        Totals calldata t = report.totals;
        uint256 charged = t.charged;
        uint256 inflow = charged + t.creditsFromFund;
        uint256 outflow = uint256(t.providerFees) + t.verifierFees + t.treasury + t.slaFundIn + t.credits;
        if (inflow != outflow) revert TotalsUnbalanced(inflow, outflow);

        IEpochClock.Rules memory r = IEpochClock(clock).rulesFor(report.epoch);
        _checkLimit("providerFees", t.providerFees, PpmMath.shareDown(charged, r.providerPpm));
        _checkLimit("verifierFees", t.verifierFees, PpmMath.shareDown(charged, r.verifierPpm));
        _checkLimit("treasury", t.treasury, PpmMath.shareDown(charged, r.treasuryPpm));

        IEpochClock.Limits memory l = IEpochClock(clock).limits();
        _checkLimit("charged", charged, l.mostCharged);
        uint256 before = report.epoch == 0 ? 0 : _reports[report.epoch - 1].charged;
        uint256 base = Math.max(l.growthFloor, before);
        _checkLimit("growth", charged, PpmMath.shareDown(base, l.mostGrowthPpm));

        uint256 incentive = uint256(t.incentive) + t.pools;
        _checkLimit("incentive", incentive, r.incentivePerEpoch);
        _checkLimit("incentive", incentive, _incentiveFund);
        _checkLimit("credits", t.credits, MOST_AMOUNT);
        _checkLimit("creditsFromFund", t.creditsFromFund, t.credits);
        if (t.creditsFromFund != 0) {
            // reports that wait activate before this one, so the fund will have moved by theirs
            uint256 fund = IJobEscrow(escrow).slaFund() + _pendingSlaFundIn - _pendingSlaFundOut;
            _checkLimit("creditsFromFund", t.creditsFromFund, fund + t.slaFundIn);
        }
    }

    function _checkSum(string memory name, uint256 stated, uint256 computed) private pure {
        if (stated != computed) revert WrongSum(name, stated, computed);
    }

    function _checkLimit(string memory name, uint256 amount, uint256 limit) private pure {
        if (amount > limit) revert TotalAboveLimit(name, amount, limit);
    }

    function _recover(bytes32 digest, bytes[] calldata signatures) private pure returns (address[] memory signers) {
        signers = new address[](signatures.length);
        for (uint256 i = 0; i < signatures.length; ++i) signers[i] = ECDSA.recoverCalldata(digest, signatures[i]);
    }

    /// @dev Every amount fits in 96 bits: those of a share are below `charged`, which is within its limit; `_checkTotals`
    /// saw the others.
    function _keep(Report calldata report, bytes32 hash, bytes32 signers) private returns (Stored storage r) {
        Totals calldata t = report.totals;
        r = _reports[report.epoch];
        r.structHash = hash;
        r.root = report.leaves;
        r.evidence = report.evidence;
        r.state = report.state;
        r.rules = report.rules;
        r.measurements = report.measurements;
        r.movements = report.movements;
        r.signers = signers;
        r.charged = uint96(t.charged);
        r.providerFees = uint96(t.providerFees);
        r.verifierFees = uint96(t.verifierFees);
        r.treasury = uint96(t.treasury);
        r.submittedAt = uint64(block.timestamp);
        r.credits = uint96(t.credits);
        r.creditsFromFund = uint96(t.creditsFromFund);
        r.incentive = uint96(t.incentive);
        r.pools = uint96(t.pools);
        r.leafCount = report.leafCount;
        r.chargesTaken = t.charged == 0;

        nextEpoch = report.epoch + 1;
        _pendingSlaFundIn += uint96(t.slaFundIn);
        _pendingSlaFundOut += uint96(t.creditsFromFund);
        uint128 incentive = t.incentive + t.pools;
        _incentiveFund -= incentive;
        _pending += incentive;
    }

    // ------------------------------------------------------------------------------------------------------ complete

    /// @inheritdoc IEpochLedger
    function publishLeaves(uint64 epoch, bytes32[] calldata roots, uint256 chunk, bytes calldata packed)
        external
        nonReentrant
        whenOpen
    {
        Stored storage r = _submitted(epoch);
        bool last = _checkLeafChunk(r, epoch, roots, chunk, packed.length);
        Leaves.Seen memory seen;
        if (chunk != 0) {
            seen = Leaves.Seen(_carries[epoch].provider, r.sumFees, r.sumIncentive, _carries[epoch].slashed);
        }
        _checkHash(Leaves.foldChunk(address(this), epoch, packed, chunk * CHUNK, seen), roots[chunk]);
        uint256 mostSlashed = PpmMath.shareUp(r.leafCount, IEpochClock(clock).limits().mostSlashedPpm);
        _checkLimit("slashed", seen.slashed, mostSlashed);
        _checkLimit("leaves.cumulativeFees", seen.fees, MOST_AMOUNT);
        _checkLimit("leaves.cumulativeIncentive", seen.incentive, MOST_AMOUNT);

        r.leafChunks = (chunk + 1).toUint16();
        emit LeavesPublished(epoch, chunk, packed);
        if (last) {
            _closeLeaves(epoch, r, seen.fees, seen.incentive);
        } else {
            (_carries[epoch].provider, _carries[epoch].slashed) = (seen.last, uint32(seen.slashed));
            (r.sumFees, r.sumIncentive) = (uint96(seen.fees), uint96(seen.incentive));
        }
    }

    /// @dev Whether the chunk is the last.
    function _checkLeafChunk(
        Stored storage r,
        uint64 epoch,
        bytes32[] calldata roots,
        uint256 chunk,
        uint256 length
    ) private view returns (bool last) {
        uint256 count = r.leafCount;
        uint256 chunks = _chunks(count);
        _checkChunk(epoch, chunk, r.leafChunks, chunks);
        if (roots.length != chunks) revert WrongChunkLength(roots.length, chunks);
        _checkHash(Leaves.root(roots), r.root);
        last = chunk + 1 == chunks;
        uint256 expected = (last ? count - chunk * CHUNK : CHUNK) * Leaves.LEAF_BYTES;
        if (length != expected) revert WrongChunkLength(length, expected);
    }

    /// @dev All leaves are in: checks their sums and keeps them.
    function _closeLeaves(uint64 epoch, Stored storage r, uint256 fees, uint256 incentive) private {
        uint256 feesBefore = epoch == 0 ? 0 : _reports[epoch - 1].sumFees;
        uint256 incentiveBefore = epoch == 0 ? 0 : _reports[epoch - 1].sumIncentive;
        _checkSum("leaves.cumulativeFees", feesBefore + r.providerFees, fees);
        _checkSum("leaves.cumulativeIncentive", incentiveBefore + r.incentive, incentive);
        (r.sumFees, r.sumIncentive) = (uint96(fees), uint96(incentive));
        if (r.chargesTaken) _complete(epoch, r);
    }

    function _complete(uint64 epoch, Stored storage r) private {
        r.completedAt = uint64(block.timestamp);
        emit ReportCompleted(epoch, uint64(block.timestamp) + _activationDelay);
    }

    /// @inheritdoc IEpochLedger
    function takeCharges(
        uint64 epoch,
        Movements calldata movements,
        uint256 chunk,
        IJobEscrow.Charge[] calldata charges
    ) external nonReentrant whenOpen {
        Stored storage r = _submitted(epoch);
        _checkMovements(epoch, movements, r.movements);
        if (r.chargesTaken) revert AlreadyComplete(epoch);
        uint256 chunks = movements.charges.length;
        _checkChunk(epoch, chunk, r.chargeChunks, chunks);
        _checkList(charges.length, keccak256(abi.encode(charges)), movements.charges[chunk]);

        Carry storage carry = _carries[epoch];
        (address before, uint256 taken) = chunk == 0 ? (address(0), 0) : (carry.customer, carry.charged);
        // inside a chunk the escrow checks the order
        if (charges[0].customer <= before) revert ChargesNotAscending(before, charges[0].customer);
        uint256 sum = _sum(charges);
        taken += sum;
        bool last = chunk + 1 == chunks;
        if (taken > r.charged || (last && taken != r.charged)) revert WrongSum("charges", r.charged, taken);

        r.chargeChunks = (chunk + 1).toUint16();
        _pending += uint128(sum);
        if (last) {
            r.chargesTaken = true;
            if (r.leafChunks == _chunks(r.leafCount)) _complete(epoch, r);
        } else {
            (carry.customer, carry.charged) = (charges[charges.length - 1].customer, uint96(taken));
        }
        IJobEscrow(escrow).charge(epoch, charges);
    }

    function _sum(IJobEscrow.Charge[] calldata charges) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < charges.length; ++i) sum += charges[i].amount;
    }

    function _chunks(uint256 count) private pure returns (uint256) {
        return (count + CHUNK - 1) / CHUNK;
    }

    function _submitted(uint64 epoch) private view returns (Stored storage r) {
        r = _reports[epoch];
        if (r.submittedAt == 0) revert UnknownReport(epoch);
    }

    function _checkMovements(uint64 epoch, Movements calldata movements, bytes32 expected) private pure {
        bytes32 found = keccak256(abi.encode(movements));
        if (found != expected) revert WrongMovements(epoch, found, expected);
    }

    function _checkChunk(uint64 epoch, uint256 chunk, uint256 next, uint256 chunks) private pure {
        if (next >= chunks) revert AlreadyComplete(epoch);
        if (chunk != next) revert WrongChunk(chunk, next);
    }

    function _checkList(uint256 length, bytes32 found, bytes32 expected) private pure {
        if (length == 0 || length > CHUNK) revert WrongChunkLength(length, CHUNK);
        _checkHash(found, expected);
    }

    function _checkHash(bytes32 found, bytes32 expected) private pure {
        if (found != expected) revert WrongChunkHash(found, expected);
    }

    // ------------------------------------------------------------------------------------------------------ activate

    /// @inheritdoc IEpochLedger
    function activate(uint64 epoch, Movements calldata movements, Payee[] calldata payees)
        external
        nonReentrant
        whenOpen
    {
        if (epoch < _nextActivation) revert AlreadyActivated(epoch);
        if (epoch != _nextActivation) revert WrongEpoch(epoch, _nextActivation);
        Stored storage r = _submitted(epoch);
        if (r.completedAt == 0) revert Incomplete(epoch);
        uint64 activatesAt = r.completedAt + _activationDelay;
        if (block.timestamp < activatesAt) revert NotYetActive(epoch, activatesAt, block.timestamp);
        _checkMovements(epoch, movements, r.movements);
        _checkHash(keccak256(abi.encode(payees)), movements.payees);
        if (movements.credits.length == 0) _checkSum("credits", r.credits, 0);
        if (movements.pools.length == 0) _checkSum("pools", r.pools, 0);

        uint256 slaFundIn = _slaFundIn(r);
        uint256 slaFundOut = r.creditsFromFund;
        _leaveWaiting(r, slaFundIn, r.charged);
        _nextActivation = uint56(epoch + 1);
        _freeBits = uint8(Math.log2(IEpochClock(clock).limits().mostPerProvider));
        _fees += r.providerFees;
        _incentives += r.incentive;
        _credits += r.credits;
        _pools += r.pools;
        _owe(r, payees);
        emit ReportActivated(epoch, payees);

        if (slaFundIn + slaFundOut != 0) {
            if (slaFundIn != 0) _token.forceApprove(escrow, slaFundIn);
            IJobEscrow(escrow).settleFund(slaFundIn, slaFundOut);
        }
    }

    function _owe(Stored storage r, Payee[] calldata payees) private {
        uint256 sum;
        for (uint256 i = 0; i < payees.length; ++i) {
            if (payees[i].amount == 0) revert ZeroAmount();
            sum += payees[i].amount;
            owed[payees[i].verifier] += payees[i].amount;
        }
        _checkSum("payees", r.verifierFees, sum);
        if (r.treasury != 0) owed[treasury] += r.treasury;
        _owedTotal += uint128(sum) + r.treasury;
    }

    /// @dev Takes a report and what it moves out of what waits.
    function _leaveWaiting(Stored storage r, uint256 slaFundIn, uint256 charged) private {
        _pending -= uint128(charged) + r.incentive + r.pools;
        _pendingSlaFundIn -= uint96(slaFundIn);
        _pendingSlaFundOut -= r.creditsFromFund;
    }

    function _slaFundIn(Stored storage r) private view returns (uint256) {
        uint256 inflow = uint256(r.charged) + r.creditsFromFund;
        return inflow - r.providerFees - r.verifierFees - r.treasury - r.credits;
    }

    /// @inheritdoc IEpochLedger
    function pushCredits(
        uint64 epoch,
        Movements calldata movements,
        uint256 chunk,
        IJobEscrow.Credit[] calldata credits
    ) external nonReentrant {
        Stored storage r = _activated(epoch, movements);
        _checkChunk(epoch, chunk, r.creditChunks, movements.credits.length);
        _checkList(credits.length, keccak256(abi.encode(credits)), movements.credits[chunk]);
        uint256 sum;
        for (uint256 i = 0; i < credits.length; ++i) sum += credits[i].amount;

        Carry storage carry = _carries[epoch];
        uint256 pushed = sum + (chunk == 0 ? 0 : carry.credited);
        if (pushed > r.credits) revert WrongSum("credits", r.credits, pushed);
        r.creditChunks = (chunk + 1).toUint16();
        if (chunk + 1 < movements.credits.length) carry.credited = uint96(pushed);
        else _credits -= _keepRest(r.credits - pushed);
        _credits -= uint128(sum);
        emit CreditsPushed(epoch, chunk, sum);
        _token.forceApprove(escrow, sum);
        IJobEscrow(escrow).credit(credits);
    }

    /// @inheritdoc IEpochLedger
    function pushPools(uint64 epoch, Movements calldata movements, uint256 chunk, Pool[] calldata pools)
        external
        nonReentrant
    {
        Stored storage r = _activated(epoch, movements);
        _checkChunk(epoch, chunk, r.poolChunks, movements.pools.length);
        _checkList(pools.length, keccak256(abi.encode(pools)), movements.pools[chunk]);
        uint256 sum;
        for (uint256 i = 0; i < pools.length; ++i) sum += pools[i].amount;

        Carry storage carry = _carries[epoch];
        uint256 pushed = sum + (chunk == 0 ? 0 : carry.pooled);
        if (pushed > r.pools) revert WrongSum("pools", r.pools, pushed);
        r.poolChunks = (chunk + 1).toUint16();
        if (chunk + 1 < movements.pools.length) carry.pooled = uint96(pushed);
        else _pools -= _keepRest(r.pools - pushed);
        _pools -= uint128(sum);
        emit PoolsPushed(epoch, chunk, pools);
        _token.forceApprove(delegation, sum);
        IDelegation(delegation).reward(pools);
    }

    /// @dev What the chunks of a report leave over of its total goes to the incentive fund; returns it.
    function _keepRest(uint256 rest) private returns (uint128) {
        if (rest != 0) _fundIncentives(address(this), rest);
        return uint128(rest);
    }

    function _activated(uint64 epoch, Movements calldata movements) private view returns (Stored storage r) {
        if (epoch >= _nextActivation) revert NotActivated(epoch);
        r = _reports[epoch];
        _checkMovements(epoch, movements, r.movements);
    }

    // -------------------------------------------------------------------------------------------------------- cancel

    /// @inheritdoc IEpochLedger
    function cancel(uint64 epoch) external nonReentrant {
        if (epoch < _nextActivation) revert AlreadyActivated(epoch);
        Stored storage r = _submitted(epoch);
        if (msg.sender == challengeCourt) {
            _struck[_hashTypedDataV4(r.structHash)] = true;
        } else {
            uint256 from = r.completedAt == 0
                ? uint256(r.submittedAt) + _activationDelay
                : uint256(r.completedAt) + _activationDelay + OVERDUE_SECONDS;
            if (block.timestamp <= from) revert NotCancellable(epoch, from, block.timestamp);
        }
        // at most MOST_WAITING rounds; the newest first, so that every event finds the epochs behind it gone
        uint64 newest = nextEpoch;
        nextEpoch = epoch;
        while (newest > epoch) _cancel(--newest);
    }

    function _cancel(uint64 epoch) private {
        Stored storage r = _reports[epoch];
        bytes32 digest = _hashTypedDataV4(r.structHash);
        uint256 taken = r.chargesTaken ? r.charged : _carries[epoch].charged;
        _leaveWaiting(r, _slaFundIn(r), taken);
        _incentiveFund += uint128(r.incentive) + r.pools;
        _refunds += uint128(taken);
        if (taken != 0) {
            _cancelled[digest] =
                Cancelled({movements: r.movements, epoch: epoch, chunks: r.chargeChunks, returned: 0});
        }
        delete _reports[epoch];
        delete _carries[epoch];
        emit ReportCancelled(epoch, digest, msg.sender, taken);
    }

    /// @inheritdoc IEpochLedger
    function refund(bytes32 digest, Movements calldata movements, uint256 chunk, IJobEscrow.Charge[] calldata charges)
        external
        nonReentrant
    {
        Cancelled memory c = _cancelled[digest];
        if (c.chunks == 0) revert NotCancelled(digest);
        _checkMovements(c.epoch, movements, c.movements);
        _checkChunk(c.epoch, chunk, c.returned, c.chunks);
        _checkList(charges.length, keccak256(abi.encode(charges)), movements.charges[chunk]);
        uint256 sum = _sum(charges);
        if (chunk + 1 == c.chunks) delete _cancelled[digest];
        else _cancelled[digest].returned = uint16(chunk + 1);
        _refunds -= uint128(sum);
        emit Refunded(digest, chunk, sum);
        _token.forceApprove(escrow, sum);
        IJobEscrow(escrow).returnCharges(c.epoch, charges);
    }

    // --------------------------------------------------------------------------------------------------------- claim

    /// @inheritdoc IEpochLedger
    function claim(Leaf calldata leaf, uint64 epoch, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 fees, uint256 incentive)
    {
        if (epoch >= _nextActivation) revert NotActivated(epoch);
        bytes32 root = _reports[epoch].root;
        bytes32 hash = leafHash(epoch, leaf);
        if (!MerkleProof.verifyCalldata(proof, root, hash)) revert NotInRoot(epoch, hash, root);

        address provider = leaf.provider;
        Claims memory c = _claims[provider];
        fees = Math.saturatingSub(leaf.cumulativeFees, c.fees);
        incentive = Math.saturatingSub(leaf.cumulativeIncentive, c.incentive);
        if (fees + incentive == 0) revert NothingToClaim(provider);
        // a quorum could sign leaves that lower one provider to raise another; what others are due must stay here
        if (fees > _fees) revert ClaimAboveFunds(fees, _fees);
        if (incentive > _incentives) revert ClaimAboveFunds(incentive, _incentives);
        _checkClaim(fees + incentive, Math.saturatingSub(uint256(epoch) + 1, c.through));

        _claims[provider] = Claims({
            fees: c.fees + uint96(fees),
            incentive: c.incentive + uint96(incentive),
            through: uint64(Math.max(c.through, uint256(epoch) + 1))
        });
        _fees -= uint96(fees);
        _incentives -= uint96(incentive);
        emit Claimed(provider, epoch, fees, incentive);
        _token.safeTransfer(provider, fees + incentive);
    }

    /// @dev Few claims come near the limit; the others need not ask the clock.
    function _checkClaim(uint256 amount, uint256 epochs) private view {
        if (amount <= epochs << _freeBits) return;
        uint256 limit = IEpochClock(clock).limits().mostPerProvider * epochs;
        if (amount > limit) revert ClaimAboveLimit(amount, limit);
    }

    /// @inheritdoc IEpochLedger
    function claimOwed() external nonReentrant returns (uint256 amount) {
        amount = owed[msg.sender];
        if (amount == 0) revert NothingToClaim(msg.sender);
        owed[msg.sender] = 0;
        _owedTotal -= uint128(amount);
        emit OwedClaimed(msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    // --------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IEpochLedger
    function paymentToken() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IEpochLedger
    function nextActivation() external view returns (uint64) {
        return _nextActivation;
    }

    /// @inheritdoc IEpochLedger
    function record(uint64 epoch) external view returns (Record memory found) {
        Stored storage r = _reports[epoch];
        if (r.submittedAt == 0) return found;
        found.digest = _hashTypedDataV4(r.structHash);
        found.structHash = r.structHash;
        found.root = r.root;
        found.evidence = r.evidence;
        found.state = r.state;
        found.rules = r.rules;
        found.measurements = r.measurements;
        found.movements = r.movements;
        found.signers = r.signers;
        found.totals = Totals({
            charged: r.charged,
            providerFees: r.providerFees,
            verifierFees: r.verifierFees,
            treasury: r.treasury,
            slaFundIn: uint128(_slaFundIn(r)),
            credits: r.credits,
            creditsFromFund: r.creditsFromFund,
            incentive: r.incentive,
            pools: r.pools
        });
        found.leafCount = r.leafCount;
        found.submittedAt = r.submittedAt;
        if (r.completedAt == 0) return found;
        found.completedAt = r.completedAt;
        found.activatesAt = r.completedAt + _activationDelay;
        found.activated = epoch < _nextActivation;
        found.sumFees = r.sumFees;
        found.sumIncentive = r.sumIncentive;
    }

    /// @inheritdoc IEpochLedger
    function progress(uint64 epoch) external view returns (Progress memory) {
        Stored storage r = _reports[epoch];
        return Progress(r.leafChunks, r.chargeChunks, r.creditChunks, r.poolChunks);
    }

    /// @inheritdoc IEpochLedger
    function harmedRoot(uint64 epoch, address provider) external view returns (bytes32) {
        return _harmed[_reports[epoch].structHash][provider];
    }

    /// @inheritdoc IEpochLedger
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IEpochLedger
    function structHash(Report calldata report) public pure returns (bytes32) {
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
                report.leaves,
                report.leafCount,
                report.measurements,
                report.movements,
                keccak256(abi.encode(report.harms))
            )
        );
    }

    /// @inheritdoc IEpochLedger
    function reportDigest(Report calldata report) external view returns (bytes32) {
        return _hashTypedDataV4(structHash(report));
    }

    /// @inheritdoc IEpochLedger
    function leafHash(uint64 epoch, Leaf calldata leaf) public view returns (bytes32) {
        return Leaves.hash(address(this), epoch, leaf);
    }

    /// @inheritdoc IEpochLedger
    function verifyLeaf(uint64 epoch, Leaf calldata leaf, bytes32[] calldata proof) external view returns (bool) {
        bytes32 root = _reports[epoch].root;
        return root != 0 && MerkleProof.verifyCalldata(proof, root, leafHash(epoch, leaf));
    }

    /// @inheritdoc IEpochLedger
    function incentiveFund() external view returns (uint256) {
        return _incentiveFund;
    }

    /// @inheritdoc IEpochLedger
    function claimedFees(address provider) external view returns (uint256) {
        return _claims[provider].fees;
    }

    /// @inheritdoc IEpochLedger
    function claimedIncentive(address provider) external view returns (uint256) {
        return _claims[provider].incentive;
    }

    /// @inheritdoc IEpochLedger
    function claimedThrough(address provider) external view returns (uint64) {
        return _claims[provider].through;
    }

    /// @inheritdoc IEpochLedger
    function refundsDue() external view returns (uint256) {
        return _refunds;
    }

    /// @inheritdoc IEpochLedger
    function books() external view returns (Books memory) {
        return Books({
            pending: _pending,
            refunds: _refunds,
            credits: _credits,
            pools: _pools,
            fees: _fees,
            incentives: _incentives,
            owed: _owedTotal,
            incentiveFund: _incentiveFund
        });
    }
}
