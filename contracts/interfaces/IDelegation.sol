// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "./IEpochLedger.sol";

/// @title IDelegation
/// @notice Lets anybody stake behind a provider, share in its incentive, and stand behind it in a slash.
///
/// Per provider there is one **pool** of bonded tokens, held in shares, so that a slash lowers every position in proportion
/// without a loop. Tokens only ever leave a pool together with shares or by a slash, so a share is never worth
/// more than one unit, and no donation moves its price.
///
/// Exits that are released at the same time are one **batch**, a pool of its own. At most nine are open per provider, and a slash
/// that reaches them lowers each in proportion. When a batch's time has come it is out of every slash's reach, whether
/// anybody looks at it or not.
///
/// A slash takes what is bonded before what is on its way out. WARNING: so who leaves early stands behind those who stay.
///
/// Rewards are payment tokens that the ledger pushes per provider and epoch; they are split over the shares of that moment.
///
/// Books, true after every call: stake token: `balance >= totalDelegated + totalUnbonding + totalMatured`;
/// payment token: `balance >= totalRewards`.
/// WARNING: tokens sent here by a plain transfer are nobody's and cannot be recovered.
interface IDelegation {
    /// @notice What is behind a provider at this block.
    /// @param delegated Bonded behind the provider. @param shares Of all positions in it.
    /// @param unbonding On its way out and slashable.
    /// @param commissionPpm Of the delegators' part of the incentive, in force for the running epoch.
    /// @param commissionNextPpm In force from `commissionNextFrom` on. @param commissionNextFrom Zero when no rise waits.
    struct PoolView {
        uint256 delegated;
        uint256 shares;
        uint256 unbonding;
        uint32 commissionPpm;
        uint32 commissionNextPpm;
        uint64 commissionNextFrom;
    }

    /// @notice What somebody has behind a provider at this block.
    /// @param shares Of the bonded pool. @param amount What the shares are worth at this block.
    /// @param unbonding On its way out and slashable. @param withdrawable What has matured.
    /// @param nextRelease When the next exit matures; zero if none is open.
    /// @param rewards Payment-token units to be claimed.
    struct PositionView {
        uint256 shares;
        uint256 amount;
        uint256 unbonding;
        uint256 withdrawable;
        uint64 nextRelease;
        uint256 rewards;
    }

    /// @notice `amount` was bonded behind the provider for `shares` of its pool.
    event Delegated(address indexed provider, address indexed delegator, uint256 amount, uint256 shares);
    /// @notice `shares` left the pool with `amount`, which entered a batch for `batchShares` of that.
    event Undelegated(
        address indexed provider, address indexed delegator, uint256 indexed batch, uint256 amount, uint256 shares, uint256 batchShares, uint64 releaseAt
    );
    /// @notice A batch is open no more; `amount` is what remained of it and belongs to its delegators, zero where a slash took all.
    event BatchMatured(address indexed provider, uint256 indexed batch, uint256 amount);
    /// @notice Every matured exit of the delegator was paid, every void one dropped.
    event Withdrawn(address indexed provider, address indexed delegator, uint256 amount);
    /// @notice Of `requested`, this much was taken; batches gave in proportion, each part rounded down but the last.
    event Slashed(address indexed provider, uint256 requested, uint256 fromDelegated, uint256 fromUnbonding);
    /// @notice A slash took all that was bonded (or unbonding): every share of it is void.
    event PoolVoided(address indexed provider, bool unbonding);
    /// @notice The commission is `ppm` from an epoch on; what was said of that epoch and later ones before is void.
    event CommissionSet(address indexed provider, uint32 ppm, uint64 fromEpoch);
    /// @notice `amount` was split over `shares`; with no shares it is the provider's.
    event Rewarded(address indexed provider, uint256 amount, uint256 shares);
    /// @notice The delegator, or a provider nobody stood behind, took its rewards.
    event RewardsClaimed(address indexed provider, address indexed delegator, uint256 amount);

