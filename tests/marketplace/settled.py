"""A marketplace that has settled two epochs, and a gateway that goes on serving it: one per test session.

Chain, contracts, verifiers, settlement, database and gateway are the real ones; only the agents are mock providers.
Everything asynchronous lives in a loop of its own thread, so that tests are plain functions, and commands that start
a loop of their own can be called beside it. The chain begins in the past and is brought to the present at the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import httpx2
import structlog
from sqlalchemy import select

from contracts.devnet import Devnet
from contracts.signing import Signer
from contracts.staking import Staking
from contracts.testing import AnvilControl
from contracts.tokens import Token
from marketplace.api.app import create_api
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.gateway import run as gateway_process
from marketplace.gateway.asgi import AsgiApp
from marketplace.gateway.server import HttpServer
from marketplace.gateway.services import Services
from marketplace.gateway.testing import MockProvider
from marketplace.indexer import Indexer
from marketplace.models import attempts
from marketplace.ratings import RatingDays, Ratings
from marketplace.settings import GatewaySettings
from tests.marketplace.store.market import UNIT, WHOLE, Market, market

T = TypeVar("T")
_PAST_S = 2_000
LARGE_UNITS = 1_500_000
_HOSTILE_ENDPOINT = "http://127.0.0.1:1/<script>alert(1)</script>"
HOSTILE_REGION = '"><img src=x onerror=alert(1)>'


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T], timeout_s: float = 60) -> T:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def close(self) -> None:
        """End the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Settled:
    """The running marketplace. Epochs 0 and 1 are settled, the dead provider is slashed, customers are credited.

    `live` is a provider that answers; `hostile` one that registered markup for a region and an endpoint. The devnet's
    accounts 13 and 18 have no part in it and are the tests' own.
    """

    def __init__(self, background: Background, devnet: Devnet, folder: Path) -> None:
        self.background = background
        self.devnet = devnet
        self.control = AnvilControl(devnet)
        self.folder = folder
        self.data_folder = folder / "data"
        self.deployment_path = folder / "deployment.json"
        self.live_owner, self.hostile_owner = devnet.accounts[16], devnet.accounts[17]
        self.newcomer, self.outsider = devnet.accounts[13], devnet.accounts[18]
        self._exits = AsyncExitStack()

    market: Market
    database: Database
    live: MockProvider
    services: Services
    url: str
    rated: Any

    def do(self, work: Coroutine[Any, Any, T], timeout_s: float = 60) -> T:
        """Run a coroutine where the marketplace lives."""
        return self.background.do(work, timeout_s)

    @property
    def customers(self) -> list[Signer]:
        """Return the two customers with deposits and receipts."""
        return self.market.customers

    @property
    def evidence(self) -> Path:
        """Return the folder of evidence."""
        return self.market.store.path

    def index(self) -> None:
        """Bring the database up to the chain, and the gateway's memory up to the database."""
        self.do(Indexer(self.database, self.market.chain, UNIT).follow())
        self.do(self.services.accounts.refresh())

    def give_pay(self, to: str, whole: int) -> None:
        """Mint payment tokens."""
        token = Token(self.market.chain, "PaymentToken")
        self.do(self.market.do(self.market.deployer, token.mint(to, whole * 10**6)))

    def give_stake(self, to: str, whole: int) -> None:
        """Mint stake tokens."""
        token = Token(self.market.chain, "StakeToken")
        self.do(self.market.do(self.market.deployer, token.mint(to, whole * WHOLE)))

    def environment(self) -> dict[str, str]:
        """Return the settings with which commands find this marketplace."""
        return {
            "BONDED_RPC_URLS": self.devnet.url,
            "BONDED_DEPLOYMENT": str(self.deployment_path),
            "BONDED_FINALITY": "0",
            "BONDED_GATEWAY": self.url,
            "BONDED_DATA_FOLDER": str(self.data_folder),
            "BONDED_DEVNET": "1",
        }

    @contextmanager
    def serving(self, services: Services) -> Iterator[str]:
        """Serve a control API over other services; gives its address."""

        async def start() -> HttpServer:
            server = HttpServer(create_api(services), "127.0.0.1", 0)
            await server.start()
            return server

        server = self.do(start())
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            self.do(server.stop(1.0))

    async def build(self) -> None:
        """Set everything up, settle two epochs, come to the present and start the gateway."""
        self.database = await Database.open("", self.data_folder)
        self._exits.push_async_callback(self.database.close)
        self.market = await self._exits.enter_async_context(market(self.devnet, self.database, self.folder))
        self.market.chain.deployment.write(self.deployment_path)
        await self._register()
        await Indexer(self.database, self.market.chain, UNIT).follow()
        for epoch in (0, 1):
            await self._large_job(epoch)
            await self.market.live_through(epoch)
            await self._rate(epoch)
            await self._settle(epoch)
        head = await self.market.chain.head()
        await self.market.pass_time(max(1, int(time.time()) - head.time))
        await Indexer(self.database, self.market.chain, UNIT).follow()
        await self._start_gateway()

    async def _register(self) -> None:
        chain = self.market.chain
        domain = chain.deployment.domain()
        self.live = MockProvider(
            self.live_owner.address,
            Signer(b"\x51" * 32),
            domain,
            {self.market.gateway.address},
            weights_digest=b"\x05" * 32,
            prices=(10**12,) * 3,
        )
        await self.live.start()
        self._exits.push_async_callback(self.live.stop)
        for owner, hot, digest, region, endpoint in (
            (
                self.live_owner,
                self.live.signer,
                hashlib.sha256(self.live.offer()).digest(),
                "local",
                self.live.endpoint,
            ),
            (self.hostile_owner, Signer(b"\x52" * 32), b"\x07" * 32, HOSTILE_REGION, _HOSTILE_ENDPOINT),
        ):
            stake, staking = Token(chain, "StakeToken"), Staking(chain)
            await self.market.do(owner, stake.mint(owner.address, 500 * WHOLE))
            await self.market.do(owner, stake.approve(staking.address, 500 * WHOLE))
            await self.market.do(owner, staking.register(hot.address, 0, 1, digest, region, endpoint))
            await self.market.do(owner, staking.stake(300 * WHOLE))

    async def _large_job(self, epoch: int) -> None:
        """Let the second customer pay enough for a share of it to reach every verifier."""
        town = self.market
        slot = epoch * town.timing.slots_per_epoch + 1
        job = town.attempt(slot, town.providers[0].address, town.customers[1].address, LARGE_UNITS * UNIT)
        await town.enter([job], slot)

    async def _rate(self, epoch: int) -> None:
        """Let the first customer give its last receipt three stars, and the gateway sum up."""
        found, slots = Ratings(self.database), self.market.timing.slots_per_epoch
        async with self.database.begin() as connection:
            job = await connection.execute(
                select(attempts.c.job, attempts.c.provider)
                .where(attempts.c.customer == self.customers[0].address, attempts.c.epoch == epoch)
                .order_by(attempts.c.id.desc())
                .limit(1)
            )
            self.rated = job.one()
        await found.rate(self.customers[0].address, bytes(self.rated.job), 3)
        separator = self.market.chain.deployment.domain().separator()
        days = RatingDays(self.market.gateway, separator, self.market.timing)
        async with self.database.begin() as connection:
            assert await days.close(connection, epoch * slots, (epoch + 1) * slots) == 1

    async def _settle(self, epoch: int) -> None:
        for _ in range(40):
            async with self.market.settler() as settler:
                await settler.tick()
            row = await EpochSteps(self.database).get(epoch)
            if row is not None and row.step is Step.DONE:
                return
            await self.market.pass_time(2)
        raise AssertionError(f"epoch {epoch} is not settled: {await EpochSteps(self.database).all()}")

    async def _start_gateway(self) -> None:
        port = _free_port()
        settings = GatewaySettings(
            data_folder=self.data_folder,
            deployment=self.deployment_path,
            rpc_urls=self.devnet.url,
            finality="0",
            devnet=True,
            listen=f"127.0.0.1:{port}",
            refresh_s=0.2,
            drain_every_s=0.1,
            directory_s=0.5,
            stop_s=1,
            evidence=str(self.evidence),
        )
        self.url = f"http://127.0.0.1:{port}"
        stop = asyncio.Event()

        def remember(services: Services) -> AsgiApp:
            self.services = services
            return create_api(services)

        with mock.patch.object(gateway_process, "create_api", remember):
            task = asyncio.create_task(gateway_process.run_gateway(settings, self.market.gateway, stop))

            async def end() -> None:
                stop.set()
                await task

            self._exits.push_async_callback(end)
            async with httpx2.AsyncClient(trust_env=False) as client:
                while not task.done():
                    try:
                        await client.get(f"{self.url}/health")
                        return
                    except httpx2.TransportError:
                        await asyncio.sleep(0.02)
        await task

    async def close(self) -> None:
        """Stop everything."""
        await self._exits.aclose()


@contextmanager
def settled_market() -> Iterator[Settled]:
    """Build the marketplace, and take it down at the end.

    Its folder is not one of pytest's: those are closed to the user that PostgreSQL runs as when we are root.
    """
    folder = Path(tempfile.mkdtemp(prefix="bonded-test-"))
    folder.chmod(0o755)
    background = Background()
    log = (folder / "log").open("w")
    # what the marketplace says would go to whatever a test captures at that moment, and be closed with it
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    try:
        with Devnet.start(more=["--timestamp", str(int(time.time()) - _PAST_S)]) as devnet:
            made = Settled(background, devnet, folder)
            try:
                background.do(made.build(), 120)
                yield made
            finally:
                background.do(made.close())
    finally:
        background.close()
        structlog.reset_defaults()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)
