// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ProbeDays} from "./ProbeDays.sol";

/// @title Levels
/// @notice Which slash level what was measured calls for, as far as one epoch's words decide it. The Python side is `rewards.penalty`;
/// docs/protocol.md, section 5.6.
library Levels {
    uint8 internal constant LEAST_SLASHED = 2;
    uint8 internal constant MOST_AVAILABILITY = 4;
    uint8 internal constant MOST_MEASURED = 6;
    uint8 internal constant OUTAGE = 5;
    uint256 internal constant OUTAGE_SECONDS = 48 hours;
    uint256 internal constant LONG_OUTAGE_SECONDS = 120 hours;

    /// @notice Below which uptime a level from 1 to 4 may be called for.
    function uptimeBelow(uint8 level) internal pure returns (uint256) {
        if (level == 1) return 980_000;
        if (level == 2) return 950_000;
        return level == 3 ? 900_000 : 500_000;
    }

    /// @notice Whether a level may follow from these slots. Levels 7 and 8 rest on none: having been up excuses no wrong result or hardware.
    function stands(
        uint8 level,
        uint256 uptimePpm,
        uint256[6] memory counted,
        uint256[6] memory down,
        uint256 slotSeconds,
        bool carried
    ) internal pure returns (bool) {
        if (level <= MOST_AVAILABILITY) return level >= LEAST_SLASHED && uptimePpm < uptimeBelow(level);
        return level > MOST_MEASURED || outageStands(level, counted, down, slotSeconds, carried);
    }

    /// @notice Whether an outage of level 5 or 6 may be behind these slots: a run of down ones that is long enough, or one that the epoch
    /// began with, if another epoch was before it. How long that one was before is not in these words, so it is taken as long enough.
    /// @dev Slots that do not count neither end nor lengthen a run. Both masks hold no bit beyond the epoch, `down` none that does not count.
    /// Slots of a minute: 2,881 down without a break are an outage of level 5, 2,880 are not.
    function outageStands(
        uint8 level,
        uint256[6] memory counted,
        uint256[6] memory down,
        uint256 slotSeconds,
        bool carried
    ) internal pure returns (bool) {
        uint256 above = (level == OUTAGE ? OUTAGE_SECONDS : LONG_OUTAGE_SECONDS) / slotSeconds;
        uint256 run;
        for (uint256 slot = 0; slot < ProbeDays.MOST_SLOTS; ++slot) {
            uint256 bit = uint256(1) << (slot % 256);
            if (counted[slot / 256] & bit == 0) continue;
            if (down[slot / 256] & bit == 0) {
                (run, carried) = (0, false);
            } else if (carried || ++run > above) {
                return true;
            }
        }
        return false;
    }
}
