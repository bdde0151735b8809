"""Say how far the slashes of the court have come, from the indexed events."""

from __future__ import annotations

import time
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
from marketplace.api.source import events_named

_STAGES = (SlashProposed, SlashContested, SlashRuled, SlashReleased, SlashCancelled, SlashExecuted, ReceiptsEquivocated)


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
