// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IDelegation} from "./interfaces/IDelegation.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IGuardian} from "./interfaces/IGuardian.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {ExactToken} from "./libraries/ExactToken.sol";
import {Leaves} from "./libraries/Leaves.sol";

/// @title EpochLedger
/// @notice Documentation stands in `IEpochLedger`.
contract EpochLedger is IEpochLedger, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using SafeCast for uint256;
    using Address for address;

    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant REPORT_TYPEHASH = keccak256(
        "Report(uint64 epoch,bytes32 previous,bytes32 evidence,bytes32 state,bytes32 rules,uint64 checkpointBlock,bytes32 checkpointHash,bytes32 totals,bytes32 leaves,uint32 leafCount,bytes32 measurements,bytes32 movements,bytes32 harms)"
    );
    uint256 internal constant CHUNK = Leaves.CHUNK;
    uint256 internal constant MOST_WAITING = 64;
    /// @dev Longer than the guardian can pause activations.
    uint64 internal constant OVERDUE_SECONDS = 14 days;

    /// @dev What is kept of a report: `Record` without what follows from the rest. What a report gives providers is what its
    /// sums exceed those of the report before by; `slaFundIn` balances the other totals. `rules` is a place in `_rules`.
    struct Stored {
        bytes32 structHash;
        bytes32 root;
        bytes32 evidence;
        bytes32 state;
        bytes32 measurements;
        bytes32 movements;
        bytes32 signers;
        uint96 charged;
        uint96 verifierFees;
        uint16 leafChunks;
        uint16 chargeChunks;
        uint16 creditChunks;
        uint16 poolChunks;
        uint96 treasury;
        uint96 credits;
        uint64 submittedAt;
        uint96 creditsFromFund;
        uint96 pools;
        uint32 leafCount;
        uint16 rules;
        bool chargesTaken;
        uint96 sumFees;
        uint96 sumIncentive;
        uint64 completedAt;
    }

    /// @dev Carried from chunk to chunk; untouched where one chunk is all.
    struct Carry {
        address provider;
        uint32 slashed;
        uint96 fees;
        uint96 incentive;
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

    /// @dev What a provider has claimed, and against which epoch, plus one.
    struct Claims {
        uint96 fees;
        uint96 incentive;
        uint64 through;
    }

    IERC20 internal immutable _token;
    address public immutable clock;
    address public immutable escrow;
    address public immutable verifiers;
    address public immutable delegation;
    address public immutable treasury;
    address public immutable challengeCourt;
    address public immutable guardian;
    uint64 internal immutable _activationDelay;

    uint64 public nextEpoch;
    uint96 internal _incentiveFund;
    uint96 internal _pending;

    uint128 internal _refunds;
    /// @dev What reports that wait for activation will add to the SLA fund, modulo 2^128: it may be less than nothing.
    uint128 internal _pendingSlaFund;

    /// @dev Activated and not claimed; one slot with what every claim needs besides.
    uint96 internal _fees;
    uint96 internal _incentives;
    uint56 internal _nextActivation;
    /// @dev 2 to this power was within the limit per provider at the newest activation.
    uint8 internal _freeBits;

    uint256 internal _owedTotal;
    uint256 internal _credits;
    uint256 internal _pools;

    /// @dev Hashes of the rules of reports; most reports have those of the one before.
    bytes32[] internal _rules;

    mapping(uint64 epoch => Stored) internal _reports;
    mapping(uint64 epoch => Carry) internal _carries;
    mapping(bytes32 structHash => mapping(address provider => bytes32)) internal _harmed;
    mapping(bytes32 digest => Cancelled) internal _cancelled;
    mapping(bytes32 digest => bool) internal _struck;
    mapping(address payee => uint256) public owed;
    mapping(address provider => Claims) internal _claims;

    constructor(
        address clock_,
        address paymentToken_,
        address escrow_,
        address verifiers_,
        address delegation_,
        address treasury_,
        address challengeCourt_,
        address guardian_
    ) {
        clock = Bounds.known("clock", clock_);
        _token = IERC20(Bounds.known("paymentToken", paymentToken_));
        escrow = Bounds.known("escrow", escrow_);
        verifiers = Bounds.known("verifiers", verifiers_);
        delegation = Bounds.known("delegation", delegation_);
        treasury = Bounds.known("treasury", treasury_);
        challengeCourt = Bounds.known("challengeCourt", challengeCourt_);
        guardian = Bounds.known("guardian", guardian_);
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
    function multicall(bytes[] calldata data) external returns (bytes[] memory results) {
        results = new bytes[](data.length);
        for (uint256 i = 0; i < data.length; ++i) {
            (bool done, bytes memory result) = address(this).delegatecall(data[i]);
            if (!done) {
                assembly ("memory-safe") {
                    revert(add(result, 0x20), mload(result))
                }
            }
            results[i] = result;
        }
    }

    /// @inheritdoc IEpochLedger
    function fundIncentives(uint256 amount) external nonReentrant whenOpen {
        if (amount == 0) revert ZeroAmount();
        _incentiveFund += amount.toUint96();
        emit IncentivesFunded(msg.sender, amount, _incentiveFund);
        _token.pull(msg.sender, amount);
    }

    // -------------------------------------------------------------------------------------------------------- submit

    /// @inheritdoc IEpochLedger
    function submit(Report calldata report, bytes[] calldata signatures) external nonReentrant whenOpen {
        uint64 epoch = report.epoch;
        _checkOrder(report, epoch);
        bytes32 hash = structHash(report);
        bytes32 digest = _digest(hash);
        if (_struck[digest]) revert ReportStruck(digest);
        _takeHarms(hash, report.harms);
        _checkReport(report.totals, epoch);
        address[] memory signers = _recover(digest, signatures);
        IBondedOperators(verifiers).checkQuorum(signers);

        Stored storage r = _reports[epoch];
        r.structHash = hash;
        r.signers = keccak256(abi.encode(signers));
        _keep(report, r);
        _keepTotals(report.totals, r, epoch);
        nextEpoch = epoch + 1;
        _announce(report, epoch, digest);
        emit ReportSigned(epoch, hash, report.previous, report.checkpointBlock, report.checkpointHash, signers);
        if (r.leafCount == 0) {
            _checkHash(r.root, 0);
            _closeLeaves(epoch, r, 0, 0);
        }
    }

    function _announce(Report calldata report, uint64 epoch, bytes32 digest) private {
        emit ReportSubmitted(
            epoch,
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

    function _checkOrder(Report calldata report, uint64 epoch) private view {
        if (_refunds != 0) revert RefundsDue(_refunds);
        if (epoch != nextEpoch) revert WrongEpoch(epoch, nextEpoch);
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

    function _checkReport(Totals calldata totals, uint64 epoch) private view {
        uint256 slaFund;
        if (totals.creditsFromFund != 0) {
            // reports that wait activate before this one, so the fund will have moved by theirs
            uint256 fund = IJobEscrow(escrow).slaFund();
            unchecked {
                // cutting it is the reduction modulo 2^128
                // forge-lint: disable-next-line(unsafe-typecast)
                slaFund = uint128(fund + _pendingSlaFund);
            }
        }
        uint256 before = epoch == 0 ? 0 : _reports[epoch - 1].charged;
        IEpochClock(clock).checkReport(epoch, totals, before, _incentiveFund, slaFund);
    }

    function _checkSum(string memory name, uint256 stated, uint256 computed) private pure {
        if (stated != computed) revert WrongSum(name, stated, computed);
    }

    /// @dev What came in so far never exceeds the total, and is all of it with the last chunk.
    function _checkPart(string memory name, uint256 stated, uint256 computed, bool last) private pure {
        if (computed > stated || (last && computed != stated)) revert WrongSum(name, stated, computed);
    }

    function _recover(bytes32 digest, bytes[] calldata signatures) private pure returns (address[] memory signers) {
        signers = new address[](signatures.length);
        for (uint256 i = 0; i < signatures.length; ++i) {
            ECDSA.RecoverError fault;
            // the third value only details the fault
            // slither-disable-next-line unused-return
            (signers[i], fault,) = ECDSA.tryRecoverCalldata(digest, signatures[i]);
            if (fault != ECDSA.RecoverError.NoError) revert ECDSA.ECDSAInvalidSignature();
        }
    }

    function _keep(Report calldata report, Stored storage r) private {
        r.root = report.leaves;
        r.evidence = report.evidence;
        r.state = report.state;
        r.measurements = report.measurements;
        r.movements = report.movements;
        r.leafCount = report.leafCount;
        uint256 versions = _rules.length;
        if (versions == 0 || _rules[versions - 1] != report.rules) {
            _rules.push(report.rules);
            ++versions;
        }
        r.rules = versions.toUint16();
    }

    /// @dev Every total is below 2^96: the clock saw to that.
    function _keepTotals(Totals calldata t, Stored storage r, uint64 epoch) private {
        uint96 charged = uint96(t.charged);
        uint96 fromFund = uint96(t.creditsFromFund);
        uint96 incentive = uint96(t.incentive);
        uint96 pools = uint96(t.pools);
        (uint96 feesBefore, uint96 incentiveBefore) = _sumsBefore(epoch);
        r.charged = charged;
        r.chargesTaken = charged == 0;
        r.verifierFees = uint96(t.verifierFees);
        r.treasury = uint96(t.treasury);
        r.submittedAt = uint64(block.timestamp);
        r.credits = uint96(t.credits);
        r.creditsFromFund = fromFund;
        r.pools = pools;
        r.sumFees = feesBefore + uint96(t.providerFees);
        r.sumIncentive = incentiveBefore + incentive;

        unchecked {
            _pendingSlaFund += t.slaFundIn - fromFund;
        }
        _incentiveFund -= incentive + pools;
        _pending += incentive + pools;
    }

    function _sumsBefore(uint64 epoch) private view returns (uint96 fees, uint96 incentive) {
        if (epoch == 0) return (0, 0);
        Stored storage before = _reports[epoch - 1];
        return (before.sumFees, before.sumIncentive);
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
        emit LeavesPublished(epoch, chunk, packed);
        Leaves.Seen memory seen;
        Carry storage carry = _carries[epoch];
        if (chunk != 0) seen = Leaves.Seen(carry.provider, carry.fees, carry.incentive, carry.slashed);
        _checkHash(Leaves.foldChunk(address(this), epoch, packed, chunk * CHUNK, seen), roots[chunk]);
        if (seen.slashed != 0) IEpochClock(clock).checkSlashed(seen.slashed, r.leafCount);

        r.leafChunks += 1;
        if (last) {
            _closeLeaves(epoch, r, seen.fees, seen.incentive);
        } else {
            (carry.provider, carry.slashed) = (seen.last, uint32(seen.slashed));
            (carry.fees, carry.incentive) = (seen.fees.toUint96(), seen.incentive.toUint96());
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
        _checkNext(epoch, chunk, r.leafChunks, chunks);
        if (roots.length != chunks) revert WrongChunkLength(roots.length, chunks);
        _checkHash(Leaves.root(roots), r.root);
        last = chunk + 1 == chunks;
        uint256 expected = (last ? count - chunk * CHUNK : CHUNK) * Leaves.LEAF_BYTES;
        if (length != expected) revert WrongChunkLength(length, expected);
    }

    /// @dev All leaves are in: checks their sums.
    function _closeLeaves(uint64 epoch, Stored storage r, uint256 fees, uint256 incentive) private {
        _checkSum("leaves.cumulativeFees", r.sumFees, fees);
        _checkSum("leaves.cumulativeIncentive", r.sumIncentive, incentive);
        if (r.chargesTaken) _complete(epoch, r);
    }

    function _complete(uint64 epoch, Stored storage r) private {
        r.completedAt = uint64(block.timestamp);
        emit ReportCompleted(epoch, _activatesAt(r));
    }

    function _activatesAt(Stored storage r) private view returns (uint64) {
        return r.completedAt + _activationDelay;
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
        (bytes32 hash, uint96 sum) = Chunks.digest(charges);
        bool last = _checkChunk(epoch, chunk, r.chargeChunks, movements.charges, charges.length, hash);
        Carry storage carry = _carries[epoch];
        uint96 taken = sum;
        if (chunk != 0) {
            // inside a chunk the escrow checks the order
            address before = carry.customer;
            if (charges[0].customer <= before) revert ChargesNotAscending(before, charges[0].customer);
            taken += carry.charged;
        }
        _checkPart("charges", r.charged, taken, last);

        r.chargeChunks += 1;
        _pending += sum;
        if (last) {
            r.chargesTaken = true;
            if (r.leafChunks == _chunks(r.leafCount)) _complete(epoch, r);
        } else {
            (carry.customer, carry.charged) = (charges[charges.length - 1].customer, taken);
        }
        // it answers the sum, which was computed above and is what it moves
        // slither-disable-next-line unused-return
        escrow.functionCall(abi.encodeCall(IJobEscrow.charge, (epoch, charges)));
    }

    function _chunks(uint256 count) private pure returns (uint256) {
        unchecked {
            return (count + CHUNK - 1) / CHUNK;
        }
    }

    function _submitted(uint64 epoch) private view returns (Stored storage r) {
        r = _reports[epoch];
        if (r.submittedAt == 0) revert UnknownReport(epoch);
    }

    function _checkMovements(uint64 epoch, Movements calldata movements, bytes32 expected) private pure {
        bytes32 found = keccak256(abi.encode(movements));
        if (found != expected) revert WrongMovements(epoch, found, expected);
    }

    function _checkNext(uint64 epoch, uint256 chunk, uint256 next, uint256 chunks) private pure {
        if (next >= chunks) revert AlreadyComplete(epoch);
        if (chunk != next) revert WrongChunk(chunk, next);
    }

    /// @dev Whether the chunk is the last.
    function _checkChunk(
        uint64 epoch,
        uint256 chunk,
        uint256 next,
        bytes32[] calldata hashes,
        uint256 length,
        bytes32 hash
    ) private pure returns (bool) {
        _checkNext(epoch, chunk, next, hashes.length);
        if (length == 0 || length > CHUNK) revert WrongChunkLength(length, CHUNK);
        _checkHash(hash, hashes[chunk]);
        return chunk + 1 == hashes.length;
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
        uint64 activatesAt = _activatesAt(r);
        if (block.timestamp < activatesAt) revert NotYetActive(epoch, activatesAt, block.timestamp);
        _checkMovements(epoch, movements, r.movements);

        (uint96 providerFees, uint96 incentive, uint96 slaFundIn) = _rest(epoch, r);
        uint96 slaFundOut = r.creditsFromFund;
        _leaveWaiting(r, incentive, slaFundIn, r.charged);
        _nextActivation += 1;
        _freeBits = IEpochClock(clock).mostPerProviderBits();
        _fees += providerFees;
        _incentives += incentive;
        _credits += r.credits;
        _pools += r.pools;
        _owe(r, payees, movements.payees);
        emit ReportActivated(epoch, payees);

        if (slaFundIn != 0 || slaFundOut != 0) {
            _bring(escrow, slaFundIn, abi.encodeCall(IJobEscrow.settleFund, (slaFundIn, slaFundOut)));
        }
    }

    /// @dev Lets another contract pull `amount` in a call.
    function _bring(address to, uint256 amount, bytes memory call) private {
        _token.forceApprove(to, amount);
        // the functions called here answer nothing, and a failure reverts
        // slither-disable-next-line unused-return
        to.functionCall(call);
    }

    function _owe(Stored storage r, Payee[] calldata payees, bytes32 expected) private {
        (bytes32 hash, uint96 sum) = Chunks.digest(payees);
        _checkHash(hash, expected);
        _checkSum("payees", r.verifierFees, sum);
        for (uint256 i = 0; i < payees.length; ++i) {
            owed[payees[i].verifier] += payees[i].amount;
        }
        if (r.treasury != 0) owed[treasury] += r.treasury;
        _owedTotal += sum + r.treasury;
    }

    /// @dev Takes a report, of whose charges `taken` came in, out of what waits.
    function _leaveWaiting(Stored storage r, uint96 incentive, uint96 slaFundIn, uint96 taken) private {
        _pending -= taken + incentive + r.pools;
        unchecked {
            _pendingSlaFund -= uint128(slaFundIn) - r.creditsFromFund;
        }
    }

    /// @dev The totals that are not kept. None is below zero: the clock saw to that.
    function _rest(uint64 epoch, Stored storage r)
        private
        view
        returns (uint96 providerFees, uint96 incentive, uint96 slaFundIn)
    {
        (uint96 feesBefore, uint96 incentiveBefore) = _sumsBefore(epoch);
        unchecked {
            providerFees = r.sumFees - feesBefore;
            incentive = r.sumIncentive - incentiveBefore;
            slaFundIn = r.charged - providerFees - r.verifierFees - r.treasury - (r.credits - r.creditsFromFund);
        }
    }

    /// @inheritdoc IEpochLedger
    function pushCredits(
        uint64 epoch,
        Movements calldata movements,
        uint256 chunk,
        IJobEscrow.Credit[] calldata credits
    ) external nonReentrant {
        Stored storage r = _activated(epoch, movements);
        (bytes32 hash, uint96 sum) = Chunks.digest(credits);
        bool last = _checkChunk(epoch, chunk, r.creditChunks, movements.credits, credits.length, hash);
        uint96 pushed = sum + (chunk == 0 ? 0 : _carries[epoch].credited);
        _checkPart("credits", r.credits, pushed, false);
        r.creditChunks += 1;
        if (!last) _carries[epoch].credited = pushed;
        _credits -= sum;
        emit CreditsPushed(epoch, chunk, sum);
        _bring(escrow, sum, abi.encodeCall(IJobEscrow.credit, (credits)));
    }

    /// @inheritdoc IEpochLedger
    function pushPools(uint64 epoch, Movements calldata movements, uint256 chunk, Pool[] calldata pools)
        external
        nonReentrant
    {
        Stored storage r = _activated(epoch, movements);
        (bytes32 hash, uint96 sum) = Chunks.digest(pools);
        bool last = _checkChunk(epoch, chunk, r.poolChunks, movements.pools, pools.length, hash);
        uint96 pushed = sum + (chunk == 0 ? 0 : _carries[epoch].pooled);
        _checkPart("pools", r.pools, pushed, false);
        r.poolChunks += 1;
        if (!last) _carries[epoch].pooled = pushed;
        _pools -= sum;
        emit PoolsPushed(epoch, chunk, pools);
        _bring(delegation, sum, abi.encodeCall(IDelegation.reward, (pools)));
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
            _struck[_digest(r.structHash)] = true;
        } else {
            uint64 from =
                r.completedAt == 0 ? r.submittedAt + _activationDelay : _activatesAt(r) + OVERDUE_SECONDS;
            if (block.timestamp <= from) revert NotCancellable(epoch, from, block.timestamp);
        }
        // at most MOST_WAITING rounds; the newest first, so that every event finds the epochs behind it gone
        uint64 newest = nextEpoch;
        nextEpoch = epoch;
        while (newest > epoch) _cancel(--newest);
    }

    function _cancel(uint64 epoch) private {
        Stored storage r = _reports[epoch];
        bytes32 digest = _digest(r.structHash);
        uint96 taken = r.chargesTaken ? r.charged : _carries[epoch].charged;
        (, uint96 incentive, uint96 slaFundIn) = _rest(epoch, r);
        _leaveWaiting(r, incentive, slaFundIn, taken);
        _incentiveFund += incentive + r.pools;
        _refunds += taken;
        if (taken != 0) {
            Cancelled storage c = _cancelled[digest];
            (c.movements, c.epoch, c.chunks, c.returned) = (r.movements, epoch, r.chargeChunks, 0);
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
        Cancelled storage c = _cancelled[digest];
        if (c.chunks == 0) revert NotCancelled(digest);
        _checkMovements(c.epoch, movements, c.movements);
        // a chunk that was never taken would be returned out of what is due to others
        _checkNext(c.epoch, chunk, c.returned, c.chunks);
        (bytes32 hash, uint96 sum) = Chunks.digest(charges);
        _checkChunk(c.epoch, chunk, c.returned, movements.charges, charges.length, hash);
        c.returned += 1;
        _refunds -= sum;
        emit Refunded(digest, chunk, sum);
        _bring(escrow, sum, abi.encodeCall(IJobEscrow.returnCharges, (c.epoch, charges)));
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
        Claims storage c = _claims[provider];
        uint96 newFees = _above(leaf.cumulativeFees, c.fees);
        uint96 newIncentive = _above(leaf.cumulativeIncentive, c.incentive);
        (fees, incentive) = (newFees, newIncentive);
        if (fees + incentive == 0) revert NothingToClaim(provider);
        // a quorum could sign leaves that lower one provider to raise another; what others are due must stay here
        if (fees > _fees) revert ClaimAboveFunds(fees, _fees);
        if (incentive > _incentives) revert ClaimAboveFunds(incentive, _incentives);
        _checkClaim(fees + incentive, epoch < c.through ? 0 : epoch + 1 - c.through);

        // each sum is the leaf's own amount, each difference was compared above
        unchecked {
            c.fees += newFees;
            c.incentive += newIncentive;
            if (epoch >= c.through) c.through = epoch + 1;
            _fees -= newFees;
            _incentives -= newIncentive;
        }
        emit Claimed(provider, epoch, fees, incentive);
        _token.safeTransfer(provider, fees + incentive);
    }

    function _above(uint96 value, uint96 floor) private pure returns (uint96) {
        unchecked {
            return value > floor ? value - floor : 0;
        }
    }

    /// @dev Few claims come near the limit; the others need not ask the clock.
    function _checkClaim(uint256 amount, uint256 epochs) private view {
        if (amount <= epochs << _freeBits) return;
        uint256 limit = IEpochClock(clock).mostPerProvider() * epochs;
        if (amount > limit) revert ClaimAboveLimit(amount, limit);
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
    function nextActivation() external view returns (uint64) {
        return _nextActivation;
    }

    /// @inheritdoc IEpochLedger
    function record(uint64 epoch) external view returns (Record memory found) {
        Stored storage r = _reports[epoch];
        if (r.submittedAt == 0) return found;
        found.digest = _digest(r.structHash);
        found.structHash = r.structHash;
        found.root = r.root;
        found.evidence = r.evidence;
        found.state = r.state;
        found.rules = _rules[r.rules - 1];
        found.measurements = r.measurements;
        found.movements = r.movements;
        found.signers = r.signers;
        (uint96 providerFees, uint96 incentive, uint96 slaFundIn) = _rest(epoch, r);
        found.totals = Totals({
            charged: r.charged,
            providerFees: providerFees,
            verifierFees: r.verifierFees,
            treasury: r.treasury,
            slaFundIn: slaFundIn,
            credits: r.credits,
            creditsFromFund: r.creditsFromFund,
            incentive: incentive,
            pools: r.pools
        });
        found.leafCount = r.leafCount;
        found.submittedAt = r.submittedAt;
        found.sumFees = r.sumFees;
        found.sumIncentive = r.sumIncentive;
        if (r.completedAt == 0) return found;
        found.completedAt = r.completedAt;
        found.activatesAt = _activatesAt(r);
        found.activated = epoch < _nextActivation;
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
    function domainSeparator() public view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Bonded"), keccak256("1"), block.chainid, address(this))
        );
    }

    function _digest(bytes32 hash) private view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domainSeparator(), hash);
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
        return _digest(structHash(report));
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
