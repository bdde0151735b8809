"""Requests that find no place wait at the gateway, in the order of their bands, and leave it without a trace."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx2
import openai
import pytest

from marketplace.accounts import Account
from marketplace.gateway.desk import Patience
from marketplace.gateway.errors import shutting_down
from marketplace.gateway.inference import Bounds
from scheduler.flow.bands import BANDS, FlowPolicy
from tests.marketplace.gateway.conftest import CUSTOMER, Town, statuses

MODEL = "mock-model"
HELLO = [{"role": "user", "content": "Say hello."}]
SLOW = Patience(first_byte_s=20, gap_floor_s=20, total_s=20, body_most=1_000_000)


async def until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def give_key(town: Town, service_class: str, customer: str = CUSTOMER) -> str:
    """Make an API key of a class."""
    number = len(town.books._keys) + 1
    key = f"sk-bonded-{service_class}-{number}"
    town.books._keys[hashlib.sha256(key.encode()).digest()] = Account(customer, number, key, service_class)
    return key


def ask(town: Town, key: str, name: str = "", **more: Any) -> asyncio.Task[Any]:
    """Send a request in the background; `name` can be read back at the provider."""
    settings = {"model": MODEL, "messages": HELLO, "user": name, "max_tokens": 5, **more}
    clients = town.__dict__.setdefault("by_key", {})
    client = clients.get(key) or clients.setdefault(key, town.client(key))
    return asyncio.create_task(client.chat.completions.create(**settings))


def queued(town: Town, band: str) -> int:
    return town.desk.flow.flow.queued([one.name for one in BANDS].index(band))


def seen(provider: Any) -> list[str]:
    """The names of the requests that reached a provider, in their order."""
    return [body.split(b'"user":"')[1].split(b'"')[0].decode() for body in provider.bodies]


async def add(town: Town, job_ms: float = 200.0, **settings: Any) -> Any:
    """Add a provider whose jobs are known to take so long, and that answers when its gate is opened."""
    provider = await town.add(gate=asyncio.Event(), **settings)
    town.market.lane(provider.owner, MODEL).job_ms = job_ms
    return provider


async def occupy(town: Town, provider: Any, count: int, key: str) -> list[asyncio.Task[Any]]:
    """Fill places with requests that run until the provider's gate is opened."""
    running = [ask(town, key, f"first{number}") for number in range(count)]
    await until(lambda: len(provider.bodies) == count)
    return running


async def metrics(town: Town) -> str:
    async with httpx2.AsyncClient() as client:
        return (await client.get(f"{town.url}/metrics")).text


# `slots=1` and the two jobs that may wait at a provider make three places.


@pytest.mark.parametrize("patience", [SLOW])
async def test_the_queue_stays_at_the_gateway_and_everybody_is_served(town) -> None:
    provider = await add(town, slots=1)
    key = give_key(town, "standard")
    running = await occupy(town, provider, 3, key)
    more = [ask(town, key, f"more{number}") for number in range(4)]
    await until(lambda: queued(town, "standard") == 4)
    assert len(provider.bodies) == 3 and town.market.open_reservations == 3
    provider.gate.set()
    await asyncio.gather(*running, *more)
    assert seen(provider)[3:] == [f"more{number}" for number in range(4)], "one customer's are served as they came"
    assert statuses(town) == ["served"] * 7
    text = await metrics(town)
    assert 'bonded_gateway_queue_wait_seconds_count{band="standard"} 4.0' in text
    assert 'bonded_gateway_queued_requests{band="standard"} 0.0' in text
    assert 'bonded_gateway_places{model="mock-model"} 3.0' in text
    assert 'bonded_gateway_places_used{model="mock-model"} 0.0' in text


@pytest.mark.parametrize("patience", [SLOW])
async def test_a_burst_of_batch_work_does_not_delay_realtime_beyond_the_next_place(town) -> None:
    provider = await add(town, slots=1)
    batch, realtime = give_key(town, "batch"), give_key(town, "realtime")
    burst = await occupy(town, provider, 3, batch)
    burst += [ask(town, batch, "batch") for _ in range(8)]
    await until(lambda: queued(town, "batch") == 8)
    urgent = ask(town, realtime, "urgent")
    await until(lambda: queued(town, "realtime") == 1)
    provider.gate.set()
    await asyncio.gather(urgent, *burst)
    assert seen(provider)[3] == "urgent"


