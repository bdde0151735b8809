"""A real model's answer, broken off by one agent and gone on with by another: the same text, each leg in the books."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.messages import Status
from contracts.types import ProviderRecord, ProviderStatus
from marketplace.agent.seam import try_seam
from marketplace.gateway.acceptance import Witness
from marketplace.gateway.desk import Patience
from tests.marketplace.agent import harness
from tests.marketplace.gateway.conftest import Town
from tests.marketplace.gateway.wire import read_stream

pytestmark = pytest.mark.model

TOKENS = 24
OTHER = "0x" + "b2" * 20
ASKED: dict[str, Any] = {
    "model": "smollm2-135m-instruct",
    "messages": [{"role": "user", "content": "Zähle von eins bis zwanzig auf."}],
    "max_tokens": TOKENS,
    "temperature": 0,
}


@pytest.fixture
def patience() -> Patience:
    return Patience(first_byte_s=60, gap_floor_s=30, total_s=120)


async def add_agent(town: Town, stack: AsyncExitStack, folder: Path, owner: str, engine: str) -> harness.TestAgent:
    """Start an agent and let the gateway know it; the one that was added first is asked first."""
    path = harness.write_provider_file(folder, engine, features=("chat", "completions", "continue"), owner=owner)
    agent = await harness.start_agent(stack, path, {harness.GATEWAY.address: town.url})
    town.chain.scores[owner] = 990_000 - len(town.chain.scores) * 400_000
    town.chain.records[owner] = ProviderRecord(
        provider=owner,
        signer=harness.SIGNER.address,
        endpoint=agent.url,
        hardware_class=0,
        units=1,
        weight=1,
        offer_digest=agent.offer.digest,
        status=int(ProviderStatus.ACTIVE),
        registered_at=0,
        stake=200,
        required_stake=200,
        delegated=0,
        commission_ppm=0,
    )
    await town.directory.refresh()
    return agent


async def test_an_answer_is_the_same_whether_its_provider_dies_or_not(town: Town, tmp_path: Path) -> None:
    town.desk.witness = Witness(harness.GATEWAY, harness.DOMAIN.separator())
    for name in ("a", "b"):
        await asyncio.to_thread((tmp_path / name).mkdir)
    async with AsyncExitStack() as stack:
        dies = 'kind = "testing:dies"\ninner = "llamacpp"\nthreads = 1\nafter_events = 10'
        await add_agent(town, stack, tmp_path / "a", harness.OWNER, dies)
        good = await add_agent(town, stack, tmp_path / "b", OTHER, 'kind = "llamacpp"\nthreads = 1')
        undisturbed = orjson.loads(await good.parts.engine.complete("chat/completions", ASKED))
        whole, joined = await try_seam(good.parts.engine, "completions", ASKED["model"])
        answer = await read_stream(
            town.server.port, ASKED | {"stream": True, "stream_options": {"include_usage": True}}
        )
        await town.settled()
    assert whole == joined, "what the doctor asks of an engine"
    assert answer.text == undisturbed["choices"][0]["message"]["content"]
    assert (answer.finishes, answer.done, answer.whole, len(answer.ids)) == (["length"], 1, True, 1)
    [broken], [served] = town.books.recorded, town.books.posted
    assert (broken.receipt.provider, served.receipt.provider) == (harness.OWNER, OTHER)
    assert broken.receipt.status == Status.PROVIDER_ERROR
    delivered = TOKENS - served.receipt.output_tokens
    assert delivered == 9, "its first event was the role"
    assert served.receipt.input_tokens == undisturbed["usage"]["prompt_tokens"] + delivered
    assert answer.usage["completion_tokens"] == TOKENS
    assert answer.usage["prompt_tokens"] == undisturbed["usage"]["prompt_tokens"]
