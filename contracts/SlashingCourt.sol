// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IGuardian} from "./interfaces/IGuardian.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {SlashSizes} from "./SlashSizes.sol";
import {VerifierPunishment} from "./VerifierPunishment.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";
import {Messages} from "./libraries/Messages.sol";
import {PpmMath} from "./libraries/PpmMath.sol";

/// @title SlashingCourt
/// @notice The way of a slash, from proposal to the last page of the harmed. Documentation stands in `ISlashingCourt`.
contract SlashingCourt is VerifierPunishment, SlashSizes, AccessManaged {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using BitMaps for BitMaps.BitMap;

    uint8 internal constant OUTAGE_CODE = 5;
    uint8 internal constant HARDWARE_CODE = 8;
    uint8 internal constant MOST_LEVEL = 8;
    uint256 internal constant STATUTE = 28 days;
    uint256 internal constant MOST_SECONDS = 14 days;
    uint256 internal constant HARMED_PPM = 500_000;
    uint256 internal constant SIGNER_PPM = 100_000;

    address public immutable clock;
    address public immutable challengeCourt;
    address public immutable guardian;
    uint64 public immutable challengeSeconds;
    uint64 public immutable arbitrationSeconds;
    uint64 public immutable marginSeconds;

    uint256 public slashCount;
    uint256 public totalBonds;
    uint256 public totalHarmed;
    mapping(uint256 id => Slash) internal _slashes;
    mapping(address provider => mapping(uint64 epoch => uint256 id)) public slashOf;
    mapping(uint256 id => BitMaps.BitMap) internal _pages;

    constructor(
        address stakeToken_,
        address staking_,
        address escrow_,
        address epochLedger_,
        address verifiers_,
        address challengeCourt_,
        address authority_,
        address guardian_,
        Config memory config
    )
        VerifierPunishment(stakeToken_, escrow_, epochLedger_, verifiers_)
        SlashSizes(staking_, config.leastBond)
        AccessManaged(Bounds.known("authority", authority_))
    {
        challengeCourt = Bounds.known("challengeCourt", challengeCourt_);
        guardian = Bounds.known("guardian", guardian_);
        clock = IEpochLedger(epochLedger_).clock();
        Bounds.linked("staking.court", IProviderStaking(staking_).court(), address(this));
        Bounds.linked("staking.stakeToken", IProviderStaking(staking_).stakeToken(), stakeToken_);
        Bounds.linked("staking.epochLedger", IProviderStaking(staking_).epochLedger(), epochLedger_);
        Bounds.linked("escrow.court", IJobEscrow(escrow_).court(), address(this));
        Bounds.linked("escrow.stakeToken", IJobEscrow(escrow_).stakeToken(), stakeToken_);
        Bounds.linked("escrow.epochLedger", IJobEscrow(escrow_).epochLedger(), epochLedger_);
        Bounds.linked("epochLedger.verifiers", IEpochLedger(epochLedger_).verifiers(), verifiers_);
        Bounds.linked("epochLedger.challengeCourt", IEpochLedger(epochLedger_).challengeCourt(), challengeCourt_);
        Bounds.linked("verifiers.court", IBondedOperators(verifiers_).court(), address(this));
        Bounds.linked("verifiers.stakeToken", IBondedOperators(verifiers_).stakeToken(), stakeToken_);
        challengeSeconds = uint64(Bounds.within("challengeSeconds", config.challengeSeconds, 1, MOST_SECONDS));
        arbitrationSeconds = uint64(Bounds.within("arbitrationSeconds", config.arbitrationSeconds, 1, MOST_SECONDS));
        marginSeconds = uint64(Bounds.within("marginSeconds", config.marginSeconds, 1, MOST_SECONDS));
        // whoever begins to leave with its deed must still be within reach when it is judged, whatever pause comes in between
        uint256 reach = uint256(IEpochClock(clock).settlementSeconds()) + config.challengeSeconds
            + config.arbitrationSeconds + config.marginSeconds + IGuardian(guardian_).mostPauseSeconds();
        uint256 longest = type(uint64).max;
        // checked, not needed
        // slither-disable-start unused-return
        // in a longer time there could be a second pause
        Bounds.within("reach", reach, 1, IGuardian(guardian_).betweenPauses());
        Bounds.within("staking.unbondingSeconds", IProviderStaking(staking_).unbondingSeconds(), reach, longest);
        Bounds.within("verifiers.unbondingSeconds", IBondedOperators(verifiers_).unbondingSeconds(), reach, longest);
        // slither-disable-end unused-return
    }

    // ------------------------------------------------------------------------------------------------------- propose

    /// @inheritdoc ISlashingCourt
    function propose(uint64 epoch, IEpochLedger.Leaf calldata leaf, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 id)
    {
        IGuardian(guardian).requireOpen();
        address provider = leaf.provider;
        _checkLeaf(epoch, leaf, proof);
        if (slashOf[provider][epoch] != 0) revert AlreadyProposed(slashOf[provider][epoch]);

        uint256 required = _required(provider);
        uint8 code = leaf.slashLevel;
        uint32 ppm = codePpm(code);
        uint32 granted = code <= MOST_AVAILABILITY_CODE ? _use(provider, epoch, ppm) : ppm;
        uint256 amount = PpmMath.shareDown(required, granted);
        Slash storage s = _open(provider, epoch, code, amount);
        id = slashCount;
        slashOf[provider][epoch] = id;
        s.stage = Stage.Open;
        s.queued = _count(amount);
        s.executableAt = uint64(block.timestamp) + challengeSeconds;
        s.bond = bondFor(amount);
        s.harmed = IEpochLedger(epochLedger).harmedRoot(epoch, provider);
        totalBonds += s.bond;
        _emitProposed(id, s);
        if (granted != ppm) emit SlashCut(id, provider, PpmMath.shareDown(required, ppm), amount);
        _token.pull(msg.sender, s.bond);
    }

    function _checkLeaf(uint64 epoch, IEpochLedger.Leaf calldata leaf, bytes32[] calldata proof) private view {
        IEpochLedger.Record memory record = IEpochLedger(epochLedger).record(epoch);
        if (!record.activated) revert NotActivated(epoch);
        if (!IEpochLedger(epochLedger).verifyLeaf(epoch, leaf, proof)) revert NotInRoot(epoch, leaf.provider);
        if (leaf.slashLevel < LEAST_LEVEL) revert NothingToSlash(leaf.slashLevel, LEAST_LEVEL);
        if (leaf.slashLevel > MOST_LEVEL) revert UnknownCode(leaf.slashLevel, MOST_LEVEL);
        uint256 deadline = record.activatesAt + STATUTE;
        if (block.timestamp > deadline) revert OutOfStatute(deadline, block.timestamp);
    }

    /// @dev The base of every slash. Nobody who never registered can be slashed, and a slash of nobody could never be carried out.
    function _required(address provider) private view returns (uint256) {
        IProviderStaking.ProviderView memory p = IProviderStaking(staking).provider(provider);
        if (p.status == IProviderStaking.Status.None) revert IProviderStaking.NotRegistered(provider);
        return p.requiredStake;
    }

    function _open(address provider, uint64 epoch, uint8 code, uint256 amount) private returns (Slash storage s) {
        s = _slashes[++slashCount];
        s.provider = provider;
        s.epoch = epoch;
        s.code = code;
        s.proposedAt = uint64(block.timestamp);
        s.proposer = msg.sender;
        s.amount = amount;
    }

    function _emitProposed(uint256 id, Slash storage s) private {
        emit SlashProposed(
            id, s.provider, s.epoch, s.code, s.amount, s.executableAt, s.proposer, s.bond, s.harmed, s.queued
        );
    }

    // ------------------------------------------------------------------------------------------------------ judgement

    /// @inheritdoc ISlashingCourt
    function contest(uint256 id, bytes32 reason) external nonReentrant {
        Slash storage s = _known(id);
        if (s.stage != Stage.Open) revert WrongStage(id, s.stage);
        if (block.timestamp >= s.executableAt) revert ChallengeWindowClosed(id, s.executableAt, block.timestamp);
        s.stage = Stage.Contested;
        s.contestant = msg.sender;
        s.ruleBy = uint64(block.timestamp) + arbitrationSeconds;
        totalBonds += s.bond;
        emit SlashContested(id, msg.sender, s.bond, reason, s.ruleBy);
        _token.pull(msg.sender, s.bond);
    }

    /// @inheritdoc ISlashingCourt
    function rule(uint256 id, bool upheld, address[] calldata wrongSigners) external nonReentrant restricted {
        Slash storage s = _known(id);
        if (s.stage != Stage.Contested) revert WrongStage(id, s.stage);
        if (block.timestamp >= s.ruleBy) revert RulingLate(id, s.ruleBy, block.timestamp);
        if (wrongSigners.length != 0) _checkSigners(s.epoch, wrongSigners, upheld);
        emit SlashRuled(id, upheld);
        if (upheld) {
            s.stage = Stage.Upheld;
            _forfeit(id, s.contestant, s.bond, s.proposer);
            return;
        }
        _cancel(id, s, msg.sender);
        _forfeit(id, s.proposer, s.bond, s.contestant);
        _returnBond(id, s.contestant, s.bond);
        // nobody has shown a proof, so there is no prover to be paid
        if (wrongSigners.length != 0) _punish(s.epoch, wrongSigners, SIGNER_PPM, s.provider, s.amount, address(0));
    }

    /// @dev An arbitrator blames those who signed, all of them, and nobody else; if it upholds, nobody.
    function _checkSigners(uint64 epoch, address[] calldata wrongSigners, bool upheld) private view {
        bytes32 expected =
            upheld ? keccak256(abi.encode(new address[](0))) : IEpochLedger(epochLedger).record(epoch).signers;
        bytes32 found = keccak256(abi.encode(wrongSigners));
        if (found != expected) revert WrongSigners(found, expected);
    }

    /// @inheritdoc ISlashingCourt
    function release(uint256 id) external restricted {
        Slash storage s = _known(id);
        if (s.stage == Stage.Executed || s.stage == Stage.Cancelled) revert WrongStage(id, s.stage);
        if (!s.queued) revert NotQueued(id);
        s.queued = false;
        emit SlashReleased(id);
    }

    /// @inheritdoc ISlashingCourt
    function lapse(uint256 id) external nonReentrant {
        Slash storage s = _known(id);
        bool contested = s.stage == Stage.Contested;
        bool waiting = s.queued && (s.stage == Stage.Open || s.stage == Stage.Upheld);
        if (!contested && !waiting) revert WrongStage(id, s.stage);
        uint256 until = contested ? s.ruleBy : s.proposedAt + STATUTE;
        if (block.timestamp < until) revert RulingPending(id, until, block.timestamp);
        _cancel(id, s, msg.sender);
        _returnBond(id, s.proposer, s.bond);
        if (contested) _returnBond(id, s.contestant, s.bond);
    }

    /// @inheritdoc ISlashingCourt
    function cancel(uint256 id, address prover) external nonReentrant {
        _requireChallengeCourt();
        Slash storage s = _known(id);
        if (s.stage == Stage.Executed || s.stage == Stage.Cancelled) revert WrongStage(id, s.stage);
        bool contested = s.stage == Stage.Contested;
        _cancel(id, s, msg.sender);
        if (prover == address(0)) _returnBond(id, s.proposer, s.bond);
        else _forfeit(id, s.proposer, s.bond, prover);
        if (contested) _returnBond(id, s.contestant, s.bond);
    }

    /// @inheritdoc ISlashingCourt
    function punish(
        uint64 epoch,
        address[] calldata signers,
        uint256 ppm,
        address vindicated,
        uint256 lost,
        address prover
    ) external nonReentrant {
        _requireChallengeCourt();
        _punish(epoch, signers, ppm, vindicated, lost, prover);
    }

    function _cancel(uint256 id, Slash storage s, address by) private {
        s.stage = Stage.Cancelled;
        if (s.code <= MOST_AVAILABILITY_CODE) _giveBack(s.provider, s.epoch);
        emit SlashCancelled(id, by);
    }

    /// @dev Who was wrong loses its bond: half to who was right, half to the fire, which gets the odd unit.
    function _forfeit(uint256 id, address loser, uint256 bond, address winner) private {
        uint256 toWinner = bond / 2;
        totalBonds -= bond;
        emit BondSettled(id, loser, 0, winner, toWinner, bond - toWinner);
        _pay(winner, toWinner);
        _pay(BURN_ADDRESS, bond - toWinner);
    }

    function _returnBond(uint256 id, address poster, uint256 bond) private {
        totalBonds -= bond;
        emit BondSettled(id, poster, bond, address(0), 0, 0);
        _pay(poster, bond);
    }

    // ------------------------------------------------------------------------------------------------------- execute

    /// @inheritdoc ISlashingCourt
    function execute(uint256 id) external nonReentrant returns (uint256 taken) {
        IGuardian(guardian).requireOpen();
        Slash storage s = _known(id);
        if (s.stage != Stage.Open && s.stage != Stage.Upheld) revert WrongStage(id, s.stage);
        if (block.timestamp < s.executableAt) revert ChallengeWindowOpen(id, s.executableAt, block.timestamp);
        if (s.queued) revert Queued(id);
        taken = _carryOut(id, s, address(0));
        _returnBond(id, s.proposer, s.bond);
    }

    /// @dev Takes and splits. The part of whoever is missing, a prover or the harmed, goes to the SLA fund with the dust.
    function _carryOut(uint256 id, Slash storage s, address prover) private returns (uint256 taken) {
        s.stage = Stage.Executed;
        uint256 toProver;
        if (prover == address(0)) {
            taken = _take(s);
        } else {
            // a provider without stake of its own could have itself shown, and be paid by its delegators
            uint256 before = IProviderStaking(staking).provider(s.provider).slashedTotal;
            taken = _take(s);
            uint256 own = IProviderStaking(staking).provider(s.provider).slashedTotal - before;
            toProver = PpmMath.shareDown(own, PROVER_PPM);
        }
        uint256 toHarmed = s.harmed == 0 ? 0 : PpmMath.shareDown(taken, HARMED_PPM);
        uint256 burned = PpmMath.shareDown(taken, BURNED_PPM);
        uint256 toSlaFund = taken - toHarmed - toProver - burned;
        s.taken = taken;
        s.harmedPart = toHarmed;
        totalHarmed += toHarmed;
        emit SlashExecuted(id, s.provider, taken, toHarmed, toProver, toSlaFund, burned);
        _pay(prover, toProver);
        _pay(BURN_ADDRESS, burned);
        _fund(toSlaFund);
    }

    function _take(Slash storage s) private returns (uint256 taken) {
        IProviderStaking.Consequence consequence = _consequence(s.code);
        if (s.amount == 0 && consequence == IProviderStaking.Consequence.None) return 0;
        return IProviderStaking(staking).slash(s.provider, s.amount, consequence);
    }

    function _consequence(uint8 code) private pure returns (IProviderStaking.Consequence) {
        if (code == OUTAGE_CODE) return IProviderStaking.Consequence.Jail;
        if (code == HARDWARE_CODE) return IProviderStaking.Consequence.JailUntilMeasured;
        if (code == LONG_OUTAGE_CODE || code == RECEIPTS_CODE) return IProviderStaking.Consequence.Removal;
        return IProviderStaking.Consequence.None;
    }

    // ----------------------------------------------------------------------------------------------------- compensate

    /// @inheritdoc ISlashingCourt
    function compensate(uint256 id, Page calldata page, bytes32[] calldata proof) external nonReentrant {
        Slash storage s = _known(id);
        if (s.stage != Stage.Executed) revert WrongStage(id, s.stage);
        bytes32 found = keccak256(bytes.concat(keccak256(abi.encode(page))));
        if (!MerkleProof.verifyCalldata(proof, s.harmed, found)) revert WrongPage(id, found, s.harmed);
        if (page.customers.length != page.weights.length) {
            revert LengthMismatch(page.customers.length, page.weights.length);
        }
        if (pageGiven(id, page.index)) revert PageGiven(id, page.index);
        _pages[id].set(page.index);

        (uint256[] memory amounts, uint256 given) = _parts(page, s.harmedPart);
        uint256 rest = s.harmedPart - s.harmedGiven;
        if (given > rest) revert PageAboveRest(given, rest);
        bool last = ++s.pagesGiven == page.pages;
        uint256 leaving = last ? rest : given;
        s.harmedGiven += leaving;
        totalHarmed -= leaving;
        emit PageCompensated(id, page.index, given);
        if (given != 0) {
            _token.forceApprove(escrow, given);
            IJobEscrow(escrow).compensate(page.customers, amounts);
        }
        if (!last) return;
        emit CompensationClosed(id, rest - given);
        _fund(rest - given);
    }

    /// @dev Everybody's part of `whole` by weight, rounded down, and their sum. Weights of nothing give nothing, so that the last
    /// page of a malformed list still frees what is held for it.
    function _parts(Page calldata page, uint256 whole) private pure returns (uint256[] memory amounts, uint256 given) {
        amounts = new uint256[](page.weights.length);
        if (page.totalWeight == 0) return (amounts, 0);
        for (uint256 i = 0; i < amounts.length; ++i) {
            amounts[i] = PpmMath.mulDivDown(whole, page.weights[i], page.totalWeight);
            given += amounts[i];
        }
    }

    // ----------------------------------------------------------------------------------------------------- two receipts

    /// @inheritdoc ISlashingCourt
    function proveReceipts(
        Receipt calldata a,
        bytes calldata signatureA,
        Receipt calldata b,
        bytes calldata signatureB
    ) external nonReentrant returns (uint256 id) {
        if (
            a.job != b.job || a.attempt != b.attempt || a.provider != b.provider
                || a.requestDigest != b.requestDigest
        ) revert NotEquivocal();
        bytes32 hashA = Messages.receipt(a);
        bytes32 hashB = Messages.receipt(b);
        if (hashA == hashB) revert NotEquivocal();
        _checkProviderSigned(a.provider, hashA, signatureA);
        _checkProviderSigned(a.provider, hashB, signatureB);
        uint64 epoch = _epochInStatute(a.slot < b.slot ? a.slot : b.slot);
        _once(keccak256(abi.encode(RECEIPTS_CODE, a.provider, a.job, a.attempt)));
        _once(keccak256(abi.encode(RECEIPTS_CODE, a.provider, epoch)));

        uint256 amount = PpmMath.shareDown(_required(a.provider), codePpm(RECEIPTS_CODE));
        Slash storage s = _open(a.provider, epoch, RECEIPTS_CODE, amount);
        s.executableAt = uint64(block.timestamp);
        id = slashCount;
        emit ReceiptsEquivocated(id, a.provider, a.job, a.attempt, msg.sender);
        _emitProposed(id, s);
        // anybody may register large hardware without stake: what was asked of it would trip the breaker for nothing
        _count(_carryOut(id, s, msg.sender));
    }

    function _checkProviderSigned(address provider, bytes32 structHash, bytes calldata signature) private view {
        address signer = _signer(structHash, signature);
        if (signer == address(0) || IProviderStaking(staking).providerOfSigner(signer) != provider) {
            revert WrongSigner(signer, provider);
        }
    }

    function _epochInStatute(uint64 slot) private view returns (uint64) {
        uint256 deadline = IEpochClock(clock).genesis() + uint256(slot) * IEpochClock(clock).slotSeconds() + STATUTE;
        if (block.timestamp > deadline) revert OutOfStatute(deadline, block.timestamp);
        return slot / IEpochClock(clock).slotsPerEpoch();
    }

    // --------------------------------------------------------------------------------------------------------- views

    function _known(uint256 id) private view returns (Slash storage s) {
        s = _slashes[id];
        if (s.stage == Stage.None) revert UnknownSlash(id);
    }

    function _requireChallengeCourt() private view {
        if (msg.sender != challengeCourt) revert NotChallengeCourt(msg.sender);
    }

    /// @inheritdoc ISlashingCourt
    function slash(uint256 id) external view returns (Slash memory) {
        return _slashes[id];
    }

    /// @inheritdoc ISlashingCourt
    function pageGiven(uint256 id, uint32 index) public view returns (bool) {
        return _pages[id].get(index);
    }
}
