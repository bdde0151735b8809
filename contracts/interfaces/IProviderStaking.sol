// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "./IEpochLedger.sol";

/// @title IProviderStaking
/// @notice Decides who is a provider, how much it has bonded, and what a slash takes.
///
/// A provider is its owner address. The owner registers once, bonds stake, and names a hot **signer** key that signs
/// receipts. Stake leaves in two steps: `unbond` moves it into the provider's unbonding pool, in which it can still be
/// slashed; once its time has passed it has **matured**, belongs to the owner for good and waits for `withdraw`.
///
/// The pool is held in shares, `tokens <= shares` always: a slash is one subtraction, whatever is open, and an unbond of n
/// units gets at least n shares. An unbond may be worth up to two units less than it was: one by each rounding down.
///
/// Books, in stake-token units, true after every call:
/// `token balance >= totalStake + totalUnbonding + totalMatured`, equal unless somebody sent tokens unasked.
/// WARNING: tokens sent here by a plain transfer are nobody's and cannot be recovered.
interface IProviderStaking {
    /// @notice Where a provider stands. None: never registered. Active: may work, once its stake suffices. Jailed: not until
    /// `unjail`. Removed: never again; its stake can still leave.
    enum Status {
        None,
        Active,
        Jailed,
        Removed
    }

    /// @notice What a slash does besides taking stake. Jail: no work until `unjail`. JailUntilMeasured: nor before a quorum has measured the
    /// hardware in a later epoch. Removal: no work ever again.
    enum Consequence {
        None,
        Jail,
        JailUntilMeasured,
        Removal
    }

    /// @notice What is fixed at deployment.
    /// @param unbondingSeconds From `unbond` to maturity.
    /// @param baseStake Required stake of a capacity weight of one, in stake-token units.
    /// @param noticeSeconds From `declareMaintenance` to its beginning, at least.
    /// @param maintenanceSeconds Most of it in a rolling 30 days.
    struct Config {
        uint64 unbondingSeconds;
        uint128 baseStake;
        uint64 noticeSeconds;
        uint64 maintenanceSeconds;
    }

    /// @notice Declared maintenance: slots that begin in `[startsAt, endsAt)` do not count.
    struct Window {
        uint64 startsAt;
        uint64 endsAt;
    }

    /// @notice What shows how much of a provider's fees may still be taken back. docs/protocol.md, section 6.
    /// @param newest Its leaf in the newest report. @param newestProof The leaf's way to the root.
    /// @param closedEpoch An epoch whose challenge windows are over.
    /// @param closed Its leaf there, with provider zero when no report has closed or it was in none.
    /// @param closedProof That leaf's way to the root.
    struct FeesAtRisk {
        IEpochLedger.Leaf newest;
        bytes32[] newestProof;
        uint64 closedEpoch;
        IEpochLedger.Leaf closed;
        bytes32[] closedProof;
    }

    /// @notice A provider as it stands at this block.
    /// @param signer Signs its receipts. @param status Where it stands. @param registeredAt When it registered.
    /// @param offerDigest Of the offer it publishes. @param region Where it is. @param endpoint Where it answers.
    /// @param weight Capacity weight: 1 + weight of the hardware class × units.
    /// @param hardwareClass As measured by a quorum where that was done, as declared otherwise; `units` alike.
    /// @param stake Bonded and not unbonding.
    /// @param requiredStake What `stake` must reach for new work: base stake × weight.
    /// @param unbonding Unbonding and not matured: slashable after `stake`.
    /// @param slashedTotal Everything ever taken of its own stake, unbonding or not; only grows. What its delegators lost
    /// is not in it.
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
    /// @param id Counted from 0 for each provider. @param amount What it is worth at this block; slashes lower it until it matures.
    /// @param releaseAt When it matures. @param matured Whether that moment has come.
    struct Unbond {
        uint256 id;
        uint256 amount;
        uint64 releaseAt;
        bool matured;
    }

