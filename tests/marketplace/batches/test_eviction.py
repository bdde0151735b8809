"""Realtime work that finds every place taken by lines of batches takes the newest one's; the line is served later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import openai
import pytest

from marketplace.batches import worker
from marketplace.gateway.desk import Patience
from marketplace.gateway.flow import Place
from marketplace.gateway.paperwork import expire_tickets
from marketplace.gateway.testing import MockProvider
from tests.marketplace.batches.shop import MODEL, Buyer, Shop, chat

LINES = 6
HELLO = [{"role": "user", "content": "Quick!"}]


async def until(true: Callable[[], bool]) -> None:
    """Wait for something; the test's own limit bounds it."""
    while not true():
        await asyncio.sleep(0.005)


async def make_busy(shop: Shop, buyer: Buyer, lines: int = LINES) -> tuple[MockProvider, openai.types.Batch]:
    """Let lines of a batch take every place of the only provider, and never end."""
    shop.desk.patience = Patience(first_byte_s=60.0)
    provider = await shop.add(slots=2)
    provider.gate = asyncio.Event()
    shop.work()
    batch = await buyer.submit([chat(number) for number in range(lines)])
    places = shop.market.places(MODEL)
    await until(lambda: places.total > 0 and places.free == 0 and bool(provider.tickets))
    await until(lambda: len(provider.tickets) == places.used)
    return provider, batch


async def speak(shop: Shop, buyer: Buyer, service_class: str) -> str:
    """Ask for a stream with a key of this class; returns the text."""
    _, key = await shop.accounts.create_key(buyer.name, service_class, service_class)
    stream = await shop.client(key).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=3, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def finish(shop: Shop, buyer: Buyer, provider: MockProvider, batch: openai.types.Batch, lines: int) -> None:
    """Let the lines end: each is answered and charged once, and holds whose receipt never comes are voided."""
    assert provider.gate is not None
    provider.gate.set()
    done = await buyer.ended(batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", lines)
    assert len(await buyer.lines(done.output_file_id)) == lines
    shop.clock.ahead += shop.desk.patience.hold_s + 1
    expire_tickets(shop.desk)


async def test_the_newest_line_gives_way_and_is_answered_later_at_no_cost(shop: Shop, buyer: Buyer) -> None:
    provider, batch = await make_busy(shop, buyer)
    newest = max(shop.desk.flow._placed.values(), key=lambda place: place.number)
    evicted = newest.match.decision.job
    assert (await speak(shop, buyer, "realtime")).split() == ["word0", "word1", "word2"]
    assert len(provider.left) == 1 and evicted not in shop.desk.flow._placed
    await finish(shop, buyer, provider, batch, LINES)
    charges = [charge for charge in await shop.charges(buyer.name) if charge]
    assert len(charges) == LINES + 1, "the lines and the realtime answer"


async def test_others_than_realtime_evict_nobody(shop: Shop, buyer: Buyer) -> None:
    provider, batch = await make_busy(shop, buyer)
    asking = asyncio.create_task(speak(shop, buyer, "standard"))
    await until(lambda: bool(shop.desk.flow.flow.waiting) or asking.done())
    assert provider.left == [] and not any(place.cleared for place in shop.desk.flow._placed.values())
    await finish(shop, buyer, provider, batch, LINES)
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_line_that_gave_way_often_enough_stays(
    shop: Shop, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "EVICTIONS_MOST", 0)
    provider, batch = await make_busy(shop, buyer)
    asking = asyncio.create_task(speak(shop, buyer, "realtime"))
    await until(lambda: bool(shop.desk.flow.flow.waiting) or asking.done())
    assert provider.left == [] and not any(place.cleared for place in shop.desk.flow._placed.values())
    await finish(shop, buyer, provider, batch, LINES)
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_line_that_is_nearly_due_stays(shop: Shop, buyer: Buyer) -> None:
    shop.clock.ahead = 0.0
    provider, batch = await make_busy(shop, buyer)
    tasks = await shop.batches.workers.queue.open_batches(int(shop.clock()))
    assert len(tasks) == 1
    line = worker.Task(tasks[0], 1, "x", b"{}", 0)
    assert shop.batches.workers._may_be_evicted(line)
    shop.clock.ahead = 86_400 - 600
    assert not shop.batches.workers._may_be_evicted(line)
    shop.clock.ahead = 0.0
    await finish(shop, buyer, provider, batch, LINES)


async def test_as_many_give_way_as_realtime_jobs_need(shop: Shop, buyer: Buyer) -> None:
    provider, batch = await make_busy(shop, buyer)
    given: list[Place] = []
    clear = shop.desk.flow._clear_place

    def noting(line) -> bool:
        before = {id(place) for place in shop.desk.flow._placed.values() if place.cleared}
        cleared = clear(line)
        given.extend(place for place in shop.desk.flow._placed.values() if place.cleared and id(place) not in before)
        return cleared

    shop.desk.flow._clear_place = noting  # type: ignore[method-assign]
    texts = await asyncio.gather(*(speak(shop, buyer, "realtime") for _ in range(2)))
    assert all(texts) and 1 <= len(given) <= 2
    numbers = [place.number for place in given]
    assert numbers == sorted(numbers, reverse=True), "the newest first"
    await finish(shop, buyer, provider, batch, LINES)