@pytest.mark.parametrize("patience", [SLOW])
async def test_realtimes_places_are_not_taken_by_lower_bands(town) -> None:
    provider = await add(town, slots=6)
    batch, realtime = give_key(town, "batch"), give_key(town, "realtime")
    before = await occupy(town, provider, 2, realtime)
    provider.gate.set()
    await asyncio.gather(*before)
    provider.gate.clear()
    burst = [ask(town, batch, "batch") for _ in range(8)]
    await until(lambda: queued(town, "batch") == 2)
    await until(lambda: seen(provider).count("batch") == 6)
    assert town.market.open_reservations == 6, "of eight places two are realtime's"
    assert town.desk.flow.free_places(MODEL, "batch") == 0
    assert town.desk.flow.free_places(MODEL, "realtime") == 2
    urgent = [ask(town, realtime, "urgent") for _ in range(2)]
    await until(lambda: seen(provider).count("urgent") == 2)
    provider.gate.set()
    await asyncio.gather(*urgent, *burst)


@pytest.mark.parametrize("patience", [SLOW])
async def test_tenants_take_turns(town) -> None:
    provider = await add(town, slots=1)
    other = "0x" + "0e" * 20
    town.books._purses[other] = town.books.purse
    town.customers.add(other)
    much, little = give_key(town, "standard"), give_key(town, "standard", other)
    running = await occupy(town, provider, 3, much)
    running += [ask(town, much, "much") for _ in range(10)]
    await until(lambda: queued(town, "standard") == 10)
    running += [ask(town, little, "little") for _ in range(3)]
    await until(lambda: queued(town, "standard") == 13)
    provider.gate.set()
    await asyncio.gather(*running)
    names = seen(provider)[3:]
    assert names.index("little") == 0, "who sends little is not behind the crowd of who sends much"
    assert names[:8].count("little") == 3


@pytest.mark.parametrize("patience", [SLOW])
async def test_a_wait_that_would_be_too_long_is_refused_at_once_and_says_when_to_come_back(town) -> None:
    provider = await add(town, 60_000.0, slots=1, behaviour="hang")
    key = give_key(town, "realtime")
    running = await occupy(town, provider, 3, key)
    with pytest.raises(openai.RateLimitError) as refused:
        await ask(town, key)
    assert refused.value.code == "rate_limit_exceeded"
    assert 2_000 < int(refused.value.response.headers["retry-after-ms"]) <= 120_000
    assert len(provider.bodies) == 3 and town.desk.flow.flow.waiting == 0
    assert 'bonded_gateway_queue_refusals_total{band="realtime",reason="patience"} 1.0' in await metrics(town)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("patience", [SLOW])
async def test_who_waits_in_vain_is_told_so_and_pays_nothing(town) -> None:
    provider = await add(town, slots=1, behaviour="hang")
    key = give_key(town, "realtime")
    running = await occupy(town, provider, 3, key)
    holds = len(town.books.holds)
    with pytest.raises(openai.RateLimitError, match="within the time") as refused:
        await ask(town, key)
    assert int(refused.value.response.headers["retry-after-ms"]) > 0
    assert len(town.books.holds) == holds, "nothing is held for who only waits"
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("patience", [SLOW])
async def test_a_customer_who_leaves_is_out_of_the_queue_at_once(town) -> None:
    provider = await add(town, slots=1, behaviour="hang")
    key = give_key(town, "batch")
    running = await occupy(town, provider, 3, key)
    leaving = [ask(town, key, "leaves") for _ in range(5)]
    await until(lambda: queued(town, "batch") == 5)
    for task in leaving:
        task.cancel()
    await until(lambda: queued(town, "batch") == 0)
    for task in running:
        task.cancel()
    await town.settled()
    assert "leaves" not in seen(provider)
    assert town.desk.flow.flow.counts.left == 5
    assert len(town.books.holds) == 3


