"""Signing: one message has one valid signature per key, and everything else is refused."""

from __future__ import annotations

import pytest
from eth_account import Account
from hypothesis import given

from contracts.errors import BadAddress, BadSignature
from contracts.signing import Signer, checksum_address, normal_address, recover, same_address

from .strategies import addresses, keys, words

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNER = Signer(b"\x01" * 32)
DIGEST = b"\x02" * 32


def test_refuses_the_second_form_of_a_signature() -> None:
    good = SIGNER.sign(DIGEST)
    flipped = (ORDER - int.from_bytes(good[32:64])).to_bytes(32)
    malleable = good[:32] + flipped + bytes((55 - good[64],))
    with pytest.raises(BadSignature, match="upper half"):
        recover(DIGEST, malleable)


@pytest.mark.parametrize("length", [0, 64, 66, 130])
def test_refuses_a_signature_of_another_length(length: int) -> None:
    with pytest.raises(BadSignature, match=f"this one has {length}"):
        recover(DIGEST, SIGNER.sign(DIGEST).ljust(130, b"\x00")[:length])


@pytest.mark.parametrize("v", [0, 1, 26, 29, 37, 255])
def test_refuses_a_recovery_byte_other_than_27_and_28(v: int) -> None:
    with pytest.raises(BadSignature, match=f"this one is {v}"):
        recover(DIGEST, SIGNER.sign(DIGEST)[:64] + bytes((v,)))


@pytest.mark.parametrize("r", [0, ORDER, 2**256 - 1])
def test_refuses_numbers_that_are_no_point(r: int) -> None:
    with pytest.raises(BadSignature, match="no public key"):
        recover(DIGEST, r.to_bytes(32) + SIGNER.sign(DIGEST)[32:])


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_refuses_a_private_key_of_another_length(length: int) -> None:
    with pytest.raises(BadSignature, match=f"this one has {length}"):
        Signer(b"\x01" * length)


@pytest.mark.parametrize("value", ["", "0x", "12" * 20, "0x" + "12" * 19, "0x" + "g1" * 20, "0x" + "1 " * 20])
def test_refuses_what_is_no_address(value: str) -> None:
    with pytest.raises(BadAddress, match="40 hexadecimal digits"):
        normal_address(value)


@given(keys, words)
def test_signs_exactly_as_eth_account_does(key: bytes, digest: bytes) -> None:
    signer, account = Signer(key), Account.from_key(key)
    assert signer.address == account.address.lower()
    assert signer.sign(digest) == bytes(account.unsafe_sign_hash(digest).signature)


@given(keys, words)
def test_recovers_who_signed(key: bytes, digest: bytes) -> None:
    signer = Signer(key)
    assert recover(digest, signer.sign(digest)) == signer.address


@given(addresses)
def test_writes_an_address_for_people_as_eip_55_says(address: str) -> None:
    from eth_utils import to_checksum_address

    assert checksum_address(address) == to_checksum_address(address)
    assert same_address(address, checksum_address(address))


def test_never_prints_the_key() -> None:
    assert "0101" not in repr(SIGNER)
    assert repr(SIGNER) == f"Signer({SIGNER.address})"
