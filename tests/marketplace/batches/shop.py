"""A gateway with files and batches on a real PostgreSQL and real sockets; only the chain is a double."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
from sqlalchemy import select

from contracts.signing import Signer
from contracts.types import Timing
from marketplace.accounts import Accounts
from marketplace.batches.service import BatchService
from marketplace.batches.upload import UploadBounds
from marketplace.db import Database
from marketplace.drain import Drainer
from marketplace.gateway.acceptance import Witness
from marketplace.gateway.app import GatewayApp
from marketplace.gateway.desk import Desk
from marketplace.gateway.directory import Directory
from marketplace.gateway.inference import Inference
from marketplace.gateway.matching import Matching
from marketplace.gateway.metrics import Metrics
from marketplace.gateway.server import HttpServer
from marketplace.gateway.testing import MockProvider
from marketplace.gateway.upstream import Upstream
from marketplace.journal import Journal
from marketplace.ledger import customer_books, trial_balance
from marketplace.models import attempts
from scheduler.policy import Policy
from scheduler.state import MarketState
from tests.marketplace.gateway.conftest import DOMAIN, GATEWAY, QUICK, FakeChain
from tests.marketplace.store.town import UNIT, fund, new_customer

MODEL = "mock-model"
CHAT = "/v1/chat/completions"
TIMING = Timing(int(time.time()) - 1_000, 1, 600)


class Clock:
    """Unix time that a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Shop:
    """One life of the gateway. `clock` is what files, batches, tickets and breakers go by."""

    def __init__(self, database: Database, folder: Path, upload_bounds: UploadBounds | None = None) -> None:
        self.database = database
        self.clock = Clock()
        self.journal = Journal(folder / "journal")
        slot = lambda: TIMING.slot_at(time.time())  # noqa: E731
        self.accounts = Accounts(database, self.journal, TIMING, UNIT, slot)
        witness = Witness(GATEWAY, DOMAIN.separator())
        self.drainer = Drainer(database, self.journal, GATEWAY.address, TIMING, slot, lambda attempt: attempt)
        self.chain = FakeChain()
        self.providers: list[MockProvider] = []
        self.upstream = Upstream(devnet=True)
        self.market = MarketState(Policy(newcomer_floor_ppm=0, explore_ppm=0))
        self.directory = Directory(self.chain, self.upstream, self.market, devnet=True)
        self.desk = Desk(
            accounts=self.accounts,
            matching=Matching(
                self.market,
                self.directory,
                rng=random.Random(1),
                clock=lambda: time.monotonic() + self.clock.ahead,
            ),
            upstream=self.upstream,
            witness=witness,
            timing=TIMING,
            metrics=Metrics(),
            patience=QUICK,
            clock=self.clock,
        )
        self.inference = Inference(self.desk)
        self.batches = BatchService(
            database,
            self.desk,
            self.drainer,
            known=lambda model: self.directory.longest_context(model) > 0,
            check_open=self.inference.check_open,
            upload_bounds=upload_bounds,
        )
        app = GatewayApp(self.desk, self.directory, self.inference, None, self.batches.routes)
        self.server = HttpServer(app, "127.0.0.1", 0)
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[openai.AsyncOpenAI] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def start(self) -> None:
        await self.drainer.recover()
        await self.accounts.load()
        await self.batches.recover()
        await self.directory.refresh()
        await self.server.start()

    def work(self) -> None:
        """Begin to validate, serve and end batches."""
        for one in [*self.batches.background(), self.drainer.run(0.05)]:
            self._tasks.append(asyncio.create_task(one))

    async def stop(self) -> None:
        for client in self._clients:
            await client.close()
        await self.batches.stop(5.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.upstream.close()
        await self.server.stop(0.5)
        for provider in self.providers:
            await provider.stop()
        await self.drainer.drain()
        self.journal.close()

    async def add(self, score_ppm: int = 900_000, **settings: Any) -> MockProvider:
        """Start a provider and register it."""
        number = len(self.providers) + 1
        provider = MockProvider(
            owner=f"0x{number:040x}",
            signer=Signer(number.to_bytes(32)),
            domain=DOMAIN,
            gateways={GATEWAY.address},
            weights_digest=b"\x05" * 32,
            **settings,
        )
        await provider.start()
        self.providers.append(provider)
        self.chain.register(provider)
        self.chain.scores[provider.owner] = score_ppm
        await self.directory.refresh()
        return provider

    async def customer(self, units: int = 1_000) -> Buyer:
        """Make a customer with a deposit, a key and a client."""
        name = new_customer()
        if units:
            await fund(self.database, name, units)
        _, key = await self.accounts.create_key(name, "test")
        await self.accounts.refresh()
        return Buyer(self, name, key)

    def client(self, key: str) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(api_key=key, base_url=f"{self.url}/v1", max_retries=0, timeout=30)
        self._clients.append(client)
        return client

    async def charges(self, customer: str) -> list[int]:
        """Return what a customer's attempts cost, as the database has them."""
        await self.drainer.drain()
        async with self.database.begin() as connection:
            found = await connection.execute(select(attempts.c.charge).where(attempts.c.customer == customer))
            return [int(charge) for (charge,) in found]

    async def check_books(self, *customers: str) -> None:
        """Nothing is held, memory and database say the same, and the ledger balances."""
        await self.drainer.drain()
        async with self.database.begin() as connection:
            books = await customer_books(connection)
            balance = await trial_balance(connection)
        assert balance.wrong_accounts == () and balance.debits == balance.credits
        for customer in customers:
            charged = sum(await self.charges(customer))
            now = self.accounts.balance(customer)
            assert (books[customer].held, now.held_atto) == (0, 0)
            assert books[customer].accrued == now.uncharged_atto == charged
            assert books[customer].available == now.available_atto
        assert self.market.open_reservations == 0


class Buyer:
    """A customer and its client."""

    def __init__(self, shop: Shop, name: str, key: str) -> None:
        self.shop = shop
        self.name = name
        self.key = key
        self.api = shop.client(key)

    async def upload(self, raw: bytes | list[dict[str, Any]], **more: Any) -> openai.types.FileObject:
        data = raw if isinstance(raw, bytes) else b"".join(json.dumps(line).encode() + b"\n" for line in raw)
        return await self.api.files.create(file=("input.jsonl", data), purpose="batch", **more)

    async def submit(self, raw: bytes | list[dict[str, Any]], endpoint: str = CHAT, **more: Any) -> openai.types.Batch:
        file = await self.upload(raw)
        return await self.api.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)

    async def until(self, batch: str, done: Callable[[openai.types.Batch], bool]) -> openai.types.Batch:
        """Wait until a batch is as it should be."""
        async with asyncio.timeout(60):
            while not done(found := await self.api.batches.retrieve(batch)):
                await asyncio.sleep(0.02)
        return found

    async def ended(self, batch: str) -> openai.types.Batch:
        """Wait until a batch has ended."""
        return await self.until(batch, lambda one: one.status in ("completed", "failed", "expired", "cancelled"))

    async def lines(self, file: str | None) -> dict[str, dict[str, Any]]:
        """Read an output or error file by custom_id; each may be there once."""
        if file is None:
            return {}
        raw = (await self.api.files.content(file)).content
        assert raw.endswith(b"\n")
        rows = [json.loads(line) for line in raw.splitlines()]
        found = {row["custom_id"]: row for row in rows}
        assert len(found) == len(rows), "a line was answered twice"
        return found


def chat(number: int, **more: Any) -> dict[str, Any]:
    """Return a line that asks for three words."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"Say {number}."}], "max_tokens": 3} | more
    return {"custom_id": f"line-{number}", "method": "POST", "url": CHAT, "body": body}


def offer_digest(provider: MockProvider) -> bytes:
    """Return what the chain has of a provider's offer."""
    return hashlib.sha256(provider.offer()).digest()
