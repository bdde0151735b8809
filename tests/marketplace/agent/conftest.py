"""Fixtures of the agent's tests; what they are made of stands in harness.py."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from marketplace.agent.config import read_provider_file
from marketplace.agent.offer import Offer, make_offer
from tests.marketplace.agent.harness import GATEWAY, RecordingGateway, run_app, start_agent, write_provider_file


@pytest_asyncio.fixture
async def gateway():
    """A recording gateway and its URL."""
    recorder = RecordingGateway()
    running = await run_app(recorder)
    recorder.url = running.url
    yield recorder
    await running.stop()


@pytest_asyncio.fixture
async def agent(tmp_path, gateway):
    """An agent on the real model whose only gateway is the recording one."""
    async with AsyncExitStack() as stack:
        yield await start_agent(stack, write_provider_file(tmp_path), {GATEWAY.address: gateway.url})


@pytest.fixture
def offer(tmp_path) -> Offer:
    """The offer of the tests' provider file."""
    return make_offer(read_provider_file(write_provider_file(tmp_path)))
