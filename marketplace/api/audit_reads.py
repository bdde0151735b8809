"""What an auditor looks at: reports with all that was signed, slashes, and everything that went back to customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from contracts.event_types import (
    ChargeReturned,
    Compensated,
    Credited,
    CreditsPushed,
    PageCompensated,
    ReportSigned,
    ReportSubmitted,
)
from marketplace.api.public_reads import epoch_row
from marketplace.api.reports import event_epoch, read_submissions
from marketplace.api.slashes import SlashRow, read_slashes
from marketplace.api.source import Source, transaction
from marketplace.api.views import EpochRow
from marketplace.models import chain_events

EPOCHS_ON_A_PAGE = 50
_MOST_REFUNDS = 1_000


@dataclass(frozen=True, slots=True)
class EpochProof:
    """All that the verifiers signed of an epoch, who they are, and the block in which the chain took it."""

    block: int
    digest: str
    struct_hash: str
    previous: str
    rules: str
    state: str
    measurements: str
    movements: str
    checkpoint_block: int
    checkpoint_hash: str
    signers: tuple[str, ...]
    totals_units: dict[str, int]


@dataclass(frozen=True, slots=True)
class RefundRow:
    """Money that went back to a customer. `token`: `payment` or `stake`; `rule`: why."""

    epoch: int | None
    customer: str
    provider: str
    amount_units: int
    token: str
    rule: str
    block: int
    transaction: str


class AuditReads:
    """Queries that need no session."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def epoch_page(self, before: int | None) -> tuple[list[EpochRow], int | None]:
        """Return a page of reports, newest first, and before which epoch the next page begins (None at the end)."""
        async with self._source.database.begin() as connection:
            found = await read_submissions(connection, EPOCHS_ON_A_PAGE + 1, before=before)
        shown = found[:EPOCHS_ON_A_PAGE]
        return [epoch_row(one) for one in shown], shown[-1].epoch if len(found) > EPOCHS_ON_A_PAGE else None

    async def epoch_proof(self, epoch: int) -> EpochProof | None:
        """Return what was signed of the report that stands for an epoch; None while none does."""
        async with self._source.database.begin() as connection:
            standing = [one for one in await read_submissions(connection, 2, epoch) if one.standing]
            if not standing:
                return None
            one = standing[0]
            found = await connection.execute(
                select(chain_events.c.name, chain_events.c.fields, chain_events.c.block_number)
                .where(chain_events.c.name.in_((ReportSubmitted.__name__, ReportSigned.__name__)), event_epoch == epoch)
                .where(chain_events.c.tx_hash == one.tx_hash)
            )
            rows = {row.name: row for row in found}
        signed = rows[ReportSigned.__name__].fields
        return EpochProof(
            block=rows[ReportSubmitted.__name__].block_number,
            checkpoint_block=int(signed["checkpoint_block"]),
            signers=tuple(signed["signers"]),
            totals_units={name: int(value) for name, value in one.fields["totals"].items()},
            **{name: one.fields[name] for name in ("digest", "rules", "state", "measurements", "movements")},
            **{name: signed[name] for name in ("struct_hash", "previous", "checkpoint_hash")},
        )

    async def slashes(self) -> list[SlashRow]:
        """Return every slash, newest first."""
        async with self._source.database.begin() as connection:
            return await read_slashes(connection)

    async def refunds(self) -> list[RefundRow]:
        """Return what went back to customers, newest first: credits, compensation, charges of cancelled reports."""
        kinds = (Credited.__name__, Compensated.__name__, ChargeReturned.__name__)
        events = chain_events.c
        async with self._source.database.begin() as connection:
            rows = (
                await connection.execute(
                    select(events.name, events.fields, events.tx_hash, events.block_number)
                    .where(events.name.in_(kinds))
                    .order_by(events.id.desc())
                    .limit(_MOST_REFUNDS)
                )
            ).all()
            causes = await connection.execute(
                select(
                    events.tx_hash,
                    func.min(events.fields["epoch"].astext).label("epoch"),
                    func.min(events.fields["id"].astext).label("slash"),
                )
                .where(
                    events.name.in_((CreditsPushed.__name__, PageCompensated.__name__)),
                    events.tx_hash.in_({row.tx_hash for row in rows}),
                )
                .group_by(events.tx_hash)
            )
            cause = {bytes(row.tx_hash): row for row in causes}
            slashes = {str(one.id): one for one in await read_slashes(connection)}
        return [_refund(row, cause.get(bytes(row.tx_hash)), slashes) for row in rows]


def _refund(row: Any, cause: Any, slashes: dict[str, SlashRow]) -> RefundRow:
    fields = row.fields
    slash = slashes.get(cause.slash) if cause is not None and cause.slash is not None else None
    if row.name == Compensated.__name__:
        words = f"slash {slash.id} at level {slash.code}: half of it goes to the harmed" if slash else "a slash"
        epoch, provider = (slash.epoch, slash.provider) if slash else (None, "")
    elif row.name == Credited.__name__:
        words = "the provider missed its service level"
        epoch, provider = int(cause.epoch) if cause is not None and cause.epoch else None, fields["provider"]
    else:
        words, epoch, provider = "the report that charged it was cancelled", int(fields["epoch"]), ""
    return RefundRow(
        epoch=epoch,
        customer=fields["customer"],
        provider=provider,
        amount_units=int(fields["amount"]),
        token="stake" if row.name == Compensated.__name__ else "payment",
        rule=words,
        block=row.block_number,
        transaction=transaction(row),
    )
