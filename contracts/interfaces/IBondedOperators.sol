// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title IBondedOperators
/// @notice A bounded set of operators that have each posted the same bond; one instance holds the verifiers, another the
/// gateways.
///
/// Whoever posts the bond while there is room is in; nobody admits, and only a proof before the court expels. Leaving ends membership at once
/// and returns the bond after the unbonding time. The set decides itself whether a list of signers is a quorum of it.
///
/// Books, in stake-token units, true after every call: `token balance >= totalBonds`, equal unless somebody sent tokens
/// unasked.
interface IBondedOperators {
    /// @param bond What each member posts, in stake-token units.
    /// @param most Size the set cannot exceed.
    /// @param least Size below which no quorum is valid.
    /// @param quorum How many members must agree; more than half of `least` and at most `least`.
    /// @param unbondingSeconds From `leave` to `withdraw`.
    struct Config {
        uint128 bond;
        uint16 most;
        uint16 least;
        uint16 quorum;
        uint64 unbondingSeconds;
    }

    /// @notice An operator at this block; all zero for nobody.
    /// @param bond What is left of it, unbonding or not.
    /// @param active In the set.
    /// @param releaseAt When the bond of a member that left can be withdrawn; zero otherwise.
    struct MemberView {
        string endpoint;
        uint256 bond;
        uint64 joinedAt;
        bool active;
        uint64 releaseAt;
    }

    /// @notice An operator is in the set.
    event Joined(address indexed operator, uint256 bond, string endpoint);
    /// @notice Where an operator can be reached from now on.
    event EndpointSet(address indexed operator, string endpoint);
    /// @notice An operator left the set; its bond can be withdrawn from `releaseAt` on.
    event Left(address indexed operator, uint64 releaseAt);
    /// @notice What was left of a bond was paid back.
    event Withdrawn(address indexed operator, uint256 amount);
    /// @notice The court took a part of a bond. Whoever is slashed is out; what is left begins to unbond, or goes on. `releaseAt` is
    /// zero when nothing is left.
    event Slashed(address indexed operator, uint256 amount, uint256 bondAfter, uint64 releaseAt);
    /// @notice What an operator will show as its measurements of an epoch was bound.
    event DaysCommitted(address indexed operator, uint64 indexed epoch, bytes32 commitment);
    /// @notice The secret from which an operator draws its plan for an epoch was bound.
    event SeedCommitted(address indexed operator, uint64 indexed epoch, bytes32 commitment);

    /// @notice Only a member of the set may do this, or count.
    error NotMember(address operator);
    /// @notice Only the court may do this.
    error NotCourt(address caller);
    /// @notice One commitment for each epoch.
    error DaysAlreadyCommitted(address operator, uint64 epoch);
    /// @notice Measurements of this epoch are committed from `from` to `to`, both included.
    error OutsideCommitWindow(uint64 epoch, uint64 from, uint64 to, uint256 time);
    /// @notice This operator has a bond here, in use or unbonding.
    error AlreadyBonded(address operator);
    /// @notice There is no room.
    error SetFull(uint256 members, uint256 most);
    /// @notice This operator has no bond that unbonds.
    error NothingToWithdraw(address operator);
    /// @notice The bond can be withdrawn from `releaseAt` on.
    error StillUnbonding(uint64 releaseAt, uint256 time);
    /// @notice Zero stands for no commitment.
    error ZeroCommitment();
    /// @notice One commitment for each epoch.
    error SeedAlreadyCommitted(address operator, uint64 epoch);
    /// @notice A plan is bound before its epoch begins.
    error EpochBegun(uint64 epoch, uint64 start, uint256 time);
    /// @notice The set is too small to decide anything.
    error TooFewMembers(uint256 members, uint256 least);
    /// @notice Fewer signers than a quorum.
    error TooFewSigners(uint256 signers, uint256 quorum);
    /// @notice Signers must be distinct and in ascending order.
    error SignersNotAscending(address before, address signer);

    /// @notice Makes the caller a member and pulls its bond.
    /// @dev Requirements: not paused; room in the set; no bond of the caller's here, unbonding ones included; an allowance;
    /// endpoint of 1 to 200 bytes.
    function join(string calldata endpoint) external;

    /// @notice Changes where the caller can be reached. Requires membership.
    function setEndpoint(string calldata endpoint) external;

    /// @notice Ends the caller's membership at once and begins to unbond. Requires membership. Never paused.
    function leave() external;

    /// @notice Pays the bond of a caller whose unbonding time has passed; returns the amount. Never paused.
    function withdraw() external returns (uint256 amount);

    /// @notice Binds the caller to the secret from which it will draw its plan for `epoch`: `keccak256(seed)`.
    /// @dev Requirements: membership; the epoch has not begun; none committed for it yet; not zero.
    function commitSeed(uint64 epoch, bytes32 commitment) external;

    /// @notice Binds the caller to what it measured in an epoch before anybody shows it: SHA-256 of its attestation.
    /// @dev Requirements: membership; from the end of the epoch to half of the report delay after it, both included; once; not zero.
    function commitDays(uint64 epoch, bytes32 commitment) external;

    /// @notice Takes `ppm` of what an operator has bonded, unbonding or not, and sends it to the court; returns the amount, rounded up.
    /// @dev Requires the caller to be the court and 1 to 1,000,000 ppm. Effects: the operator is out of the set and its remaining bond begins to
    /// unbond, or goes on; who loses all of it may post another. Nothing is taken from somebody who has nothing here, nor of a
    /// bond whose release has come, withdrawn or not.
    function slash(address operator, uint256 ppm) external returns (uint256 taken);

    /// @notice Refuses a list of signers that is not a quorum of the set as it stands.
    /// @dev Requirements: at least `least` members; at least `quorum` signers; strictly ascending; all members.
    function checkQuorum(address[] calldata signers) external view;

    /// @notice The contracts this one knows, fixed at deployment.
    function stakeToken() external view returns (address);
    function clock() external view returns (address);
    function court() external view returns (address);
    function guardian() external view returns (address);

    /// @notice As in `Config`.
    function bond() external view returns (uint128);
    function most() external view returns (uint16);
    function least() external view returns (uint16);
    function quorum() external view returns (uint16);
    function unbondingSeconds() external view returns (uint64);

    /// @notice Whether an operator is in the set.
    function isMember(address operator) external view returns (bool);

    /// @notice Whether an operator was in the set at some moment of `[from, to)`. Neither withdrawing nor the loss of a whole bond clears that; the
    /// second in which it left is no part of it.
    function wasMember(address operator, uint64 from, uint64 to) external view returns (bool);

    /// @notice The set, in no particular order.
    function members() external view returns (address[] memory);
    function memberCount() external view returns (uint256);

    /// @notice One operator, in the set or not.
    function member(address operator) external view returns (MemberView memory);

    /// @notice What an operator committed for an epoch as its plan's secret; zero for nothing.
    function seedCommitment(address operator, uint64 epoch) external view returns (bytes32);

    /// @notice What an operator committed for an epoch as its measurements; zero for nothing.
    function daysCommitment(address operator, uint64 epoch) external view returns (bytes32);

    /// @notice Sum of all bonds, unbonding ones and matured ones that nobody withdrew included.
    function totalBonds() external view returns (uint256);
}
