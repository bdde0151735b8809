// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "./IEpochLedger.sol";

/// @title IDelegation
/// @notice Lets anybody stake behind a provider, share in its incentive, and stand behind it in a slash.
///
/// Per provider there is one **pool** of bonded tokens and one of unbonding tokens, each held in shares, so that a slash lowers every
/// position in proportion without a loop. Tokens only ever leave a pool together with shares or by a slash, so a share is never worth
/// more than one unit, and no donation moves its price. Exits of the same time are one **batch**; when its time has come its tokens leave the pool
/// and are out of every slash's reach, whether anybody looks at them or not.
///
/// Rewards are payment tokens that the ledger pushes per provider and epoch; they are split over the shares of that moment.
///
/// Books, true after every call: stake token: `balance >= totalDelegated + totalUnbonding + totalMatured`;
/// payment token: `balance >= totalRewards`.
/// WARNING: tokens sent here by a plain transfer are nobody's and cannot be recovered.
interface IDelegation {
    /// @param delegated Bonded behind the provider. @param unbonding On its way out and slashable.
    /// @param commissionPpm Of the delegators' part of the incentive, in force for the running epoch.
    struct PoolView {
        uint256 delegated;
        uint256 shares;
        uint256 unbonding;
        uint32 commissionPpm;
        uint32 commissionNextPpm;
        uint64 commissionNextFrom;
    }

    /// @param amount What the shares are worth at this block. @param withdrawable What has matured.
    /// @param rewards Payment-token units to be claimed.
    struct PositionView {
        uint256 shares;
        uint256 amount;
        uint256 unbonding;
        uint256 withdrawable;
        uint64 nextRelease;
        uint256 rewards;
    }

    event Delegated(address indexed provider, address indexed delegator, uint256 amount, uint256 shares);
    event Undelegated(
        address indexed provider, address indexed delegator, uint256 indexed batch, uint256 amount, uint256 shares, uint256 batchShares, uint64 releaseAt
    );
    /// @notice A batch left the unbonding pool; `amount` is what remained of it and belongs to its delegators.
    event BatchMatured(address indexed provider, uint256 indexed batch, uint256 amount);
    event Withdrawn(address indexed provider, address indexed delegator, uint256 amount);
    event Slashed(address indexed provider, uint256 requested, uint256 fromDelegated, uint256 fromUnbonding);
    /// @notice A slash took all that was bonded (or unbonding): every share of it is void.
    event PoolVoided(address indexed provider, bool unbonding);
    event CommissionSet(address indexed provider, uint32 ppm, uint64 fromEpoch);
    event Rewarded(address indexed provider, uint256 amount, uint256 shares);
    event RewardsClaimed(address indexed provider, address indexed delegator, uint256 amount);

    error NotStaking(address caller);
    error NotLedger(address caller);
    error NotProvider(address caller);
    error ZeroAmount();
    error NotActive(address provider);
    error AmountTooSmall(uint256 shares);
    error DelegationAboveLimit(uint256 delegated, uint256 most);
    error InsufficientShares(uint256 held, uint256 asked);
    error TooManyExits(uint256 open, uint256 most);
    error NothingToWithdraw(uint64 nextRelease);
    error NothingToClaim(address delegator);
    error CommissionAboveLimit(uint256 ppm, uint256 most);

    /// @notice Stakes `amount` behind a provider; returns the shares. Requires an allowance; not while paused.
    /// @dev Requirements: the provider is Active; all that is bonded behind it afterwards is at most 16 × its own stake.
    function delegate(address provider, uint256 amount) external returns (uint256 shares);

    /// @notice Begins to take `shares` of the caller out; returns the batch. Never paused.
    /// @dev At most ten exits of a delegator behind one provider are open. Release: the unbonding time from now, rounded up to
    /// the next eighth of it.
    function undelegate(address provider, uint256 shares) external returns (uint256 batch);

    /// @notice Pays all of the caller's that has matured behind a provider; returns the amount. Never paused.
    function withdraw(address provider) external returns (uint256 amount);

    /// @notice Pays the caller's rewards from a provider; returns the amount. Never paused.
    function claimRewards(address provider) external returns (uint256 amount);

    /// @notice Sets the caller's commission on its delegators' part of the incentive. Requires a registered provider.
    /// @dev At most 100 %. A rise holds from the epoch after the next, so it is known one whole epoch ahead; a cut from the running epoch. A
    /// change that waits is replaced.
    function setCommission(uint32 ppm) external;

    /// @notice Takes the rewards of an epoch from the ledger. What nobody holds shares for is credited to the provider.
    /// @dev Requires the caller to be the ledger, which has approved the sum.
    function reward(IEpochLedger.Pool[] calldata pools) external;

    /// @notice Takes up to `amount` from what is behind a provider, bonded first, then unbonding, and sends it to `to`; returns what was
    /// taken. Requires the caller to be the staking contract.
    function slash(address provider, uint256 amount, address to) external returns (uint256 taken);

    /// @notice Takes matured batches of a provider out of its pool. Anybody may; every other call here does it first.
    function mature(address provider) external;

    function stakeToken() external view returns (address);
    function paymentToken() external view returns (address);
    function clock() external view returns (address);
    function staking() external view returns (address);
    function epochLedger() external view returns (address);
    function guardian() external view returns (address);
    function pool(address provider) external view returns (PoolView memory);
    function delegatedTo(address provider) external view returns (uint256);
    function commissionFor(address provider, uint64 epoch) external view returns (uint32);
    function position(address provider, address delegator) external view returns (PositionView memory);
    function totalDelegated() external view returns (uint256);
    function totalUnbonding() external view returns (uint256);
    function totalMatured() external view returns (uint256);
    function totalRewards() external view returns (uint256);
}
