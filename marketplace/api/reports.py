"""Read epoch reports back from the indexed events: what was submitted, how far it came, and its leaves.

A report is submitted, completed by chunks, activated, or cancelled and then submitted anew. Events are told apart by
their order: what follows a submission of an epoch belongs to it until the next one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.event_types import LeavesPublished, ReportActivated, ReportCancelled, ReportCompleted, ReportSubmitted
from contracts.leaves import CHUNK, LEAF_BYTES, unpack
from contracts.types import Leaf
from marketplace.api.source import events_named
from marketplace.models import chain_events

event_epoch = cast(chain_events.c.fields["epoch"].astext, BigInteger)
"""The epoch that an event names, as SQL."""


_REMEMBERED = 16
_read: OrderedDict[tuple[int, bytes], tuple[Leaf, ...]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Submitted:
    """A submission: where its event stands, its fields as indexed, and what became of it."""

    id: int
    epoch: int
    fields: dict[str, Any]
    tx_hash: bytes
    state: str

    @property
    def standing(self) -> bool:
        """Say whether the report was not cancelled."""
        return self.state != "cancelled"


async def read_submissions(
    connection: AsyncConnection, most: int, epoch: int | None = None, before: int | None = None
) -> list[Submitted]:
    """Return the newest submissions, newest first; of one epoch only, or of epochs before one, if that is given."""
    query = (
        select(chain_events.c.id, chain_events.c.fields, chain_events.c.tx_hash)
        .where(chain_events.c.name == ReportSubmitted.__name__)
        .order_by(chain_events.c.id.desc())
        .limit(most)
    )
    if epoch is not None:
        query = query.where(event_epoch == epoch)
    if before is not None:
        query = query.where(event_epoch < before)
    rows = (await connection.execute(query)).all()
    if not rows:
        return []
    oldest = rows[-1].id
    cancelled = {row.fields["digest"] for row in await events_named(connection, ReportCancelled.__name__)}
    completed = await _newest_of(connection, ReportCompleted.__name__, oldest)
    active = await _newest_of(connection, ReportActivated.__name__, oldest)
    found = []
    for row in rows:
        number = int(row.fields["epoch"])
        state = "incomplete"
        if row.fields["digest"] in cancelled:
            state = "cancelled"
        elif active.get(number, -1) > row.id:
            state = "active"
        elif completed.get(number, -1) > row.id:
            state = "waiting for activation"
        found.append(Submitted(row.id, number, row.fields, bytes(row.tx_hash), state))
    return found


async def read_leaves(connection: AsyncConnection, one: Submitted) -> tuple[Leaf, ...]:
    """Return the leaves published for a submission that stands, in their order; fewer while it is incomplete.

    Those of a complete report never change: the newest that were read are remembered.
    """
    name = (one.id, one.tx_hash)
    if name in _read:
        _read.move_to_end(name)
        return _read[name]
    chunks = -(-int(one.fields["leaf_count"]) // CHUNK)  # the limit: else all that came later would be looked through
    found = await connection.execute(
        select(chain_events.c.fields)
        .where(chain_events.c.name == LeavesPublished.__name__, event_epoch == one.epoch, chain_events.c.id > one.id)
        .order_by(chain_events.c.id)
        .limit(chunks)
    )
    leaves = tuple(leaf for (fields,) in found for leaf in _unpacked(fields["packed"]))
    if one.state != "incomplete":
        _read[name] = leaves
        if len(_read) > _REMEMBERED:
            _read.popitem(last=False)
    return leaves


async def newest_complete(connection: AsyncConnection) -> tuple[int, tuple[Leaf, ...]]:
    """Return the newest complete report's epoch and leaves; -1 and none before the first."""
    for one in await read_submissions(connection, 16):
        if one.standing and one.state != "incomplete":
            return one.epoch, await read_leaves(connection, one)
    return -1, ()


async def _newest_of(connection: AsyncConnection, name: str, after: int) -> dict[int, int]:
    """Return where the newest event of a name stands, by epoch, of those that came after an event."""
    rows: Sequence[Any] = (
        await connection.execute(
            select(event_epoch.label("epoch"), chain_events.c.id)
            .where(chain_events.c.name == name, chain_events.c.id > after)
            .order_by(chain_events.c.id)
        )
    ).all()
    return {row.epoch: row.id for row in rows}


def _unpacked(packed: str) -> list[Leaf]:
    raw = bytes.fromhex(packed.removeprefix("0x"))
    return [unpack(raw[at : at + LEAF_BYTES]) for at in range(0, len(raw), LEAF_BYTES)]
