// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {PpmMath} from "./libraries/PpmMath.sol";

/// @title SlashingCourt
/// @notice Documentation stands in `ISlashingCourt`.
contract SlashingCourt is ISlashingCourt, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint8 internal constant LEAST_LEVEL = 2;
    uint8 internal constant MOST_AVAILABILITY_LEVEL = 4;
    uint8 internal constant OUTAGE_LEVEL = 5;
    uint8 internal constant LONG_OUTAGE_LEVEL = 6;
    uint8 internal constant MOST_LEVEL = 8;
    uint256 internal constant MOST_AVAILABILITY_PPM = 100_000;
    uint256 internal constant AVAILABILITY_WINDOW = 30 days;
    uint256 internal constant STATUTE = 28 days;
    uint256 internal constant MOST_CHALLENGE_SECONDS = 14 days;
    uint256 internal constant HARMED_PPM = 500_000;
    uint256 internal constant BURNED_PPM = 300_000;
    address internal constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    /// @dev One availability slash: when it was proposed and what it used up of the window.
    struct Use {
        uint64 at;
        uint32 ppm;
    }

    IERC20 internal immutable _token;
    address public immutable staking;
    address public immutable escrow;
    address public immutable epochLedger;
    uint64 public immutable challengeSeconds;

    uint256 public slashCount;
    mapping(uint256 id => Slash) internal _slashes;
    mapping(address provider => mapping(uint64 epoch => uint256 id)) public slashOf;
    mapping(address provider => Use[]) internal _uses;

    constructor(
        address stakeToken_,
        address staking_,
        address escrow_,
        address epochLedger_,
        Config memory config
    ) {
        _token = IERC20(Bounds.known("stakeToken", stakeToken_));
        staking = Bounds.known("staking", staking_);
        escrow = Bounds.known("escrow", escrow_);
        epochLedger = Bounds.known("epochLedger", epochLedger_);
        Bounds.linked("staking.court", IProviderStaking(staking_).court(), address(this));
        Bounds.linked("staking.stakeToken", IProviderStaking(staking_).stakeToken(), stakeToken_);
        Bounds.linked("staking.epochLedger", IProviderStaking(staking_).epochLedger(), epochLedger_);
        Bounds.linked("escrow.court", IJobEscrow(escrow_).court(), address(this));
        Bounds.linked("escrow.stakeToken", IJobEscrow(escrow_).stakeToken(), stakeToken_);
        Bounds.linked("escrow.epochLedger", IJobEscrow(escrow_).epochLedger(), epochLedger_);
        challengeSeconds =
            uint64(Bounds.within("challengeSeconds", config.challengeSeconds, 1, MOST_CHALLENGE_SECONDS));
        // whoever unbonds at the start of an epoch must still be within reach when that epoch's slash is executed
        uint256 reach = uint256(IEpochLedger(epochLedger_).settlementSeconds()) + config.challengeSeconds;
        Bounds.within("unbondingSeconds", IProviderStaking(staking_).unbondingSeconds(), reach, type(uint64).max);
    }

    // ------------------------------------------------------------------------------------------------------- propose

    /// @inheritdoc ISlashingCourt
    function propose(
        uint64 epoch,
        IEpochLedger.Leaf calldata leaf,
        bytes32[] calldata proof,
        address[] calldata customers,
        uint128[] calldata weights
    ) external nonReentrant returns (uint256 id) {
        _checkLeaf(epoch, leaf, proof);
        if (slashOf[leaf.provider][epoch] != 0) revert AlreadyProposed(slashOf[leaf.provider][epoch]);
        _checkHarmed(leaf.harmed, customers, weights);

        return _openSlash(epoch, leaf.provider, leaf.slashLevel, leaf.harmed);
    }

    function _openSlash(uint64 epoch, address provider, uint8 level, bytes32 harmed) private returns (uint256 id) {
        id = ++slashCount;
        slashOf[provider][epoch] = id;
        uint256 required = IProviderStaking(staking).provider(provider).requiredStake;
        uint32 ppm = levelPpm(level);
        uint32 granted = level <= MOST_AVAILABILITY_LEVEL ? _use(provider, ppm) : ppm;
        uint256 amount = PpmMath.shareDown(required, granted);
        Slash storage s = _slashes[id];
        s.provider = provider;
        s.epoch = epoch;
        s.level = level;
        s.proposedAt = uint64(block.timestamp);
        s.executableAt = uint64(block.timestamp) + challengeSeconds;
        s.amount = amount;
        s.harmed = harmed;
        emit SlashProposed(id, provider, epoch, level, amount, s.executableAt);
        if (granted != ppm) emit SlashCut(id, provider, PpmMath.shareDown(required, ppm), amount);
    }

    function _checkLeaf(uint64 epoch, IEpochLedger.Leaf calldata leaf, bytes32[] calldata proof) private view {
        IEpochLedger.Record memory record = IEpochLedger(epochLedger).record(epoch);
        if (!record.activated) revert NotActivated(epoch);
        if (!IEpochLedger(epochLedger).verifyLeaf(epoch, leaf, proof)) revert NotInRoot(epoch, leaf.provider);
        if (leaf.slashLevel < LEAST_LEVEL) revert NothingToSlash(leaf.slashLevel, LEAST_LEVEL);
        if (leaf.slashLevel > MOST_LEVEL) revert UnknownLevel(leaf.slashLevel, MOST_LEVEL);
        uint256 deadline = record.activatesAt + STATUTE;
        if (block.timestamp > deadline) revert OutOfStatute(deadline, block.timestamp);
    }

    function _checkHarmed(bytes32 harmed, address[] calldata customers, uint128[] calldata weights) private pure {
        if (customers.length != weights.length) revert LengthMismatch(customers.length, weights.length);
        bytes32 found = customers.length == 0 ? bytes32(0) : keccak256(abi.encode(customers, weights));
        if (found != harmed) revert WrongHarmed(found, harmed);
    }

    /// @dev Uses up to `ppm` of the provider's availability window and returns how much there was.
    function _use(address provider, uint32 ppm) private returns (uint32 granted) {
        granted = uint32(Math.min(ppm, availabilityLeftPpm(provider)));
        if (granted != 0) _uses[provider].push(Use({at: uint64(block.timestamp), ppm: granted}));
    }

    // ------------------------------------------------------------------------------------------------------- execute

    /// @inheritdoc ISlashingCourt
    function execute(uint256 id, address[] calldata customers, uint128[] calldata weights)
        external
        nonReentrant
        returns (uint256 taken)
    {
        Slash storage s = _slashes[id];
        if (s.proposedAt == 0) revert UnknownSlash(id);
        if (s.executedAt != 0) revert AlreadyExecuted(id, s.executedAt);
        if (block.timestamp < s.executableAt) revert ChallengeWindowOpen(id, s.executableAt, block.timestamp);
        _checkHarmed(s.harmed, customers, weights);

        s.executedAt = uint64(block.timestamp);
        taken = IProviderStaking(staking)
            .slash(s.provider, s.amount, s.level == OUTAGE_LEVEL, s.level == LONG_OUTAGE_LEVEL);
        s.taken = taken;
        uint256 toHarmed = _compensate(PpmMath.shareDown(taken, HARMED_PPM), customers, weights);
        uint256 burned = PpmMath.shareDown(taken, BURNED_PPM);
        uint256 toSlaFund = taken - toHarmed - burned;
        emit SlashExecuted(id, s.provider, taken, toHarmed, toSlaFund, burned);

        if (burned != 0) _token.safeTransfer(BURN_ADDRESS, burned);
        if (toSlaFund != 0) {
            _token.forceApprove(escrow, toSlaFund);
            IJobEscrow(escrow).fundSlaStake(toSlaFund);
        }
    }

    /// @dev Splits `part` by weight, rounded down, and returns what was given; the dust stays with the caller.
    function _compensate(uint256 part, address[] calldata customers, uint128[] calldata weights)
        private
        returns (uint256 given)
    {
        uint256 whole;
        for (uint256 i = 0; i < weights.length; ++i) whole += weights[i];
        if (part == 0 || whole == 0) return 0;
        uint256[] memory amounts = new uint256[](weights.length);
        for (uint256 i = 0; i < weights.length; ++i) {
            amounts[i] = PpmMath.mulDivDown(part, weights[i], whole);
            given += amounts[i];
        }
        if (given == 0) return 0;
        _token.forceApprove(escrow, given);
        IJobEscrow(escrow).compensate(customers, amounts);
    }

    // --------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc ISlashingCourt
    function stakeToken() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc ISlashingCourt
    function slash(uint256 id) external view returns (Slash memory) {
        return _slashes[id];
    }

    /// @inheritdoc ISlashingCourt
    function levelPpm(uint8 level) public pure returns (uint32) {
        if (level < LEAST_LEVEL) return 0;
        if (level == 2) return 10_000;
        if (level == 3) return 20_000;
        if (level == 4) return 40_000;
        if (level == LONG_OUTAGE_LEVEL) return 200_000;
        if (level > MOST_LEVEL) revert UnknownLevel(level, MOST_LEVEL);
        return 100_000;
    }

    /// @inheritdoc ISlashingCourt
    function availabilityLeftPpm(address provider) public view returns (uint256 left) {
        left = MOST_AVAILABILITY_PPM;
        Use[] storage uses = _uses[provider];
        // every use takes at least one percent or what was left, so eleven at most lie inside the window
        for (uint256 i = uses.length; i != 0; --i) {
            Use memory use = uses[i - 1];
            if (block.timestamp - use.at >= AVAILABILITY_WINDOW) break;
            left -= use.ppm;
        }
    }
}
