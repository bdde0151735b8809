// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title ExactToken
/// @notice Takes tokens in and insists that what arrived is what was booked.
/// @dev A token that keeps a fee of each transfer, or rebases, would leave the books short; it is refused at the first deposit.
library ExactToken {
    using SafeERC20 for IERC20;

    /// @notice The token delivered something else than was asked for: it takes a fee and cannot be used here.
    error InexactTransfer(address token, uint256 expected, uint256 received);

    /// @notice Pulls `amount` from `from` into this contract. Requires an allowance.
    function pull(IERC20 token, address from, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert InexactTransfer(address(token), amount, received);
    }
}
