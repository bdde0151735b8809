"""Signing in: a nonce is good once and for a while, a message for this host and chain only, a session until it ends."""

from datetime import UTC, datetime

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from marketplace.api.sessions import SESSION_S, SessionEnded, Sessions, SignInRefused

KEY = b"\x01" * 32
ADDRESS = Account.from_key(KEY).address


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


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(b"secret", 31337, Clock())


def test_a_signed_message_opens_a_session_of_the_lower_case_address(sessions: Sessions):
    text = message(sessions.nonce())
    token, customer = sessions.sign_in(text, signed(text), "bonded.example")
    assert customer == ADDRESS.lower()
    assert sessions.customer(token) == customer


def test_a_nonce_is_good_once_even_when_the_first_attempt_was_wrong(sessions: Sessions):
    text = message(sessions.nonce())
    with pytest.raises(SignInRefused, match="does not hold"):
        sessions.sign_in(text, signed(text, b"\x02" * 32), "bonded.example")
    with pytest.raises(SignInRefused, match="nonce"):
        sessions.sign_in(text, signed(text), "bonded.example")


def test_a_nonce_ends_after_some_minutes_and_one_never_given_out_is_refused():
    clock = Clock()
    sessions = Sessions(b"secret", 31337, clock)
    text = message(sessions.nonce())
    clock.time += 601
    with pytest.raises(SignInRefused, match="too old"):
        sessions.sign_in(text, signed(text), "bonded.example")
    text = message("abcdefgh12345678")
    with pytest.raises(SignInRefused, match="not given out here"):
        sessions.sign_in(text, signed(text), "bonded.example")


@pytest.mark.parametrize("changes", [{"host": "evil.example"}, {"chain_id": 1}])
def test_a_message_for_another_host_or_chain_is_refused(sessions: Sessions, changes: dict):
    text = message(sessions.nonce(), **changes)
    with pytest.raises(SignInRefused, match="does not hold"):
        sessions.sign_in(text, signed(text), "bonded.example")


def test_garbage_is_refused_with_a_sentence(sessions: Sessions):
    with pytest.raises(SignInRefused, match="not a Sign in with Ethereum message"):
        sessions.sign_in("hello", "0x", "bonded.example")


def test_a_session_is_ours_and_timed(sessions: Sessions, monkeypatch: pytest.MonkeyPatch):
    token = sessions.open("0x" + "11" * 20)
    with pytest.raises(SessionEnded, match="not a session of ours"):
        sessions.customer(token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:])
    with pytest.raises(SessionEnded, match="not a session of ours"):
        Sessions(b"other", 31337).customer(token)
    with pytest.raises(SessionEnded, match="sign in first"):
        sessions.customer(None)
    real = __import__("time").time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: real + SESSION_S + 5)
    with pytest.raises(SessionEnded, match="expired"):
        sessions.customer(token)
