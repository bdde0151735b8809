"""A report of several chunks, killed before and after each of them, and one that cannot be completed."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.devnet import Devnet
from contracts.epochs import Epochs
from contracts.escrow import Escrow
from contracts.event_types import (
    Charged,
    ChargeReturned,
    Compensated,
    CompensationClosed,
    Credited,
    CreditsPushed,
    Event,
    LeavesPublished,
    PageCompensated,
    Refunded,
    ReportActivated,
    ReportCancelled,
    ReportSubmitted,
    SlashExecuted,
)
from contracts.events import fetch, of_type
from contracts.leaves import CHUNK, PAGE_CUSTOMERS
from marketplace.books import check_books
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.indexer import Indexer
from marketplace.settlement import Settler
from rewards.replay import replay
from tests.marketplace.store.crowd import DEPOSIT_UNITS, PAID_UNITS, all_pay_the_dead, as_account, gather_crowd
from tests.marketplace.store.market import UNIT, Market, market

CROWD = CHUNK + 8


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def town(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    async with market(devnet, database, tmp_path, lead_s=60) as made:
        yield made


async def _events(town: Market) -> list[Event]:
    head = await town.chain.head()
    return await fetch(town.chain, town.chain.deployment.block, head.number)


async def _tick_until_done(town: Market, epoch: int, bend: Any = lambda settler: None) -> None:
    for _ in range(200):
        await Indexer(town.database, town.chain, UNIT).follow()
        async with town.settler(bend) as settler:
            try:
                await settler.tick()
            except Killed:
                continue
        row = await EpochSteps(town.database).get(epoch)
        if row is not None and row.step is Step.DONE:
            return
        await town.pass_time(2)
    raise AssertionError(f"epoch {epoch} is not done: {await EpochSteps(town.database).all()}")


class KillAtEveryDeed:
    """Kills once before and once after every single transaction."""

    def __init__(self) -> None:
        self.killed: list[str] = []

    def __call__(self, settler: Settler) -> None:
        submit = settler.sender.submit

        async def trapped(intent: str, call: Any, **given: Any) -> Any:
            self._maybe(f"before {intent}")
            done = await submit(intent, call, **given)
            self._maybe(f"after {intent}")
            return done

        settler.sender.submit = trapped  # type: ignore[method-assign]

    def _maybe(self, point: str) -> None:
        if point not in self.killed:
            self.killed.append(point)
            raise Killed(point)


async def test_a_report_of_several_chunks_and_pages_killed_at_each_comes_in_once(town: Market) -> None:
    names = gather_crowd(town, CROWD)
    await Indexer(town.database, town.chain, UNIT).follow()
    await all_pay_the_dead(town, names, 0)
    await town.live_through(0)
    reaper = KillAtEveryDeed()
    await _tick_until_done(town, 0, reaper)

    deeds = Counter(point.split(":")[-2] for point in reaper.killed if point.split(":")[-1].isdigit())
    pages = -(-(CROWD + len(town.customers)) // PAGE_CUSTOMERS)
    assert deeds["takeCharges"] == deeds["pushCredits"] == 4, "two chunks, killed before and after each"
    assert sum("compensate" in point for point in reaper.killed) == 2 * pages == 6
    events = await _events(town)
    assert len(of_type(events, ReportSubmitted)) == len(of_type(events, LeavesPublished)) == 1
    assert len(of_type(events, ReportActivated)) == len(of_type(events, SlashExecuted)) == 1
    charged = {one.customer: one.amount for one in of_type(events, Charged)}
    assert len(charged) == len(of_type(events, Charged)) == CROWD + len(town.customers)
    assert all(charged[name] == PAID_UNITS for name in names)
    assert [one.chunk for one in of_type(events, CreditsPushed)] == [0, 1]
    credited = Counter(one.customer for one in of_type(events, Credited))
    assert set(names) <= set(credited) and max(credited.values()) == 1
    assert sorted(one.index for one in of_type(events, PageCompensated)) == [0, 1, 2]
    compensated = of_type(events, Compensated)
    assert len({one.customer for one in compensated}) == len(compensated) == CROWD + len(town.customers)
    (slash,), (closed,) = of_type(events, SlashExecuted), of_type(events, CompensationClosed)
    assert sum(one.amount for one in compensated) + closed.dust == slash.to_harmed > 0
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []
    assert (await replay(0, town.chain, town.store)).difference is None


async def test_a_report_that_cannot_be_completed_is_cancelled_refunded_and_made_anew(town: Market) -> None:
    names = gather_crowd(town, CROWD)
    thief, escrow = names[-1], Escrow(town.chain)
    await Indexer(town.database, town.chain, UNIT).follow()
    await all_pay_the_dead(town, names, 0)
    as_account(town, thief, escrow.request_withdrawal(DEPOSIT_UNITS))
    await town.live_through(0)
    await town.pass_time(await escrow.thaw_s(await town.chain.head()))  # a settlement later than a thaw
    stolen: list[str] = []

    def withdraw_between_chunks(settler: Settler) -> None:
        submit = settler.sender.submit

        async def trapped(intent: str, call: Any, **given: Any) -> Any:
            if intent.endswith("takeCharges:1") and not stolen:
                stolen.append(intent)
                as_account(town, thief, escrow.withdraw())
            return await submit(intent, call, **given)

        settler.sender.submit = trapped  # type: ignore[method-assign]

    async with town.settler(withdraw_between_chunks) as settler:
        await settler.tick()
    row = await EpochSteps(town.database).get(0)
    assert stolen and row is not None and row.step is Step.SIGNED
    assert "ChargeAboveBalance" in row.problem and "can be cancelled after" in row.problem
    record = await Epochs(town.chain).record(0, await town.chain.head())
    assert record is not None and not record.completed_at
    taken = sum(one.amount for one in of_type(await _events(town), Charged))
    assert taken >= CHUNK * PAID_UNITS

    await _tick_until_done(town, 0)
    events = await _events(town)
    (cancelled,) = of_type(events, ReportCancelled)
    assert cancelled.to_refund == taken == sum(one.amount for one in of_type(events, Refunded))
    assert sum(one.amount for one in of_type(events, ChargeReturned)) == taken
    first, second = of_type(events, ReportSubmitted)
    assert first.digest == cancelled.digest != second.digest
    net: Counter[str] = Counter()
    for one in of_type(events, Charged):
        net[one.customer] += one.amount
    for back in of_type(events, ChargeReturned):
        net[back.customer] -= back.amount
    assert net[thief] == 0 and all(net[name] == PAID_UNITS for name in names if name != thief)
    done = await EpochSteps(town.database).get(0)
    assert done is not None and len(done.data["left_out"]) == 1 and thief in done.data["left_out"][0]
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []
    assert (await replay(0, town.chain, town.store)).difference is None
