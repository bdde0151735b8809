"""Keep what customers think of the work they paid for, and sum it up for each epoch without naming them.

A rating is of one receipt, given once and for good: one to five stars. It belongs to the epoch in which it is given,
however old the receipt. When the gateway's watermark leaves an epoch, all that was given until then is summed up in the
same transaction: a customer counts once per provider, with the mean of its ratings, so that many small jobs weigh no
more than one. The sums are signed by the gateway, and settlement finds them complete once the watermark has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.messages import RatingDay, Status
from contracts.signing import Signer
from contracts.types import Timing
from marketplace.db import GATHER_LOCK, Database
from marketplace.errors import BondedError
from marketplace.models import attempts, epoch_steps, rating_days, ratings
from rewards.types import SignedRatingDay

STARS_MOST = 5
_PPM = 1_000_000


class NothingToRate(BondedError):
    """You have no served and charged receipt of this job: rate the receipt of an answer you paid for, a moment after it
    came."""


class RatedBefore(BondedError):
    """This receipt was rated before; a rating is given once and stays."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A customer's word on one receipt."""

    job: str
    attempt: int
    provider: str
    stars: int


class Ratings:
    """The ratings of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rate(self, customer: str, job: bytes, stars: int, attempt: int | None = None) -> Rating:
        """Enter a rating; without `attempt` of the last attempt that was served.

        Raises NothingToRate or RatedBefore.
        """
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(attempts.c.attempt, attempts.c.provider)
                .where(
                    attempts.c.customer == customer,
                    attempts.c.job == job,
                    attempts.c.status == Status.SERVED,
                    attempts.c.charge > 0,
                )
                .order_by(attempts.c.attempt.desc())
            )
            served = [row for row in found if attempt is None or row.attempt == attempt]
            if not served:
                raise NothingToRate(NothingToRate.__doc__)
            row = served[0]
            entered = await connection.execute(
                upsert(ratings)
                .values(job=job, attempt=row.attempt, customer=customer, provider=row.provider, stars=stars)
                .on_conflict_do_nothing()
                .returning(ratings.c.stars)
            )
            if entered.first() is None:
                raise RatedBefore(RatedBefore.__doc__)
        return Rating("0x" + job.hex(), row.attempt, row.provider, stars)

    async def days(self, epoch: int) -> tuple[SignedRatingDay, ...]:
        """Return what the gateways of this database signed for an epoch."""
        async with self._database.begin() as connection:
            found = await connection.execute(select(rating_days).where(rating_days.c.epoch == epoch))
            return tuple(
                SignedRatingDay(
                    row.gateway, RatingDay(row.provider, epoch, row.customers, row.sum_ppm), bytes(row.signature)
                )
                for row in found
            )


class RatingDays:
    """Sums up and signs an epoch's ratings for one gateway, as its watermark leaves the epoch."""

    def __init__(self, signer: Signer, separator: bytes, timing: Timing) -> None:
        self._signer = signer
        self._separator = separator
        self._timing = timing

    async def close(self, connection: AsyncConnection, before: int, slot: int) -> int:
        """Sum up when a watermark moves from slot `before` to `slot` over an epoch's end; returns how many days.

        An epoch whose attempts were gathered already takes no more ratings; these wait for the next.
        """
        ended = self._timing.epoch_of_slot(slot) - 1
        if ended < 0 or self._timing.epoch_of_slot(before) > ended:
            return 0
        await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": GATHER_LOCK})
        gathered = await connection.execute(select(func.max(epoch_steps.c.epoch)).where(epoch_steps.c.gathered))
        closed = gathered.scalar()
        if closed is not None and ended <= closed:
            return 0
        taken = await connection.execute(
            update(ratings)
            .where(ratings.c.epoch.is_(None))
            .values(epoch=ended)
            .returning(ratings.c.provider, ratings.c.customer, ratings.c.stars)
        )
        rows = [self._sign(day) for day in sum_up(taken, ended)]
        if rows:
            await connection.execute(insert(rating_days), rows)
        return len(rows)

    def _sign(self, day: RatingDay) -> dict[str, Any]:
        return {
            "gateway": self._signer.address,
            "epoch": day.epoch,
            "provider": day.provider,
            "customers": day.customers,
            "sum_ppm": day.sum_ppm,
            "signature": self._signer.sign(day.digest(self._separator)),
        }


def sum_up(rows: Iterable[Sequence[Any]], epoch: int) -> list[RatingDay]:
    """Return the days of (provider, customer, stars): one star is 0 ppm, five are 10^6.

    A customer that gave five stars and two counts as one with (10^6 + 250,000) // 2 = 625,000 ppm.
    """
    given: dict[tuple[str, str], list[int]] = {}
    for provider, customer, stars in rows:
        given.setdefault((provider, customer), []).append((stars - 1) * _PPM // (STARS_MOST - 1))
    means: dict[str, list[int]] = {}
    for (provider, _), values in sorted(given.items()):
        means.setdefault(provider, []).append(sum(values) // len(values))
    return [RatingDay(provider, epoch, len(values), sum(values)) for provider, values in sorted(means.items())]
