"""Sign in with Ethereum (EIP-4361) and the sessions that follow from it.

A nonce is given out once, lives for minutes and is spent by the first attempt to sign in with it, right or wrong. A
session is a signed, timed token that names the customer's address and nothing else: it travels as a bearer token or
as a cookie, and needs no store.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from itsdangerous import BadSignature as BadToken
from itsdangerous import SignatureExpired, URLSafeTimedSerializer
from pydantic import ValidationError
from siwe import SiweMessage, VerificationError, generate_nonce

from contracts.signing import normal_address
from marketplace.errors import BondedError

SESSION_S = 12 * 3600
COOKIE = "bonded_session"
_NONCE_S = 600
_MOST_NONCES = 10_000


class SignInRefused(BondedError):
    """The sign-in message or its signature does not hold; ask for a new nonce and sign the message it belongs to."""


class SessionEnded(BondedError):
    """The session is missing, expired or not ours: sign in again."""


class Sessions:
    """Nonces and session tokens of one gateway. `secret` outlives restarts so that sessions do."""

    def __init__(self, secret: bytes, chain_id: int, now: Callable[[], float] = time.time) -> None:
        self._tokens = URLSafeTimedSerializer(secret, salt="bonded session")
        self._chain_id = chain_id
        self._now = now
        self._nonces: dict[str, float] = {}

    def nonce(self) -> str:
        """Give out a nonce; the oldest are forgotten when too many are open."""
        oldest = self._now() - _NONCE_S
        self._nonces = {nonce: made for nonce, made in self._nonces.items() if made > oldest}
        while len(self._nonces) >= _MOST_NONCES:
            self._nonces.pop(next(iter(self._nonces)))
        fresh: str = generate_nonce()
        self._nonces[fresh] = self._now()
        return fresh

    def sign_in(self, message: str, signature: str, host: str) -> tuple[str, str]:
        """Check a signed EIP-4361 message made for `host`; returns (session token, customer address)."""
        try:
            parsed = SiweMessage.from_message(message=message)
        except (ValidationError, ValueError) as error:
            raise SignInRefused(f"this is not a Sign in with Ethereum message: {_short(error)}") from error
        made = self._nonces.pop(parsed.nonce, None)
        if made is None or made < self._now() - _NONCE_S:
            raise SignInRefused("the nonce was not given out here, is used or too old: ask for a new one")
        try:
            parsed.verify(signature, domain=host, nonce=parsed.nonce, chain_id=self._chain_id)
        except (VerificationError, ValueError) as error:
            raise SignInRefused(f"the message does not hold: {_short(error)}") from error
        customer = normal_address(parsed.address)
        return self.open(customer), customer

    def open(self, customer: str) -> str:
        """Make a session token for a customer who has shown who it is."""
        return str(self._tokens.dumps(customer))

    def customer(self, token: str | None) -> str:
        """Return whose session this is; raises SessionEnded."""
        if not token:
            raise SessionEnded("no session: sign in first")
        try:
            return str(self._tokens.loads(token, max_age=SESSION_S))
        except SignatureExpired as error:
            raise SessionEnded("the session has expired: sign in again") from error
        except BadToken as error:
            raise SessionEnded("this is not a session of ours: sign in again") from error


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
