// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title ExactToken
/// @notice Takes tokens in and insists that what arrived is what was booked.
/// @dev A token that keeps a fee of each transfer would leave the books short and is refused at its first deposit. A token whose
/// balances shrank by themselves has left them short already: nobody's new money fills that hole.
library ExactToken {
    using SafeERC20 for IERC20;

    /// @notice There is no code at the address of a token.
    error NoToken(string name, address token);

    /// @notice The token delivered something else than was asked for: it takes a fee and cannot be used here.
    error InexactTransfer(address token, uint256 expected, uint256 received);

    /// @notice The contract holds less of the token than its books say, so it takes no further deposit.
    error TokenShort(address token, uint256 balance, uint256 booked);

    /// @notice Refuses an address without code; returns it as a token otherwise.
    function existing(string memory name, address token) internal view returns (IERC20) {
        if (token.code.length == 0) revert NoToken(name, token);
        return IERC20(token);
    }

    /// @notice Pulls `amount` from `from` into this contract. Requires an allowance.
    function pull(IERC20 token, address from, uint256 amount) internal {
        _pull(token, from, amount, token.balanceOf(address(this)));
    }

    /// @notice As above, and requires that this contract holds at least `booked` before.
    function pull(IERC20 token, address from, uint256 amount, uint256 booked) internal {
        uint256 before = token.balanceOf(address(this));
        if (before < booked) revert TokenShort(address(token), before, booked);
        _pull(token, from, amount, before);
    }

    function _pull(IERC20 token, address from, uint256 amount, uint256 before) private {
        // `from` is the caller itself, wherever this is called
        // slither-disable-next-line arbitrary-send-erc20
        token.safeTransferFrom(from, address(this), amount);
        uint256 held = token.balanceOf(address(this));
        uint256 received = held > before ? held - before : 0;
        if (received != amount) revert InexactTransfer(address(token), amount, received);
    }
}
