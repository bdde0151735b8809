// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title IProviderStaking
/// @notice Decides who is a provider, how much it has bonded, and what a slash takes.
///
/// A provider is its owner address. The owner registers once, bonds stake, and names a hot **signer** key that signs
/// receipts. Stake leaves in two steps: `unbond` moves it into the provider's unbonding pool, in which it can still be
/// slashed; once its time has passed it has **matured**, belongs to the owner for good and waits for `withdraw`.
///
/// Books, in stake-token units, true after every call:
/// `token balance >= totalStake + totalUnbonding + totalMatured`, equal unless somebody sent tokens unasked.
/// WARNING: tokens sent here by a plain transfer are nobody's and cannot be recovered.
interface IProviderStaking {
    /// @notice Where a provider stands. Removed is for ever.
    enum Status {
        None,
        Active,
        Jailed,
        Removed
    }

    /// @param unbondingSeconds From `unbond` to maturity.
    /// @param baseStake Required stake of a capacity weight of one, in stake-token units.
    struct Config {
        uint64 unbondingSeconds;
        uint128 baseStake;
    }

    /// @notice A provider as it stands at this block.
    /// @param weight Capacity weight: 1 + weight of the hardware class × units.
    /// @param stake Bonded and not unbonding.
    /// @param requiredStake What `stake` must reach for new work: base stake × weight.
    /// @param unbonding Unbonding and not matured: slashable after `stake`.
    /// @param slashedTotal Everything ever taken; only grows.
    struct ProviderView {
        address signer;
        uint8 hardwareClass;
        uint32 units;
        uint32 weight;
        Status status;
        uint64 registeredAt;
        bytes32 offerDigest;
        string region;
        string endpoint;
        uint256 stake;
        uint256 requiredStake;
        uint256 unbonding;
        uint256 slashedTotal;
    }

    /// @notice An open unbond.
    /// @param amount What it is worth at this block; slashes lower it until it matures.
    struct Unbond {
        uint256 id;
        uint256 amount;
        uint64 releaseAt;
        bool matured;
    }

    event ProviderRegistered(
        address indexed provider,
        address signer,
        uint8 hardwareClass,
        uint32 units,
        bytes32 offerDigest,
        string region,
        string endpoint
    );
    event ProviderUpdated(
        address indexed provider, address signer, bytes32 offerDigest, string region, string endpoint
    );
    /// @notice The stake reached its requirement for the first time: the provider is at `index` of `providerAt`.
    event ProviderListed(address indexed provider, uint256 index);
    event Staked(address indexed provider, address indexed from, uint256 amount, uint256 stakeAfter);
    event Unbonded(
        address indexed provider,
        uint256 indexed id,
        uint256 amount,
        uint256 shares,
        uint64 releaseAt,
        uint256 stakeAfter
    );
    /// @notice An unbond left the pool; `amount` is what remained of it and belongs to the owner.
    event UnbondMatured(address indexed provider, uint256 indexed id, uint256 amount);
    /// @notice A slash took the whole pool, and this unbond with it.
    event UnbondVoided(address indexed provider, uint256 indexed id);
    event Withdrawn(address indexed provider, uint256 amount);
    event Slashed(
        address indexed provider,
        uint256 requested,
        uint256 fromStake,
        uint256 fromUnbonding,
        uint256 stakeAfter
    );
    event Jailed(address indexed provider);
    event Unjailed(address indexed provider);
    event Removed(address indexed provider);

    error NotCourt(address caller);
    error NotRegistered(address provider);
    error AlreadyRegistered(address provider);
    error ProviderRemoved(address provider);
    error NotJailed(address provider);
    error SignerTaken(address signer, address provider);
    error UnknownHardwareClass(uint8 hardwareClass, uint8 most);
    error ZeroAmount();
    error ZeroDigest();
    error InsufficientStake(uint256 staked, uint256 required);
    error TooManyUnbonds(uint256 open, uint256 most);
    /// @notice Nothing has matured; `nextRelease` is when the next unbond does, zero if there is none.
    error NothingToWithdraw(uint64 nextRelease);