    /// @notice `provider` registered with this description and declared this hardware.
    event ProviderRegistered(
        address indexed provider,
        address signer,
        uint8 hardwareClass,
        uint32 units,
        bytes32 offerDigest,
        string region,
        string endpoint
    );
    /// @notice The provider's description is this one from here on.
    event ProviderUpdated(
        address indexed provider, address signer, bytes32 offerDigest, string region, string endpoint
    );
    /// @notice The stake reached its requirement for the first time: the provider stands at `index` of `providerAt`, for ever.
    event ProviderListed(address indexed provider, uint256 index);
    /// @notice `from` bonded `amount` for the provider, whose stake is `stakeAfter`.
    event Staked(address indexed provider, address indexed from, uint256 amount, uint256 stakeAfter);
    /// @notice `amount` left the stake for the pool as unbond `id`, which holds `shares` and matures at `releaseAt`.
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
    /// @notice A part of an unbond, or all of it, went back to the stake: `amount` with `shares` of the pool. Zero of a worthless one.
    event Rebonded(address indexed provider, uint256 indexed id, uint256 amount, uint256 shares, uint256 stakeAfter);
    /// @notice The owner was paid all that had matured.
    event Withdrawn(address indexed provider, uint256 amount);
    /// @notice Slots that begin in `[startsAt, endsAt)` will not count for the provider.
    event MaintenanceDeclared(address indexed provider, uint256 indexed index, uint64 startsAt, uint64 endsAt);
    /// @notice The provider's last window is no more; its index is free again.
    event MaintenanceCancelled(address indexed provider, uint256 indexed index);
    /// @notice A quorum of verifiers measured what the provider has.
    event HardwareMeasured(address indexed provider, uint64 indexed epoch, uint8 hardwareClass, uint32 units);
    /// @notice `fromDelegation` of a slash came from those who staked behind the provider.
    event DelegationSlashed(address indexed provider, uint256 fromDelegation);
    /// @notice Of `requested`, this much came from the provider's own stake; `DelegationSlashed` says what delegators gave.
    event Slashed(
        address indexed provider,
        uint256 requested,
        uint256 fromStake,
        uint256 fromUnbonding,
        uint256 stakeAfter
    );
    /// @notice No new work until `unjail`, and none before a quorum has measured the hardware in the epoch `measureFrom` or later; zero where no
    /// measurement is asked for. A provider in jail is named again when only then a measurement is, or a later one.
    event Jailed(address indexed provider, uint64 measureFrom);
    /// @notice The provider may work again.
    event Unjailed(address indexed provider);
    /// @notice No work ever again.
    event Removed(address indexed provider);

    /// @notice Only the court slashes.
    error NotCourt(address caller);
    /// @notice Nobody of this address ever registered.
    error NotRegistered(address provider);
    /// @notice One registration for each address.
    error AlreadyRegistered(address provider);
    /// @notice The provider was removed for ever.
    error ProviderRemoved(address provider);
    /// @notice There is nothing to return from.
    error NotJailed(address provider);
    /// @notice The provider was jailed for its hardware: a quorum has to measure it in the epoch `from` or later.
    error NotMeasuredSince(address provider, uint64 from);
    /// @notice `provider` named this signer, at any time.
    error SignerTaken(address signer, address provider);
    /// @notice Classes go from 0 to `most`.
    error UnknownHardwareClass(uint8 hardwareClass, uint8 most);
    /// @notice Nothing was asked for.
    error ZeroAmount();
    /// @notice An offer has a digest.
    error ZeroDigest();
    /// @notice More stake is needed than there is.
    error InsufficientStake(uint256 staked, uint256 required);
    /// @notice As many unbonds are open as may be: wait, or rebond.
    error TooManyUnbonds(uint256 open, uint256 most);
    /// @notice Nothing has matured; `nextRelease` is when the next unbond does, zero if there is none.
    error NothingToWithdraw(uint64 nextRelease);
    /// @notice Less is unbonding than was asked back.
    error InsufficientUnbonding(uint256 unbonding, uint256 asked);
    /// @notice What remains must be ten times the fees that can still be taken back.
    error FeesLocked(uint256 stakeAfter, uint256 locked);
    /// @notice What was shown is not this provider's leaf in the report of this epoch.
    error WrongLeaf(uint64 epoch, address provider);
    /// @notice The challenge windows of this epoch are not over; `closesAt` is the largest number while it is not activated.
    error StillOpen(uint64 epoch, uint256 closesAt, uint256 time);
    /// @notice Maintenance is announced earlier than that.
    error NoticeTooShort(uint64 startsAt, uint256 earliest);
    /// @notice The window before ends at `before`.
    error MaintenanceOverlaps(uint64 startsAt, uint64 before);
    /// @notice With this window `seconds_` of 30 days would be maintenance.
    error MaintenanceAboveAllowance(uint256 seconds_, uint256 most);
    /// @notice Only the last window can be taken back.
    error UnknownMaintenance(uint256 index);
    /// @notice A window that has begun stands.
    error MaintenanceBegun(uint64 startsAt, uint256 time);
    /// @notice An older measurement, or one of the same epoch, cannot replace a newer.
    error MeasurementTooOld(uint64 epoch, uint64 newest);

