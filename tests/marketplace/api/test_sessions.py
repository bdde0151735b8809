"""Signing in: a nonce is good once and for a while, a message for this host and chain only, a session until it ends."""

from datetime import UTC, datetime

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from contracts.errors import ChainUnavailable
from contracts.views import SessionView
from marketplace.api.session_keys import SessionKeys
from marketplace.api.sessions import SESSION_S, SessionEnded, Sessions, SignInRefused

KEY = b"\x01" * 32
ADDRESS = Account.from_key(KEY).address
CUSTOMER = "0x" + "cc" * 20


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


def message(nonce: str, host: str = "bonded.example", chain_id: int = 31337) -> str:
    return (
        f"{host} wants you to sign in with your Ethereum account:\n{ADDRESS}\n\nSign in to Bonded.\n\n"
        f"URI: https://{host}\nVersion: 1\nChain ID: {chain_id}\nNonce: {nonce}\n"
        f"Issued At: {datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    )


def signed(text: str, key: bytes = KEY) -> str:
    return "0x" + Account.sign_message(encode_defunct(text=text), key).signature.hex().removeprefix("0x")


class Escrow:
    """The session keys that a chain knows, and whether it can be asked."""

    def __init__(self) -> None:
        self.keys: dict[str, SessionView] = {}
        self.down = False
        self.asked = 0

    async def read(self, address: str) -> SessionView | None:
        self.asked += 1
        if self.down:
            raise ChainUnavailable((("http://127.0.0.1:1", "refused"),))
        return self.keys.get(address)

    def allow(self, until: float) -> None:
        self.keys[ADDRESS.lower()] = SessionView(ADDRESS.lower(), CUSTOMER, int(until), 0)


def opened(clock: Clock, escrow: Escrow | None = None, secret: bytes = b"secret") -> Sessions:
    return Sessions(secret, 31337, SessionKeys((escrow or Escrow()).read, clock), clock)


@pytest.fixture
def sessions() -> Sessions:
    return opened(Clock())


async def test_a_signed_message_opens_a_session_of_the_lower_case_address(sessions: Sessions):
    text = message(sessions.nonce())
    token, customer = await sessions.sign_in(text, signed(text), "bonded.example")
    assert customer == ADDRESS.lower()
    assert await sessions.customer(token) == customer


async def test_a_nonce_is_good_once_even_when_the_first_attempt_was_wrong(sessions: Sessions):
    text = message(sessions.nonce())
    with pytest.raises(SignInRefused, match="does not hold"):
        await sessions.sign_in(text, signed(text, b"\x02" * 32), "bonded.example")
    with pytest.raises(SignInRefused, match="nonce"):
        await sessions.sign_in(text, signed(text), "bonded.example")


async def test_a_nonce_ends_after_some_minutes_and_one_never_given_out_is_refused():
    clock = Clock()
    sessions = opened(clock)
    text = message(sessions.nonce())
    clock.time += 601
    with pytest.raises(SignInRefused, match="too old"):
        await sessions.sign_in(text, signed(text), "bonded.example")
    text = message("abcdefgh12345678")
    with pytest.raises(SignInRefused, match="not given out here"):
        await sessions.sign_in(text, signed(text), "bonded.example")


@pytest.mark.parametrize("changes", [{"host": "evil.example"}, {"chain_id": 1}])
async def test_a_message_for_another_host_or_chain_is_refused(sessions: Sessions, changes: dict):
    text = message(sessions.nonce(), **changes)
    with pytest.raises(SignInRefused, match="does not hold"):
        await sessions.sign_in(text, signed(text), "bonded.example")


async def test_garbage_is_refused_with_a_sentence(sessions: Sessions):
    with pytest.raises(SignInRefused, match="not a Sign in with Ethereum message"):
        await sessions.sign_in("hello", "0x", "bonded.example")


async def test_a_session_is_ours_and_timed(sessions: Sessions, monkeypatch: pytest.MonkeyPatch):
    token = sessions.open("0x" + "11" * 20)
    with pytest.raises(SessionEnded, match="not a session of ours"):
        await sessions.customer(token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:])
    with pytest.raises(SessionEnded, match="not a session of ours"):
        await opened(Clock(), secret=b"other").customer(token)
    with pytest.raises(SessionEnded, match="sign in first"):
        await sessions.customer(None)
    real = __import__("time").time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: real + SESSION_S + 5)
    with pytest.raises(SessionEnded, match="expired"):
        await sessions.customer(token)


async def test_a_session_key_signs_in_as_its_customer_until_it_expires():
    clock, escrow = Clock(), Escrow()
    sessions = opened(clock, escrow)
    escrow.allow(clock.time + 100)
    text = message(sessions.nonce())
    token, customer = await sessions.sign_in(text, signed(text), "bonded.example")
    assert customer == CUSTOMER == await sessions.customer(token)
    clock.time += 99
    assert await sessions.customer(token) == CUSTOMER
    clock.time += 1
    with pytest.raises(SessionEnded, match="expired or was revoked"):
        await sessions.customer(token)
    text = message(sessions.nonce())
    assert (await sessions.sign_in(text, signed(text), "bonded.example"))[1] == ADDRESS.lower()


async def test_a_revoked_session_key_is_turned_away_within_a_minute_and_one_given_to_another_at_once_it_is_seen():
    clock, escrow = Clock(), Escrow()
    sessions = opened(clock, escrow)
    escrow.allow(clock.time + 10_000)
    text = message(sessions.nonce())
    token, _ = await sessions.sign_in(text, signed(text), "bonded.example")
    del escrow.keys[ADDRESS.lower()]
    clock.time += 59
    with pytest.raises(SessionEnded, match="expired or was revoked"):
        await sessions.customer(token)
    other = "0x" + "dd" * 20
    escrow.keys[ADDRESS.lower()] = SessionView(ADDRESS.lower(), other, int(clock.time) + 10_000, 0)
    clock.time += 59
    with pytest.raises(SessionEnded, match="expired or was revoked"):
        await sessions.customer(token)


async def test_a_chain_that_is_away_is_believed_for_a_minute_and_no_longer():
    clock, escrow = Clock(), Escrow()
    sessions = opened(clock, escrow)
    escrow.allow(clock.time + 10_000)
    text = message(sessions.nonce())
    token, _ = await sessions.sign_in(text, signed(text), "bonded.example")
    escrow.down = True
    clock.time += 59
    assert await sessions.customer(token) == CUSTOMER
    clock.time += 2
    with pytest.raises(SessionEnded, match="cannot be read"):
        await sessions.customer(token)
    text = message(sessions.nonce())
    own, customer = await sessions.sign_in(text, signed(text), "bonded.example")
    assert customer == ADDRESS.lower(), "whoever it may act for, its own account is its own"
    assert await sessions.customer(own) == customer
    escrow.down = False
    assert await sessions.customer(token) == CUSTOMER


async def test_a_customers_own_session_asks_the_chain_nothing():
    clock, escrow = Clock(), Escrow()
    sessions = opened(clock, escrow)
    token = sessions.open(CUSTOMER)
    assert await sessions.customer(token) == CUSTOMER and escrow.asked == 0


async def test_the_chain_is_asked_once_in_a_while_whoever_knocks_how_often():
    clock, escrow = Clock(), Escrow()
    keys = SessionKeys(escrow.read, clock)
    for _ in range(50):
        assert await keys.customer_of(ADDRESS.lower()) is None
    assert escrow.asked == 1