@pytest.mark.parametrize("patience", [SLOW])
async def test_counters_are_what_they_were_after_cancel_time_out_and_health_flip(town) -> None:
    """Counters that leak under cancels, or are reset by health checks, are the complaint about every router."""
    provider = await add(town, slots=1)
    spare = await add(town, slots=1)
    keys = [give_key(town, band) for band in ("realtime", "standard", "batch")]
    tasks = [ask(town, keys[number % 3], str(number)) for number in range(18)]
    await until(lambda: town.desk.flow.flow.counts.entered == 12)
    town.chain.records.pop(spare.owner)
    await town.directory.refresh()
    tasks[17].cancel()
    tasks[16].cancel()
    lane = town.market.lane(provider.owner, MODEL)
    for _ in range(3):
        lane.breaker.failure(town.matching.now_ms())
    town.market.observe_rtt(provider.owner, 1.0, town.matching.now_ms())
    town.chain.register(spare)
    await town.directory.refresh()
    provider.gate.set()
    spare.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await town.settled()
    served = sum(not isinstance(result, BaseException) for result in results)
    assert served == len(town.books.posted) >= 6
    for result in results:
        assert not isinstance(result, openai.InternalServerError), "whoever was not served was told to come back"
    control = town.desk.flow
    assert control.flow.waiting == 0 and not control._placed
    assert control.flow.lines[MODEL].in_flight == [0, 0, 0, 0]
    counts = control.flow.counts
    assert counts.entered == counts.placed + counts.left + counts.refused + counts.failed
    assert town.market.places(MODEL).used == 0


async def test_while_all_breakers_are_open_requests_wait_or_get_429_and_never_500(town) -> None:
    providers = [await town.add() for _ in range(2)]
    now_ms = town.matching.now_ms()
    for provider in providers:
        lane = town.market.lane(provider.owner, MODEL)
        lane.breaker._open_ms = 1_000.0
        for _ in range(3):
            lane.breaker.failure(now_ms)
        town.market.observe_rtt(provider.owner, 1.0, now_ms)
    answer = await ask(town, give_key(town, "standard"))
    assert answer.choices[0].message.content, "it waited for the end of the bar"
    for provider in providers:
        lane = town.market.lane(provider.owner, MODEL)
        lane.breaker._open_ms = 60_000.0
        for _ in range(3):
            lane.breaker.failure(town.matching.now_ms())
        town.market.observe_rtt(provider.owner, 1.0, now_ms)
    with pytest.raises(openai.RateLimitError) as refused:
        await ask(town, give_key(town, "standard"))
    assert int(refused.value.response.headers["retry-after-ms"]) > 8_000


@pytest.mark.parametrize("patience", [SLOW])
async def test_a_provider_that_comes_serves_who_waited(town) -> None:
    first = await add(town, slots=1, behaviour="hang")
    key = give_key(town, "batch")
    running = await occupy(town, first, 3, key)
    waiting = ask(town, key, "waits")
    await until(lambda: queued(town, "batch") == 1)
    second = await town.add()
    await waiting
    assert seen(second) == ["waits"]
    for task in running:
        task.cancel()


@pytest.mark.parametrize("patience", [SLOW])
async def test_a_request_that_every_provider_turned_away_as_full_waits_for_a_place(town) -> None:
    provider = await town.add(behaviour="refuse_full", slots=1)
    task = ask(town, give_key(town, "standard"), "again")
    await until(lambda: queued(town, "standard") == 1)
    provider.behaviour = "ok"
    answer = await task
    assert answer.choices[0].message.content
    assert statuses(town) == ["provider_error", "served"]
    assert [ticket.attempt for ticket in provider.tickets] == [0, 1]
    assert len(town.books.holds) == 1, "one hold serves all attempts"


