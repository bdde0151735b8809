"""A fresh anvil with the real contracts for every test that asks for one; it takes a fifth of a second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts.chain import Chain, Finality
from contracts.deployment import Deployment
from contracts.devnet import Devnet
from contracts.testing import AnvilControl, deploy

from .world import World


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
def deployment(devnet: Devnet) -> Deployment:
    return deploy(devnet)


@pytest.fixture
def control(devnet: Devnet) -> AnvilControl:
    return AnvilControl(devnet)


@pytest.fixture
async def chain(devnet: Devnet, deployment: Deployment) -> AsyncIterator[Chain]:
    async with await Chain.connect([devnet.url], deployment, finality=Finality.depth(2)) as connected:
        yield connected


@pytest.fixture
async def world(devnet: Devnet, chain: Chain, tmp_path: Path) -> AsyncIterator[World]:
    made = World(devnet, chain, tmp_path)
    yield made
    await made.close()
