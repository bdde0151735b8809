"""The whole gateway process on a real chain and a real PostgreSQL, both of which are taken away while customers ask."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy import text

from contracts.calls import Call
from contracts.chain import Chain, Finality
from contracts.clock import Clock
from contracts.deployment import Deployment
from contracts.devnet import Devnet
from contracts.escrow import Escrow
from contracts.file_outbox import FileOutbox
from contracts.signing import Signer
from contracts.staking import Staking
from contracts.testing import deploy
from contracts.tokens import Token
from contracts.transactions import Sender
from marketplace.accounts import Accounts
from marketplace.db import Database
from marketplace.gateway.run import run_gateway
from marketplace.gateway.sole import AnotherGateway
from marketplace.gateway.testing import MockProvider
from marketplace.indexer import Indexer
from marketplace.ledger import customer_books
from marketplace.settings import GatewaySettings

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

STAKE = 10**21
DEPOSIT = 50_000_000
HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as devnet:
        yield devnet


@dataclass
class Stage:
    """A devnet with a registered provider, a customer's deposit in the books, and settings for a gateway."""

    devnet: Devnet
    provider: MockProvider
    settings: GatewaySettings
    gateway: Signer
    customer: str
    key: str
    database: Database
    port: int


async def send(chain: Chain, folder: Path, signer: Signer, calls: list[Call]) -> None:
    outbox = FileOutbox.open(folder / signer.address, sender=signer.address, chain_key=chain.key)
    sender = Sender(chain, signer, outbox, poll_s=0.02)
    for number, call in enumerate(calls):
        await sender.submit(f"stage-{number}", call)
    await outbox.close()


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder whose parents the embedded server's own user may enter; pytest closes its own to others."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data"


@pytest.fixture
async def stage(devnet: Devnet, tmp_path: Path, data_folder: Path) -> AsyncIterator[Stage]:
    deployment: Deployment = deploy(devnet)
    deployment.write(tmp_path / "deployment.json")
    owner, gateway, customer, hot = devnet.accounts[1:5]
    provider = MockProvider(
        owner.address, hot, deployment.domain(), {gateway.address}, weights_digest=b"\x05" * 32, prices=(10**12,) * 3
    )
    await provider.start()
    chain = await Chain.connect([devnet.url], deployment, finality=Finality.depth(0))
    stake, pay = Token(chain, "StakeToken"), Token(chain, "PaymentToken")
    staking, escrow = Staking(chain), Escrow(chain)
    await send(chain, tmp_path, devnet.accounts[0], [Clock(chain).open(await chain.time() + 5)])
    digest = hashlib.sha256(provider.offer()).digest()
    await send(
        chain,
        tmp_path,
        owner,
        [
            stake.mint(owner.address, STAKE),
            stake.approve(deployment.address("ProviderStaking"), STAKE),
            staking.register(hot.address, 0, 1, digest, "local", provider.endpoint),
            staking.stake(STAKE),
        ],
    )
    await send(
        chain,
        tmp_path,
        customer,
        [
            pay.mint(customer.address, DEPOSIT),
            pay.approve(deployment.address("JobEscrow"), DEPOSIT),
            escrow.deposit(customer.address, DEPOSIT),
            escrow.set_cap(DEPOSIT),
        ],
    )
    database = await Database.open("", data_folder)
    await Indexer(database, chain, 10**12).follow()
    accounts = Accounts(database, None, await Clock(chain).timing(await chain.head()), 10**12, lambda: 0)  # type: ignore[arg-type]
    _, key = await accounts.create_key(customer.address, "test")
    await chain.close()
    port = free_port()
    settings = GatewaySettings(
        data_folder=data_folder,
        deployment=tmp_path / "deployment.json",
        rpc_urls=devnet.url,
        finality="0",
        devnet=True,
        listen=f"127.0.0.1:{port}",
        refresh_s=0.2,
        drain_every_s=0.1,
        directory_s=0.2,
        stop_s=5,
    )
    yield Stage(devnet, provider, settings, gateway, customer.address, key, database, port)
    await database.close()
    await provider.stop()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def started(stage: Stage) -> tuple[asyncio.Task[None], asyncio.Event, openai.AsyncOpenAI]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_gateway(stage.settings, stage.gateway, stop))
    client = openai.AsyncOpenAI(api_key=stage.key, base_url=f"http://127.0.0.1:{stage.port}/v1", max_retries=0)
    for _ in range(600):
        if task.done():
            await task
        try:
            await client.models.list()
            return task, stop, client
        except openai.APIConnectionError:
            await asyncio.sleep(0.05)
    raise AssertionError("the gateway did not start")


