// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {Handler} from "./Handler.sol";

/// @notice Sequences of acts that a campaign once failed on, each shrunk and under a name.
contract FoundTest is Test {
    Handler internal handler;

    function setUp() public {
        vm.warp(1_800_000_000);
        handler = new Handler();
    }

    /// @dev The handler compared what was within reach before the wait with what was within reach after it.
    function test_an_exit_that_matures_while_a_ruling_is_awaited_is_not_missing_from_an_overturned_slash() public {
        handler.unbond(3834034803814440668910335452411, 615630146485618857527495844674);
        handler.passTime(2642838388452258890399554032484464248033856677283514);
        handler.contestSlash(100_000_000, 99, 1424);
        handler.checkProvidersAddUp();
        handler.checkTokensAreWhatTheBooksSay();
    }
}
