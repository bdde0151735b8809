"""Realtime streams whose provider is slow to begin: a second one is asked, one of them answers, one is paid."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from marketplace.accounts import Account
from marketplace.gateway import hedge
from marketplace.gateway.desk import Patience
from tests.marketplace.gateway.conftest import CUSTOMER, KEY, Town, statuses
from tests.marketplace.gateway.wire import Stream, read_stream

REALTIME = "sk-bonded-realtime"
ASKED: dict[str, Any] = {"model": "mock-model", "messages": [{"role": "user", "content": "Count."}], "max_tokens": 3}
WORDS = ["word0", "word1", "word2"]


@pytest.fixture
def patience() -> Patience:
    return Patience(first_byte_s=20, gap_floor_s=20, total_s=20)


@pytest.fixture
async def market(town: Town, monkeypatch) -> Town:
    """A town with a realtime key, in which a second provider is asked soon, whatever is known of the first."""
    town.books._keys[hashlib.sha256(REALTIME.encode()).digest()] = Account(CUSTOMER, 2, "fast", "realtime")
    monkeypatch.setattr(hedge, "LEAST_S", 0.02)
    monkeypatch.setattr(hedge, "TIMES_Q95", 0.0)
    return town


async def ask(town: Town, key: str = REALTIME, **more: Any) -> Stream:
    answer = await read_stream(town.server.port, ASKED | {"stream": True} | more, key=key)
    await town.settled()
    return answer


async def test_a_second_provider_is_asked_and_the_first_is_let_go(market) -> None:
    silent = await market.add(990_000, behaviour="hang")
    quick = await market.add()
    answer = await ask(market)
    assert (answer.text.split(), answer.done, answer.whole) == (WORDS, 1, True)
    [lost], [served] = market.books.recorded, market.books.posted
    assert statuses(market) == ["idle", "served"], "slow is nobody's failure"
    assert (lost.receipt.provider, served.receipt.provider) == (silent.owner, quick.owner)
    assert (lost.receipt.attempt, served.receipt.attempt) == (0, 1)
    assert [hold.resolution for hold in market.books.holds] == ["posted"]
    for _ in range(200):
        if silent.left:
            break
        await asyncio.sleep(0.01)
    assert silent.left, "its connection was closed"


async def test_the_first_may_still_be_first(market) -> None:
    slow = await market.add(990_000, gap_s=0.1)
    silent = await market.add(behaviour="hang")
    assert (await ask(market)).text.split() == WORDS
    assert market.books.posted[0].receipt.provider == slow.owner
    assert [one.receipt.provider for one in market.books.recorded] == [silent.owner]
    assert b"bonded_gateway_hedges_total 1.0" in market.desk.metrics.text()


async def test_a_quick_provider_is_asked_alone(market, monkeypatch) -> None:
    monkeypatch.setattr(hedge, "LEAST_S", 20.0)
    await market.add(990_000)
    spare = await market.add()
    await ask(market)
    assert spare.tickets == []


@pytest.mark.parametrize(("key", "stream"), [(KEY, True), (REALTIME, False)], ids=["standard", "not streamed"])
async def test_only_realtime_streams_are_hedged(market, key: str, stream: bool) -> None:
    await market.add(990_000, gap_s=0.1)
    spare = await market.add()
    await ask(market, key, stream=stream)
    assert spare.tickets == []
    assert statuses(market) == ["served"]


async def test_without_budget_nobody_else_is_asked(market) -> None:
    await market.add(990_000, gap_s=0.1)
    spare = await market.add()
    market.desk.hedges._left = 0.5
    await ask(market)
    assert spare.tickets == []


async def test_three_in_a_hundred_are_hedged_in_the_long_run(market) -> None:
    for _ in range(1_000):
        market.desk.hedges.earn()
    hedges = sum(market.desk.hedges.spend(False) for _ in range(10))
    assert hedges == 3, "what was not used does not pile up"
    spent = 0
    for _ in range(1_000):
        market.desk.hedges.earn()
        spent += market.desk.hedges.spend(False)
    assert spent in (29, 30)


async def test_when_both_fail_the_next_is_asked(market) -> None:
    await market.add(990_000, gap_s=0.1, behaviour="garbage_stream")
    await market.add(950_000, behaviour="error_500")
    await market.add(900_000)
    assert (await ask(market)).text.split() == WORDS
    assert set(statuses(market)) == {"provider_error", "served"}


async def test_a_stream_that_won_and_broke_goes_on_elsewhere(market) -> None:
    can = ("chat", "continue")
    await market.add(990_000, behaviour="hang", features=can, words=3)
    await market.add(950_000, behaviour="close_mid", features=can, words=3)
    await market.add(900_000, features=can, words=3)
    market.desk.hedges._left = 1.0
    answer = await ask(market)
    assert (answer.text.split(), answer.done, len(answer.ids)) == (WORDS, 1, 1)
    assert statuses(market) == ["idle", "provider_error", "served"]


async def test_a_customer_who_leaves_stops_both(market) -> None:
    first = await market.add(990_000, behaviour="hang")
    second = await market.add(behaviour="hang")
    asking = asyncio.create_task(ask(market))
    for _ in range(500):
        if second.tickets:
            break
        await asyncio.sleep(0.01)
    asking.cancel()
    for _ in range(500):
        if first.left and second.left:
            break
        await asyncio.sleep(0.01)
    assert first.left and second.left
    await market.settled()
    assert len(market.desk.open_tickets) == 1, "one hold waits for one receipt"
