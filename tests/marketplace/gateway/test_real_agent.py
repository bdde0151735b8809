"""The gateway before a real agent on the real model: both ends of the protocol, nothing in between replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from contracts.messages import Status
from contracts.types import ProviderRecord, ProviderStatus
from marketplace.gateway.acceptance import Witness
from marketplace.gateway.desk import Patience
from tests.marketplace.agent import harness
from tests.marketplace.gateway.conftest import Town, statuses

pytestmark = pytest.mark.model

MODEL = "smollm2-135m-instruct"
STORY = [{"role": "user", "content": "Tell me a long story about a lighthouse."}]


@pytest.fixture
def patience() -> Patience:
    return Patience(first_byte_s=60, gap_floor_s=30, total_s=120)


@pytest.fixture
async def agent(town: Town, tmp_path: Path) -> AsyncIterator[harness.TestAgent]:
    town.desk.witness = Witness(harness.GATEWAY, harness.DOMAIN.separator())
    async with AsyncExitStack() as stack:
        path = harness.write_provider_file(tmp_path)
        agent = await harness.start_agent(stack, path, {harness.GATEWAY.address: town.url})
        town.chain.records[harness.OWNER] = ProviderRecord(
            harness.OWNER,
            harness.SIGNER.address,
            agent.url,
            0,
            1,
            1,
            agent.offer.digest,
            int(ProviderStatus.ACTIVE),
            0,
            200,
            200,
            0,
            0,
        )
        await town.directory.refresh()
        yield agent
        await town.settled()


async def acknowledged(agent: harness.TestAgent) -> None:
    """Wait until the agent knows that its receipts arrived."""
    for _ in range(200):
        if not agent.parts.journal.open:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("a receipt was not acknowledged")


async def test_a_whole_answer_is_served_and_paid(town: Town, agent: harness.TestAgent) -> None:
    answer = await town.client().chat.completions.create(model=MODEL, messages=STORY, max_tokens=12, temperature=0)
    assert answer.choices[0].message.content
    [attempt] = town.books.posted
    receipt = attempt.receipt
    assert (receipt.input_tokens, receipt.output_tokens) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    assert receipt.charge_atto > 0
    await acknowledged(agent)


@pytest.mark.parametrize("usage", [False, True])
async def test_a_streamed_answer_is_served_and_paid(town: Town, agent: harness.TestAgent, usage: bool) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    stream = await town.client().chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=16, temperature=0, stream=True, **options
    )
    chunks = [chunk async for chunk in stream]
    finished = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert finished == ["length"]
    assert (chunks[-1].usage is not None) == usage
    [attempt] = town.books.posted
    assert attempt.receipt.output_tokens == 16
    assert statuses(town) == ["served"]


async def test_a_streamed_completion_is_served_and_paid(town: Town, agent: harness.TestAgent) -> None:
    stream = await town.client().completions.create(model=MODEL, prompt="The sea is", max_tokens=8, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream if chunk.choices])
    assert statuses(town) == ["served"]


async def test_the_agent_posts_what_was_delivered_when_the_customer_leaves(
    town: Town, agent: harness.TestAgent
) -> None:
    stream = await town.client().chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=300, temperature=0, stream=True
    )
    seen = 0
    async for _ in stream:
        seen += 1
        if seen == 4:
            break
    await stream.close()
    for _ in range(500):
        if town.books.posted or town.books.recorded:
            break
        await asyncio.sleep(0.02)
    [attempt] = town.books.posted
    assert attempt.receipt.status == Status.CUSTOMER_ABORT
    assert 0 < attempt.receipt.output_tokens < 300
    assert town.books.held_atto == 0
    await acknowledged(agent)


async def test_a_prompt_that_the_model_counts_as_too_long_is_refused_and_costs_nothing(
    town: Town, agent: harness.TestAgent
) -> None:
    long = [{"role": "user", "content": "x y z " * 290}]
    with pytest.raises(openai.BadRequestError) as refused:
        await town.client().chat.completions.create(model=MODEL, messages=long, max_tokens=16)
    assert refused.value.code == "context_length_exceeded"
    assert town.books.charged_atto == 0


async def test_a_draining_agent_is_left_alone(town: Town, agent: harness.TestAgent) -> None:
    agent.app.draining = True
    with pytest.raises(openai.InternalServerError):
        await town.client().chat.completions.create(model=MODEL, messages=STORY, max_tokens=4)
    assert town.books.charged_atto == 0
    agent.app.draining = False
