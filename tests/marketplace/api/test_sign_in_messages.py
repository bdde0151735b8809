"""Sign in with Ethereum, read by our own reader: what siwe's own library accepts and refuses, so does this."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from siwe import SiweMessage, VerificationError

from contracts.signing import Signer, checksum_address
from marketplace.api.sign_in import BadSignIn, SignIn, read_sign_in
from tests.marketplace.api.visitor import wallet_signature

KEY = Signer(b"\x31" * 32)
ADDRESS = checksum_address(KEY.address)
NOW = 1_790_000_000.0
PLAIN = f"""market.example:8080 wants you to sign in with your Ethereum account:
{ADDRESS}

Sign in to the market.

URI: https://market.example:8080/sign-in
Version: 1
Chain ID: 31337
Nonce: abcdefgh12345678
Issued At: 2026-09-21T14:13:20Z"""
BARE = PLAIN.replace("Sign in to the market.\n", "")


def check(read: SignIn, signature: str = "", domain: str = "market.example:8080", chain_id: int = 31337) -> None:
    read.check(signature or wallet_signature(KEY, read.text), domain, chain_id, NOW)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        BARE,
        PLAIN.replace(ADDRESS, KEY.address),
        "https://" + PLAIN,
        PLAIN + "\nExpiration Time: 2099-01-01T00:00:00.123Z",
        PLAIN + "\nNot Before: 2020-01-01T00:00:00+01:00",
        PLAIN + "\nRequest ID: some-id",
        PLAIN + "\nResources:",
        PLAIN + "\nResources:\n- https://example.com/a?b=c\n- ipfs://abc",
        PLAIN + "\nExpiration Time: 2099-01-01T00:00:00Z\nNot Before: 2020-01-01T00:00:00Z\nRequest ID: 1\nResources:",
    ],
)
def test_a_message_of_the_standards_form_holds_here_as_in_its_own_library(text: str) -> None:
    read = read_sign_in(text)
    check(read)
    theirs = SiweMessage.from_message(text)
    assert (theirs.domain, theirs.address.lower(), theirs.chain_id, theirs.nonce) == (
        read.domain,
        read.address,
        read.chain_id,
        read.nonce,
    )
    theirs.verify(wallet_signature(KEY, text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        PLAIN + "\n",
        " " + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("Version: 1", "Version: 2"),
        PLAIN.replace("Chain ID: 31337", "Chain ID: x"),
        PLAIN.replace("abcdefgh12345678", "short"),
        PLAIN.replace("abcdefgh12345678", "abcdefgh-1234567"),
        PLAIN.replace("2026-09-21", "2026-13-41"),
        PLAIN.replace("Issued At: 2026-09-21T14:13:20Z", "Issued At: yesterday"),
        PLAIN.replace("Sign in to the market.", "two\nlines"),
        PLAIN.replace("URI: https://market.example:8080/sign-in\n", ""),
        PLAIN + "\nNot Before: 2020-01-01T00:00:00Z\nExpiration Time: 2099-01-01T00:00:00Z",
        PLAIN + "\nSomething: else",
    ],
)
def test_any_other_form_is_refused_here_as_there(text: str) -> None:
    with pytest.raises(BadSignIn):
        read_sign_in(text)
    with pytest.raises(ValueError):
        SiweMessage.from_message(text)


def test_capitals_that_are_not_the_addresss_are_refused() -> None:
    with pytest.raises(BadSignIn, match="EIP-55"):
        read_sign_in(PLAIN.replace(ADDRESS, "0x" + ADDRESS[2:].swapcase()))


@pytest.mark.parametrize(
    ("addition", "domain", "chain_id", "words"),
    [
        ("", "evil.example", 31337, "it is for market.example:8080"),
        ("", "market.example:8080", 1, "it is for chain 31337"),
        ("\nExpiration Time: 2026-01-01T00:00:00Z", "market.example:8080", 31337, "expired"),
        ("\nNot Before: 2098-01-01T00:00:00Z", "market.example:8080", 31337, "not hold yet"),
    ],
)
def test_a_message_for_elsewhere_or_another_time_does_not_hold(addition, domain, chain_id, words) -> None:
    with pytest.raises(BadSignIn, match=words):
        check(read_sign_in(PLAIN + addition), domain=domain, chain_id=chain_id)


def test_what_another_signed_does_not_hold() -> None:
    with pytest.raises(BadSignIn, match="signed by"):
        check(read_sign_in(PLAIN), wallet_signature(Signer(b"\x32" * 32), PLAIN))
    with pytest.raises(BadSignIn, match="signed by"):
        check(read_sign_in(PLAIN), wallet_signature(KEY, BARE))


def test_a_wallet_may_write_the_recovery_byte_from_zero() -> None:
    signature = bytes.fromhex(wallet_signature(KEY, PLAIN)[2:])
    check(read_sign_in(PLAIN), "0x" + (signature[:64] + bytes((signature[64] - 27,))).hex())


@pytest.mark.parametrize("signature", ["0x", "zz", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "11" * 64, "é"])
def test_a_signature_that_is_none_does_not_hold(signature: str) -> None:
    with pytest.raises(BadSignIn):
        check(read_sign_in(PLAIN), signature)


@given(at=st.integers(0, len(PLAIN) - 1), to=st.characters(codec="utf-8"))
def test_what_is_read_of_a_changed_message_its_own_library_reads_too(at: int, to: str) -> None:
    text = PLAIN[:at] + to + PLAIN[at + 1 :]
    try:
        read = read_sign_in(text)
    except BadSignIn:
        return
    theirs = SiweMessage.from_message(text)
    assert (theirs.domain, theirs.address.lower(), theirs.nonce) == (read.domain, read.address, read.nonce)
    if text != PLAIN:
        with pytest.raises((VerificationError, ValueError)):
            theirs.verify(wallet_signature(KEY, PLAIN))
        with pytest.raises(BadSignIn):
            check(read, wallet_signature(KEY, PLAIN), read.domain, read.chain_id)
