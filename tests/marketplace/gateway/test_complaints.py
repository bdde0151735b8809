"""What users of other gateways complain about, each as a test: counters, silence, cooldowns, bills."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import pytest

from contracts.messages import Status
from marketplace.accounts import Account
from marketplace.gateway import hedge
from marketplace.gateway.desk import Patience
from tests.marketplace.gateway.conftest import CUSTOMER, KEY, statuses
from tests.marketplace.gateway.wire import Stream, read_stream

ASKED: dict[str, Any] = {"model": "mock-model", "messages": [{"role": "user", "content": "Count."}], "max_tokens": 6}
CAN = ("chat", "completions", "continue")
WORDS = [f"word{n}" for n in range(6)]
LONG = Patience(first_byte_s=30, gap_floor_s=30, gap_times_itl=0)


async def until(condition: Any) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize("patience", [LONG])
async def test_the_upstream_is_let_go_in_the_breath_in_which_the_customer_leaves(town) -> None:
    provider = await town.add(behaviour="hang_mid")
    asking = asyncio.create_task(read_stream(town.server.port, ASKED | {"stream": True}))
    await until(lambda: town.inference.stalled._active and provider.tickets)
    [(_, leave)] = town.inference.stalled._active.values()
    assert [connection.alive for connection in town.upstream._open] == [True]
    leave()
    assert not any(connection.alive for connection in town.upstream._open), "nothing waited for a turn of the loop"
    await until(lambda: provider.left)
    asking.cancel()


@pytest.mark.parametrize("stream", [False, True])
async def test_usage_billed_is_what_was_delivered(town, stream: bool) -> None:
    await town.add(words=6)
    for ordered in (1, 3, 6):
        answer = await read_stream(town.server.port, ASKED | {"stream": stream, "max_tokens": ordered})
        await town.settled()
        receipt = town.books.posted[-1].receipt
        assert len(answer.text.split()) == receipt.output_tokens == ordered
        assert receipt.charge_atto == 2_000 * receipt.input_tokens + 5_000 * ordered


@pytest.mark.parametrize("behaviour", ["close_mid", "clean_end", "error_event", "long_line"])
async def test_no_answer_is_cut_off_in_silence(town, behaviour: str) -> None:
    await town.add(behaviour=behaviour, words=6, gap_s=0.02)
    answer = await read_stream(town.server.port, ASKED | {"stream": True})
    assert answer.error == "stream_broken"
    assert (answer.done, answer.finishes, answer.whole) == (0, [], False)


async def test_a_break_in_mid_answer_tries_the_fallbacks_and_adds_no_words_of_its_own(town) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=6)
    second = await town.add(features=CAN, words=6)
    assert (await read_stream(town.server.port, ASKED | {"stream": True})).text.split() == WORDS
    assert b'"messages": [{"role": "user", "content": "Count."}]' in second.bodies[0], "no prompt of ours"


async def test_a_failing_market_is_not_asked_more_by_those_who_try_again(town) -> None:
    for _ in range(3):
        await town.add(behaviour="error_500")
    town.desk.retries._left = 0.0
    for _ in range(4):
        await read_stream(town.server.port, ASKED | {"stream": True}, x_stainless_retry_count="1")
    await town.settled()
    assert len(town.books.recorded) <= 4 + 1, "a tenth of four requests is no second attempt"


def storm(rng: random.Random) -> dict[str, Any]:
    """Draw how a provider behaves."""
    behaviour = rng.choice(["ok", "ok", "close_mid", "error_500", "error_event", "close_early", "refuse_full"])
    return {"behaviour": behaviour, "gap_s": rng.choice([0.0, 0.01, 0.03]), "features": CAN, "words": 6}


@pytest.mark.parametrize("seed", [1, 2])
async def test_counters_are_conserved_whatever_happens(town, monkeypatch, seed: int) -> None:
    """Streams that break, go on, race and are left, under providers that change their ways; then everything is zero.

    The fixture holds books, holds, places and reservations against each other afterwards.
    """
    monkeypatch.setattr(hedge, "LEAST_S", 0.01)
    monkeypatch.setattr(hedge, "TIMES_Q95", 0.0)
    town.books._keys[hashlib.sha256(b"sk-fast").digest()] = Account(CUSTOMER, 2, "fast", "realtime")
    rng = random.Random(seed)
    providers = [await town.add(rng.randrange(500_000, 990_000), **storm(rng)) for _ in range(4)]
    town.desk.hedges._left = 20.0

    async def one(number: int) -> Stream | None:
        key = "sk-fast" if number % 2 else KEY
        asking = asyncio.create_task(read_stream(town.server.port, ASKED | {"stream": number % 5 > 0}, key=key))
        if number % 7 == 0:
            await asyncio.sleep(rng.random() / 20)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            return None
        return await asking

    async def change() -> None:
        while True:
            await asyncio.sleep(0.02)
            provider = rng.choice(providers)
            for name, value in storm(rng).items():
                setattr(provider, name, value)

    changing = asyncio.create_task(change())
    answers = await asyncio.gather(*[one(number) for number in range(24)])
    changing.cancel()
    await town.settled()
    for answer in answers:
        if answer is not None and answer.status == 200 and not answer.error:
            assert answer.text.split() == WORDS, "what is whole is whole"
        elif answer is not None:
            assert answer.done == 0
    assert set(statuses(town)) <= {"served", "provider_error", "idle", "customer_abort", "timeout"}
    assert all(attempt.receipt.status == Status.SERVED for attempt in town.books.posted)
    counts = town.desk.flow.flow.counts
    assert counts.entered == counts.placed + counts.left + counts.refused + counts.failed
    assert town.desk.flow.flow.waiting == 0 and not town.desk.flow._placed
    assert town.desk.flow.flow.lines["mock-model"].in_flight == [0, 0, 0, 0]
    assert town.market.places("mock-model").used == 0
