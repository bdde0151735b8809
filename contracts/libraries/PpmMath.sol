// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title PpmMath
/// @notice Integer arithmetic on shares in parts per million; the rounding stands in the name.
library PpmMath {
    uint256 internal constant WHOLE_PPM = 1_000_000;

    /// @notice `value * numerator / denominator`, rounded down, exact for products beyond 256 bits.
    function mulDivDown(uint256 value, uint256 numerator, uint256 denominator) internal pure returns (uint256) {
        return Math.mulDiv(value, numerator, denominator);
    }

    /// @notice The part `ppm` of `amount`, rounded down. `shareDown(1_000, 20_000)` is 20.
    function shareDown(uint256 amount, uint256 ppm) internal pure returns (uint256) {
        return Math.mulDiv(amount, ppm, WHOLE_PPM);
    }

    /// @notice The part `ppm` of `amount`, rounded up. `shareUp(3, 500_000)` is 2.
    function shareUp(uint256 amount, uint256 ppm) internal pure returns (uint256) {
        return Math.mulDiv(amount, ppm, WHOLE_PPM, Math.Rounding.Ceil);
    }
}
