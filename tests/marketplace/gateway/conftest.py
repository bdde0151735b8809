"""A gateway on a real socket, providers on real sockets, and books that must balance after every test."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import sys
import time
import types
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import openai
import pytest

from contracts.errors import ChainUnavailable
from contracts.messages import Domain, Status
from contracts.signing import Signer
from contracts.types import Checkpoint, ProviderRecord, ProviderStatus, Timing
from rewards.types import Attempt

try:
    import marketplace.accounts
except ImportError:
    module = types.ModuleType("marketplace.accounts")
    for name in ("BalanceTooLow", "CapReached", "RevokedKey", "UnknownKey", "HoldResolved"):
        setattr(module, name, type(name, (Exception,), {}))
    sys.modules["marketplace.accounts"] = module

from marketplace.accounts import BalanceTooLow, HoldResolved, UnknownKey
from marketplace.gateway.acceptance import Witness
from marketplace.gateway.app import GatewayApp
from marketplace.gateway.desk import Desk, Patience
from marketplace.gateway.directory import Directory
from marketplace.gateway.inference import Bounds, Inference
from marketplace.gateway.matching import Matching
from marketplace.gateway.metrics import Metrics
from marketplace.gateway.reading import Reading
from marketplace.gateway.server import HttpServer
from marketplace.gateway.testing import MockProvider
from marketplace.gateway.upstream import Upstream
from scheduler.policy import Policy
from scheduler.state import MarketState

DOMAIN = Domain(31337, "0x" + "ab" * 20)
GATEWAY = Signer(b"\x11" * 32)
CUSTOMER = "0x" + "c0" * 20
KEY = "sk-bonded-test"
DEPOSIT_ATTO = 10**12
_numbers = itertools.count(1)


@dataclass
class Account:
    customer: str
    key_id: int
    name: str = "test"
    service_class: str = "standard"


@dataclass
class Hold:
    customer: str
    job: bytes
    most_atto: int
    expires_at: float
    resolved: str = ""


@dataclass
class Balance:
    available_atto: int


@dataclass
class Books:
    """Accounts in memory: one customer's deposit, holds that are resolved once, and every attempt that was entered."""

    deposit_atto: int = DEPOSIT_ATTO
    holds: list[Hold] = field(default_factory=list)
    posted: list[Attempt] = field(default_factory=list)
    recorded: list[Attempt] = field(default_factory=list)

    def authenticate(self, token: str) -> Account:
        if token != KEY:
            raise UnknownKey("This key is not known.")
        return Account(CUSTOMER, 1)

    def balance(self, customer: str) -> Balance:
        return Balance(self.available_atto)

    @property
    def held_atto(self) -> int:
        return sum(hold.most_atto for hold in self.holds if not hold.resolved)

    @property
    def charged_atto(self) -> int:
        return sum(attempt.receipt.charge_atto for attempt in self.posted)

    @property
    def available_atto(self) -> int:
        return self.deposit_atto - self.held_atto - self.charged_atto

    def hold(self, customer: str, job: bytes, most_atto: int, expires_at: float) -> Hold:
        if most_atto > self.available_atto:
            raise BalanceTooLow(self.available_atto, most_atto)
        self.holds.append(Hold(customer, job, most_atto, expires_at))
        return self.holds[-1]

    def post(self, hold: Hold, attempt: Attempt) -> None:
        assert attempt.receipt.charge_atto <= hold.most_atto
        self._resolve(hold, "posted")
        self.posted.append(attempt)

    def record(self, attempt: Attempt) -> None:
        assert attempt.receipt.charge_atto == 0
        self.recorded.append(attempt)

    def void(self, hold: Hold) -> None:
        self._resolve(hold, "voided")

    def _resolve(self, hold: Hold, how: str) -> None:
        if hold.resolved:
            raise HoldResolved(f"{how} after {hold.resolved}")
        hold.resolved = how


