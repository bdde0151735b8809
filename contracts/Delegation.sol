// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IDelegation} from "./interfaces/IDelegation.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IGuardian} from "./interfaces/IGuardian.sol";
import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";
import {PpmMath} from "./libraries/PpmMath.sol";
import {Shares} from "./libraries/Shares.sol";

/// @title Delegation
/// @notice Documentation stands in `IDelegation`.
contract Delegation is IDelegation, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using Shares for Shares.Pool;

    uint256 internal constant MOST_TIMES_OWN_STAKE = 16;
    uint256 internal constant MOST_EXITS = 10;
    /// @dev Release times are multiples of a part of the unbonding time.
    uint64 internal constant RELEASE_PARTS = 8;
    /// @dev Rewards per share are counted in units of 10^-36: a payment token may have 12 decimals less than the stake token, and
    /// what is lost by rounding must stay below a unit. A reward has at most 96 bits, so 2^40 of them fit behind one share.
    uint256 internal constant SCALE = 1e36;

    /// @dev What is behind one provider. `generation` counts how often a slash took all that was bonded: shares of an
    /// older generation are void, and what they had earned until then is in `earnedAtEnd`.
    /// `open` are the batches that have not left, in the order of their release. No more than nine: the release of a
    /// batch that is open lies after this moment and before this moment + unbonding time + step, an open interval no
    /// longer than nine steps, which contains at most nine multiples of a step; no two open batches share a release.
    struct Backing {
        Shares.Pool bonded;
        uint256 unbonding;
        uint256 earnedPerShare;
        uint64 generation;
        uint64 nextBatch;
        uint64[] open;
        mapping(uint64 generation => uint256) earnedAtEnd;
        mapping(uint256 id => Batch) batches;
        Commission[] commissions;
    }

    /// @dev Exits of one time. A slash lowers `pool.tokens`; a batch without tokens is void.
    struct Batch {
        Shares.Pool pool;
        uint64 releaseAt;
    }

    /// @dev From this epoch on, until the next entry. At most the last entry lies ahead.
    struct Commission {
        uint64 fromEpoch;
        uint32 ppm;
    }

    /// @dev Rewards are settled up to `earnedPerShare`; all that was earned since is still to be added.
    struct Position {
        uint256 shares;
        uint256 earnedPerShare;
        uint256 rewards;
        uint64 generation;
        Exit[] exits;
    }

    struct Exit {
        uint256 shares;
        uint64 batch;
    }

    IERC20 internal immutable _stakeToken;
    IERC20 internal immutable _paymentToken;
    address public immutable clock;
    address public immutable staking;
    address public immutable epochLedger;
    address public immutable guardian;
    uint64 internal immutable _unbondingSeconds;
    uint64 internal immutable _stepSeconds;

    uint256 public totalDelegated;
    uint256 public totalUnbonding;
    uint256 public totalMatured;
    uint256 public totalRewards;

    mapping(address provider => Backing) internal _backings;
    mapping(address provider => mapping(address delegator => Position)) internal _positions;

    constructor(
        address stakeToken_,
        address paymentToken_,
        address clock_,
        address staking_,
        address epochLedger_,
        address guardian_
    ) {
        _stakeToken = ExactToken.existing("stakeToken", stakeToken_);
        _paymentToken = ExactToken.existing("paymentToken", paymentToken_);
        clock = Bounds.known("clock", clock_);
        staking = Bounds.known("staking", staking_);
        epochLedger = Bounds.known("epochLedger", epochLedger_);
        guardian = Bounds.known("guardian", guardian_);
        Bounds.linked("stakeToken", IProviderStaking(staking_).stakeToken(), stakeToken_);
        Bounds.linked("paymentToken", IEpochLedger(epochLedger_).paymentToken(), paymentToken_);
        Bounds.linked("clock", IProviderStaking(staking_).clock(), clock_);
        Bounds.linked("guardian", IProviderStaking(staking_).guardian(), guardian_);
        Bounds.linked("epochLedger", IProviderStaking(staking_).epochLedger(), epochLedger_);
        Bounds.linked("delegation of staking", IProviderStaking(staking_).delegation(), address(this));
        _unbondingSeconds = IProviderStaking(staking_).unbondingSeconds();
        _stepSeconds = (_unbondingSeconds + RELEASE_PARTS - 1) / RELEASE_PARTS;
    }

    // --------------------------------------------------------------------------------------------------- in and out

    /// @inheritdoc IDelegation
    function delegate(address provider, uint256 amount) external nonReentrant returns (uint256 shares) {
        IGuardian(guardian).requireOpen();
        if (amount == 0) revert ZeroAmount();
        IProviderStaking.ProviderView memory view_ = IProviderStaking(staking).provider(provider);
        if (view_.status != IProviderStaking.Status.Active) revert NotActive(provider);
        Backing storage b = _backings[provider];
        uint256 delegatedAfter = b.bonded.tokens + amount;
        uint256 most = view_.stake * MOST_TIMES_OWN_STAKE;
        if (delegatedAfter > most) revert DelegationAboveLimit(delegatedAfter, most);

        Position storage position_ = _settled(provider, msg.sender);
        shares = b.bonded.enter(amount);
        position_.shares += shares;
        uint256 booked = totalDelegated + totalUnbonding + totalMatured;
        totalDelegated += amount;
        emit Delegated(provider, msg.sender, amount, shares);
        _stakeToken.pull(msg.sender, amount, booked);
    }

    /// @inheritdoc IDelegation
    function undelegate(address provider, uint256 shares) external nonReentrant returns (uint256) {
        if (shares == 0) revert ZeroAmount();
        _mature(provider);
        Position storage position_ = _settled(provider, msg.sender);
        if (shares > position_.shares) revert InsufficientShares(position_.shares, shares);
        Backing storage b = _backings[provider];
        uint256 amount = b.bonded.leave(shares);
        if (amount == 0) revert AmountTooSmall(shares);
        position_.shares -= shares;

        (uint64 id, uint64 releaseAt) = _batchForNow(b);
        uint256 batchShares = b.batches[id].pool.enter(amount);
        _addExit(position_, id, batchShares);
        b.unbonding += amount;
        totalDelegated -= amount;
        totalUnbonding += amount;
        emit Undelegated(provider, msg.sender, id, amount, shares, batchShares, releaseAt);
        return id;
    }

    /// @dev The newest open batch if it is released when an exit of this moment is, otherwise one more.
    function _batchForNow(Backing storage b) private returns (uint64 id, uint64 releaseAt) {
        // rounded to a multiple of the step on purpose
        // slither-disable-next-line divide-before-multiply
        releaseAt = (uint64(block.timestamp) + _unbondingSeconds + _stepSeconds - 1) / _stepSeconds * _stepSeconds;
        uint256 length = b.open.length;
        if (length != 0) {
            id = b.open[length - 1];
            // both are multiples of the step
            // slither-disable-next-line incorrect-equality
            if (b.batches[id].releaseAt == releaseAt) return (id, releaseAt);
        }
        id = b.nextBatch++;
        b.batches[id].releaseAt = releaseAt;
        b.open.push(id);
    }

    function _addExit(Position storage position_, uint64 id, uint256 shares) private {
        Exit[] storage exits = position_.exits;
        uint256 length = exits.length;
        // an id, not an amount
        // slither-disable-next-line incorrect-equality
        if (length != 0 && exits[length - 1].batch == id) {
            exits[length - 1].shares += shares;
            return;
        }
        if (length == MOST_EXITS) revert TooManyExits(length, MOST_EXITS);
        exits.push(Exit({shares: shares, batch: id}));
    }

    /// @inheritdoc IDelegation
    function withdraw(address provider) external nonReentrant returns (uint256 amount) {
        _mature(provider);
        Backing storage b = _backings[provider];
        Exit[] storage exits = _positions[provider][msg.sender].exits;
        uint256 length = exits.length;
        uint256 kept;
        uint64 nextRelease;
        for (uint256 i = 0; i < length; ++i) {
            Exit memory exit_ = exits[i];
            Batch storage batch = b.batches[exit_.batch];
            if (batch.releaseAt > block.timestamp && batch.pool.tokens != 0) {
                if (kept == 0) nextRelease = batch.releaseAt;
                exits[kept++] = exit_;
            } else {
                amount += batch.pool.leave(exit_.shares);
            }
        }
        if (kept == length) revert NothingToWithdraw(nextRelease);
        for (uint256 i = kept; i < length; ++i) exits.pop();
        totalMatured -= amount;
        emit Withdrawn(provider, msg.sender, amount);
        if (amount != 0) _stakeToken.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IDelegation
    function mature(address provider) external {
        _mature(provider);
    }

    /// @dev Takes batches whose time has come off the front of the list.
    function _mature(address provider) private {
        Backing storage b = _backings[provider];
        uint256 length = b.open.length;
        uint256 ripe;
        uint256 sum;
        for (; ripe < length; ++ripe) {
            uint64 id = b.open[ripe];
            Batch storage batch = b.batches[id];
            if (batch.releaseAt > block.timestamp) break;
            sum += batch.pool.tokens;
            emit BatchMatured(provider, id, batch.pool.tokens);
        }
        if (ripe == 0) return;
        for (uint256 i = ripe; i < length; ++i) b.open[i - ripe] = b.open[i];
        for (uint256 i = 0; i < ripe; ++i) b.open.pop();
        b.unbonding -= sum;
        totalUnbonding -= sum;
        totalMatured += sum;
    }

    // ------------------------------------------------------------------------------------------------------ rewards

    /// @inheritdoc IDelegation
    function reward(IEpochLedger.Pool[] calldata pools) external nonReentrant {
        if (msg.sender != epochLedger) revert NotLedger(msg.sender);
        uint256 sum;
        for (uint256 i = 0; i < pools.length; ++i) {
            (address provider, uint256 amount) = (pools[i].provider, pools[i].amount);
            if (amount == 0) revert ZeroAmount();
            Backing storage b = _backings[provider];
            uint256 shares = b.bonded.shares;
            if (shares == 0) _positions[provider][provider].rewards += amount;
            else b.earnedPerShare += Math.mulDiv(amount, SCALE, shares);
            sum += amount;
            emit Rewarded(provider, amount, shares);
        }
        uint256 booked = totalRewards;
        totalRewards = booked + sum;
        _paymentToken.pull(msg.sender, sum, booked);
    }

    /// @inheritdoc IDelegation
    function claimRewards(address provider) external nonReentrant returns (uint256 amount) {
        Position storage position_ = _settled(provider, msg.sender);
        amount = position_.rewards;
        if (amount == 0) revert NothingToClaim(msg.sender);
        position_.rewards = 0;
        totalRewards -= amount;
        emit RewardsClaimed(provider, msg.sender, amount);
        _paymentToken.safeTransfer(msg.sender, amount);
    }

    /// @dev A position with its rewards up to this moment booked, and without void shares.
    function _settled(address provider, address delegator) private returns (Position storage position_) {
        Backing storage b = _backings[provider];
        position_ = _positions[provider][delegator];
        uint256 earned = _earned(b, position_);
        if (earned != 0) position_.rewards += earned;
        uint64 generation = b.generation;
        if (position_.generation != generation) (position_.generation, position_.shares) = (generation, 0);
        position_.earnedPerShare = b.earnedPerShare;
    }

    /// @dev What a position's shares have earned since it was settled, rounded down: until they were void, if they are.
    function _earned(Backing storage b, Position storage position_) private view returns (uint256) {
        uint256 shares = position_.shares;
        if (shares == 0) return 0;
        uint64 generation = position_.generation;
        uint256 until = generation == b.generation ? b.earnedPerShare : b.earnedAtEnd[generation];
        return Math.mulDiv(shares, until - position_.earnedPerShare, SCALE);
    }

    // --------------------------------------------------------------------------------------------------- commission

    /// @inheritdoc IDelegation
    function setCommission(uint32 ppm) external {
        if (IProviderStaking(staking).provider(msg.sender).status == IProviderStaking.Status.None) {
            revert NotProvider(msg.sender);
        }
        if (ppm > PpmMath.WHOLE_PPM) revert CommissionAboveLimit(ppm, PpmMath.WHOLE_PPM);
        uint64 running = IEpochClock(clock).currentEpoch();
        uint64 fromEpoch = ppm > commissionFor(msg.sender, running) ? running + 2 : running;
        Commission[] storage all = _backings[msg.sender].commissions;
        uint256 length = all.length;
        // what waits is replaced, and so is a cut of this very epoch; what held in an epoch that is over stays readable
        while (length != 0 && all[length - 1].fromEpoch >= fromEpoch) {
            all.pop();
            --length;
        }
        if (fromEpoch != running && length != 0 && all[length - 1].fromEpoch > running) all.pop();
        all.push(Commission({fromEpoch: fromEpoch, ppm: ppm}));
        emit CommissionSet(msg.sender, ppm, fromEpoch);
    }

    /// @inheritdoc IDelegation
    function commissionFor(address provider, uint64 epoch) public view returns (uint32) {
        Commission[] storage all = _backings[provider].commissions;
        for (uint256 i = all.length; i != 0; --i) {
            Commission memory entry = all[i - 1];
            if (entry.fromEpoch <= epoch) return entry.ppm;
        }
        return 0;
    }

    // -------------------------------------------------------------------------------------------------------- slash

    /// @inheritdoc IDelegation
    function slash(address provider, uint256 amount, address to) external nonReentrant returns (uint256 taken) {
        if (msg.sender != staking) revert NotStaking(msg.sender);
        _mature(provider);
        Backing storage b = _backings[provider];
        uint256 fromDelegated = Math.min(amount, b.bonded.tokens);
        uint256 fromUnbonding = Math.min(amount - fromDelegated, b.unbonding);
        taken = fromDelegated + fromUnbonding;
        if (taken == 0) return 0;
        emit Slashed(provider, amount, fromDelegated, fromUnbonding);

        if (b.bonded.cut(fromDelegated)) {
            b.bonded.shares = 0;
            b.earnedAtEnd[b.generation++] = b.earnedPerShare;
            emit PoolVoided(provider, false);
        }
        if (fromUnbonding != 0) _cutBatches(provider, b, fromUnbonding);
        totalDelegated -= fromDelegated;
        totalUnbonding -= fromUnbonding;
        _stakeToken.safeTransfer(to, taken);
    }

    /// @dev Each batch gives its part of what is still to be taken from it and those behind it, rounded down, so the last one
    /// gives the rest and all parts sum to `amount`. A batch without tokens leaves the list: nobody may enter it again.
    function _cutBatches(address provider, Backing storage b, uint256 amount) private {
        uint256 behind = b.unbonding;
        uint256 after_ = behind - amount;
        b.unbonding = after_;
        uint256 length = b.open.length;
        uint256 kept;
        for (uint256 i = 0; i < length; ++i) {
            uint64 id = b.open[i];
            Shares.Pool storage pool_ = b.batches[id].pool;
            uint256 tokens = pool_.tokens;
            uint256 part = Math.mulDiv(tokens, amount, behind);
            behind -= tokens;
            amount -= part;
            if (pool_.cut(part)) emit BatchMatured(provider, id, 0);
            else b.open[kept++] = id;
        }
        for (uint256 i = kept; i < length; ++i) b.open.pop();
        if (after_ == 0) emit PoolVoided(provider, true);
    }

    // -------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IDelegation
    function stakeToken() external view returns (address) {
        return address(_stakeToken);
    }

    /// @inheritdoc IDelegation
    function paymentToken() external view returns (address) {
        return address(_paymentToken);
    }

    /// @inheritdoc IDelegation
    function delegatedTo(address provider) external view returns (uint256) {
        return _backings[provider].bonded.tokens;
    }

    /// @inheritdoc IDelegation
    function pool(address provider) external view returns (PoolView memory v) {
        Backing storage b = _backings[provider];
        v.delegated = b.bonded.tokens;
        v.shares = b.bonded.shares;
        v.unbonding = b.unbonding;
        for (uint256 i = 0; i < b.open.length; ++i) {
            Batch storage batch = b.batches[b.open[i]];
            if (batch.releaseAt <= block.timestamp) v.unbonding -= batch.pool.tokens;
        }
        uint64 running = IEpochClock(clock).currentEpoch();
        v.commissionPpm = commissionFor(provider, running);
        v.commissionNextPpm = v.commissionPpm;
        uint256 length = b.commissions.length;
        if (length != 0 && b.commissions[length - 1].fromEpoch > running) {
            v.commissionNextPpm = b.commissions[length - 1].ppm;
            v.commissionNextFrom = b.commissions[length - 1].fromEpoch;
        }
    }

    /// @inheritdoc IDelegation
    function position(address provider, address delegator) external view returns (PositionView memory v) {
        Backing storage b = _backings[provider];
        Position storage position_ = _positions[provider][delegator];
        if (position_.generation == b.generation) v.shares = position_.shares;
        v.amount = Shares.worthDown(b.bonded, v.shares);
        v.rewards = position_.rewards + _earned(b, position_);
        for (uint256 i = 0; i < position_.exits.length; ++i) {
            Exit memory exit_ = position_.exits[i];
            Batch memory batch = b.batches[exit_.batch];
            uint256 worth = Shares.worthDown(batch.pool, exit_.shares);
            if (batch.releaseAt <= block.timestamp) {
                v.withdrawable += worth;
            } else {
                v.unbonding += worth;
                if (v.nextRelease == 0 && worth != 0) v.nextRelease = batch.releaseAt;
            }
        }
    }
}
