// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IGuardian} from "./interfaces/IGuardian.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";

/// @title BondedOperators
/// @notice Documentation stands in `IBondedOperators`.
contract BondedOperators is IBondedOperators, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using SafeCast for uint256;
    using EnumerableSet for EnumerableSet.AddressSet;

    uint256 internal constant MOST_MEMBERS = 64;
    uint256 internal constant MOST_BOND = 1e27;
    uint256 internal constant MOST_UNBONDING_SECONDS = 90 days;
    uint256 internal constant MOST_ENDPOINT_BYTES = 200;
    uint256 internal constant WHOLE_PPM = 1_000_000;

    /// @dev A bond above zero with `releaseAt` zero: in the set. Both above zero: unbonding or matured. All zero: nobody.
    struct Member {
        uint128 bond;
        uint64 joinedAt;
        uint64 releaseAt;
        string endpoint;
    }

    /// @dev Membership from `joinedAt` to `leftAt`, that second excluded; zero while it lasts.
    struct Span {
        uint64 joinedAt;
        uint64 leftAt;
    }

    IERC20 internal immutable _token;
    address public immutable clock;
    address public immutable court;
    address public immutable guardian;
    uint128 public immutable bond;
    uint16 public immutable most;
    uint16 public immutable least;
    uint16 public immutable quorum;
    uint64 public immutable unbondingSeconds;

    uint256 public totalBonds;

    EnumerableSet.AddressSet internal _set;
    mapping(address operator => Member) internal _members;
    mapping(address operator => Span[]) internal _spans;
    mapping(address operator => mapping(uint64 epoch => bytes32)) public seedCommitment;
    mapping(address operator => mapping(uint64 epoch => bytes32)) public daysCommitment;

    constructor(address stakeToken_, address clock_, address court_, address guardian_, Config memory config) {
        _token = ExactToken.existing("stakeToken", stakeToken_);
        clock = Bounds.known("clock", clock_);
        court = Bounds.known("court", court_);
        guardian = Bounds.known("guardian", guardian_);
        bond = uint128(Bounds.within("bond", config.bond, 1, MOST_BOND));
        most = uint16(Bounds.within("most", config.most, 1, MOST_MEMBERS));
        least = uint16(Bounds.within("least", config.least, 1, config.most));
        // two disjoint quorums of the smallest valid set must not exist
        quorum = uint16(Bounds.within("quorum", config.quorum, config.least / 2 + 1, config.least));
        uint256 settled = IEpochClock(clock_).settlementSeconds();
        unbondingSeconds =
            uint64(Bounds.within("unbondingSeconds", config.unbondingSeconds, settled, MOST_UNBONDING_SECONDS));
    }

    // ---------------------------------------------------------------------------------------------------- membership

    /// @inheritdoc IBondedOperators
    function join(string calldata endpoint) external nonReentrant {
        IGuardian(guardian).requireOpen();
        Member storage m = _members[msg.sender];
        if (m.bond != 0) revert AlreadyBonded(msg.sender);
        if (_set.length() >= most) revert SetFull(_set.length(), most);
        _checkEndpoint(endpoint);
        (m.bond, m.joinedAt, m.endpoint) = (bond, uint64(block.timestamp), endpoint);
        // the bond above says whether it is in the set
        // slither-disable-next-line unused-return
        _set.add(msg.sender);
        _spans[msg.sender].push(Span({joinedAt: uint64(block.timestamp), leftAt: 0}));
        uint256 booked = totalBonds;
        totalBonds = booked + bond;
        emit Joined(msg.sender, bond, endpoint);
        _token.pull(msg.sender, bond, booked);
    }

    /// @inheritdoc IBondedOperators
    function setEndpoint(string calldata endpoint) external {
        _requireMember(msg.sender);
        _checkEndpoint(endpoint);
        _members[msg.sender].endpoint = endpoint;
        emit EndpointSet(msg.sender, endpoint);
    }

    /// @inheritdoc IBondedOperators
    function leave() external {
        _requireMember(msg.sender);
        uint64 releaseAt = _expel(msg.sender);
        _members[msg.sender].releaseAt = releaseAt;
        emit Left(msg.sender, releaseAt);
    }

    /// @inheritdoc IBondedOperators
    function withdraw() external nonReentrant returns (uint256 amount) {
        Member storage m = _members[msg.sender];
        amount = m.bond;
        if (amount == 0 || m.releaseAt == 0) revert NothingToWithdraw(msg.sender);
        if (block.timestamp < m.releaseAt) revert StillUnbonding(m.releaseAt, block.timestamp);
        delete _members[msg.sender];
        totalBonds -= amount;
        emit Withdrawn(msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IBondedOperators
    function slash(address operator, uint256 ppm) external nonReentrant returns (uint256 taken) {
        if (msg.sender != court) revert NotCourt(msg.sender);
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.within("ppm", ppm, 1, WHOLE_PPM);
        Member storage m = _members[operator];
        uint256 bonded = m.bond;
        uint64 releaseAt = m.releaseAt;
        if (bonded == 0 || (releaseAt != 0 && block.timestamp >= releaseAt)) return 0;

        taken = Math.mulDiv(bonded, ppm, WHOLE_PPM, Math.Rounding.Ceil);
        if (releaseAt == 0) releaseAt = _expel(operator);
        if (taken == bonded) {
            releaseAt = 0;
            delete _members[operator];
        } else {
            (m.bond, m.releaseAt) = ((bonded - taken).toUint128(), releaseAt);
        }
        totalBonds -= taken;
        emit Slashed(operator, taken, bonded - taken, releaseAt);
        _token.safeTransfer(msg.sender, taken);
    }

    /// @dev Ends a membership; returns when the bond is released.
    function _expel(address operator) private returns (uint64 releaseAt) {
        // the bond above says whether it is in the set
        // slither-disable-next-line unused-return
        _set.remove(operator);
        Span[] storage spans = _spans[operator];
        spans[spans.length - 1].leftAt = uint64(block.timestamp);
        return uint64(block.timestamp) + unbondingSeconds;
    }

    function _checkEndpoint(string calldata endpoint) private pure {
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.within("endpoint bytes", bytes(endpoint).length, 1, MOST_ENDPOINT_BYTES);
    }

    function _requireMember(address operator) private view {
        if (!_set.contains(operator)) revert NotMember(operator);
    }

    // ---------------------------------------------------------------------------------------------------------- work

    /// @inheritdoc IBondedOperators
    function commitSeed(uint64 epoch, bytes32 commitment) external {
        _requireMember(msg.sender);
        if (commitment == 0) revert ZeroCommitment();
        if (seedCommitment[msg.sender][epoch] != 0) revert SeedAlreadyCommitted(msg.sender, epoch);
        uint64 start = IEpochClock(clock).epochStart(epoch);
        if (block.timestamp >= start) revert EpochBegun(epoch, start, block.timestamp);
        seedCommitment[msg.sender][epoch] = commitment;
        emit SeedCommitted(msg.sender, epoch, commitment);
    }

    /// @inheritdoc IBondedOperators
    function commitDays(uint64 epoch, bytes32 commitment) external {
        _requireMember(msg.sender);
        if (commitment == 0) revert ZeroCommitment();
        if (daysCommitment[msg.sender][epoch] != 0) revert DaysAlreadyCommitted(msg.sender, epoch);
        uint64 from = IEpochClock(clock).epochEnd(epoch);
        uint64 to = from + IEpochClock(clock).reportDelay() / 2;
        if (block.timestamp < from || block.timestamp > to) {
            revert OutsideCommitWindow(epoch, from, to, block.timestamp);
        }
        daysCommitment[msg.sender][epoch] = commitment;
        emit DaysCommitted(msg.sender, epoch, commitment);
    }

    /// @inheritdoc IBondedOperators
    function checkQuorum(address[] calldata signers) external view {
        if (_set.length() < least) revert TooFewMembers(_set.length(), least);
        if (signers.length < quorum) revert TooFewSigners(signers.length, quorum);
        address before;
        for (uint256 i = 0; i < signers.length; ++i) {
            if (signers[i] <= before) revert SignersNotAscending(before, signers[i]);
            before = signers[i];
            _requireMember(before);
        }
    }

    // --------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IBondedOperators
    function stakeToken() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IBondedOperators
    function isMember(address operator) external view returns (bool) {
        return _set.contains(operator);
    }

    /// @inheritdoc IBondedOperators
    function wasMember(address operator, uint64 from, uint64 to) external view returns (bool) {
        if (from >= to) return false;
        Span[] storage spans = _spans[operator];
        // the last one that began before `to` also ends last; each later one took an unbonding time or a whole bond
        for (uint256 i = spans.length; i != 0; --i) {
            Span storage span = spans[i - 1];
            if (span.joinedAt < to) return span.leftAt == 0 || span.leftAt > from;
        }
        return false;
    }

    /// @inheritdoc IBondedOperators
    function members() external view returns (address[] memory) {
        return _set.values();
    }

    /// @inheritdoc IBondedOperators
    function memberCount() external view returns (uint256) {
        return _set.length();
    }

    /// @inheritdoc IBondedOperators
    function member(address operator) external view returns (MemberView memory) {
        Member storage m = _members[operator];
        return MemberView({
            endpoint: m.endpoint,
            bond: m.bond,
            joinedAt: m.joinedAt,
            active: _set.contains(operator),
            releaseAt: m.releaseAt
        });
    }
}
