"""The caps that customers set for what may be charged per epoch, from the chain's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.models import chain_events


@dataclass(frozen=True, slots=True)
class Cap:
    """A cap in token units that counts from an epoch on, until a later one replaces it."""

    units: int
    from_epoch: int


def cap_for(caps: Sequence[Cap], epoch: int) -> int:
    """Return the cap in force for an epoch, in token units: the last that was set for it or before; 0 without one."""
    for cap in reversed(caps):
        if cap.from_epoch <= epoch:
            return cap.units
    return 0


async def read_caps(connection: AsyncConnection) -> dict[str, tuple[Cap, ...]]:
    """Return every customer's caps in the order they were set."""
    found = await connection.execute(
        select(chain_events.c.fields).where(chain_events.c.name == "CapSet").order_by(chain_events.c.id)
    )
    caps: dict[str, list[Cap]] = {}
    for (fields,) in found:
        caps.setdefault(fields["customer"], []).append(Cap(int(fields["cap"]), int(fields["from_epoch"])))
    return {customer: tuple(rows) for customer, rows in caps.items()}
