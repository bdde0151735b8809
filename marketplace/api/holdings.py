"""What of a customer's money is bound at this moment, and until when at most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, cast, select

from contracts.event_types import EscrowWithdrawn, WithdrawalCancelled, WithdrawalRequested
from marketplace.api.source import Source
from marketplace.models import chain_events, holds

_MOST = 200


@dataclass(frozen=True, slots=True)
class HoldRow:
    """Money that a running request holds; it is charged or free again at the latest at `released_by`."""

    job: str
    amount_atto: int
    since: datetime
    released_by: datetime


@dataclass(frozen=True, slots=True)
class Holdings:
    """Open holds, newest first, and the unix time from which thawing money can be taken out (0 when none thaws)."""

    holds: tuple[HoldRow, ...]
    thawed_at: int


class HoldingReads:
    """Queries about bound money."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def holdings(self, customer: str) -> Holdings:
        """Return what is bound."""
        longest = timedelta(seconds=self._source.services.desk.patience.hold_s)
        names = (WithdrawalRequested.__name__, WithdrawalCancelled.__name__, EscrowWithdrawn.__name__)
        async with self._source.database.begin() as connection:
            found = await connection.execute(
                select(holds.c.job, holds.c.amount, holds.c.at)
                .where(holds.c.customer == customer, holds.c.resolution.is_(None))
                .order_by(holds.c.at.desc())
                .limit(_MOST)
            )
            rows = tuple(
                HoldRow("0x" + bytes(row.job).hex(), int(row.amount), row.at, row.at + longest) for row in found
            )
            last = (
                await connection.execute(
                    select(chain_events.c.name, cast(chain_events.c.fields["thawed_at"].astext, BigInteger).label("at"))
                    .where(chain_events.c.name.in_(names), chain_events.c.fields["customer"].astext == customer)
                    .order_by(chain_events.c.id.desc())
                    .limit(1)
                )
            ).first()
        thawing = last is not None and last.name == WithdrawalRequested.__name__
        return Holdings(rows, int(last.at) if thawing and last is not None else 0)
