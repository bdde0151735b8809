"""A rating is given once, by who paid, and reaches one epoch's sums without the customer's name."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest
from sqlalchemy import select

from contracts.messages import Status
from contracts.signing import Signer, recover
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.models import ratings
from marketplace.ratings import NothingToRate, RatedBefore, Rating, RatingDays, Ratings, sum_up
from tests.marketplace.store.town import NETWORK, PROVIDER, TIMING, Till, fund, new_customer

KEY = Signer(b"\x33" * 32)
SEPARATOR = b"\x44" * 32


class Counter(Till):
    """A till whose gateway sums up ratings."""

    async def open(self) -> Till:
        await super().open()
        self.drainer._ratings = RatingDays(KEY, SEPARATOR, TIMING)
        return self

    async def job(self, customer: str, charge_atto: int = 7, status: Status = Status.SERVED) -> bytes:
        """Serve a job; returns its number."""
        job = secrets.token_bytes(32)
        if status is Status.SERVED:
            hold = self.accounts.hold(customer, job, 10, 0)
            self.accounts.post(hold, self.attempt(customer, job, charge_atto))
        else:
            self.accounts.record(NETWORK.attempt(PROVIDER, customer, self.slot, job=job, status=status, signed=False))
        await self.drainer.drain()
        return job


@pytest.fixture
async def counter(database: Database, tmp_path: Path):
    counter = Counter(database, tmp_path / "journal")
    await counter.open()
    yield counter
    counter.journal.close()


async def test_who_paid_rates_each_receipt_once(database: Database, counter: Counter) -> None:
    alice, bob, book = new_customer(), new_customer(), Ratings(database)
    await fund(database, alice, 1)
    await counter.accounts.refresh()
    job = await counter.job(alice)
    for customer, which, attempt in ((bob, job, None), (alice, job, 1), (alice, bytes(32), None)):
        with pytest.raises(NothingToRate):
            await book.rate(customer, which, 5, attempt)
    given = await asyncio.gather(*(book.rate(alice, job, stars) for stars in (1, 2, 3)), return_exceptions=True)
    assert {type(one) for one in given} == {Rating, RatedBefore}, given
    assert sorted(isinstance(one, RatedBefore) for one in given) == [False, True, True]
    with pytest.raises(RatedBefore):
        await book.rate(alice, job, 5, 0)


@pytest.mark.parametrize("status", [Status.PROVIDER_ERROR, Status.TIMEOUT])
async def test_what_was_not_served_cannot_be_rated(database: Database, counter: Counter, status: Status) -> None:
    alice = new_customer()
    job = await counter.job(alice, status=status)
    with pytest.raises(NothingToRate):
        await Ratings(database).rate(alice, job, 1)


async def test_what_cost_nothing_cannot_be_rated(database: Database, counter: Counter) -> None:
    alice = new_customer()
    await fund(database, alice, 1)
    await counter.accounts.refresh()
    with pytest.raises(NothingToRate):
        await Ratings(database).rate(alice, await counter.job(alice, charge_atto=0), 5)


async def test_the_watermark_takes_the_ratings_of_an_epoch_along_signed_and_without_names(
    database: Database, counter: Counter
) -> None:
    alice, bob, book = new_customer(), new_customer(), Ratings(database)
    for customer in (alice, bob):
        await fund(database, customer, 1)
    await counter.accounts.refresh()
    for customer, stars in ((alice, 5), (alice, 2), (bob, 3)):
        await book.rate(customer, await counter.job(customer), stars)
    counter.slot = 59
    await counter.drainer.drain()
    assert await book.days(0) == ()
    counter.slot = 60
    await counter.drainer.drain()
    [day] = await book.days(0)
    assert (day.day.provider, day.day.customers, day.day.sum_ppm) == (PROVIDER, 2, 625_000 + 500_000)
    assert recover(day.day.digest(SEPARATOR), day.signature) == KEY.address == day.gateway
    late = await counter.job(alice)
    await book.rate(alice, late, 1)
    await counter.drainer.drain()
    assert await book.days(0) == (day,)
    counter.slot = 121
    await counter.drainer.drain()
    assert [(one.day.customers, one.day.sum_ppm) for one in await book.days(1)] == [(1, 0)]


async def test_ratings_that_come_after_an_epoch_was_gathered_wait_for_the_next(
    database: Database, counter: Counter
) -> None:
    alice, book, steps = new_customer(), Ratings(database), EpochSteps(database)
    await fund(database, alice, 1)
    await counter.accounts.refresh()
    await book.rate(alice, await counter.job(alice), 4)
    await steps.reach(0, Step.CLOSED)
    await steps.gather(0)
    counter.slot = 61
    await counter.drainer.drain()
    assert await book.days(0) == ()
    counter.slot = 120
    await counter.drainer.drain()
    [day] = await book.days(1)
    assert (day.day.customers, day.day.sum_ppm) == (1, 750_000)
    async with database.begin() as connection:
        assert {epoch for (epoch,) in await connection.execute(select(ratings.c.epoch))} == {1}


def test_a_customer_counts_once_however_many_jobs_it_rates() -> None:
    rows = [("p", "alice", 1)] * 99 + [("p", "bob", 5), ("q", "alice", 5), ("q", "alice", 2)]
    assert [(day.provider, day.customers, day.sum_ppm) for day in sum_up(rows, 0)] == [
        ("p", 2, 1_000_000),
        ("q", 1, 625_000),
    ]
    assert [day.epoch for day in sum_up(rows, 7)] == [7, 7] and sum_up([], 0) == []