@pytest.mark.parametrize("patience", [SLOW])
@pytest.mark.parametrize("bounds", [Bounds(active_per_key=1_000)])
async def test_a_full_queue_turns_away_background_work_first(town) -> None:
    town.desk.flow.flow.policy = FlowPolicy(queued_most=2)
    provider = await add(town, slots=1)
    standard, background = give_key(town, "standard"), give_key(town, "background")
    running = await occupy(town, provider, 3, standard)
    low = [ask(town, background, "low") for _ in range(2)]
    await until(lambda: queued(town, "background") == 2)
    high = [ask(town, standard, "high") for _ in range(2)]
    results = await asyncio.gather(*low, return_exceptions=True)
    assert all(isinstance(result, openai.RateLimitError) and "higher class" in str(result) for result in results)
    provider.gate.set()
    await asyncio.gather(*running, *high)


@pytest.mark.parametrize("patience", [SLOW])
async def test_a_balance_that_is_used_up_while_waiting_ends_the_wait(town) -> None:
    provider = await add(town, slots=1)
    key = give_key(town, "standard")
    running = await occupy(town, provider, 3, key)
    waiting = ask(town, key, "poor")
    await until(lambda: queued(town, "standard") == 1)
    put_in, town.books.purse.put_in = town.books.purse.put_in, 0
    provider.gate.set()
    with pytest.raises(openai.RateLimitError) as refused:
        await waiting
    assert refused.value.code == "insufficient_quota"
    town.books.purse.put_in = put_in
    await asyncio.gather(*running)


@pytest.mark.parametrize("patience", [SLOW])
async def test_mistakes_are_told_at_once_and_do_not_wait(town) -> None:
    provider = await add(town, slots=1)
    key = give_key(town, "standard")
    running = await occupy(town, provider, 3, key)
    with pytest.raises(openai.NotFoundError):
        await ask(town, key, model="nobody-has-it")
    with pytest.raises(openai.BadRequestError):
        await ask(town, key, max_tokens=900_000)
    assert town.desk.flow.flow.counts.entered == 0
    provider.gate.set()
    await asyncio.gather(*running)


@pytest.mark.parametrize("patience", [SLOW])
async def test_who_waits_is_sent_on_when_the_gateway_stops(town) -> None:
    provider = await add(town, slots=1)
    key = give_key(town, "standard")
    running = await occupy(town, provider, 3, key)
    waiting = [ask(town, key) for _ in range(3)]
    await until(lambda: queued(town, "standard") == 3)
    town.inference.draining = True
    town.desk.flow.turn_away(shutting_down())
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, openai.InternalServerError) and result.code == "draining"
    provider.gate.set()
    await asyncio.gather(*running)


async def test_a_stream_holds_its_place_from_before_the_first_byte_to_the_last(town) -> None:
    """Routers that count a stream only after its prefill, or no more once it flows, send all to one worker."""
    provider = await town.add(gap_s=0.02, words=20)
    places = town.market.places(MODEL)
    stream = asyncio.create_task(
        town.client().chat.completions.create(model=MODEL, messages=HELLO, max_tokens=20, stream=True)
    )
    await until(lambda: provider.bodies)
    assert places.used == 1
    count = 0
    async for chunk in await stream:
        assert places.used == 1 or chunk.choices[0].finish_reason or count >= 19, "its last events may be on their way"
        count += 1
    await town.settled()
    assert count >= 20 and places.used == 0


@pytest.mark.parametrize("patience", [SLOW])
async def test_a_full_provider_is_asked_no_more_than_it_runs_once_it_said_so(town) -> None:
    provider = await add(town, slots=1)
    key = give_key(town, "standard")
    running = await occupy(town, provider, 2, key)
    provider.behaviour = "refuse_full"
    third = ask(town, key, "third")
    await until(lambda: queued(town, "standard") == 1)
    provider.behaviour = "ok"
    assert town.market.lane(provider.owner, MODEL).limit.places == 2
    assert 'bonded_gateway_lane_limit{model="mock-model",provider="' in await metrics(town)
    provider.gate.set()
    await asyncio.gather(*running, third)
    assert statuses(town) == ["idle", "served", "served", "served"]
