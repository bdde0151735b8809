// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Shares
/// @notice A pool of tokens held in shares, so that one subtraction lowers every position in proportion.
/// @dev Two things are true after every call, whatever the order of calls:
///
/// * `tokens <= shares`. Entering mints at least one share per token; leaving takes the part rounded down, so at most
///   `ceil(tokens * rest / shares) <= rest` tokens stay for the `rest` of the shares; `leaveWith` burns at most
///   `amount * shares / tokens` rounded up. So whoever enters with n tokens gets at least n shares, never none, and no
///   share is ever worth more than one token: there is nothing to gain by being first or by sending tokens unasked.
/// * Shares without tokens come from `cut` alone. Leaving keeps at least one token while a share is left.
library Shares {
    struct Pool {
        uint256 tokens;
        uint256 shares;
    }

    /// @notice What `shares_` of a pool are worth, rounded down; nothing in an empty pool.
    function worthDown(Pool memory p, uint256 shares_) internal pure returns (uint256) {
        return p.shares == 0 ? 0 : Math.mulDiv(shares_, p.tokens, p.shares);
    }

    /// @notice Puts `amount` in; returns the shares for it, rounded down. The pool must not hold shares of nothing.
    function enter(Pool storage self, uint256 amount) internal returns (uint256 shares_) {
        Pool memory p = self;
        shares_ = p.shares == 0 ? amount : Math.mulDiv(amount, p.shares, p.tokens);
        (self.tokens, self.shares) = (p.tokens + amount, p.shares + shares_);
    }

    /// @notice Takes `shares_` out; returns what they were worth, rounded down.
    function leave(Pool storage self, uint256 shares_) internal returns (uint256 amount) {
        Pool memory p = self;
        amount = worthDown(p, shares_);
        (self.tokens, self.shares) = (p.tokens - amount, p.shares - shares_);
    }

    /// @notice Takes exactly `amount` out; returns the shares that went with it, rounded up.
    function leaveWith(Pool storage self, uint256 amount) internal returns (uint256 shares_) {
        Pool memory p = self;
        shares_ = Math.mulDiv(amount, p.shares, p.tokens, Math.Rounding.Ceil);
        (self.tokens, self.shares) = (p.tokens - amount, p.shares - shares_);
    }

    /// @notice Takes `amount` from all shares alike; returns whether nothing is left for them, so that they are void.
    function cut(Pool storage self, uint256 amount) internal returns (bool voided) {
        Pool memory p = self;
        self.tokens = p.tokens - amount;
        voided = p.tokens == amount && p.shares != 0;
    }
}