    /// @notice Makes the caller a provider.
    /// @dev Requirements: not paused; caller not registered; `signer` never used by any provider; 1 to 10,000 units; a non-zero
    /// offer digest; region of 1 to 32 bytes; endpoint of 1 to 200 bytes.
    /// Effects: status Active. No tokens move and no work is matched until the stake reaches `requiredStake`.
    /// WARNING: hardware class and units fix the required stake until a quorum of verifiers measures something else.
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

    /// @notice Bonds `amount` from the caller for the caller. Requires an allowance, and not to be removed; not while paused.
    function stake(uint256 amount) external;

    /// @notice Bonds `amount` from the caller for `provider`, to whom it belongs from then on. Requirements as for `stake`.
    function stakeFor(address provider, uint256 amount) external;

    /// @notice Begins to take `amount` out; returns the id of the unbond. Never paused.
    /// @dev Requirements: `0 < amount <= stake`; at most ten unmatured unbonds are open; what remains is at least ten times
    /// the fees of reports whose challenge windows are open, valued at the stake rate and rounded up. A report has closed
    /// when it is activated and challenge and arbitration could have passed since `activatesAt`. `risk` shows those
    /// fees; it may be empty when no report was submitted, when the newest one has closed, when the stake rate is zero, or when the
    /// caller reached its required stake for the first time only after the epoch of the newest one, if ever.
    /// `risk.closedEpoch` may be any closed epoch: an older one only locks more.
    /// Effects: the amount enters the unbonding pool as shares, so a slash in the meantime lowers every open unbond in
    /// proportion without a loop. Allowed in every status.
    /// WARNING: where slashes left next to nothing of a pool, the shares for a new unbond may not fit in 256 bits and it
    /// is refused; `rebond` of the little that is left, or its maturity, empties the pool and ends that.
    function unbond(uint256 amount, FeesAtRisk calldata risk) external returns (uint256 id);

    /// @notice Takes `amount` back from the unbonding pool into the stake, newest unbonds first. Not while paused.
    /// @dev Requires `0 < amount`, that much unmatured, and not to be removed.
    /// Effects: exactly `amount` moves. Of the last unbond that is touched a part may remain; its shares for `amount` are
    /// rounded up.
    function rebond(uint256 amount) external;

    /// @notice Declares that the caller will be away; returns the index of the window.
    /// @dev Requirements: registered; begins at least `noticeSeconds` and at most 90 days from now and not before the end of the one
    /// before; ends after it begins; at most `maintenanceSeconds` of maintenance, and 32 windows, in the 30 days up to its end. As
    /// windows come in order, that holds for every 30 days.
    function declareMaintenance(uint64 startsAt, uint64 endsAt) external returns (uint256 index);

