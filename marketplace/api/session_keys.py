"""Know for whom an address may sign in: a customer's session key counts as the customer until it expires or is revoked.

The chain's newest block is asked, not its last final one: what a customer has revoked must not be served for as long as
finality takes. An answer is believed for `_FRESH_S`; when the chain cannot be read, for `_STALE_S`, and no longer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog

from contracts.chain import Chain
from contracts.errors import ContractsError
from contracts.escrow import Escrow
from contracts.views import SessionView
from marketplace.errors import BondedError

log = structlog.get_logger("api")

ReadSession = Callable[[str], Awaitable[SessionView | None]]

_FRESH_S = 15.0
_STALE_S = 60.0
_MOST_KNOWN = 10_000


class ChainSilent(BondedError):
    """The chain cannot be read, so a session key cannot be checked: try again in a moment."""


class SessionKeys:
    """Session keys as `JobEscrow` has them."""

    def __init__(self, read: ReadSession, now: Callable[[], float] = time.time) -> None:
        self._read = read
        self._now = now
        self._known: dict[str, tuple[float, SessionView | None]] = {}

    async def customer_of(self, address: str) -> str | None:
        """Return whose session key an address is, None for nobody's; raises ChainSilent."""
        now = self._now()
        asked_at, found = self._known.get(address, (float("-inf"), None))
        if now - asked_at > _FRESH_S:
            try:
                found = await self._read(address)
            except (ContractsError, OSError) as error:
                log.warning("a session key cannot be checked", key=address, error=str(error))
                if now - asked_at > _STALE_S:
                    raise ChainSilent(ChainSilent.__doc__) from error
            else:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[address] = (now, found)
        return found.customer if found is not None and now < found.expires_at else None


def session_reader(chain: Chain) -> ReadSession:
    """Return a reader of session keys at the chain's newest block."""
    escrow = Escrow(chain)

    async def read(address: str) -> SessionView | None:
        return await escrow.session_of(address, await chain.head())

    return read
