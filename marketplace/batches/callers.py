"""Say whose files and batches a request is about: its API key's customer, or the customer of a session."""

from __future__ import annotations

from typing import Protocol

from marketplace.accounts import Accounts, RevokedKey, UnknownKey
from marketplace.api.sessions import SessionEnded
from marketplace.gateway.errors import wrong_key
from marketplace.gateway.inference import bearer

_KEY_PREFIX = "sk-"


class Sessions(Protocol):
    """What knows sessions."""

    async def customer(self, token: str | None) -> str:
        """Return whose session this is; raises SessionEnded."""


class Callers:
    """Who may ask. Without `sessions` only API keys count."""

    def __init__(self, accounts: Accounts, sessions: Sessions | None = None) -> None:
        self._accounts = accounts
        self._sessions = sessions

    async def customer(self, headers: dict[bytes, bytes]) -> str:
        """Return the customer behind a request; raises ApiError 401."""
        token = bearer(headers)
        try:
            if self._sessions is None or token.startswith(_KEY_PREFIX):
                return self._accounts.authenticate(token).customer
            return await self._sessions.customer(token)
        except (UnknownKey, RevokedKey, SessionEnded) as error:
            raise wrong_key(str(error)) from None
