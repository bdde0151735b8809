"""Read, hash and write what rules number 2 had otherwise, so that epochs settled under it replay to the same root.

Receipts named no earlier job and had no place for an enclave's quote, countersignatures no service class, states
nothing of service levels, scarcity, tenure and named receipts. With these at their defaults the arithmetic is the
same, so only forms differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from contracts.messages import ZERO32, Countersignature, Receipt, struct_hash_as
from contracts.signing import keccak
from rewards.canonical import Unreadable, build, read_json
from rewards.types import Attempt

NUMBER = 2
CODE = bytes.fromhex("767e20ef3d060e6b342d2c8e7126cf335b5f66e0d7e4b7f673814e7e114c29cd")
"""The digest of the settlement code of that time, which entered its reports' `rules`."""
_RECEIPT = (
    "Receipt(bytes32 job,uint32 attempt,address provider,bytes32 model,uint64 slot,uint32 inputTokens,"
    "uint32 cachedTokens,uint32 outputTokens,uint32 ttftMs,uint32 itlUs,uint128 chargeAtto,bytes32 requestDigest,"
    "bytes32 responseDigest,uint8 status)"
)
_COUNTERSIGNATURE = "Countersignature(bytes32 receipt,address customer,uint64 slot,uint32 ttftMs,uint32 itlUs)"
_ABSENT = {"taken": "0x" + ZERO32.hex(), "attestationType": 0, "attestation": "0x" + ZERO32.hex()}
_OF_PROVIDERS: dict[str, Any] = {"clean_epochs": 0, "service_days": [], "unnamed": [], "awaited": []}
_OF_STATES: dict[str, Any] = {"scarcity": [], "critical": []}


def receipt_hash(receipt: Receipt) -> bytes:
    """Return the struct hash that a provider signed then."""
    return struct_hash_as(_RECEIPT, receipt)


def counter_digest(counter: Countersignature, separator: bytes) -> bytes:
    """Return what a gateway signed then."""
    return keccak(b"\x19\x01" + separator + struct_hash_as(_COUNTERSIGNATURE, counter))


def read_lines(lines: Iterable[str]) -> Iterator[Attempt]:
    """Read attempts as they were written then; raises Unreadable."""
    for line in lines:
        value = read_json(line)
        if not isinstance(value, dict) or not all(
            isinstance(value.get(name), dict) for name in ("receipt", "countersignature")
        ):
            raise Unreadable("", "is not an attempt: an object with receipt and countersignature")
        if _ABSENT.keys() & value["receipt"].keys() or "serviceClass" in value["countersignature"]:
            raise Unreadable("", f"has fields that rules number {NUMBER} did not know")
        value["receipt"] |= _ABSENT
        value["countersignature"]["serviceClass"] = 0
        yield build(Attempt, value)


def trim_state(value: dict[str, Any]) -> None:
    """Take out of a state's plain values what states did not have then."""
    for name in _OF_STATES:
        del value[name]
    for provider in value["providers"]:
        for name in _OF_PROVIDERS:
            del provider[name]


def fill_state(value: dict[str, Any]) -> dict[str, Any]:
    """Put the defaults into a state's plain values as read; raises Unreadable for what was no state then."""
    providers = value.get("providers")
    if not isinstance(providers, list) or not all(isinstance(one, dict) for one in providers):
        raise Unreadable("providers", "is not a list of objects")
    if _OF_STATES.keys() & value.keys() or any(_OF_PROVIDERS.keys() & one.keys() for one in providers):
        raise Unreadable("", f"has fields that rules number {NUMBER} did not know")
    return {**value, "providers": [{**one, **_OF_PROVIDERS} for one in providers], **_OF_STATES}
