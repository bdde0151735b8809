// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IChallengeCourt} from "../interfaces/IChallengeCourt.sol";

/// @title ProbeDays
/// @notice Computes a provider's uptime and p95 from what several verifiers saw.
/// @dev A day is six words, one bit per slot, 1 = up; 256 slots are combined at once. Bit for bit `rewards.measurement`; docs/protocol.md, section 5.1.
library ProbeDays {
    uint256 internal constant WORDS = 6;
    uint256 internal constant MOST_SLOTS = 256 * WORDS;
    uint256 internal constant MOST_DAYS = 64;
    uint256 internal constant WHOLE_PPM = 1_000_000;
    uint256 internal constant UNMEASURED_BUCKET = 255;
    /// @dev Bits that a count up to `MOST_DAYS` needs.
    uint256 internal constant PLANES = 7;
    /// @dev Every other 16-bit lane; 64 counters of 16 bits sum to less than 2^22 and stay in their 32.
    uint256 internal constant EVEN_LANES = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;

    /// @notice Uptime, p95 bucket and whether anything was measured.
    /// @dev With fewer days than `quorum` nothing speaks against the provider: (1000000, 255, false). Otherwise a slot counts that is in duty and not
    /// void; of those it is down where more than half of the days say 0 and no customer was served. Ten of 1,440 slots down: 993055.
    /// @param slots Of the epoch; bits beyond them count for nothing.
    function compute(IChallengeCourt.Measured calldata m, uint256 slots, uint256 quorum)
        internal
        pure
        returns (uint256 uptimePpm, uint256 ttftP95Bucket, bool measured)
    {
        if (m.days_.length > MOST_DAYS) revert IChallengeCourt.TooManyDays(m.days_.length, MOST_DAYS);
        if (m.days_.length < quorum) return (WHOLE_PPM, UNMEASURED_BUCKET, false);
        uint256 counted;
        uint256 down;
        for (uint256 word = 0; word < WORDS; ++word) {
            uint256 counting = m.duty[word] & ~m.void[word] & inEpoch(slots, word);
            if (counting == 0) continue;
            counted += popcount(counting);
            down += popcount(majorityDown(m.days_, word) & counting & ~m.served[word]);
        }
        return (_share(counted, down), p95Bucket(m.days_), counted != 0);
    }

    /// @notice The slots that count and those of them that are down, as in `compute`, if customers had been served in the slots `also` too and
    /// the verifier of day `struck` had said up everywhere; the number of days stands for none.
    function downs(
        IChallengeCourt.Measured calldata m,
        uint256[WORDS] memory also,
        uint256 struck,
        uint256 slots,
        uint256 quorum
    ) internal pure returns (uint256[WORDS] memory counted, uint256[WORDS] memory down) {
        if (m.days_.length > MOST_DAYS) revert IChallengeCourt.TooManyDays(m.days_.length, MOST_DAYS);
        for (uint256 word = 0; word < WORDS; ++word) {
            counted[word] = m.duty[word] & ~m.void[word] & inEpoch(slots, word);
            if (m.days_.length < quorum || counted[word] == 0) continue;
            down[word] = majorityDown(m.days_, word, struck) & counted[word] & ~m.served[word] & ~also[word];
        }
    }

    /// @notice The share of slots that count and are not down, in ppm rounded down; the whole when none counts.
    function uptime(uint256[WORDS] memory counted, uint256[WORDS] memory down) internal pure returns (uint256) {
        uint256 all;
        uint256 lost;
        for (uint256 word = 0; word < WORDS; ++word) {
            all += popcount(counted[word]);
            lost += popcount(down[word]);
        }
        return _share(all, lost);
    }

    function _share(uint256 counted, uint256 down) private pure returns (uint256) {
        return counted == 0 ? WHOLE_PPM : (counted - down) * WHOLE_PPM / counted;
    }

    /// @notice Slots of one word in which more than half of the days say 0; up wins a tie. At most 64 days.
    function majorityDown(IChallengeCourt.Day[] calldata days_, uint256 word) internal pure returns (uint256) {
        return majorityDown(days_, word, days_.length);
    }

    /// @notice As above, with the day at index `struck`, if there is one, saying 1 everywhere.
    /// @dev `planes[i]` holds bit i of every slot's number of zeros. Adding a day is one binary addition with carry on 256 slots at once;
    /// comparing with half of the days walks the planes from the highest.
    function majorityDown(IChallengeCourt.Day[] calldata days_, uint256 word, uint256 struck)
        internal
        pure
        returns (uint256 down)
    {
        uint256[PLANES] memory planes;
        uint256 used;
        for (uint256 i = 0; i < days_.length; ++i) {
            if (i == struck) continue;
            uint256 carry = ~days_[i].up[word];
            for (uint256 p = 0; carry != 0; ++p) {
                uint256 plane = planes[p];
                planes[p] = plane ^ carry;
                carry &= plane;
                if (p == used) ++used;
            }
        }
        uint256 half = days_.length / 2;
        if (half >> used != 0) return 0; // no slot has that many zeros
        uint256 equal = type(uint256).max;
        for (uint256 p = used; p != 0;) {
            uint256 plane = planes[--p];
            if ((half >> p) & 1 == 1) {
                equal &= plane;
            } else {
                down |= equal & plane;
                equal &= ~plane;
            }
        }
    }

    /// @notice Whether more than half of the days say 0 in one slot of the epoch.
    function isDown(IChallengeCourt.Day[] calldata days_, uint256 slot) internal pure returns (bool) {
        uint256 zeros;
        for (uint256 i = 0; i < days_.length; ++i) {
            if (!has(days_[i].up, slot)) ++zeros;
        }
        return zeros > days_.length / 2;
    }

    /// @notice The first bucket in which ⌈95 %⌉ of all counts are reached; 255 when nothing was counted.
    /// @dev Nineteen counts in bucket 2 and one in bucket 9: ⌈19.0⌉ = 19 are reached in bucket 2.
    function p95Bucket(IChallengeCourt.Day[] calldata days_) internal pure returns (uint256 bucket) {
        uint256 even;
        uint256 odd;
        unchecked {
            for (uint256 i = 0; i < days_.length; ++i) {
                uint256 histogram = days_[i].histogram;
                even += histogram & EVEN_LANES;
                odd += (histogram >> 16) & EVEN_LANES;
            }
            uint256 total;
            for (uint256 shift = 0; shift < 256; shift += 32) {
                total += ((even >> shift) & 0xffffffff) + ((odd >> shift) & 0xffffffff);
            }
            if (total == 0) return UNMEASURED_BUCKET;
            uint256 need = (95 * total + 99) / 100;
            // all buckets together hold the total, which is at least what is needed
            for (uint256 reached = 0;; ++bucket) {
                // two buckets share a lane
                // slither-disable-next-line divide-before-multiply
                reached += ((bucket % 2 == 0 ? even : odd) >> (32 * (bucket / 2))) & 0xffffffff;
                if (reached >= need) return bucket;
            }
        }
    }

    /// @notice Whether a mask of an epoch has the bit of a slot.
    function has(uint256[WORDS] calldata mask, uint256 slot) internal pure returns (bool) {
        return (mask[slot / 256] >> (slot % 256)) & 1 == 1;
    }

    /// @notice The bits of one word that are slots of an epoch of `slots`.
    function inEpoch(uint256 slots, uint256 word) internal pure returns (uint256) {
        uint256 first = word * 256;
        if (slots <= first) return 0;
        return slots - first >= 256 ? type(uint256).max : type(uint256).max >> (256 + first - slots);
    }

    /// @notice How many bits are set.
    function popcount(uint256 x) internal pure returns (uint256) {
        unchecked {
            x -= (x >> 1) & 0x5555555555555555555555555555555555555555555555555555555555555555;
            x = (x & 0x3333333333333333333333333333333333333333333333333333333333333333)
                + ((x >> 2) & 0x3333333333333333333333333333333333333333333333333333333333333333);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
            // 256 does not fit in a byte, so the bytes are summed in lanes of two
            x = (x & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff)
                + ((x >> 8) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff);
            return (x * 0x0001000100010001000100010001000100010001000100010001000100010001) >> 240;
        }
    }
}
