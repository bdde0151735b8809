"""Receipts, countersignatures and ProbeDays as those who sign them do; docs/protocol.md, section 2.

Hashed by eth-account's general encoder, so that an agreement with the contracts means two readings of the protocol.
"""

from __future__ import annotations

from typing import Any

from brownie import web3
from eth_account import Account
from eth_account.messages import encode_typed_data

from contracts.types import MeasuredDay, MeasuredLeaf

KINDS = {
    "Receipt": "bytes32 job,uint32 attempt,address provider,bytes32 model,uint64 slot,uint32 inputTokens,"
    "uint32 cachedTokens,uint32 outputTokens,uint32 ttftMs,uint32 itlUs,uint128 chargeAtto,bytes32 requestDigest,"
    "bytes32 responseDigest,uint8 status,bytes32 taken,uint8 attestationType,bytes32 attestation",
    "Countersignature": "bytes32 receipt,address customer,uint64 slot,uint32 ttftMs,uint32 itlUs,uint8 serviceClass",
    "Hardware": "address provider,uint64 epoch,uint8 hardwareClass,uint32 units",
    "ProbeDay": "address provider,uint64 epoch,uint256[6] up,uint256 histogram",
}
ALL_SLOTS = (2**60 - 1, 0, 0, 0, 0, 0)  # of a devnet's epoch
NO_SLOTS = (0, 0, 0, 0, 0, 0)


def message(ledger: str, kind: str, values: tuple[Any, ...]) -> Any:
    """Return a struct's values as an EIP-712 message in the ledger's domain."""
    fields = [dict(zip(("type", "name"), field.split(), strict=True)) for field in KINDS[kind].split(",")]
    domain = {"name": "Bonded", "version": "1", "chainId": web3.eth.chain_id, "verifyingContract": ledger}
    named = {field["name"]: value for field, value in zip(fields, values, strict=True)}
    return encode_typed_data(domain, {kind: fields}, named)


def sign(key: bytes, ledger: str, kind: str, values: tuple[Any, ...]) -> bytes:
    """Return a signature of 65 bytes."""
    return bytes(Account.from_key(key).sign_message(message(ledger, kind, values)).signature)


def struct_hash(ledger: str, kind: str, values: tuple[Any, ...]) -> bytes:
    """Return the EIP-712 struct hash."""
    return bytes(message(ledger, kind, values).body)


def receipt(provider: Any, slot: int, output_tokens: int = 7, status: int = 0, job: bytes = b"\x01" * 32) -> Any:
    """Return a receipt as `ISlashingCourt.Receipt`."""
    return (
        *(job, 0, str(provider).lower(), b"\x02" * 32, slot, 11, 0, output_tokens, 120, 900, 10**15),
        *(b"\x03" * 32, b"\x04" * 32, status, b"\x05" * 32, 1, b"\x06" * 32),
    )


def probe_day(provider: Any, epoch: int, up: tuple[int, ...] = NO_SLOTS, histogram: int = 0) -> Any:
    """Return a verifier's view of a provider as `ISlashingCourt.ProbeDay`."""
    return str(provider).lower(), epoch, list(up), histogram


def measured_leaf(
    ledger: str,
    provider: Any,
    epoch: int,
    keys: tuple[bytes, ...] = (),
    up: tuple[int, ...] = NO_SLOTS,
    duty: tuple[int, ...] = ALL_SLOTS,
    served: tuple[int, ...] = NO_SLOTS,
    void: tuple[int, ...] = NO_SLOTS,
) -> MeasuredLeaf:
    """Return what verifiers put together about a provider: each of `keys` signed the same day."""
    signed = [
        (Account.from_key(key).address.lower(), sign(key, ledger, "ProbeDay", probe_day(provider, epoch, up)))
        for key in keys
    ]
    days = tuple(MeasuredDay(verifier, up, 0, signature) for verifier, signature in sorted(signed))
    return MeasuredLeaf(str(provider).lower(), duty, served, void, days)


def plain_measured(leaf: MeasuredLeaf) -> tuple[Any, ...]:
    """Return a measured leaf as `IChallengeCourt.Measured`."""
    days = [(day.verifier, list(day.up), day.histogram, day.signature) for day in leaf.days]
    return leaf.provider, list(leaf.duty), list(leaf.served), list(leaf.void), days
