"""The gateway before a real agent on the real model: both ends of the protocol, nothing in between replaced."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from contracts.messages import Status
from contracts.signing import keccak
from contracts.types import ProviderRecord, ProviderStatus
from marketplace.gateway.acceptance import Witness
from marketplace.gateway.desk import Patience
from rewards.blobs import FolderStore
from rewards.evidence import write_bundle
from rewards.settlement import settle
from rewards.testing import Network
from tests.marketplace.agent import harness
from tests.marketplace.gateway.conftest import KEY, Town, statuses

pytestmark = pytest.mark.model

MODEL = "smollm2-135m-instruct"
STORY = [{"role": "user", "content": "Tell me a long story about a lighthouse."}]


@pytest.fixture
def patience() -> Patience:
    return Patience(first_byte_s=60, gap_floor_s=30, total_s=120)


@pytest.fixture
async def agent(town: Town, tmp_path: Path) -> AsyncIterator[harness.TestAgent]:
    async with AsyncExitStack() as stack:
        yield await _open(stack, town, harness.write_provider_file(tmp_path))
        await town.settled()


async def _open(stack: AsyncExitStack, town: Town, path: Path) -> harness.TestAgent:
    """Start an agent and register it."""
    town.desk.witness = Witness(harness.GATEWAY, harness.DOMAIN.separator())
    agent = await harness.start_agent(stack, path, {harness.GATEWAY.address: town.url})
    status = int(ProviderStatus.ACTIVE)
    town.chain.records[harness.OWNER] = ProviderRecord(
        harness.OWNER, harness.SIGNER.address, agent.url, 0, 1, 1, agent.offer.digest, status, 0, 200, 200, 0, 0
    )
    await town.directory.refresh()
    return agent


@pytest.fixture
async def embedder(town: Town, tmp_path: Path) -> AsyncIterator[harness.TestAgent]:
    """Return an agent whose engine has the same weights and gives vectors."""
    async with AsyncExitStack() as stack:
        yield await _open(stack, town, harness.write_provider_file(tmp_path, features=("chat", "embeddings")))
        await town.settled()


async def test_vectors_of_a_real_engine_come_in_either_form_and_only_their_input_is_paid(
    town: Town, embedder: harness.TestAgent
) -> None:
    texts = ["The lighthouse keeper lit the lamp.", "The keeper of the lighthouse lights the lamp.", "Tax law of 1923."]
    client = town.client()
    # without encoding_format the client asks for base64 and decodes it itself
    coded = await client.embeddings.create(model=MODEL, input=texts)
    plain = await client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    vectors = [one.embedding for one in coded.data]
    assert [one.index for one in coded.data] == [0, 1, 2] and {len(vector) for vector in vectors} == {576}
    for one, other in zip(vectors, plain.data, strict=True):
        assert one == pytest.approx(other.embedding, abs=1e-5)
    assert _likeness(vectors[0], vectors[1]) > _likeness(vectors[0], vectors[2])
    assert len(town.books.posted) == 2
    for attempt in town.books.posted:
        receipt = attempt.receipt
        assert (receipt.output_tokens, receipt.input_tokens) == (0, coded.usage.prompt_tokens)
        assert receipt.charge_atto > 0
    with pytest.raises(openai.BadRequestError):
        await client.embeddings.create(model=MODEL, input="")


def _likeness(one: list[float], other: list[float]) -> float:
    """Return the cosine between two vectors."""
    dot = sum(x * y for x, y in zip(one, other, strict=True))
    return dot / math.hypot(*one) / math.hypot(*other)


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


async def test_evidence_of_real_traffic_holds_nothing_of_prompts_answers_keys_and_salts(
    town: Town, agent: harness.TestAgent, tmp_path: Path
) -> None:
    secret = "My neighbour Ottokar Zwirnschlag owes me 4711 guilders."
    said = []
    for _ in range(2):
        answer = await town.client().chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": secret}], max_tokens=24, temperature=0
        )
        said.append(str(answer.choices[0].message.content))
        await acknowledged(agent)
    first, second = town.books.posted
    assert second.receipt.taken == first.receipt.job, "each receipt names one that was handed over"

    net, store = Network(providers=1), FolderStore(tmp_path / "evidence")
    inputs = net.inputs()
    write_bundle(store, replace(inputs, attempts=tuple(town.books.posted)), settle(inputs).report)
    evidence = b"".join(path.read_bytes() for path in store.path.iterdir())
    assert first.receipt.job.hex().encode() in evidence
    told = [secret, *said, KEY, "sk-bonded"]
    told += [word for text in (secret, *said) for word in text.split() if len(word) > 5]
    for text in told:
        raw = text.encode()
        forms = [raw, raw.hex().encode(), base64.b64encode(raw)[: len(raw) * 4 // 3 - 4]]
        forms += [hashlib.sha256(raw).hexdigest().encode(), keccak(raw).hex().encode()]
        for form in forms:
            assert form not in evidence, text
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": secret}]}).encode()
    assert hashlib.sha256(body).hexdigest().encode() not in evidence, "a digest without a salt could be guessed"