class FakeChain:
    """A chain reader whose providers and failures a test decides."""

    def __init__(self) -> None:
        self.records: dict[str, ProviderRecord] = {}
        self.scores: dict[str, int] = {}
        self.down = False
        self.reads = 0

    def register(self, provider: MockProvider, **changes: Any) -> None:
        record = ProviderRecord(
            provider=provider.owner,
            signer=provider.signer.address,
            endpoint=provider.endpoint,
            hardware_class=0,
            units=1,
            weight=1,
            offer_digest=hashlib.sha256(provider.offer()).digest(),
            status=int(ProviderStatus.ACTIVE),
            registered_at=0,
            stake=200,
            required_stake=200,
        )
        self.records[provider.owner] = replace(record, **changes)

    async def read(self) -> Reading:
        self.reads += 1
        if self.down:
            raise ChainUnavailable((("http://127.0.0.1:1", "refused"),))
        return Reading(Checkpoint(1, bytes(32), 0), tuple(self.records.values()), self.scores, 10**6, 18, 0)


class Town:
    """Everything of one test: `desk`, `directory`, `app`, `books`, `chain`, `providers`, and clients for the gateway's port."""

    def __init__(self, patience: Patience, bounds: Bounds) -> None:
        self.books = Books()
        self.chain = FakeChain()
        self.providers: list[MockProvider] = []
        self.upstream = Upstream(devnet=True)
        self.market = MarketState(Policy(newcomer_floor_ppm=0, explore_ppm=0))
        self.directory = Directory(self.chain, self.upstream, self.market, devnet=True)
        self.matching = Matching(self.market, self.directory, rng=random.Random(1))
        self.desk = Desk(
            accounts=self.books,
            matching=self.matching,
            upstream=self.upstream,
            witness=Witness(GATEWAY, DOMAIN.separator()),
            timing=Timing(int(time.time()) - 1_000, 1, 60),
            metrics=Metrics(),
            patience=patience,
        )
        self.inference = Inference(self.desk, bounds)
        self.app = GatewayApp(self.desk, self.directory, self.inference)
        self.server = HttpServer(self.app, "127.0.0.1", 0)
        self._clients: list[openai.AsyncOpenAI] = []

    async def add(self, score_ppm: int = 900_000, **settings: Any) -> MockProvider:
        """Start a provider and register it; a better score is asked first."""
        number = next(_numbers)
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

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def client(self, key: str = KEY, retries: int = 0) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(api_key=key, base_url=f"{self.url}/v1", max_retries=retries, timeout=20)
        self._clients.append(client)
        return client

    async def settled(self) -> None:
        """Wait until nothing is being served."""
        for _ in range(500):
            if not self.inference.active and not self.market.open_reservations:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("requests are still being served")

    async def check_books(self) -> None:
        """Every hold resolved once or waiting for its receipt, every wei accounted for, no place left reserved."""
        await self.settled()
        books = self.books
        waiting = {id(entry.hold) for entry in self.desk.open_tickets._open.values()}
        for hold in books.holds:
            assert bool(hold.resolved) != (id(hold) in waiting), hold
        assert books.available_atto + books.held_atto + books.charged_atto == books.deposit_atto
        posted = [hold for hold in books.holds if hold.resolved == "posted"]
        assert len(posted) == len(books.posted)
        for attempt in [*books.posted, *books.recorded]:
            countersigned = attempt.countersignature
            assert countersigned.signed_by(DOMAIN.separator(), attempt.gateway_signature) == GATEWAY.address
            assert countersigned.receipt == attempt.receipt.struct_hash()
            assert countersigned.customer == CUSTOMER
        pairs = [(attempt.receipt.job, attempt.receipt.attempt) for attempt in [*books.posted, *books.recorded]]
        assert len(pairs) == len(set(pairs)), "an attempt was entered twice"
        assert self.market.open_reservations == 0
        for provider in self.providers:
            assert self.market.in_flight_atto(provider.owner) == 0
            assert self.market.lane(provider.owner, provider.model).running == 0

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        for client in self._clients:
            await client.close()
        self.upstream.close()
        await self.server.stop(0.5)
        for provider in self.providers:
            await provider.stop()


QUICK = Patience(first_byte_s=0.5, gap_floor_s=0.5, gap_times_itl=0.0, total_s=5.0, body_most=1_000_000)


@pytest.fixture
def patience() -> Patience:
    return QUICK


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


@pytest.fixture
async def town(patience: Patience, bounds: Bounds) -> AsyncIterator[Town]:
    town = Town(patience, bounds)
    await town.start()
    try:
        yield town
        await town.check_books()
    finally:
        await town.stop()


def statuses(town: Town) -> list[str]:
    """Name how the attempts ended, failures first."""
    entered = [*town.books.recorded, *town.books.posted]
    return [Status(attempt.receipt.status).name.lower() for attempt in entered]
