"""Say whose files and batches a request is about: its API key's customer, or the customer of a session.

A page of the dashboard shows its session as a cookie. That counts only for what was sent from our own pages.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Protocol

from marketplace.accounts import Accounts, RevokedKey, UnknownKey
from marketplace.api.origin import from_elsewhere
from marketplace.api.sessions import COOKIE, SessionEnded
from marketplace.gateway.errors import wrong_key
from marketplace.gateway.inference import bearer

_KEY_PREFIX = "sk-"


class Sessions(Protocol):
    """What knows sessions."""

    async def customer(self, token: str | None) -> str:
        """Return whose session this is; raises SessionEnded."""


class Callers:
    """Who may ask. Without `sessions` only API keys count. `public`: the host of the gateway's public URL, or ""."""

    def __init__(self, accounts: Accounts, sessions: Sessions | None = None, public: str = "") -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._public = public

    async def customer(self, headers: dict[bytes, bytes]) -> str:
        """Return the customer behind a request; raises ApiError 401."""
        token = self._cookie(headers) or bearer(headers)
        try:
            if self._sessions is None or token.startswith(_KEY_PREFIX):
                return self._accounts.authenticate(token).customer
            return await self._sessions.customer(token)
        except (UnknownKey, RevokedKey, SessionEnded) as error:
            raise wrong_key(str(error)) from None

    def _cookie(self, headers: dict[bytes, bytes]) -> str:
        """Return the session that a page of ours shows, "" without one; an Authorization header goes first."""
        if self._sessions is None or b"authorization" in headers or from_elsewhere(headers, self._public):
            return ""
        found: SimpleCookie = SimpleCookie()
        try:
            found.load(headers.get(b"cookie", b"").decode("latin-1"))
        except CookieError:
            return ""
        return found[COOKIE].value if COOKIE in found else ""
