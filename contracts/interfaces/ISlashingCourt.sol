// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEpochLedger} from "./IEpochLedger.sol";

/// @title ISlashingCourt
/// @notice Turns a slash level in an activated report into a slash, after a challenge window, and splits what was taken.
///
/// Nobody chooses a size: level, provider and harmed customers come from the leaf, the sizes are constants here, the
/// base is the provider's required stake. Whoever proposes or executes gains nothing.
///
/// | level | size of the required stake | besides |
/// | --- | --- | --- |
/// | 2, 3, 4 | 1, 2, 4 %; together at most 10 % in a rolling 30 days, the rest is cut | |
/// | 5 | 10 % | jail |
/// | 6 | 20 % | removal |
/// | 7, 8 | 10 % | |
///
/// What was taken goes 50 % to the customers who were harmed, pro rata by weight, 30 % is burned, and the rest, with
/// the harmed part where there is nobody harmed and with all dust, goes to the stake part of the SLA fund.
interface ISlashingCourt {
    /// @param challengeSeconds From proposal to execution.
    struct Config {
        uint64 challengeSeconds;
    }

    /// @param amount What will be asked of the stake, after the cut.
    /// @param executedAt Zero while it waits.
    /// @param taken What the stake gave.
    struct Slash {
        address provider;
        uint64 epoch;
        uint8 level;
        uint64 proposedAt;
        uint64 executableAt;
        uint64 executedAt;
        uint256 amount;
        uint256 taken;
        bytes32 harmed;
    }

    event SlashProposed(
        uint256 indexed id,
        address indexed provider,
        uint64 indexed epoch,
        uint8 level,
        uint256 amount,
        uint64 executableAt
    );
    /// @notice Availability slashes of 30 days reached their limit: `full` was cut to `amount`.
    event SlashCut(uint256 indexed id, address indexed provider, uint256 full, uint256 amount);
    event SlashExecuted(
        uint256 indexed id,
        address indexed provider,
        uint256 taken,
        uint256 toHarmed,
        uint256 toSlaFund,
        uint256 burned
    );

    error NotActivated(uint64 epoch);
    error NotInRoot(uint64 epoch, address provider);
    error NothingToSlash(uint8 level, uint8 least);
    error UnknownLevel(uint8 level, uint8 most);
    error AlreadyProposed(uint256 id);
    error OutOfStatute(uint256 deadline, uint256 time);
    error WrongHarmed(bytes32 found, bytes32 expected);
    error LengthMismatch(uint256 customers, uint256 weights);
    error UnknownSlash(uint256 id);
    error AlreadyExecuted(uint256 id, uint64 executedAt);
    error ChallengeWindowOpen(uint256 id, uint64 executableAt, uint256 time);

    /// @notice Opens a slash from a leaf; returns its id, counted from 1. Anybody may.
    /// @dev Requirements: the report of `epoch` is activated; the leaf is in its root; its level is 2 to 8; no slash
    /// was proposed for this provider and epoch; at most 28 days since the report could be activated;
    /// `keccak256(abi.encode(customers, weights))` is the leaf's `harmed`, or both are empty and it is zero.
    function propose(
        uint64 epoch,
        IEpochLedger.Leaf calldata leaf,
        bytes32[] calldata proof,
        address[] calldata customers,
        uint128[] calldata weights
    ) external returns (uint256 id);

    /// @notice Carries a slash out after its challenge window; returns what was taken. Anybody may.
    /// @dev Requires the same customers and weights as in `propose`. If the provider has less left than the amount, all
    /// that is slashable is taken.
    function execute(uint256 id, address[] calldata customers, uint128[] calldata weights)
        external
        returns (uint256 taken);

    function stakeToken() external view returns (address);
    function staking() external view returns (address);
    function escrow() external view returns (address);
    function epochLedger() external view returns (address);
    function challengeSeconds() external view returns (uint64);
    function slash(uint256 id) external view returns (Slash memory);
    function slashCount() external view returns (uint256);

    /// @notice The id of the slash of a provider for an epoch; zero for none.
    function slashOf(address provider, uint64 epoch) external view returns (uint256);

    /// @notice Size of a level in ppm of the required stake.
    function levelPpm(uint8 level) external pure returns (uint32);

    /// @notice What availability slashes may still take from a provider today, in ppm of its required stake.
    function availabilityLeftPpm(address provider) external view returns (uint256);
}
