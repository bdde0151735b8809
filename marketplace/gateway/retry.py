"""Bound how much traffic failover may add, so that an outage is not multiplied by those who try again."""

from __future__ import annotations

SHARE = 0.1
HEDGE_SHARE = 0.03
_RESERVE = 20.0
_HEDGE_RESERVE = 3.0


class RetryBudget:
    """Earn a tenth of a second attempt per request, spend one per second attempt.

    A client that is itself retrying (it says so in `x-stainless-retry-count`) pays double. A small reserve lets a
    quiet gateway fail over at all.
    """

    def __init__(self, share: float = SHARE, reserve: float = _RESERVE) -> None:
        self._share = share
        self._most = reserve
        self._left = reserve

    def earn(self) -> None:
        """Count a request."""
        self._left = min(self._most, self._left + self._share)

    def spend(self, retrying: bool) -> bool:
        """Take what one more attempt costs; False if it is not there."""
        cost = 2.0 if retrying else 1.0
        if self._left < cost:
            return False
        self._left -= cost
        return True


def hedge_budget() -> RetryBudget:
    """Return the budget of second attempts beside slow first ones: three for a hundred realtime streams."""
    return RetryBudget(HEDGE_SHARE, _HEDGE_RESERVE)
