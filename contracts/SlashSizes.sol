// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {PpmMath} from "./libraries/PpmMath.sol";

/// @title SlashSizes
/// @notice The part of the court that says how much: sizes and bonds, what 30 days permit, and the breaker. Documentation stands in
/// `ISlashingCourt`.
abstract contract SlashSizes is ISlashingCourt {
    uint8 internal constant LEAST_LEVEL = 2;
    uint8 internal constant MOST_AVAILABILITY_CODE = 4;
    uint8 internal constant LONG_OUTAGE_CODE = 6;
    uint8 internal constant RECEIPTS_CODE = 9;
    uint256 internal constant MOST_AVAILABILITY_PPM = 100_000;
    uint256 internal constant AVAILABILITY_WINDOW = 30 days;
    uint256 internal constant BOND_PPM = 10_000;
    uint256 internal constant BREAKER_PPM = 50_000;
    uint256 internal constant BREAKER_DAYS = 7;
    uint256 internal constant MOST_LEAST_BOND = 1e27;

    /// @dev One availability slash: when it was proposed, for which epoch, and what it used up of the window.
    struct Use {
        uint64 at;
        uint64 epoch;
        uint32 ppm;
    }

    address public immutable staking;
    uint128 public immutable leastBond;

    mapping(address provider => Use[]) internal _uses;
    mapping(uint256 day => uint256 amount) internal _opened;

    constructor(address staking_, uint128 leastBond_) {
        staking = Bounds.known("staking", staking_);
        leastBond = uint128(Bounds.within("leastBond", leastBond_, 1, MOST_LEAST_BOND));
    }

    /// @dev Uses up to `ppm` of the provider's availability window and returns how much there was.
    function _use(address provider, uint64 epoch, uint32 ppm) internal returns (uint32 granted) {
        granted = uint32(Math.min(ppm, availabilityLeftPpm(provider)));
        if (granted != 0) _uses[provider].push(Use({at: uint64(block.timestamp), epoch: epoch, ppm: granted}));
    }

    /// @dev Gives back what a cancelled slash used up of the window. Uses older than the window count for nothing and stay.
    function _giveBack(address provider, uint64 epoch) internal {
        Use[] storage uses = _uses[provider];
        for (uint256 i = uses.length; i != 0; --i) {
            Use memory use = uses[i - 1];
            if (block.timestamp - use.at >= AVAILABILITY_WINDOW) return;
            if (use.epoch != epoch) continue;
            for (; i < uses.length; ++i) uses[i - 1] = uses[i];
            uses.pop();
            return;
        }
    }

    /// @dev Adds to what was opened today, and says whether that is more than the breaker lets pass.
    function _count(uint256 amount) internal returns (bool above) {
        (uint256 opened, uint256 limit) = breaker();
        _opened[block.timestamp / 1 days] += amount;
        return opened + amount > limit;
    }

    // --------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc ISlashingCourt
    function bondFor(uint256 amount) public view returns (uint256) {
        return Math.max(leastBond, PpmMath.shareDown(amount, BOND_PPM));
    }

    /// @inheritdoc ISlashingCourt
    function codePpm(uint8 code) public pure returns (uint32) {
        if (code < LEAST_LEVEL) return 0;
        if (code == 2) return 10_000;
        if (code == 3) return 20_000;
        if (code == 4) return 40_000;
        if (code == LONG_OUTAGE_CODE) return 200_000;
        if (code == RECEIPTS_CODE) return 250_000;
        if (code > RECEIPTS_CODE) revert UnknownCode(code, RECEIPTS_CODE);
        return 100_000;
    }

    /// @inheritdoc ISlashingCourt
    function availabilityLeftPpm(address provider) public view returns (uint256 left) {
        left = MOST_AVAILABILITY_PPM;
        Use[] storage uses = _uses[provider];
        // what lies inside the window sums to at most 10 %, and every use but those that filled it takes at least one
        for (uint256 i = uses.length; i != 0; --i) {
            Use memory use = uses[i - 1];
            if (block.timestamp - use.at >= AVAILABILITY_WINDOW) break;
            left -= use.ppm;
        }
    }

    /// @inheritdoc ISlashingCourt
    function breaker() public view returns (uint256 opened, uint256 limit) {
        uint256 today = block.timestamp / 1 days;
        for (uint256 i = 0; i <= BREAKER_DAYS && i <= today; ++i) opened += _opened[today - i];
        limit = PpmMath.shareDown(IProviderStaking(staking).totalStake(), BREAKER_PPM);
    }
}
