"""Settlement killed between any two steps comes to the same report, one submission, and books that hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.devnet import Devnet
from contracts.escrow import Escrow
from contracts.event_types import Charged, Claimed, ReportActivated, ReportSubmitted, SlashExecuted, SlashProposed
from contracts.events import fetch
from marketplace.books import check_books
from marketplace.db import Database
from marketplace.epoch_steps import ORDER, EpochSteps, Step
from marketplace.indexer import Indexer
from marketplace.ledger import ESCROW, Transfer, account, post
from marketplace.settlement import Settler
from rewards.replay import replay
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
        yield made


class Reaper:
    """Kills once before and once after every deed that outlives the process: steps, transactions, blobs of evidence."""

    def __init__(self) -> None:
        self.killed: list[str] = []
        self.digests: list[bytes] = []

    def bend(self, settler: Settler) -> None:
        """Put a trap around every deed."""
        settler.steps.reach = self._trap(settler.steps.reach, lambda args: f"reach {args[1].value}")  # type: ignore[method-assign]
        settler.steps.gather = self._trap(settler.steps.gather, lambda args: "gather")  # type: ignore[method-assign]
        settler.sender.submit = self._trap(settler.sender.submit, lambda args: f"send {args[0].split(':')[0]}")  # type: ignore[method-assign]
        store = settler.settled._store
        put = store.put
        count = iter(range(100))

        def trapped(chunks: Any) -> tuple[bytes, int]:
            number = next(count)
            self._maybe(f"before blob {number}")
            result = put(chunks)
            if number % 6 == 5:
                self.digests.append(result[0])
            self._maybe(f"after blob {number}")
            return result

        store.put = trapped  # type: ignore[method-assign]

    def _trap(self, work: Any, name: Any) -> Any:
        async def trapped(*args: Any, **given: Any) -> Any:
            self._maybe(f"before {name(args)}")
            result = await work(*args, **given)
            self._maybe(f"after {name(args)}")
            return result

        return trapped

    def _maybe(self, point: str) -> None:
        if point not in self.killed:
            self.killed.append(point)
            raise Killed(point)


async def _tick_until_done(town: Market, epoch: int, reaper: Reaper | None = None) -> None:
    """Tick with a new process after every death, time passing, until an epoch is done."""
    for _ in range(200):
        async with town.settler(reaper.bend if reaper else lambda settler: None) as settler:
            try:
                await settler.tick()
            except Killed:
                continue
        row = await EpochSteps(town.database).get(epoch)
        if row is not None and row.step is Step.DONE:
            return
        await town.pass_time(2)
    raise AssertionError(f"epoch {epoch} is not done: {await EpochSteps(town.database).all()}")


async def _events(town: Market, kind: Any) -> list[Any]:
    head = await town.chain.head()
    return await fetch(town.chain, town.chain.deployment.block, head.number, kinds=[kind])


async def test_killed_before_and_after_every_deed_it_settles_as_if_nothing_had_happened(town: Market) -> None:
    await Indexer(town.database, town.chain, UNIT).follow()
    reaper = Reaper()
    await town.live_through(0)
    await _tick_until_done(town, 0, reaper)
    points = {point.removeprefix("before ").removeprefix("after ") for point in reaper.killed}
    assert {f"reach {step.value}" for step in ORDER if step is not Step.OPEN} <= points
    assert {"gather", "send report", "send activate", "send slash", "blob 0", "blob 5"} <= points
    assert len(set(reaper.digests)) == 1 and len(reaper.digests) > 1, "written again and again, always the same"
    await town.live_through(1)
    await _tick_until_done(town, 1)

    submitted = await _events(town, ReportSubmitted)
    assert [event.epoch for event in submitted] == [0, 1]
    assert submitted[0].evidence == reaper.digests[0]
    assert [event.epoch for event in await _events(town, ReportActivated)] == [0, 1]
    assert [(event.epoch, event.provider) for event in await _events(town, SlashProposed)] == [
        (0, town.dead),
        (1, town.dead),
    ]
    assert len(await _events(town, SlashExecuted)) == 2
    charges = await _events(town, Charged)
    assert len({(event.customer, event.epoch) for event in charges}) == len(charges) == 2 * len(town.customers)
    assert await _events(town, Claimed) == []
    await _hold_the_books(town)
    for epoch in (0, 1):
        assert (await replay(epoch, town.chain, town.store)).difference is None


async def _hold_the_books(town: Market) -> None:
    lines = await check_books(town.database, town.chain)
    assert len(lines) >= 12
    assert [line for line in lines if not line.equal] == []


async def test_waits_with_its_reason_noted_while_verifiers_are_missing_and_goes_on_when_they_are_back(
    town: Market,
) -> None:
    await Indexer(town.database, town.chain, UNIT).follow()
    await town.live_through(0)
    async with town.settler() as settler:
        await settler.tick()
    row = await EpochSteps(town.database).get(0)
    assert row is not None and row.step is Step.SUBMITTED and "activates at" in row.problem
    await town.live_through(1)
    for server in town.servers[:2]:
        await server.stop(0.1)
    async with town.settler() as settler:
        settler.settings = settler.settings.model_copy(update={"attestation_wait_s": 0.0})
        await settler.tick()
    row = await EpochSteps(town.database).get(1)
    assert row is not None and row.step is Step.WRITTEN
    assert "1 of 2 signatures" in row.problem
    for key in town.verifier_keys[:2]:
        assert key.address in row.problem, "who is missing is said"
    assert len(await _events(town, ReportSubmitted)) == 1
    await town.serve_again()
    await _tick_until_done(town, 1)
    await _hold_the_books(town)


async def test_does_not_settle_before_the_gateway_has_drained_the_epoch(town: Market) -> None:
    await Indexer(town.database, town.chain, UNIT).follow()
    await town.live_through(0)
    await town.enter([], town.timing.slots_per_epoch - 1)
    async with town.settler() as settler:
        await settler.tick()
    row = await EpochSteps(town.database).get(0)
    assert row is not None and row.step is Step.CLOSED
    assert town.gateway.address in row.problem and "slot 59" in row.problem
    await town.enter([], town.timing.slots_per_epoch)
    await _tick_until_done(town, 0)
    await _hold_the_books(town)


async def test_books_that_do_not_agree_are_shown_with_both_sides(town: Market) -> None:
    await Indexer(town.database, town.chain, UNIT).follow()
    await _hold_the_books(town)
    customer = town.customers[0].address
    stray = town.attempt(1, town.providers[0].address, customer, 3 * UNIT)
    await town.enter([stray], 2)
    await _hold_the_books(town)
    async with town.database.begin() as connection:
        await post(connection, [Transfer("forged", ESCROW, account(customer, "available"), 5)])
    wrong = {
        line.what: (line.ours, line.theirs) for line in await check_books(town.database, town.chain) if not line.equal
    }
    assert wrong["ledger: sum of customers = escrow's balances on chain"] == (2 * 10**8 * UNIT + 5, 2 * 10**8 * UNIT)
    assert wrong["customers whose ledger is not their escrow on chain"] == (1, 0)


async def test_a_cap_lowered_under_the_work_of_an_epoch_leaves_nothing_out_of_it_nor_of_the_next(town: Market) -> None:
    await Indexer(town.database, town.chain, UNIT).follow()
    poor, rich = town.customers[0].address, town.customers[1].address
    await town.do(town.customers[0], Escrow(town.chain).set_cap(5))
    for epoch in (0, 1, 2):
        await town.live_through(epoch)
        await _tick_until_done(town, epoch)
    rows = [await EpochSteps(town.database).get(epoch) for epoch in (0, 1, 2)]
    assert [row.data["left_out"] for row in rows[:2] if row is not None] == [[], []]
    assert rows[2] is not None and rows[2].data["left_out"], "work that no gateway would have taken, two epochs later"
    assert all(poor in words and "costs" in words for words in rows[2].data["left_out"])
    charges = {(event.customer, event.epoch): event.amount for event in await _events(town, Charged)}
    assert min(charges[poor, 0], charges[poor, 1]) > 5 >= charges[poor, 2]
    assert charges[rich, 2] in (charges[rich, 0], charges[rich, 0] + 1)
    await _hold_the_books(town)
    assert (await replay(2, town.chain, town.store)).difference is None
