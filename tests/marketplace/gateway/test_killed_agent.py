"""An agent's process is killed while it answers: the short form of scripts/bench/failover."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from marketplace.gateway.acceptance import Witness
from marketplace.gateway.desk import Patience
from scripts.bench.failing import agent as process
from scripts.bench.failing.judge import Answer, Leg, bill_fault, seam_fault
from scripts.bench.relay.engine import DEPLOYMENT, GATEWAY
from tests.marketplace.gateway.conftest import Town
from tests.marketplace.gateway.wire import Stream, read_stream

pytestmark = pytest.mark.model

TOKENS = 32
PRICES = (2000, 1000, 6000)
STREAMS = 3


@pytest.fixture
def patience() -> Patience:
    return Patience(first_byte_s=60, gap_floor_s=30, total_s=120)


@pytest.fixture
async def agents(town: Town, tmp_path: Path) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Two agents as processes; the first is asked first."""
    town.desk.witness = Witness(GATEWAY, DEPLOYMENT.domain().separator())
    running = []
    for number in range(2):
        folder = tmp_path / str(number)
        await asyncio.to_thread(process.write_file, folder, number, free_port())
        arguments = [str(folder), str(number), town.url, str(int(time.time()) - 1_000)]
        running.append(
            await asyncio.create_subprocess_exec(
                sys.executable, process.__file__, *arguments, stdout=asyncio.subprocess.PIPE
            )
        )
        record = await asyncio.to_thread(process.record_of, folder, number)
        town.chain.records[record.provider] = record
        town.chain.scores[record.provider] = 990_000 - number * 400_000
    try:
        for one in running:
            assert await one.stdout.readline()
        await town.directory.refresh()
        yield running
    finally:
        for one in running:
            if one.returncode is None:
                one.kill()
            await one.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def ask(town: Town, number: int) -> Stream:
    request: dict[str, Any] = {
        "model": process.MODEL,
        "messages": [{"role": "user", "content": f"Tell me {number + 2} things about the sea."}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return await read_stream(town.server.port, request)


async def test_streams_of_a_killed_agent_are_whole_and_billed_to_the_token(town: Town, agents: Any) -> None:
    first, _ = agents
    asking = [asyncio.create_task(ask(town, number)) for number in range(STREAMS)]
    runs = town.inference.stalled._active
    while not (len(runs) == STREAMS and all(sink.writes >= 2 for sink, _ in runs.values())):
        assert not any(one.done() for one in asking), "an answer ended before its agent was killed"
        await asyncio.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    disturbed = await asyncio.gather(*asking)
    await town.settled()
    attempts = [*town.books.recorded, *town.books.posted]
    broken = {attempt.receipt.job for attempt in town.books.recorded}
    assert broken, "somebody was served by the one that was killed"
    for number, got in enumerate(disturbed):
        whole = await ask(town, number)
        answer = Answer(number, pieces=[got.text], finish=got.finishes[0], done=got.done, ids=got.ids, usage=got.usage)
        assert answer.complete and got.whole, "nobody noticed"
        assert got.usage["completion_tokens"] == TOKENS
        assert seam_fault(got.text, whole.text, len(got.text) // 2) == ""
        job = bytes.fromhex(got.headers["x-bonded-job"][2:])
        legs = [
            Leg("", one.attempt, one.status, one.input_tokens, one.cached_tokens, one.output_tokens, one.charge_atto)
            for one in (attempt.receipt for attempt in attempts)
            if one.job == job
        ]
        [hold] = [hold for hold in town.books.holds if hold.job == job]
        assert bill_fault(answer, legs, PRICES, whole.usage["prompt_tokens"], hold.most_atto) == ""
        assert len(legs) == (1 if job not in broken else len(legs)) and hold.resolution == "posted"


def test_the_judge_knows_what_is_lost_and_what_is_repeated() -> None:
    text = " ".join(str(number * number) for number in range(60))
    at = 100
    assert seam_fault(text, text, at) == ""
    assert seam_fault(text[:at] + text[at + 1 :], text, at) == "lost"
    assert seam_fault(text[:at] + text[at - 1 :], text, at) == "repeated"
    assert seam_fault(text[:at] + "quite other words from here on, as it happens", text, at) == ""


def test_the_judge_knows_a_wrong_bill() -> None:
    answer = Answer(0, usage={"completion_tokens": 10})
    broken, last = Leg("", 0, 3, 0, 0, 0, 0), Leg("", 1, 0, 24, 4, 6, 20 * 2000 + 4 * 1000 + 6 * 6000)
    assert bill_fault(answer, [broken, last], PRICES, 20, 10**6) == ""
    assert "charged" in bill_fault(answer, [broken, last], PRICES, 20, 10)
    assert "tokens before" in bill_fault(answer, [broken, last], PRICES, 21, 10**6)
    assert "legs are charged" in bill_fault(answer, [Leg("", 0, 0, 1, 0, 1, 8000), last], PRICES, 20, 10**6)
    assert "attempts" in bill_fault(answer, [last], PRICES, 20, 10**6)
