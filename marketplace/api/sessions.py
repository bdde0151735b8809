"""Sign in with Ethereum (EIP-4361) and the sessions that follow from it.

A nonce bears the time it was made and a code that only we can make, so none has to be kept and nobody can push out
another's by asking for many. It lives for minutes and is spent by the first attempt to sign in with it, right or wrong.
A session is a signed, timed token that names the customer's address, and the session key that signed in for it if one
did: it travels as a bearer token or as a cookie, and needs no store. One that a session key opened holds only while
the chain says that the key acts for the customer.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from hashlib import sha256

from itsdangerous import BadSignature as BadToken
from itsdangerous import SignatureExpired, URLSafeTimedSerializer

from marketplace.api.session_keys import ChainSilent, SessionKeys
from marketplace.api.sign_in import BadSignIn, read_sign_in
from marketplace.errors import BondedError

SESSION_S = 12 * 3600
COOKIE = "bonded_session"
_NONCE_S = 600
_TIME_DIGITS, _RANDOM_DIGITS, _CODE_DIGITS = 10, 24, 32


class SignInRefused(BondedError):
    """The sign-in message or its signature does not hold; ask for a new nonce and sign the message it belongs to."""


class SessionEnded(BondedError):
    """The session is missing, expired or not ours: sign in again."""


class Sessions:
    """Nonces and session tokens of one gateway. `secret` outlives restarts so that sessions do."""

    def __init__(self, secret: bytes, chain_id: int, keys: SessionKeys, now: Callable[[], float] = time.time) -> None:
        self._tokens = URLSafeTimedSerializer(secret, salt="bonded session")
        self._secret = secret
        self._chain_id = chain_id
        self._keys = keys
        self._now = now
        self._spent: dict[str, int] = {}

    def nonce(self) -> str:
        """Give out a nonce: letters and digits, as EIP-4361 wants them."""
        made = f"{int(self._now()):0{_TIME_DIGITS}x}"
        fresh = made + secrets.token_hex(_RANDOM_DIGITS // 2)
        return fresh + self._code(fresh)

    async def sign_in(self, message: str, signature: str, host: str) -> tuple[str, str]:
        """Check a signed EIP-4361 message made for `host`; returns (session token, customer address).

        Signed by a session key it opens its customer's session.
        """
        try:
            read = read_sign_in(message)
        except BadSignIn as error:
            raise SignInRefused(f"this is not a Sign in with Ethereum message: {error}") from error
        self._spend(read.nonce)
        try:
            read.check(signature, host, self._chain_id, self._now())
        except BadSignIn as error:
            raise SignInRefused(f"the message does not hold: {error}") from error
        signer = read.address
        try:
            customer = await self._keys.customer_of(signer)
        except ChainSilent:  # whoever it is, its own account is its own
            customer = None
        return (self.open(signer), signer) if customer is None else (self.open(customer, signer), customer)

    def _spend(self, nonce: str) -> None:
        """Use up a nonce; raises SignInRefused."""
        fresh, code = nonce[:-_CODE_DIGITS], nonce[-_CODE_DIGITS:]
        ours = len(fresh) == _TIME_DIGITS + _RANDOM_DIGITS and hmac.compare_digest(
            code.encode(), self._code(fresh).encode()
        )
        oldest = int(self._now()) - _NONCE_S
        self._spent = {spent: made for spent, made in self._spent.items() if made >= oldest}
        if not ours or int(fresh[:_TIME_DIGITS], 16) < oldest or nonce in self._spent:
            raise SignInRefused("the nonce was not given out here, is used or too old: ask for a new one")
        self._spent[nonce] = int(fresh[:_TIME_DIGITS], 16)

    def _code(self, fresh: str) -> str:
        return hmac.new(self._secret, b"bonded nonce " + fresh.encode(), sha256).hexdigest()[:_CODE_DIGITS]

    def open(self, customer: str, key: str = "") -> str:
        """Make a session token for a customer who has shown who it is, or whose session key has."""
        return str(self._tokens.dumps([customer, key]))

    async def customer(self, token: str | None) -> str:
        """Return whose session this is; raises SessionEnded, also once the key that opened it acts no longer."""
        if not token:
            raise SessionEnded("no session: sign in first")
        try:
            customer, key = self._tokens.loads(token, max_age=SESSION_S)
        except SignatureExpired as error:
            raise SessionEnded("the session has expired: sign in again") from error
        except (BadToken, TypeError, ValueError) as error:
            raise SessionEnded("this is not a session of ours: sign in again") from error
        if key and await self._acting(key) != customer:
            raise SessionEnded("the session key that signed in has expired or was revoked: sign in again")
        return str(customer)

    async def _acting(self, key: str) -> str | None:
        try:
            return await self._keys.customer_of(key)
        except ChainSilent as error:
            raise SessionEnded(str(error)) from error
