// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";
import {PpmMath} from "./libraries/PpmMath.sol";

/// @title ProviderStaking
/// @notice Documentation stands in `IProviderStaking`.
contract ProviderStaking is IProviderStaking, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;

    uint256 internal constant MOST_UNBONDS = 10;
    uint8 internal constant MOST_HARDWARE_CLASS = 5;
    uint256 internal constant MOST_UNITS = 10_000;
    uint256 internal constant MOST_REGION_BYTES = 32;
    uint256 internal constant MOST_ENDPOINT_BYTES = 200;
    uint256 internal constant MOST_UNBONDING_SECONDS = 90 days;
    uint256 internal constant MOST_BASE_STAKE = 1e27;

    /// @dev Shares of the provider's unbonding pool, and when they mature.
    struct Exit {
        uint192 shares;
        uint64 releaseAt;
    }

    /// @dev Exits have ids from `firstExit` up to, not including, `nextExit`; they mature in this order because every
    /// one waits equally long. `poolTokens <= poolShares` always: slashes and rounding only ever move tokens away from,
    /// or up to, one per share. So an exit of n tokens gets at least n shares and never none.
    struct Provider {
        address signer;
        uint64 registeredAt;
        uint32 units;
        address owner;
        uint8 hardwareClass;
        Status status;
        bool listed;
        uint64 firstExit;
        uint64 nextExit;
        uint256 stake;
        uint256 poolTokens;
        uint256 poolShares;
        uint256 matured;
        uint256 slashedTotal;
        bytes32 offerDigest;
        string region;
        string endpoint;
        mapping(uint256 id => Exit) exits;
    }

    IERC20 internal immutable _token;
    address public immutable epochLedger;
    address public immutable court;
    uint64 public immutable unbondingSeconds;
    uint128 public immutable baseStake;

    uint256 public totalStake;
    uint256 public totalUnbonding;
    uint256 public totalMatured;

    mapping(address provider => Provider) internal _providers;
    mapping(address signer => address provider) public providerOfSigner;
    address[] internal _list;

    constructor(address stakeToken_, address epochLedger_, address court_, Config memory config) {
        _token = IERC20(Bounds.known("stakeToken", stakeToken_));
        epochLedger = Bounds.known("epochLedger", epochLedger_);
        court = Bounds.known("court", court_);
        // stake must outlast the settlement of the epoch it was bonded in; the court adds its own delay to this bound
        uint256 settled = IEpochLedger(epochLedger_).settlementSeconds();
        unbondingSeconds =
            uint64(Bounds.within("unbondingSeconds", config.unbondingSeconds, settled, MOST_UNBONDING_SECONDS));
        baseStake = uint128(Bounds.within("baseStake", config.baseStake, 1, MOST_BASE_STAKE));
    }

    // ------------------------------------------------------------------------------------------------- registration

    /// @inheritdoc IProviderStaking
    function register(
        address signer,
        uint8 hardwareClass,
        uint32 units,
        bytes32 offerDigest,
        string calldata region,
        string calldata endpoint
    ) external {
        Provider storage p = _providers[msg.sender];
        if (p.status != Status.None) revert AlreadyRegistered(msg.sender);
        if (hardwareClass > MOST_HARDWARE_CLASS) revert UnknownHardwareClass(hardwareClass, MOST_HARDWARE_CLASS);
        Bounds.within("units", units, 1, MOST_UNITS);
        p.owner = msg.sender;
        p.status = Status.Active;
        p.hardwareClass = hardwareClass;
        p.units = units;
        p.registeredAt = uint64(block.timestamp);
        _describe(p, signer, offerDigest, region, endpoint);
        emit ProviderRegistered(msg.sender, signer, hardwareClass, units, offerDigest, region, endpoint);
    }

    /// @inheritdoc IProviderStaking
    function update(address signer, bytes32 offerDigest, string calldata region, string calldata endpoint) external {
        _describe(_present(msg.sender), signer, offerDigest, region, endpoint);
        emit ProviderUpdated(msg.sender, signer, offerDigest, region, endpoint);
    }

    function _describe(
        Provider storage p,
        address signer,
        bytes32 offerDigest,
        string calldata region,
        string calldata endpoint
    ) private {
        Bounds.known("signer", signer);
        if (offerDigest == 0) revert ZeroDigest();
        Bounds.within("region bytes", bytes(region).length, 1, MOST_REGION_BYTES);
        Bounds.within("endpoint bytes", bytes(endpoint).length, 1, MOST_ENDPOINT_BYTES);
        address holder = providerOfSigner[signer];
        if (holder == address(0)) providerOfSigner[signer] = msg.sender;
        else if (holder != msg.sender) revert SignerTaken(signer, holder);
        p.signer = signer;
        p.offerDigest = offerDigest;
        p.region = region;
        p.endpoint = endpoint;
    }

    /// @inheritdoc IProviderStaking
    function unjail() external {
        Provider storage p = _providers[msg.sender];
        if (p.status != Status.Jailed) revert NotJailed(msg.sender);
        uint256 required = requiredStake(p.hardwareClass, p.units);
        if (p.stake < required) revert InsufficientStake(p.stake, required);
        p.status = Status.Active;
        emit Unjailed(msg.sender);
    }

    // ------------------------------------------------------------------------------------------------ stake, unbond

    /// @inheritdoc IProviderStaking
    function stake(uint256 amount) external nonReentrant {
        _stake(msg.sender, amount);
    }

    /// @inheritdoc IProviderStaking
    function stakeFor(address provider_, uint256 amount) external nonReentrant {
        _stake(provider_, amount);
    }

    function _stake(address provider_, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        Provider storage p = _present(provider_);
        uint256 stakeAfter = p.stake + amount;
        p.stake = stakeAfter;
        totalStake += amount;
        _token.pull(msg.sender, amount);
        emit Staked(provider_, msg.sender, amount, stakeAfter);
        if (!p.listed && stakeAfter >= requiredStake(p.hardwareClass, p.units)) {
            p.listed = true;
            emit ProviderListed(provider_, _list.length);
            _list.push(provider_);
        }
    }

    /// @inheritdoc IProviderStaking
    function unbond(uint256 amount) external nonReentrant returns (uint256 id) {
        if (amount == 0) revert ZeroAmount();
        Provider storage p = _registered(msg.sender);
        if (amount > p.stake) revert InsufficientStake(p.stake, amount);
        _mature(p);
        id = p.nextExit;
        if (id - p.firstExit == MOST_UNBONDS) revert TooManyUnbonds(MOST_UNBONDS, MOST_UNBONDS);

        uint256 shares =
            p.poolShares == 0 ? amount : PpmMath.mulDivDown(amount, p.poolShares, p.poolTokens);
        uint64 releaseAt = uint64(block.timestamp) + unbondingSeconds;
        uint256 stakeAfter = p.stake - amount;
        p.stake = stakeAfter;
        p.poolTokens += amount;
        p.poolShares += shares;
        // an id counts exits of one provider: 2^64 of them cannot happen
        // forge-lint: disable-next-line(unsafe-typecast)
        p.nextExit = uint64(id + 1);
        p.exits[id] = Exit({shares: _toUint192(shares), releaseAt: releaseAt});
        totalStake -= amount;
        totalUnbonding += amount;
        emit Unbonded(msg.sender, id, amount, shares, releaseAt, stakeAfter);
    }

    /// @inheritdoc IProviderStaking
    function withdraw() external nonReentrant returns (uint256 amount) {
        Provider storage p = _registered(msg.sender);
        _mature(p);
        amount = p.matured;
        if (amount == 0) {
            revert NothingToWithdraw(p.firstExit == p.nextExit ? 0 : p.exits[p.firstExit].releaseAt);
        }
        p.matured = 0;
        totalMatured -= amount;
        emit Withdrawn(msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    /// @dev Moves every exit whose time has come out of the pool, oldest first. At most ten are open.
    function _mature(Provider storage p) private {
        uint256 id = p.firstExit;
        uint256 end = p.nextExit;
        uint256 sum;
        for (; id < end; ++id) {
            Exit memory exit_ = p.exits[id];
            if (exit_.releaseAt > block.timestamp) break;
            uint256 amount = PpmMath.mulDivDown(exit_.shares, p.poolTokens, p.poolShares);
            p.poolTokens -= amount;
            p.poolShares -= exit_.shares;
            sum += amount;
            delete p.exits[id];
            emit UnbondMatured(p.owner, id, amount);
        }
        // an id counts exits of one provider: 2^64 of them cannot happen
        // forge-lint: disable-next-line(unsafe-typecast)
        p.firstExit = uint64(id);
        if (sum != 0) {
            p.matured += sum;
            totalUnbonding -= sum;
            totalMatured += sum;
        }
    }

    // -------------------------------------------------------------------------------------------------------- slash

    /// @inheritdoc IProviderStaking
    function slash(address provider_, uint256 amount, bool jail, bool remove_)
        external
        nonReentrant
        returns (uint256 taken)
    {
        if (msg.sender != court) revert NotCourt(msg.sender);
        Provider storage p = _registered(provider_);
        _mature(p);
        uint256 fromStake = Math.min(amount, p.stake);
        uint256 fromUnbonding = Math.min(amount - fromStake, p.poolTokens);
        taken = fromStake + fromUnbonding;
        p.stake -= fromStake;
        p.poolTokens -= fromUnbonding;
        p.slashedTotal += taken;
        totalStake -= fromStake;
        totalUnbonding -= fromUnbonding;
        emit Slashed(provider_, amount, fromStake, fromUnbonding, p.stake);
        // shares of nothing would make the next exit's share of the pool undefined
        if (p.poolTokens == 0 && p.poolShares != 0) _void(p);

        if (remove_ && p.status != Status.Removed) {
            p.status = Status.Removed;
            emit Removed(provider_);
        } else if (jail && p.status == Status.Active) {
            p.status = Status.Jailed;
            emit Jailed(provider_);
        }
        if (taken != 0) _token.safeTransfer(msg.sender, taken);
    }

    function _void(Provider storage p) private {
        uint256 end = p.nextExit;
        for (uint256 id = p.firstExit; id < end; ++id) {
            delete p.exits[id];
            emit UnbondVoided(p.owner, id);
        }
        // an id counts exits of one provider: 2^64 of them cannot happen
        // forge-lint: disable-next-line(unsafe-typecast)
        p.firstExit = uint64(end);
        p.poolShares = 0;
    }

    // -------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IProviderStaking
    function stakeToken() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IProviderStaking
    function providerCount() external view returns (uint256) {
        return _list.length;
    }

    /// @inheritdoc IProviderStaking
    function providerAt(uint256 index) external view returns (address) {
        return _list[index];
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
        v.requiredStake = requiredStake(p.hardwareClass, p.units);
        v.slashedTotal = p.slashedTotal;
        (, v.unbonding) = _split(p);
    }

    /// @inheritdoc IProviderStaking
    function unbonds(address provider_) external view returns (Unbond[] memory open) {
        Provider storage p = _providers[provider_];
        uint256 first = p.firstExit;
        open = new Unbond[](p.nextExit - first);
        (uint256 tokens, uint256 shares) = (p.poolTokens, p.poolShares);
        for (uint256 i = 0; i < open.length; ++i) {
            Exit memory exit_ = p.exits[first + i];
            bool ripe = exit_.releaseAt <= block.timestamp;
            uint256 amount = PpmMath.mulDivDown(exit_.shares, tokens, shares);
            open[i] = Unbond({id: first + i, amount: amount, releaseAt: exit_.releaseAt, matured: ripe});
            if (ripe) (tokens, shares) = (tokens - amount, shares - exit_.shares);
        }
    }

    /// @inheritdoc IProviderStaking
    function withdrawable(address provider_) external view returns (uint256 amount) {
        (amount,) = _split(_providers[provider_]);
    }

    /// @dev What has matured, looked at or not, and what is still in the pool after that.
    function _split(Provider storage p) private view returns (uint256 matured, uint256 unbonding) {
        matured = p.matured;
        unbonding = p.poolTokens;
        uint256 shares = p.poolShares;
        for (uint256 id = p.firstExit; id < p.nextExit; ++id) {
            Exit memory exit_ = p.exits[id];
            if (exit_.releaseAt > block.timestamp) break;
            uint256 amount = PpmMath.mulDivDown(exit_.shares, unbonding, shares);
            matured += amount;
            unbonding -= amount;
            shares -= exit_.shares;
        }
    }

    /// @inheritdoc IProviderStaking
    function requiredStake(uint8 hardwareClass, uint32 units) public view returns (uint256) {
        return uint256(baseStake) * _weight(hardwareClass, units);
    }

    /// @inheritdoc IProviderStaking
    function classWeight(uint8 hardwareClass) public pure returns (uint32) {
        if (hardwareClass > MOST_HARDWARE_CLASS) revert UnknownHardwareClass(hardwareClass, MOST_HARDWARE_CLASS);
        bytes6 weights = hex"00_01_02_02_05_0a";
        return uint8(weights[hardwareClass]);
    }

    function _weight(uint8 hardwareClass, uint32 units) private pure returns (uint32) {
        return 1 + classWeight(hardwareClass) * units;
    }

    /// @inheritdoc IProviderStaking
    function signerOf(address provider_) external view returns (address) {
        return _providers[provider_].signer;
    }

    /// @inheritdoc IProviderStaking
    function isActive(address provider_) external view returns (bool) {
        Provider storage p = _providers[provider_];
        return p.status == Status.Active && p.stake >= requiredStake(p.hardwareClass, p.units);
    }

    function _registered(address provider_) private view returns (Provider storage p) {
        p = _providers[provider_];
        if (p.status == Status.None) revert NotRegistered(provider_);
    }

    function _present(address provider_) private view returns (Provider storage p) {
        p = _registered(provider_);
        if (p.status == Status.Removed) revert ProviderRemoved(provider_);
    }

    function _toUint192(uint256 value) private pure returns (uint192) {
        return uint192(Bounds.within("shares", value, 1, type(uint192).max));
    }
}