async def ask(client: openai.AsyncOpenAI, stream: bool = False, most: int = 4) -> str:
    answer: Any = await client.chat.completions.create(
        model="mock-model", messages=HELLO, max_tokens=most, stream=stream
    )
    if stream:
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])
    return str(answer.choices[0].message.content)


async def books(stage: Stage) -> tuple[int, int]:
    """Return how many attempts are in the database and their charges in atto."""

    async def read() -> tuple[int, int]:
        async with stage.database.begin() as connection:
            row = (await connection.execute(text("SELECT count(*), coalesce(sum(charge), 0) FROM attempts"))).one()
            return int(row[0]), int(row[1])

    return await stage.database.persist(read, "reading attempts")


async def held(stage: Stage) -> int:
    """Return what the ledger holds."""

    async def read() -> int:
        async with stage.database.begin() as connection:
            return sum(one.held for one in (await customer_books(connection)).values())

    return await stage.database.persist(read, "reading holds")


async def test_requests_are_served_while_chain_and_database_are_away_and_nothing_is_lost(stage: Stage) -> None:
    task, stop, client = await started(stage)
    assert await ask(client) == "word0 word1 word2 word3"
    assert (await ask(client, stream=True)).split() == ["word0", "word1", "word2", "word3"]

    postmaster = int((stage.settings.data_folder / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGINT)
    os.kill(stage.devnet.pid, signal.SIGSTOP)
    for _ in range(5):
        await ask(client)
        await ask(client, stream=True)
        await asyncio.sleep(0.2)
    os.kill(stage.devnet.pid, signal.SIGCONT)

    deadline = time.monotonic() + 30
    while (await books(stage))[0] < 12:
        assert time.monotonic() < deadline, await books(stage)
        await asyncio.sleep(0.2)
    assert not task.done()
    stop.set()
    await task
    await client.close()
    expected = sum(
        ticket.charge_atto(max(1, len('[{"role": "user", "content": "Say hello."}]') // 8), 0, 4)
        for ticket in stage.provider.tickets
    )
    assert await books(stage) == (12, expected)
    assert await held(stage) == 0


async def test_a_stop_lets_running_answers_end(stage: Stage) -> None:
    task, stop, client = await started(stage)
    stage.provider.gap_s = 0.05
    answer = asyncio.create_task(ask(client, stream=True, most=20))
    while not stage.provider.tickets:
        await asyncio.sleep(0.01)
    stop.set()
    assert len((await answer).split()) == 20
    await task
    await client.close()
    assert (await books(stage))[0] == 1
    assert await held(stage) == 0


async def test_a_start_after_a_crash_frees_what_was_held(stage: Stage) -> None:
    task, _, client = await started(stage)
    stage.provider.behaviour = "hang"
    lost = asyncio.create_task(ask(client))
    while not stage.provider.tickets:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(60):  # the hold reaches the database with the next group that is written
        while not await held(stage):
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, lost, return_exceptions=True)
    await client.close()
    stage.provider.behaviour = "ok"
    stage.settings.listen = f"127.0.0.1:{(port := free_port())}"
    stage.port = port
    task, stop, client = await started(stage)
    assert await held(stage) == 0
    assert await ask(client) == "word0 word1 word2 word3"
    stop.set()
    await task
    await client.close()


async def test_a_second_gateway_on_one_database_is_refused_and_the_first_serves_on(stage: Stage) -> None:
    task, stop, client = await started(stage)
    second = stage.settings.model_copy(
        update={
            "data_folder": stage.settings.data_folder.parent / "second",
            "database_url": stage.database.url,
            "listen": "127.0.0.1:0",
        }
    )
    with pytest.raises(AnotherGateway):
        await run_gateway(second, stage.gateway, asyncio.Event())
    assert await ask(client) == "word0 word1 word2 word3"
    stop.set()
    await task
    await client.close()
