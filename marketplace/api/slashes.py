"""Say how far the slashes of the court have come, from the indexed events."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.event_types import (
    ReceiptsEquivocated,
    SlashCancelled,
    SlashContested,
    SlashExecuted,
    SlashProposed,
    SlashReleased,
    SlashRuled,
)
from marketplace.api.source import events_named, transaction

_STAGES = (SlashProposed, SlashContested, SlashRuled, SlashReleased, SlashCancelled, SlashExecuted, ReceiptsEquivocated)


@dataclass(frozen=True, slots=True)
class SlashRow:
    """A slash before the court. `state` in words; what it took and where that went is zero until it is executed."""

    id: int
    provider: str
    epoch: int
    code: int
    asked_units: int
    state: str
    taken_units: int
    to_harmed_units: int
    to_prover_units: int
    to_fund_units: int
    burned_units: int
    transaction: str


async def read_slashes(connection: AsyncConnection) -> list[SlashRow]:
    """Return every slash with how far it has come, newest first; `transaction` is that of its last stage."""
    found: dict[str, SlashRow] = {}
    for row in await events_named(connection, *[kind.__name__ for kind in _STAGES]):
        fields = row.fields
        known = found.get(fields["id"])
        if known is None:
            if "provider" not in fields:
                continue
            known = SlashRow(
                id=int(fields["id"]),
                provider=fields["provider"],
                epoch=int(fields.get("epoch", 0)),
                code=int(fields.get("code", 0)),
                asked_units=int(fields.get("amount", 0)),
                state="",
                taken_units=0,
                to_harmed_units=0,
                to_prover_units=0,
                to_fund_units=0,
                burned_units=0,
                transaction="",
            )
        if row.name == SlashExecuted.__name__:
            known = replace(
                known,
                taken_units=int(fields["taken"]),
                to_harmed_units=int(fields["to_harmed"]),
                to_prover_units=int(fields["to_prover"]),
                to_fund_units=int(fields["to_sla_fund"]),
                burned_units=int(fields["burned"]),
            )
        found[fields["id"]] = replace(known, state=_words(row.name, fields), transaction=transaction(row))
    return sorted(found.values(), key=lambda one: -one.id)


async def newest_slashes(connection: AsyncConnection) -> dict[str, str]:
    """Return in words how far each provider's newest slash has come, by provider."""
    of_slash: dict[str, str] = {}
    words: dict[str, str] = {}
    for row in await events_named(connection, *[kind.__name__ for kind in _STAGES]):
        fields = row.fields
        provider = fields.get("provider") or of_slash.get(fields["id"])
        if provider is None:
            continue
        of_slash[fields["id"]] = provider
        words[provider] = _words(row.name, fields)
    return words


def _words(name: str, fields: dict[str, Any]) -> str:
    if name == SlashProposed.__name__:
        queued = ", queued for the timelock" if fields["queued"] else ""
        return f"epoch {fields['epoch']}, code {fields['code']}: open to challenge until {_when(fields)}{queued}"
    if name == SlashContested.__name__:
        return f"slash {fields['id']}: contested, the arbitrator rules"
    if name == SlashRuled.__name__:
        return f"slash {fields['id']}: {'upheld' if fields['upheld'] else 'not upheld'} by the arbitrator"
    if name == SlashReleased.__name__:
        return f"slash {fields['id']}: released by the timelock"
    if name == SlashCancelled.__name__:
        return f"slash {fields['id']}: cancelled"
    if name == ReceiptsEquivocated.__name__:
        return f"slash {fields['id']}: two receipts for one attempt, removed"
    return f"slash {fields['id']}: executed"


def _when(fields: dict[str, Any]) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(int(fields["executable_at"])))