    /// @notice Makes the caller a provider.
    /// @dev Requirements: caller not registered; `signer` never used by any provider; 1 to 10,000 units; a non-zero
    /// offer digest; region of 1 to 32 bytes; endpoint of 1 to 200 bytes.
    /// Effects: status Active. No tokens move and no work is matched until the stake reaches `requiredStake`.
    /// WARNING: hardware class and units fix the required stake and cannot be changed later.
    /// WARNING: the signer does not prove possession of its key, so name a fresh one: a front-runner can take it.
    function register(
        address signer,
        uint8 hardwareClass,
        uint32 units,
        bytes32 offerDigest,
        string calldata region,
        string calldata endpoint
    ) external;

    /// @notice Changes signer, offer, region or endpoint of the caller.
    /// @dev Requirements: registered and not removed; a changed signer was never used by another provider.
    /// WARNING: receipts are checked against the signer at the epoch's checkpoint. Change it between epochs.
    function update(address signer, bytes32 offerDigest, string calldata region, string calldata endpoint) external;

    /// @notice Bonds `amount` from the caller for the caller. Requires an allowance, and not to be removed.
    function stake(uint256 amount) external;

    /// @notice Bonds `amount` from the caller for `provider`, to whom it belongs from then on.
    function stakeFor(address provider, uint256 amount) external;

    /// @notice Begins to take `amount` out; returns the id of the unbond.
    /// @dev Requirements: `0 < amount <= stake`; at most ten unmatured unbonds are open.
    /// Effects: the amount enters the unbonding pool as shares, so a slash in the meantime lowers every open unbond in
    /// proportion without a loop. Allowed in every status.
    function unbond(uint256 amount) external returns (uint256 id);

    /// @notice Pays all that has matured to the caller; returns the amount. Allowed in every status, for ever.
    function withdraw() external returns (uint256 amount);

    /// @notice Returns a jailed caller to Active. Requires its stake to have reached `requiredStake` again.
    function unjail() external;

    /// @notice Takes up to `amount` from a provider and sends it to the court; returns what was taken.
    /// @dev Requirements: the caller is the court; the provider is registered.
    /// Effects: stake first, then the unmatured unbonding pool. What has matured is never touched, claimed or not. If
    /// less is left than was asked for, all of it is taken. `jail` and `remove_` change the status even if nothing is.
    function slash(address provider, uint256 amount, bool jail, bool remove_) external returns (uint256 taken);

    function stakeToken() external view returns (address);
    function epochLedger() external view returns (address);
    function court() external view returns (address);
    function unbondingSeconds() external view returns (uint64);
    function baseStake() external view returns (uint128);

    /// @notice How many providers ever reached their required stake. The list only grows, and a place in it costs stake:
    /// every listed provider has a leaf in every report.
    function providerCount() external view returns (uint256);
    function providerAt(uint256 index) external view returns (address);

    /// @notice Up to `count` listed providers from index `from` on; fewer at the end of the list.
    function providers(uint256 from, uint256 count)
        external
        view
        returns (address[] memory addresses, ProviderView[] memory views);

    /// @notice One provider, listed or not; all zero if it never registered.
    function provider(address provider_) external view returns (ProviderView memory);

    /// @notice Open unbonds, oldest first. Those a slash found matured have left this list and are in `withdrawable`.
    function unbonds(address provider_) external view returns (Unbond[] memory);

    /// @notice What `withdraw` would pay.
    function withdrawable(address provider_) external view returns (uint256);

    /// @notice Base stake × (1 + class weight × units).
    function requiredStake(uint8 hardwareClass, uint32 units) external view returns (uint256);

    /// @notice CPU 0, T4 1, A10 2, RTX4090 2, A100 5, H100 10.
    function classWeight(uint8 hardwareClass) external pure returns (uint32);

    function signerOf(address provider_) external view returns (address);

    /// @notice Who named this signer, now or ever; zero for nobody.
    function providerOfSigner(address signer) external view returns (address);

    /// @notice Whether new work may be matched: status Active and stake at its requirement.
    function isActive(address provider_) external view returns (bool);

    function totalStake() external view returns (uint256);

    /// @notice Tokens in all unbonding pools, matured ones that nobody has looked at since included.
    function totalUnbonding() external view returns (uint256);

    /// @notice Tokens that left the pools as matured and wait for `withdraw`.
    function totalMatured() external view returns (uint256);
}
