// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {LedgerBooks} from "./LedgerBooks.sol";
import {LedgerEffects} from "./LedgerEffects.sol";
import {LedgerIntake} from "./LedgerIntake.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {ExactToken} from "./libraries/ExactToken.sol";
import {Leaves} from "./libraries/Leaves.sol";
import {Sums} from "./libraries/Sums.sol";

/// @title EpochLedger
/// @notice What comes in for incentives, what is claimed, and what can be read. Reports come in by `LedgerIntake`, take effect
/// or are undone by `LedgerEffects`, and are kept by `LedgerBooks`. Documentation stands in `IEpochLedger`.
contract EpochLedger is LedgerIntake, LedgerEffects {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using SafeCast for uint256;
    using Sums for uint256;

    constructor(
        address clock_,
        address paymentToken_,
        address escrow_,
        address verifiers_,
        address delegation_,
        address treasury_,
        address challengeCourt_,
        address guardian_
    ) LedgerBooks(clock_, paymentToken_, escrow_, verifiers_, delegation_, treasury_, challengeCourt_, guardian_) {}

    /// @inheritdoc IEpochLedger
    function multicall(bytes[] calldata data) external returns (bytes[] memory results) {
        results = new bytes[](data.length);
        for (uint256 i = 0; i < data.length; ++i) {
            (bool done, bytes memory result) = address(this).delegatecall(data[i]);
            if (!done) {
                assembly ("memory-safe") {
                    revert(add(result, 0x20), mload(result))
                }
            }
            results[i] = result;
        }
    }

    /// @inheritdoc IEpochLedger
    function fundIncentives(uint256 amount) external nonReentrant whenOpen {
        if (amount == 0) revert ZeroAmount();
        _incentiveFund += amount.toUint96();
        emit IncentivesFunded(msg.sender, amount, _incentiveFund);
        _token.pull(msg.sender, amount);
    }

    // --------------------------------------------------------------------------------------------------------- claim

    /// @inheritdoc IEpochLedger
    function claim(uint64 epoch, bytes32[2] calldata leaf, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 fees, uint256 incentive)
    {
        uint256 due = _due;
        if (epoch >= _nextActivation(due)) revert NotActivated(epoch);
        bytes32 root = _reports[epoch].root;
        bytes32 hash = Leaves.hash(address(this), epoch, leaf);
        if (!Leaves.verify(proof, root, hash)) revert NotInRoot(epoch, hash, root);

        address provider;
        (provider, fees, incentive) = Leaves.earned(leaf);
        uint256 claimed = _claims[provider];
        fees = _above(fees, claimed.fees());
        incentive = _above(incentive, claimed.incentives());
        if (fees + incentive == 0) revert NothingToClaim(provider);
        // a quorum could sign leaves that lower one provider to raise another; what others are due must stay here
        if (fees > due.fees()) revert ClaimAboveFunds(fees, due.fees());
        if (incentive > due.incentives()) revert ClaimAboveFunds(incentive, due.incentives());
        uint256 epochs = _above(uint256(epoch) + 1, claimed.rest());
        _checkClaim(fees + incentive, epochs, due >> 248);

        // each sum is the leaf's own amount, each difference was compared above
        unchecked {
            uint256 both = Sums.both(fees, incentive);
            _claims[provider] = claimed + both + (epochs << 192);
            _due = due - both;
        }
        emit Claimed(provider, epoch, fees, incentive);
        _token.safeTransfer(provider, fees + incentive);
    }

    function _above(uint256 value, uint256 floor) private pure returns (uint256) {
        unchecked {
            return value > floor ? value - floor : 0;
        }
    }

    /// @dev Few claims come near the limit; the others need not ask the clock.
    function _checkClaim(uint256 amount, uint256 epochs, uint256 bits) private view {
        if (amount <= epochs << bits) return;
        uint256 limit = IEpochClock(clock).mostPerProvider() * epochs;
        if (amount > limit) revert ClaimAboveLimit(amount, limit);
    }

    /// @inheritdoc IEpochLedger
    function claimOwed() external nonReentrant returns (uint256 amount) {
        amount = owed[msg.sender];
        if (amount == 0) revert NothingToClaim(msg.sender);
        owed[msg.sender] = 0;
        _owedTotal -= amount;
        emit OwedClaimed(msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    // --------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IEpochLedger
    function paymentToken() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IEpochLedger
    function record(uint64 epoch) external view returns (Record memory found) {
        Stored storage r = _reports[epoch];
        if (r.submittedAt == 0) return found;
        found.digest = _digest(r.structHash);
        found.structHash = r.structHash;
        found.root = r.root;
        found.measurements = r.measurements;
        found.movements = r.movements;
        found.signers = r.signers;
        (uint96 providerFees, uint96 incentive, uint96 slaFundIn) = _rest(epoch, r);
        found.totals = Totals({
            charged: r.charged,
            providerFees: providerFees,
            verifierFees: r.verifierFees,
            treasury: r.treasury,
            slaFundIn: slaFundIn,
            credits: r.credits,
            creditsFromFund: r.creditsFromFund,
            incentive: incentive,
            pools: r.pools
        });
        found.leafCount = r.leafCount;
        found.submittedAt = r.submittedAt;
        found.sumFees = r.sumFees;
        found.sumIncentive = r.sumIncentive;
        if (r.completedAt == 0) return found;
        found.completedAt = r.completedAt;
        found.activatesAt = _activatesAt(r);
        found.activated = epoch < nextActivation();
    }

    /// @inheritdoc IEpochLedger
    function progress(uint64 epoch) external view returns (Progress memory) {
        Stored storage r = _reports[epoch];
        return Progress(r.leafChunks, r.chargeChunks, r.creditChunks, r.poolChunks);
    }

    /// @inheritdoc IEpochLedger
    function harmedRoot(uint64 epoch, address provider) external view returns (bytes32) {
        return _harmed[_reports[epoch].structHash][provider];
    }

    /// @inheritdoc IEpochLedger
    function verifyLeaf(uint64 epoch, Leaf calldata leaf, bytes32[] calldata proof) external view returns (bool) {
        bytes32 root = _reports[epoch].root;
        return root != 0 && Leaves.verify(proof, root, leafHash(epoch, leaf));
    }

    /// @inheritdoc IEpochLedger
    function incentiveFund() external view returns (uint256) {
        return _incentiveFund;
    }

    /// @inheritdoc IEpochLedger
    function claimedFees(address provider) external view returns (uint256) {
        return _claims[provider].fees();
    }

    /// @inheritdoc IEpochLedger
    function claimedIncentive(address provider) external view returns (uint256) {
        return _claims[provider].incentives();
    }

    /// @inheritdoc IEpochLedger
    function claimedThrough(address provider) external view returns (uint64) {
        return _claims[provider].rest();
    }

    /// @inheritdoc IEpochLedger
    function refundsDue() external view returns (uint256) {
        return _refunds;
    }

    /// @inheritdoc IEpochLedger
    function books() external view returns (Books memory) {
        return Books({
            pending: _pending,
            refunds: _refunds,
            credits: _credits,
            pools: _pools,
            fees: _due.fees(),
            incentives: _due.incentives(),
            owed: _owedTotal,
            incentiveFund: _incentiveFund
        });
    }
}
