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

    /// @param active In the set.
    /// @param releaseAt When the bond of a member that left can be withdrawn; zero otherwise.
    struct MemberView {
        string endpoint;
        uint256 bond;
        uint64 joinedAt;
        bool active;
        uint64 releaseAt;
    }

    event Joined(address indexed operator, uint256 bond, string endpoint);
    event EndpointSet(address indexed operator, string endpoint);
    event Left(address indexed operator, uint64 releaseAt);
    event Withdrawn(address indexed operator, uint256 amount);
    /// @notice The court took a part of a bond. Whoever is slashed is out; what is left begins to unbond.
    event Slashed(address indexed operator, uint256 amount, uint256 bondAfter, uint64 releaseAt);
    event DaysCommitted(address indexed operator, uint64 indexed epoch, bytes32 commitment);
    event SeedCommitted(address indexed operator, uint64 indexed epoch, bytes32 commitment);

    error NotMember(address operator);
    error NotCourt(address caller);
    error DaysAlreadyCommitted(address operator, uint64 epoch);
    error OutsideCommitWindow(uint64 epoch, uint64 from, uint64 to, uint256 time);
    error AlreadyBonded(address operator);
    error SetFull(uint256 members, uint256 most);
    error NothingToWithdraw(address operator);
    error StillUnbonding(uint64 releaseAt, uint256 time);
    error ZeroCommitment();
    error SeedAlreadyCommitted(address operator, uint64 epoch);
    error EpochBegun(uint64 epoch, uint64 start, uint256 time);
    error TooFewMembers(uint256 members, uint256 least);
    error TooFewSigners(uint256 signers, uint256 quorum);
    /// @notice Signers must be distinct and in ascending order.
    error SignersNotAscending(address before, address signer);

    /// @notice Makes the caller a member and pulls its bond.
    /// @dev Requirements: room in the set; no bond of the caller's here, unbonding ones included; an allowance;
    /// endpoint of 1 to 200 bytes.
    function join(string calldata endpoint) external;

    /// @notice Changes where the caller can be reached. Requires membership.
    function setEndpoint(string calldata endpoint) external;

    /// @notice Ends the caller's membership at once and begins to unbond. Requires membership.
    function leave() external;

    /// @notice Pays the bond of a caller whose unbonding time has passed; returns the amount.
    function withdraw() external returns (uint256 amount);

    /// @notice Binds the caller to the secret from which it will draw its plan for `epoch`: `keccak256(seed)`.
    /// @dev Requirements: membership; the epoch has not begun; none committed for it yet; not zero.
    function commitSeed(uint64 epoch, bytes32 commitment) external;

    /// @notice Binds the caller to what it measured in an epoch before anybody shows it: SHA-256 of its attestation.
    /// @dev Requirements: membership; from the end of the epoch to half of the report delay after it; once; not zero.
    function commitDays(uint64 epoch, bytes32 commitment) external;

    /// @notice Takes `ppm` of what an operator has bonded, unbonding or not, and sends it to the court; returns the amount, rounded up.
    /// @dev Requires the caller to be the court. Effects: the operator is out of the set and its remaining bond begins to unbond, or goes on.
    /// Nothing is taken from somebody who has nothing here.
    function slash(address operator, uint256 ppm) external returns (uint256 taken);

    /// @notice Refuses a list of signers that is not a quorum of the set as it stands.
    /// @dev Requirements: at least `least` members; at least `quorum` signers; strictly ascending; all members.
    function checkQuorum(address[] calldata signers) external view;

    function stakeToken() external view returns (address);
    function clock() external view returns (address);
    function court() external view returns (address);
    function guardian() external view returns (address);
    function bond() external view returns (uint128);
    function most() external view returns (uint16);
    function least() external view returns (uint16);
    function quorum() external view returns (uint16);
    function unbondingSeconds() external view returns (uint64);
    function isMember(address operator) external view returns (bool);
    function members() external view returns (address[] memory);
    function memberCount() external view returns (uint256);
    function member(address operator) external view returns (MemberView memory);

    /// @notice What an operator committed for an epoch; zero for nothing.
    function seedCommitment(address operator, uint64 epoch) external view returns (bytes32);

    function daysCommitment(address operator, uint64 epoch) external view returns (bytes32);
    function totalBonds() external view returns (uint256);
}