    /// @notice Only the staking contract slashes.
    error NotStaking(address caller);
    /// @notice Only the ledger brings rewards.
    error NotLedger(address caller);
    /// @notice Only a provider has a commission.
    error NotProvider(address caller);
    /// @notice Nothing was asked for, or brought.
    error ZeroAmount();
    /// @notice One stands behind Active providers only.
    error NotActive(address provider);
    /// @notice These shares are worth less than one unit.
    error AmountTooSmall(uint256 shares);
    /// @notice More than 16 times the provider's own stake would be behind it.
    error DelegationAboveLimit(uint256 delegated, uint256 most);
    /// @notice More shares were asked for than are held.
    error InsufficientShares(uint256 held, uint256 asked);
    /// @notice As many exits wait as may: `withdraw` those that have matured.
    error TooManyExits(uint256 open, uint256 most);
    /// @notice Nothing has matured; `nextRelease` is when the next exit does, zero if there is none.
    error NothingToWithdraw(uint64 nextRelease);
    /// @notice No rewards wait.
    error NothingToClaim(address delegator);
    /// @notice Nobody keeps more than all.
    error CommissionAboveLimit(uint256 ppm, uint256 most);

    /// @notice Stakes `amount` behind a provider; returns the shares. Requires an allowance; not while paused.
    /// @dev Requirements: the provider is Active; all that is bonded behind it afterwards is at most 16 × its own stake.
    /// WARNING: a position stands for the provider's deeds before it as well, as long as they are within the statute.
    function delegate(address provider, uint256 amount) external returns (uint256 shares);

    /// @notice Begins to take `shares` of the caller out; returns the batch. Never paused.
    /// @dev Requirements: shares that are worth a unit; at most ten exits of a delegator behind one provider wait, matured
    /// ones that were not withdrawn included. Release: the unbonding time from now, rounded up to the next eighth of it.
    function undelegate(address provider, uint256 shares) external returns (uint256 batch);

    /// @notice Pays all of the caller's that has matured behind a provider; returns the amount. Never paused.
    /// @dev Exits whose batch a slash emptied are dropped, matured or not; where there are only such, nothing is paid.
    function withdraw(address provider) external returns (uint256 amount);

    /// @notice Pays the caller's rewards from a provider; returns the amount. Never paused.
    function claimRewards(address provider) external returns (uint256 amount);

    /// @notice Sets the caller's commission on its delegators' part of the incentive. Requires a registered provider.
    /// @dev At most 100 %. A rise holds from the epoch after the next, so it is known one whole epoch ahead; a cut from the running epoch. A
    /// change that waits is replaced. What held in an epoch that is over never changes.
    function setCommission(uint32 ppm) external;

    /// @notice Takes the rewards of an epoch from the ledger. What nobody holds shares for is credited to the provider.
    /// @dev Requires the caller to be the ledger, which has approved the sum, and amounts above zero. What is lost in rounding stays here.
    function reward(IEpochLedger.Pool[] calldata pools) external;

    /// @notice Takes up to `amount` from what is behind a provider, bonded first, then unbonding, and sends it to `to`; returns what was
    /// taken. Requires the caller to be the staking contract.
    function slash(address provider, uint256 amount, address to) external returns (uint256 taken);

    /// @notice Takes matured batches of a provider out of its pool. Anybody may; every other call here does it first.
    function mature(address provider) external;

    /// @notice The contracts this one knows, fixed at deployment.
    function stakeToken() external view returns (address);
    function paymentToken() external view returns (address);
    function clock() external view returns (address);
    function staking() external view returns (address);
    function epochLedger() external view returns (address);
    function guardian() external view returns (address);

    /// @notice All zero where nobody ever stood behind a provider.
    function pool(address provider) external view returns (PoolView memory);

    /// @notice What is bonded behind a provider.
    function delegatedTo(address provider) external view returns (uint256);

    /// @notice The commission of a provider that holds in an epoch; zero if it never set one.
    function commissionFor(address provider, uint64 epoch) external view returns (uint32);

    /// @notice All zero for who never stood behind the provider.
    function position(address provider, address delegator) external view returns (PositionView memory);

    /// @notice Stake tokens bonded behind all providers.
    function totalDelegated() external view returns (uint256);

    /// @notice Stake tokens in all batches, matured ones that nobody has looked at since included.
    function totalUnbonding() external view returns (uint256);

    /// @notice Stake tokens of batches that left as matured and wait for `withdraw`.
    function totalMatured() external view returns (uint256);

    /// @notice Payment tokens of all rewards that were not claimed, with what rounding left.
    function totalRewards() external view returns (uint256);
}