    /// @notice Takes back the caller's last window. Requires that it has not begun. Its index is used again.
    function cancelMaintenance(uint256 index) external;

    /// @notice Records the hardware class and units that a quorum of verifiers measured in an epoch; anybody may send it.
    /// @dev Signatures as in `IEpochLedger.submit`, over EIP-712
    /// `Hardware(address provider,uint64 epoch,uint8 hardwareClass,uint32 units)` in the ledger's domain. The epoch has begun and is later
    /// than that of the last measurement; class and units are such as may be declared. The required stake follows at once, and
    /// a provider whose stake reaches it is listed.
    function measureHardware(address provider, uint64 epoch, uint8 hardwareClass, uint32 units, bytes[] calldata signatures) external;

    /// @notice Pays all that has matured to the caller; returns the amount. Allowed in every status, for ever.
    function withdraw() external returns (uint256 amount);

    /// @notice Returns a jailed caller to Active. Not while paused.
    /// @dev Requirements: its stake has reached `requiredStake` again; if it was jailed for its hardware, a quorum has measured that in an epoch
    /// that began after the jailing (`measureFrom`).
    function unjail() external;

    /// @notice Takes up to `amount` from a provider and sends it to the court; returns what was taken.
    /// @dev Requirements: the caller is the court; the provider is registered.
    /// Effects: stake first, then the unmatured unbonding pool, then what is delegated to it. What has matured is never touched, claimed or not. If
    /// less is left than was asked for, all of it is taken. The status changes even if nothing is, but for the worse only: a
    /// removed provider stays removed. Every open unbond of a pool that was taken whole is void.
    function slash(address provider, uint256 amount, Consequence consequence) external returns (uint256 taken);

    /// @notice The contracts this one knows, fixed at deployment.
    function stakeToken() external view returns (address);
    function clock() external view returns (address);
    function epochLedger() external view returns (address);
    function court() external view returns (address);
    function delegation() external view returns (address);
    function verifiers() external view returns (address);
    function guardian() external view returns (address);

    /// @notice As in `Config`.
    function noticeSeconds() external view returns (uint64);
    function maintenanceSeconds() external view returns (uint64);

    /// @notice Declared windows of a provider, cancelled ones left out, that overlap `[from, to)`, oldest first.
    function maintenance(address provider, uint64 from, uint64 to) external view returns (Window[] memory);

    /// @notice How many windows stand; `cancelMaintenance` takes the last index.
    function maintenanceCount(address provider) external view returns (uint256);

    /// @notice What an unbond must leave, given these fees at risk. Refuses what `unbond` refuses of them.
    function lockedFor(address provider, FeesAtRisk calldata risk) external view returns (uint256);

    /// @notice As in `Config`.
    function unbondingSeconds() external view returns (uint64);
    function baseStake() external view returns (uint128);

    /// @notice How many providers ever reached their required stake. The list only grows, and a place in it costs stake:
    /// every listed provider has a leaf in every report.
    function providerCount() external view returns (uint256);

    /// @notice The provider at a place of the list.
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

    /// @notice The first epoch whose measurement lets a provider that was jailed for its hardware return; zero if it never was.
    function measureFrom(address provider_) external view returns (uint64);

    /// @notice The signer a provider names now; zero for nobody.
    function signerOf(address provider_) external view returns (address);

    /// @notice Who named this signer, now or ever; zero for nobody.
    function providerOfSigner(address signer) external view returns (address);

    /// @notice Whether new work may be matched: status Active and stake at its requirement.
    function isActive(address provider_) external view returns (bool);

    /// @notice Tokens bonded by all providers.
    function totalStake() external view returns (uint256);

    /// @notice Tokens in all unbonding pools, matured ones that nobody has looked at since included.
    function totalUnbonding() external view returns (uint256);

    /// @notice Tokens that left the pools as matured and wait for `withdraw`.
    function totalMatured() external view returns (uint256);
}
