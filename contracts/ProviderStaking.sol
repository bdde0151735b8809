// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ProviderRegister} from "./ProviderRegister.sol";
import {IDelegation} from "./interfaces/IDelegation.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";
import {Shares} from "./libraries/Shares.sol";

/// @title ProviderStaking
/// @notice The half that holds tokens: stake, exits, slashes. Documentation stands in `IProviderStaking`.
contract ProviderStaking is ProviderRegister, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using Shares for Shares.Pool;

    uint256 internal constant MOST_UNBONDS = 10;
    uint256 internal constant FEES_AT_RISK_TIMES = 10;
    uint256 internal constant MOST_DECIMALS = 36;

    IERC20 internal immutable _token;
    /// @dev Units of a whole stake token.
    uint256 internal immutable _wholeToken;
    address public immutable court;
    address public immutable delegation;

    uint256 public totalStake;
    uint256 public totalUnbonding;
    uint256 public totalMatured;

    constructor(
        address stakeToken_,
        address clock_,
        address epochLedger_,
        address court_,
        address delegation_,
        address verifiers_,
        address guardian_,
        Config memory config
    ) ProviderRegister(clock_, epochLedger_, verifiers_, guardian_, config) {
        _token = ExactToken.existing("stakeToken", stakeToken_);
        _wholeToken = 10 ** Bounds.within("decimals", IERC20Metadata(stakeToken_).decimals(), 0, MOST_DECIMALS);
        court = Bounds.known("court", court_);
        delegation = Bounds.known("delegation", delegation_);
        Bounds.linked("delegation", IEpochLedger(epochLedger_).delegation(), delegation_);
    }

    // -------------------------------------------------------------------------------------------------------- stake

    /// @inheritdoc IProviderStaking
    function stake(uint256 amount) external nonReentrant {
        _stake(msg.sender, amount);
    }

    /// @inheritdoc IProviderStaking
    function stakeFor(address provider_, uint256 amount) external nonReentrant {
        _stake(provider_, amount);
    }

    function _stake(address provider_, uint256 amount) private whenOpen {
        if (amount == 0) revert ZeroAmount();
        Provider storage p = _present(provider_);
        uint256 stakeAfter = p.stake + amount;
        uint256 booked = totalStake + totalUnbonding + totalMatured;
        p.stake = stakeAfter;
        totalStake += amount;
        emit Staked(provider_, msg.sender, amount, stakeAfter);
        _listWhenDue(provider_, p);
        _token.pull(msg.sender, amount, booked);
    }

    /// @inheritdoc IProviderStaking
    function unjail() external whenOpen {
        Provider storage p = _providers[msg.sender];
        if (p.status != Status.Jailed) revert NotJailed(msg.sender);
        uint256 required = _required(p);
        if (p.stake < required) revert InsufficientStake(p.stake, required);
        if (p.measuredThrough <= p.measureFrom && p.measureFrom != 0) revert NotMeasuredSince(msg.sender, p.measureFrom);
        p.status = Status.Active;
        emit Unjailed(msg.sender);
    }

    // -------------------------------------------------------------------------------------------------------- exits

    /// @inheritdoc IProviderStaking
    function unbond(uint256 amount, FeesAtRisk calldata risk) external nonReentrant returns (uint256 id) {
        if (amount == 0) revert ZeroAmount();
        Provider storage p = _registered(msg.sender);
        uint256 stakeAfter = p.stake;
        if (amount > stakeAfter) revert InsufficientStake(stakeAfter, amount);
        stakeAfter -= amount;
        uint256 locked = lockedFor(msg.sender, risk);
        if (stakeAfter < locked) revert FeesLocked(stakeAfter, locked);
        _mature(msg.sender, p);
        if (p.endExit - p.firstExit == MOST_UNBONDS) revert TooManyUnbonds(MOST_UNBONDS, MOST_UNBONDS);

        uint256 shares = p.pool.enter(amount);
        uint64 releaseAt = uint64(block.timestamp) + unbondingSeconds;
        uint32 number = p.nextId++;
        id = number;
        p.exits[p.endExit++] = Exit({shares: shares, releaseAt: releaseAt, id: number});
        p.stake = stakeAfter;
        totalStake -= amount;
        totalUnbonding += amount;
        emit Unbonded(msg.sender, id, amount, shares, releaseAt, stakeAfter);
    }

    /// @inheritdoc IProviderStaking
    function rebond(uint256 amount) external nonReentrant whenOpen {
        if (amount == 0) revert ZeroAmount();
        Provider storage p = _present(msg.sender);
        _mature(msg.sender, p);
        if (amount > p.pool.tokens) revert InsufficientUnbonding(p.pool.tokens, amount);
        totalUnbonding -= amount;
        totalStake += amount;
        uint256 stakeAfter = p.stake;
        // the oldest exit holds the last shares and so all tokens that are left: the loop ends at it at the latest
        while (amount != 0) {
            Exit storage exit_ = p.exits[p.endExit - 1];
            (uint256 id, uint256 shares) = (exit_.id, exit_.shares);
            uint256 part = p.pool.worthDown(shares);
            if (part > amount) {
                part = amount;
                shares = p.pool.leaveWith(part);
                exit_.shares -= shares;
            } else {
                // `part` is what it was worth a moment ago
                // slither-disable-next-line unused-return
                p.pool.leave(shares);
                delete p.exits[--p.endExit];
            }
            amount -= part;
            stakeAfter += part;
            emit Rebonded(msg.sender, id, part, shares, stakeAfter);
        }
        p.stake = stakeAfter;
        _listWhenDue(msg.sender, p);
    }

    /// @inheritdoc IProviderStaking
    function withdraw() external nonReentrant returns (uint256 amount) {
        Provider storage p = _registered(msg.sender);
        _mature(msg.sender, p);
        amount = p.matured;
        if (amount == 0) revert NothingToWithdraw(p.firstExit == p.endExit ? 0 : p.exits[p.firstExit].releaseAt);
        p.matured = 0;
        totalMatured -= amount;
        emit Withdrawn(msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    /// @dev Moves every exit whose time has come out of the pool, oldest first. At most ten are open.
    function _mature(address provider_, Provider storage p) private {
        uint32 place = p.firstExit;
        uint32 end = p.endExit;
        uint256 sum;
        for (; place < end; ++place) {
            Exit memory exit_ = p.exits[place];
            if (exit_.releaseAt > block.timestamp) break;
            uint256 amount = p.pool.leave(exit_.shares);
            sum += amount;
            delete p.exits[place];
            emit UnbondMatured(provider_, exit_.id, amount);
        }
        p.firstExit = place;
        if (sum != 0) {
            p.matured += sum;
            totalUnbonding -= sum;
            totalMatured += sum;
        }
    }

    /// @inheritdoc IProviderStaking
    function lockedFor(address provider_, FeesAtRisk calldata risk) public view returns (uint256) {
        uint64 next = IEpochLedger(epochLedger).nextEpoch();
        uint256 listedAt = _providers[provider_].listedAt;
        // who was in no list while an epoch ran has earned nothing in it, nor in those before
        // zero means never
        // slither-disable-next-line incorrect-equality
        if (next == 0 || listedAt == 0 || listedAt >= IEpochClock(clock).epochEnd(next - 1)) return 0;
        uint256 stakeRate = IEpochClock(clock).rules().stakeRate;
        if (stakeRate == 0 || _closesAt(next - 1) <= block.timestamp) return 0;

        _requireLeaf(provider_, next - 1, risk.newest, risk.newestProof);
        uint256 fees = risk.newest.cumulativeFees;
        if (risk.closed.provider != address(0)) {
            uint256 closesAt = _closesAt(risk.closedEpoch);
            if (closesAt > block.timestamp) revert StillOpen(risk.closedEpoch, closesAt, block.timestamp);
            _requireLeaf(provider_, risk.closedEpoch, risk.closed, risk.closedProof);
            fees = Math.saturatingSub(fees, risk.closed.cumulativeFees);
        }
        return Math.mulDiv(fees * FEES_AT_RISK_TIMES, _wholeToken, stakeRate, Math.Rounding.Ceil);
    }

    /// @dev From when on no slash from a report can be under way any more, but one that was opened late in its statute;
    /// never, while it is not activated.
    function _closesAt(uint64 epoch) private view returns (uint256) {
        IEpochLedger.Record memory record = IEpochLedger(epochLedger).record(epoch);
        if (!record.activated) return type(uint256).max;
        return uint256(record.activatesAt) + ISlashingCourt(court).challengeSeconds()
            + ISlashingCourt(court).arbitrationSeconds();
    }

    function _requireLeaf(address provider_, uint64 epoch, IEpochLedger.Leaf calldata leaf, bytes32[] calldata proof)
        private
        view
    {
        if (leaf.provider != provider_ || !IEpochLedger(epochLedger).verifyLeaf(epoch, leaf, proof)) {
            revert WrongLeaf(epoch, provider_);
        }
    }

    // -------------------------------------------------------------------------------------------------------- slash

    /// @inheritdoc IProviderStaking
    function slash(address provider_, uint256 amount, Consequence consequence)
        external
        nonReentrant
        returns (uint256 taken)
    {
        if (msg.sender != court) revert NotCourt(msg.sender);
        Provider storage p = _registered(provider_);
        _mature(provider_, p);
        uint256 fromStake = Math.min(amount, p.stake);
        uint256 fromUnbonding = Math.min(amount - fromStake, p.pool.tokens);
        taken = fromStake + fromUnbonding;
        p.stake -= fromStake;
        p.slashedTotal += taken;
        totalStake -= fromStake;
        totalUnbonding -= fromUnbonding;
        emit Slashed(provider_, amount, fromStake, fromUnbonding, p.stake);
        if (p.pool.cut(fromUnbonding)) _void(provider_, p);
        _suffer(provider_, p, consequence);
        if (taken != 0) _token.safeTransfer(msg.sender, taken);
        if (taken < amount) {
            uint256 fromDelegation = IDelegation(delegation).slash(provider_, amount - taken, msg.sender);
            if (fromDelegation != 0) emit DelegationSlashed(provider_, fromDelegation);
            taken += fromDelegation;
        }
    }

    /// @dev Shares of nothing would make the next exit's share of the pool undefined.
    function _void(address provider_, Provider storage p) private {
        uint32 end = p.endExit;
        for (uint32 place = p.firstExit; place < end; ++place) {
            uint256 id = p.exits[place].id;
            delete p.exits[place];
            emit UnbondVoided(provider_, id);
        }
        p.firstExit = end;
        p.pool.shares = 0;
    }

    // -------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IProviderStaking
    function stakeToken() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IProviderStaking
    function providers(uint256 from, uint256 count)
        external
        view
        returns (address[] memory addresses, ProviderView[] memory views)
    {
        uint256 length = from < _list.length ? Math.min(count, _list.length - from) : 0;
        addresses = new address[](length);
        views = new ProviderView[](length);
        for (uint256 i = 0; i < length; ++i) {
            addresses[i] = _list[from + i];
            views[i] = provider(addresses[i]);
        }
    }

    /// @inheritdoc IProviderStaking
    function provider(address provider_) public view returns (ProviderView memory v) {
        Provider storage p = _providers[provider_];
        if (p.status == Status.None) return v;
        v.signer = p.signer;
        v.hardwareClass = p.hardwareClass;
        v.units = p.units;
        v.weight = _weight(p.hardwareClass, p.units);
        v.status = p.status;
        v.registeredAt = p.registeredAt;
        v.offerDigest = p.offerDigest;
        v.region = p.region;
        v.endpoint = p.endpoint;
        v.stake = p.stake;
        v.requiredStake = _required(p);
        v.slashedTotal = p.slashedTotal;
        (v.unbonding,) = _split(p, new Unbond[](0));
    }

    /// @inheritdoc IProviderStaking
    function unbonds(address provider_) external view returns (Unbond[] memory open) {
        Provider storage p = _providers[provider_];
        open = new Unbond[](p.endExit - p.firstExit);
        _split(p, open);
    }

    /// @inheritdoc IProviderStaking
    function withdrawable(address provider_) external view returns (uint256) {
        Provider storage p = _providers[provider_];
        (, uint256 ripe) = _split(p, new Unbond[](0));
        return p.matured + ripe;
    }

    /// @dev What is still in the pool once all that has matured is out of it, and how much that is. Describes each exit
    /// where there is room for all.
    function _split(Provider storage p, Unbond[] memory open) private view returns (uint256 unbonding, uint256 ripe) {
        Shares.Pool memory pool = p.pool;
        for (uint256 place = p.firstExit; place < p.endExit; ++place) {
            Exit memory exit_ = p.exits[place];
            bool matured = exit_.releaseAt <= block.timestamp;
            uint256 amount = Shares.worthDown(pool, exit_.shares);
            if (open.length != 0) open[place - p.firstExit] = Unbond(exit_.id, amount, exit_.releaseAt, matured);
            if (!matured) continue;
            (pool.tokens, pool.shares) = (pool.tokens - amount, pool.shares - exit_.shares);
            ripe += amount;
        }
        unbonding = pool.tokens;
    }
}
