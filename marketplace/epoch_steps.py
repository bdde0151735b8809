"""Where each epoch stands, in the database: the step reached, what it left behind, and why it does not go on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.event_types import ReportCancelled, ReportSubmitted
from marketplace.db import GATHER_LOCK, Database
from marketplace.models import attempts, chain_events, epoch_steps, watermarks
from rewards.attempt_lines import read_lines
from rewards.types import Attempt


class Step(StrEnum):
    """How far an epoch has come; each step names what is done, `open` that it was started over."""

    OPEN = "open"
    CLOSED = "closed"
    WRITTEN = "written"
    SIGNED = "signed"
    SUBMITTED = "submitted"
    ACTIVATED = "activated"
    PROPOSED = "proposed"
    DONE = "done"


ORDER = tuple(Step)


@dataclass(frozen=True, slots=True)
class EpochProgress:
    """One epoch's row. `data` holds what later steps need, as JSON."""

    epoch: int
    step: Step
    data: dict[str, Any]
    problem: str

    def reached(self, step: Step) -> bool:
        """Say whether a step is done."""
        return ORDER.index(self.step) >= ORDER.index(step)


@dataclass(frozen=True, slots=True)
class Watermark:
    """Up to which slot a gateway's countersignatures are in the database, and how long ago it said so."""

    gateway: str
    slot: int
    silent_s: float


@dataclass(frozen=True, slots=True)
class CancelledReport:
    """A report that was cancelled: its digest, its evidence and the hash of what it moved."""

    epoch: int
    digest: bytes
    evidence: bytes
    movements: bytes


class EpochSteps:
    """The table of steps. Writing a step is one transaction; reaching it twice changes nothing."""

    def __init__(self, database: Database) -> None:
        self.database = self._database = database

    async def get(self, epoch: int) -> EpochProgress | None:
        """Return an epoch's row."""
        async with self._database.begin() as connection:
            row = (await connection.execute(select(epoch_steps).where(epoch_steps.c.epoch == epoch))).first()
        return None if row is None else EpochProgress(row.epoch, Step(row.step), dict(row.data), row.problem)

    async def all(self) -> list[EpochProgress]:
        """Return every row, oldest epoch first."""
        async with self._database.begin() as connection:
            found = await connection.execute(select(epoch_steps).order_by(epoch_steps.c.epoch))
            return [EpochProgress(row.epoch, Step(row.step), dict(row.data), row.problem) for row in found]

    async def reach(self, epoch: int, step: Step, **data: Any) -> None:
        """Note that a step is done and what it left; a problem that was noted is over."""
        async with self._database.begin() as connection:
            made = insert(epoch_steps).values(epoch=epoch, step=step.value, data=data)
            await connection.execute(
                made.on_conflict_do_update(
                    index_elements=["epoch"],
                    set_={
                        "step": step.value,
                        "data": epoch_steps.c.data.op("||")(made.excluded.data),
                        "problem": "",
                        "updated": func.now(),
                    },
                )
            )

    async def start_over(self, epoch: int) -> None:
        """Forget every step of an epoch; the attempts that were gathered for it stay with it."""
        async with self._database.begin() as connection:
            await connection.execute(
                text("UPDATE epoch_steps SET step = :step, data = '{}', updated = now() WHERE epoch = :epoch"),
                {"step": Step.OPEN.value, "epoch": epoch},
            )

    async def note(self, epoch: int, problem: str) -> None:
        """Keep why an epoch does not go on, where an operator looks for it."""
        async with self._database.begin() as connection:
            await connection.execute(
                text("UPDATE epoch_steps SET problem = :problem, updated = now() WHERE epoch = :epoch"),
                {"problem": problem, "epoch": epoch},
            )

    async def gather(self, epoch: int) -> tuple[Attempt, ...]:
        """Close an epoch to further attempts and return those it has, in one transaction."""
        async with self._database.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": GATHER_LOCK})
            await connection.execute(
                text("UPDATE epoch_steps SET gathered = true WHERE epoch = :epoch"), {"epoch": epoch}
            )
            found = await connection.execute(
                select(attempts.c.line).where(attempts.c.epoch == epoch).order_by(attempts.c.job, attempts.c.attempt)
            )
            return tuple(read_lines(line for (line,) in found))

    async def cancelled(self) -> list[CancelledReport]:
        """Return every report that the chain cancelled, as the indexer has it, oldest first."""
        names = (ReportSubmitted.__name__, ReportCancelled.__name__)
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(chain_events.c.name, chain_events.c.fields)
                .where(chain_events.c.name.in_(names))
                .order_by(chain_events.c.id)
            )
            submitted: dict[str, dict[str, Any]] = {}
            gone: list[CancelledReport] = []
            for name, fields in found:
                if name == ReportSubmitted.__name__:
                    submitted[fields["digest"]] = fields
                elif fields["digest"] in submitted:
                    known = submitted[fields["digest"]]
                    digest, evidence, movements = (_raw(known[key]) for key in ("digest", "evidence", "movements"))
                    gone.append(CancelledReport(int(fields["epoch"]), digest, evidence, movements))
            return gone

    async def watermarks(self) -> list[Watermark]:
        """Return every gateway's watermark."""
        async with self._database.begin() as connection:
            return await _watermarks(connection)


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


async def _watermarks(connection: AsyncConnection) -> list[Watermark]:
    found = await connection.execute(
        select(
            watermarks.c.gateway,
            watermarks.c.slot,
            func.extract("epoch", func.now() - watermarks.c.seen).label("silent"),
        )
    )
    return [Watermark(row.gateway, row.slot, float(row.silent)) for row in found]
