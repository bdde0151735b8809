"""Check one receipt: who signed and accepted it, what it is worth, and whether the evidence of its epoch has it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.clock import Clock
from contracts.errors import BadSignature, ContractsError, ReportMissing
from contracts.history import read_signed
from contracts.messages import Receipt, Status
from contracts.operators import Operators
from contracts.staking import Staking
from marketplace.errors import BondedError

if TYPE_CHECKING:
    from contracts.chain import Chain
    from rewards.blobs import Source
    from rewards.types import Attempt, EpochInputs


class BadReceipt(BondedError):
    """The file holds no receipt: give a line of an agent's journal or of attempts.jsonl, as JSON."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A receipt with its provider's signature, and with the gateway's acceptance where the file has one."""

    receipt: Receipt
    signature: bytes
    attempt: Attempt | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked, whether it holds, and in words."""

    holds: bool
    words: str


def read_shown(path: Path) -> Shown:
    """Read a receipt from a file: an attempt of `attempts.jsonl`, or `{"receipt": …, "signature": "0x…"}`."""
    from rewards.attempt_lines import read_lines
    from rewards.canonical import Unreadable

    try:
        text = path.read_text()
        value = json.loads(text)
        if isinstance(value, dict) and "countersignature" in value:
            one = next(read_lines([json.dumps(value)]))
            return Shown(one.receipt, one.provider_signature, one)
        return Shown(Receipt.from_json(value["receipt"]), bytes.fromhex(value["signature"][2:]), None)
    except (ValueError, KeyError, TypeError, Unreadable, ContractsError) as error:
        raise BadReceipt(f"{path.name}: {BadReceipt.__doc__} ({error})") from None


async def check_shown(chain: Chain, shown: Shown, source: Source | None) -> list[Finding]:
    """Check a receipt against the chain and, with a source, against the evidence of its epoch and the one after.

    The evidence is read as it is: whether it is equal to the report is for `replay` to say.
    """
    found = [await _provider(chain, shown)]
    if shown.attempt is not None:
        found += [await _gateway(chain, shown.attempt)]
    receipt = shown.receipt
    found.append(
        Finding(
            True,
            f"{Status(receipt.status).name.lower()}: {receipt.input_tokens} tokens in ({receipt.cached_tokens} of them"
            f" cached), {receipt.output_tokens} out, {receipt.charge_atto} atto",
        )
    )
    if source is not None:
        found.append(await _evidence(chain, shown, source))
    return found


async def _provider(chain: Chain, shown: Shown) -> Finding:
    name, separator = shown.receipt.provider, chain.deployment.domain().separator()
    if not shown.signature:
        return Finding(True, f"no signature of {name}: the gateway recorded a failure alone")
    try:
        signer = shown.receipt.signed_by(separator, shown.signature)
    except BadSignature as error:
        return Finding(False, f"the provider's signature is none: {error}")
    owner = await Staking(chain).provider_of_signer(signer, await chain.head())
    if owner != name:
        return Finding(False, f"signed by {signer}, which is no key of the provider {name}")
    return Finding(True, f"signed by {signer}, a key of the provider {name}")


async def _gateway(chain: Chain, one: Attempt) -> Finding:
    counter, separator = one.countersignature, chain.deployment.domain().separator()
    if counter.receipt != one.receipt.struct_hash():
        return Finding(False, "the gateway accepted another receipt than this one")
    try:
        signer = counter.signed_by(separator, one.gateway_signature)
    except BadSignature as error:
        return Finding(False, f"the gateway's signature is none: {error}")
    if signer != one.gateway:
        return Finding(False, f"accepted by {signer}, the line names the gateway {one.gateway}")
    head = await chain.head()
    timing = await Clock(chain).timing(head)
    begin = timing.genesis + counter.slot * timing.slot_s
    if not await Operators(chain, "Gateways").was_member(signer, begin, begin + timing.slot_s, head):
        return Finding(False, f"accepted by {signer}, which was no bonded gateway in slot {counter.slot}")
    return Finding(True, f"accepted by the gateway {signer} for {counter.customer} in slot {counter.slot}")


async def _evidence(chain: Chain, shown: Shown, source: Source) -> Finding:
    from rewards.evidence import read_bundle

    timing = await Clock(chain).timing(await chain.head())
    slot = shown.receipt.slot if shown.attempt is None else shown.attempt.countersignature.slot
    first, named = timing.epoch_of_slot(slot), 0
    epochs = []
    # an acceptance may be an epoch late, and a receipt that is named is named within two
    for epoch in range(first, first + 3):
        try:
            signed = await read_signed(chain, epoch, await chain.checkpoint())
        except ReportMissing:
            break
        epochs.append(epoch)
        inputs = (await asyncio.to_thread(read_bundle, source, signed.evidence)).inputs
        place = _place(inputs, shown.receipt)
        if place is not None:
            return _held(inputs, place, shown)
        named += sum(_names(one, shown.receipt) for one in inputs.attempts)
    if not epochs:
        return Finding(True, f"epoch {first} has no report yet: ask again when it has")
    told = "later receipts that gateways accepted name it as handed over" if named else "no later receipt names it"
    return Finding(False, f"not in the evidence of epochs {epochs[0]} to {epochs[-1]}; {told}")


def _place(inputs: EpochInputs, receipt: Receipt) -> int | None:
    return next(
        (
            index
            for index, one in enumerate(inputs.attempts)
            if (one.receipt.job, one.receipt.attempt, one.receipt.provider)
            == (receipt.job, receipt.attempt, receipt.provider)
        ),
        None,
    )


def _held(inputs: EpochInputs, place: int, shown: Shown) -> Finding:
    one, where = inputs.attempts[place], f"epoch {inputs.epoch}, attempts.jsonl, line {place + 1}"
    if one.receipt == shown.receipt and one.provider_signature:
        return Finding(True, f"settled in {where}")
    if not one.provider_signature:
        kept = Status(one.receipt.status).name.lower()
        return Finding(not shown.signature, f"{where} has it as {kept} on the word of the gateway {one.gateway} alone")
    return Finding(False, f"{where} has another receipt of the same attempt: two that differ are slashable")


def _names(one: Attempt, receipt: Receipt) -> bool:
    return bool(
        one.provider_signature and one.receipt.provider == receipt.provider and one.receipt.taken == receipt.job
    )


def as_json(shown: Shown, found: list[Finding]) -> dict[str, Any]:
    """Return the findings as plain values."""
    job = "0x" + shown.receipt.job.hex()
    return {"job": job, "attempt": shown.receipt.attempt, "findings": found, "holds": all(one.holds for one in found)}
