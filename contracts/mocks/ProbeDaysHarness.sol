// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IChallengeCourt} from "../interfaces/IChallengeCourt.sol";
import {Levels} from "../libraries/Levels.sol";
import {Messages} from "../libraries/Messages.sol";
import {ProbeDays} from "../libraries/ProbeDays.sol";

/// @title ProbeDaysHarness
/// @notice Shows the library to tests, many cases in one call, and what a provider-day costs with all of its signatures.
contract ProbeDaysHarness {
    error NotSigned(uint256 index);

    /// @notice `ProbeDays.compute` of every case.
    function computeMany(
        IChallengeCourt.Measured[] calldata cases,
        uint256[] calldata slots,
        uint256[] calldata quorums
    ) external pure returns (uint256[] memory uptimes, uint256[] memory buckets, bool[] memory measured) {
        uptimes = new uint256[](cases.length);
        buckets = new uint256[](cases.length);
        measured = new bool[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            (uptimes[i], buckets[i], measured[i]) = ProbeDays.compute(cases[i], slots[i], quorums[i]);
        }
    }

    /// @notice All six words of the majority of every case.
    function downMany(IChallengeCourt.Measured[] calldata cases) external pure returns (uint256[6][] memory down) {
        down = new uint256[6][](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            for (uint256 word = 0; word < 6; ++word) {
                down[i][word] = ProbeDays.majorityDown(cases[i].days_, word);
            }
        }
    }

    /// @notice What is left of a level, as two grounds of the challenge court ask.
    struct Again {
        uint256[6] also;
        uint256 struck;
        uint256 slots;
        uint256 quorum;
        uint8 level;
        uint256 slotSeconds;
        bool carried;
    }

    /// @notice Uptime of every case with slots up and a day struck, and whether its level stands.
    function againMany(IChallengeCourt.Measured[] calldata cases, Again[] calldata asked)
        external
        pure
        returns (uint256[] memory uptimes, bool[] memory stand)
    {
        uptimes = new uint256[](cases.length);
        stand = new bool[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) (uptimes[i], stand[i]) = _again(cases[i], asked[i]);
    }

    function _again(IChallengeCourt.Measured calldata m, Again calldata a) private pure returns (uint256, bool) {
        (uint256[6] memory counted, uint256[6] memory down) = ProbeDays.downs(m, a.also, a.struck, a.slots, a.quorum);
        uint256 uptimePpm = ProbeDays.uptime(counted, down);
        return (uptimePpm, Levels.stands(a.level, uptimePpm, counted, down, a.slotSeconds, a.carried));
    }

    /// @notice One slot by itself, for comparison with the words.
    function isDown(IChallengeCourt.Measured calldata m, uint256 slot) external pure returns (bool) {
        return ProbeDays.isDown(m.days_, slot);
    }

    function popcounts(uint256[] calldata words) external pure returns (uint256[] memory counts) {
        counts = new uint256[](words.length);
        for (uint256 i = 0; i < words.length; ++i) {
            counts[i] = ProbeDays.popcount(words[i]);
        }
    }

    function inEpoch(uint256 slots) external pure returns (uint256[6] memory masks) {
        for (uint256 word = 0; word < 6; ++word) {
            masks[word] = ProbeDays.inEpoch(slots, word);
        }
    }

    /// @notice Checks every signature and computes: what one provider-day costs on chain.
    function checkAndCompute(
        bytes32 separator,
        uint64 epoch,
        IChallengeCourt.Measured calldata m,
        uint256 slots,
        uint256 quorum
    ) external pure returns (uint256 uptimePpm, uint256 ttftP95Bucket, bool measured) {
        for (uint256 i = 0; i < m.days_.length; ++i) {
            IChallengeCourt.Day calldata day = m.days_[i];
            bytes32 structHash = Messages.probeDay(m.provider, epoch, day.up, day.histogram);
            if (Messages.signer(separator, structHash, day.signature) != day.verifier) revert NotSigned(i);
        }
        return ProbeDays.compute(m, slots, quorum);
    }
}
