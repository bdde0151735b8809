"""Hash, sign and recover: the only place that touches secp256k1 and keccak-256.

Signatures are 65 bytes `r ‖ s ‖ v` with `s` in the lower half and `v` 27 or 28, as OpenZeppelin's `ECDSA` demands.
Anything else is refused, so one message has one valid signature per key. No web3 here: the settlement code and the
auditor import this module.

Signing and recovering call the C library that coincurve brings, without coincurve's objects in between: those cost a
quarter of the curve's own arithmetic. Each call has memory of its own, so threads may sign and recover at once.
"""

from __future__ import annotations

from typing import Any

from coincurve import PrivateKey
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT
from coincurve.flags import EC_UNCOMPRESSED
from sha3 import keccak_256  # type: ignore[import-untyped]

from contracts.errors import BadAddress, BadSignature

_CONTEXT = GLOBAL_CONTEXT.ctx
_RECOVERABLE = ffi.typeof("secp256k1_ecdsa_recoverable_signature *")
_POINT = ffi.typeof("secp256k1_pubkey *")
_BYTES = ffi.typeof("unsigned char[65]")
_LENGTH = ffi.typeof("size_t *")
_PARITY = ffi.typeof("int *")
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0

__all__ = ["Signer", "checksum_address", "keccak", "normal_address", "recover", "same_address"]


def keccak(data: bytes) -> bytes:
    """Return the keccak-256 digest; straight from the C library, six times faster than the default back end."""
    result: bytes = keccak_256(data).digest()
    return result


class Signer:
    """Hold one private key and sign 32-byte digests with it; never prints the key."""

    __slots__ = ("_key", "_secret", "address")

    def __init__(self, private_key: bytes) -> None:
        if len(private_key) != 32:
            raise BadSignature(f"a private key has 32 bytes, this one has {len(private_key)}")
        self._key = PrivateKey(private_key)
        self._secret = private_key
        self.address = _address_of(self._key.public_key.public_key)

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest; deterministic (RFC 6979)."""
        if len(digest) != 32:
            raise BadSignature(f"a digest has 32 bytes, this one has {len(digest)}")
        signature, raw, parity = ffi.new(_RECOVERABLE), ffi.new(_BYTES), ffi.new(_PARITY)
        if not lib.secp256k1_ecdsa_sign_recoverable(
            _CONTEXT, signature, digest, self._secret, ffi.NULL, ffi.NULL
        ):  # no digest leads there with a valid key
            raise BadSignature("the library made no signature: the private key is not usable")
        lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(_CONTEXT, raw, parity, signature)
        raw[64] = 27 + parity[0]
        return bytes(ffi.buffer(raw))

    def secret(self) -> bytes:
        """Give out the private key, for web3 transaction signing and keystore encryption only."""
        return bytes(self._key.secret)

    def __repr__(self) -> str:
        return f"Signer({self.address})"


def recover(digest: bytes, signature: bytes) -> str:
    """Return the lower-case address that signed `digest`; raises BadSignature for every malformed or malleable form."""
    if len(signature) != 65:
        raise BadSignature(f"a signature has 65 bytes, this one has {len(signature)}")
    if signature[64] not in (27, 28):
        raise BadSignature(f"the recovery byte is 27 or 28, this one is {signature[64]}")
    if int.from_bytes(signature[32:64]) > _HALF_ORDER:
        raise BadSignature("s lies in the upper half of the curve order: a second form of another signature")
    if len(digest) != 32:
        raise BadSignature(f"a digest has 32 bytes, this one has {len(digest)}")
    parsed, point = ffi.new(_RECOVERABLE), ffi.new(_POINT)
    if not lib.secp256k1_ecdsa_recoverable_signature_parse_compact(_CONTEXT, parsed, signature, signature[64] - 27):
        raise BadSignature("no public key fits this signature: r or s is not below the curve's order")
    if not lib.secp256k1_ecdsa_recover(_CONTEXT, point, parsed, digest):
        raise BadSignature("no public key fits this signature")
    return _address_of(point)


def normal_address(value: str) -> str:
    """Return `value` in the project's form (`0x` + 40 lower-case hex digits); raises BadAddress."""
    text = value.lower()
    if len(text) != 42 or not text.startswith("0x"):
        raise BadAddress(value)
    try:
        bytes.fromhex(text[2:])
    except ValueError:
        raise BadAddress(value) from None
    return text


def checksum_address(value: str) -> str:
    """Return the EIP-55 form, for display and for web3."""
    text = normal_address(value)[2:]
    digest = keccak(text.encode()).hex()
    return "0x" + "".join(c.upper() if c.isalpha() and int(digest[i], 16) >= 8 else c for i, c in enumerate(text))


def same_address(one: str, other: str) -> bool:
    """Compare two addresses in whatever case they are written."""
    return one.lower() == other.lower()


def _address_of(point: Any) -> str:
    raw, length = ffi.new(_BYTES), ffi.new(_LENGTH, 65)
    lib.secp256k1_ec_pubkey_serialize(_CONTEXT, raw, length, point, EC_UNCOMPRESSED)
    return "0x" + keccak(ffi.buffer(raw)[1:])[-20:].hex()
