// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IGuardian} from "./interfaces/IGuardian.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {Leaves} from "./libraries/Leaves.sol";
import {Sums} from "./libraries/Sums.sol";

/// @title LedgerBooks
/// @notice What `EpochLedger` keeps: its links, what is stored of each report, and what its tokens are for. Documentation stands
/// in `IEpochLedger`.
abstract contract LedgerBooks is IEpochLedger, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Address for address;
    using Sums for uint256;

    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant REPORT_TYPEHASH = keccak256(
        "Report(uint64 epoch,bytes32 previous,bytes32 evidence,bytes32 state,bytes32 rules,uint64 checkpointBlock,bytes32 checkpointHash,bytes32 totals,bytes32 leaves,uint32 leafCount,bytes32 measurements,bytes32 movements,bytes32 harms)"
    );
    uint256 internal constant CHUNK = Leaves.CHUNK;

    /// @dev What is kept of a report: `Record` without what follows from the rest. What a report gives providers is what its
    /// sums exceed those of the report before by; `slaFundIn` balances the other totals.
    struct Stored {
        bytes32 structHash;
        bytes32 root;
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

    /// @dev `Sums` of what is activated and not claimed. The rest: the exponent of a power of two that was within the limit per
    /// provider at the newest activation (8 bits), and the next activation (56).
    uint256 internal _due;

    uint256 internal _owedTotal;
    uint256 internal _credits;
    uint256 internal _pools;

    mapping(uint64 epoch => Stored) internal _reports;
    mapping(uint64 epoch => Carry) internal _carries;
    mapping(bytes32 structHash => mapping(address provider => bytes32)) internal _harmed;
    mapping(bytes32 digest => Cancelled) internal _cancelled;
    mapping(bytes32 digest => bool) internal _struck;
    mapping(address payee => uint256) public owed;
    /// @dev `Sums` of what a provider has claimed. The rest: the newest epoch it has claimed against, plus one.
    mapping(address provider => uint256) internal _claims;

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

    // -------------------------------------------------------------------------------------------------------- reports

    /// @inheritdoc IEpochLedger
    function nextActivation() public view returns (uint64) {
        return _nextActivation(_due);
    }

    function _nextActivation(uint256 due) internal pure returns (uint64) {
        return due.rest() & type(uint56).max;
    }

    function _submitted(uint64 epoch) internal view returns (Stored storage r) {
        r = _reports[epoch];
        if (r.submittedAt == 0) revert UnknownReport(epoch);
    }

    function _activatesAt(Stored storage r) internal view returns (uint64) {
        return r.completedAt + _activationDelay;
    }

    function _sumsBefore(uint64 epoch) internal view returns (uint96 fees, uint96 incentive) {
        if (epoch == 0) return (0, 0);
        Stored storage before = _reports[epoch - 1];
        return (before.sumFees, before.sumIncentive);
    }

    /// @dev The totals that are not kept. None is below zero: the clock saw to that.
    function _rest(uint64 epoch, Stored storage r)
        internal
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

    // --------------------------------------------------------------------------------------------------------- chunks

    function _chunks(uint256 count) internal pure returns (uint256) {
        unchecked {
            return (count + CHUNK - 1) / CHUNK;
        }
    }

    function _checkMovements(uint64 epoch, Movements calldata movements, bytes32 expected) internal pure {
        bytes32 found = keccak256(abi.encode(movements));
        if (found != expected) revert WrongMovements(epoch, found, expected);
    }

    function _checkNext(uint64 epoch, uint256 chunk, uint256 next, uint256 chunks) internal pure {
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
    ) internal pure returns (bool) {
        _checkNext(epoch, chunk, next, hashes.length);
        if (length == 0 || length > CHUNK) revert WrongChunkLength(length, CHUNK);
        _checkHash(hash, hashes[chunk]);
        return chunk + 1 == hashes.length;
    }

    function _checkHash(bytes32 found, bytes32 expected) internal pure {
        if (found != expected) revert WrongChunkHash(found, expected);
    }

    function _checkSum(string memory name, uint256 stated, uint256 computed) internal pure {
        if (stated != computed) revert WrongSum(name, stated, computed);
    }

    /// @dev What came in so far never exceeds the total, and is all of it with the last chunk.
    function _checkPart(string memory name, uint256 stated, uint256 computed, bool last) internal pure {
        if (computed > stated || (last && computed != stated)) revert WrongSum(name, stated, computed);
    }

    // --------------------------------------------------------------------------------------------------------- tokens

    /// @dev Lets another contract pull `amount` in a call.
    function _bring(address to, uint256 amount, bytes memory call) internal {
        _token.forceApprove(to, amount);
        // the functions called here answer nothing, and a failure reverts
        // slither-disable-next-line unused-return
        to.functionCall(call);
    }

    // --------------------------------------------------------------------------------------------------------- hashes

    /// @inheritdoc IEpochLedger
    function domainSeparator() public view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Bonded"), keccak256("1"), block.chainid, address(this))
        );
    }

    function _digest(bytes32 hash) internal view returns (bytes32) {
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
}
