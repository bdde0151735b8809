"""What the chain undoes is undone here: refunds, books, and every epoch that stood on the cancelled report."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.devnet import Devnet
from contracts.epochs import Epochs
from contracts.event_types import (
    Charged,
    ChargeReturned,
    Event,
    ReportActivated,
    ReportCancelled,
    ReportSubmitted,
    SlashExecuted,
)
from contracts.events import fetch, of_type
from contracts.guardian import Guardian
from marketplace.books import check_books
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.indexer import Indexer
from marketplace.ledger import customer_books
from marketplace.settlement import Settler
from rewards.replay import replay
from tests.marketplace.store.crowd import as_account
from tests.marketplace.store.market import UNIT, Market, market


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def town(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    async with market(devnet, database, tmp_path) as made:
        await Indexer(made.database, made.chain, UNIT).follow()
        yield made


async def _events(town: Market) -> list[Event]:
    head = await town.chain.head()
    return await fetch(town.chain, town.chain.deployment.block, head.number)


async def _tick(town: Market, bend: Any = lambda settler: None) -> None:
    await Indexer(town.database, town.chain, UNIT).follow()
    async with town.settler(bend) as settler:
        await settler.tick()


async def _row(town: Market, epoch: int) -> Any:
    row = await EpochSteps(town.database).get(epoch)
    assert row is not None
    return row


def _cancel(town: Market, epoch: int) -> None:
    """Cancel a report as the challenge court does after a proof."""
    as_account(town, town.chain.deployment.address("ChallengeCourt"), Epochs(town.chain).cancel(epoch))


async def test_a_cancelled_report_is_refunded_once_and_its_epoch_and_all_behind_it_are_settled_anew(
    town: Market,
) -> None:
    await town.live_through(0)
    await _tick(town)
    assert (await _row(town, 0)).step is Step.SUBMITTED
    epochs = Epochs(town.chain)
    # the second report is handed in while the first waits for activation
    await town.work(1)
    head = await town.chain.head()
    activates_at = (await _row(town, 0)).data["activates_at"]
    assert activates_at > head.time
    _cancel(town, 0)
    due = await epochs.refunds_due(await town.chain.head())
    assert due == sum(one.amount for one in of_type(await _events(town), Charged)) > 0

    killed: list[str] = []

    def kill_around_refunds(settler: Settler) -> None:
        submit, start_over = settler.sender.submit, settler.steps.start_over

        def die(point: str) -> None:
            if point not in killed:
                killed.append(point)
                raise Killed(point)

        async def trapped(intent: str, call: Any, **given: Any) -> Any:
            if not intent.startswith("refund"):
                return await submit(intent, call, **given)
            die("before the refund")
            done = await submit(intent, call, **given)
            die("after the refund")
            return done

        async def trapped_start_over(epoch: int) -> None:
            die("before starting over")
            await start_over(epoch)
            die("after starting over")

        settler.sender.submit, settler.steps.start_over = trapped, trapped_start_over  # type: ignore[method-assign]

    await town.pass_time(max(1, town.timing.epoch_end(1) + 1 - (await town.chain.head()).time))
    await town.enter([], 2 * town.timing.slots_per_epoch)
    for _ in range(40):
        try:
            await _tick(town, kill_around_refunds)
        except Killed:
            continue
        rows = {row.epoch: row for row in await EpochSteps(town.database).all()}
        if 1 in rows and rows[1].step is Step.DONE:
            break
        await town.pass_time(2)
    assert len(killed) == 4
    events = await _events(town)
    assert [one.epoch for one in of_type(events, ReportCancelled)] == [0]
    assert [one.epoch for one in of_type(events, ReportSubmitted)] == [0, 0, 1]
    assert [one.epoch for one in of_type(events, ReportActivated)] == [0, 1]
    digests = [one.digest for one in of_type(events, ReportSubmitted)]
    assert len(set(digests)) == 3
    returned = Counter({one.customer: one.amount for one in of_type(events, ChargeReturned)})
    assert returned.total() == due and len(of_type(events, ChargeReturned)) == len(town.customers)
    charges: Counter[tuple[str, int]] = Counter((one.customer, one.epoch) for one in of_type(events, Charged))
    assert set(charges.values()) == {1, 2}, "epoch 0 was charged twice and returned once"
    assert await epochs.refunds_due(await town.chain.head()) == 0
    assert len(of_type(events, SlashExecuted)) == 2
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []
    for epoch in (0, 1):
        assert (await replay(epoch, town.chain, town.store)).difference is None


PATIENT = {
    "clock": {"activation_delay_seconds": 90},
    "staking": {"unbonding_seconds": 400},
    "escrow": {"thaw_seconds": 400},
    "verifiers": {"unbonding_seconds": 400},
    "gateways": {"unbonding_seconds": 400},
}
"""A deployment whose reports wait for longer than an epoch, so that several wait at once."""


async def test_reports_behind_a_cancelled_one_go_with_it_and_all_come_back_in_order(
    devnet: Devnet, database: Database, tmp_path: Path
) -> None:
    async with market(devnet, database, tmp_path, changes=PATIENT) as town:
        for epoch in (0, 1):
            await town.live_through(epoch)
            await _tick(town)
        assert [(await _row(town, epoch)).step for epoch in (0, 1)] == [Step.SUBMITTED, Step.SUBMITTED]
        taken = sum(one.amount for one in of_type(await _events(town), Charged))
        _cancel(town, 0)
        assert await Epochs(town.chain).refunds_due(await town.chain.head()) == taken
        for _ in range(40):
            await _tick(town)
            rows = {row.epoch: row for row in await EpochSteps(town.database).all()}
            if rows[1].step is Step.DONE:
                break
            await town.pass_time(10)
        events = await _events(town)
        assert sorted(one.epoch for one in of_type(events, ReportCancelled)) == [0, 1]
        assert [one.epoch for one in of_type(events, ReportSubmitted)] == [0, 1, 0, 1]
        assert [one.epoch for one in of_type(events, ReportActivated)] == [0, 1]
        assert sum(one.amount for one in of_type(events, ChargeReturned)) == taken
        assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []
        for epoch in (0, 1):
            assert (await replay(epoch, town.chain, town.store)).difference is None


async def test_returned_charges_count_as_used_and_not_charged_until_they_are_charged_again(town: Market) -> None:
    await town.live_through(0)
    await _tick(town)
    await Indexer(town.database, town.chain, UNIT).follow()
    async with town.database.begin() as connection:
        charged = await customer_books(connection)
    _cancel(town, 0)
    await Indexer(town.database, town.chain, UNIT).follow()
    async with town.settler() as settler:
        assert await settler.cancelled.undo(await settler.steps.all())
    assert (await _row(town, 0)).step is Step.OPEN
    await Indexer(town.database, town.chain, UNIT).follow()
    async with town.database.begin() as connection:
        back = await customer_books(connection)
    for name in (one.address for one in town.customers):
        before, after = charged[name], back[name]
        assert before.charged > 0 and after.charged == 0
        assert after.credited == before.credited == after.accrued, "used as before, and none of it charged"
        assert after.available == before.available and after.escrow == before.escrow + before.charged
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []


LONG_PAUSES = {
    "governance": {"most_pause_seconds": 120},
    "staking": {"unbonding_seconds": 240},
    "verifiers": {"unbonding_seconds": 240},
}
"""A deployment whose guardian may pause for longer than an epoch."""


async def test_settlement_waits_out_a_pause_and_says_so(devnet: Devnet, database: Database, tmp_path: Path) -> None:
    async with market(devnet, database, tmp_path, changes=LONG_PAUSES) as town:
        await _wait_out_a_pause(town)


async def _wait_out_a_pause(town: Market) -> None:
    await town.live_through(0)
    await town.do(town.deployer, Guardian(town.chain).pause(120))
    await _tick(town)
    row = await _row(town, 0)
    assert row.step is Step.SIGNED and "StillPaused" in row.problem
    assert of_type(await _events(town), ReportSubmitted) == []
    await town.pass_time(121)
    for _ in range(20):
        await _tick(town)
        if (await _row(town, 0)).step is Step.DONE:
            break
        await town.pass_time(2)
    assert len(of_type(await _events(town), ReportSubmitted)) == 1
    assert (await _row(town, 0)).step is Step.DONE
