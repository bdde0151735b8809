"""A gateway on a real socket, providers on real sockets, and books that must balance after every test."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from contracts.errors import ChainUnavailable
from contracts.messages import Domain, Status
from contracts.signing import Signer
from contracts.types import Checkpoint, ProviderRecord, ProviderStatus, Timing
from marketplace.accounts import Account, Accounts, Hold, _Purse
from marketplace.caps import Cap
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
from marketplace.journal import Journal, Kind
from rewards.types import Attempt
from scheduler.policy import Policy
from scheduler.state import MarketState

DOMAIN = Domain(31337, "0x" + "ab" * 20)
GATEWAY = Signer(b"\x11" * 32)
CUSTOMER = "0x" + "c0" * 20
KEY = "sk-bonded-test"
REVOKED = "sk-bonded-revoked"
DEPOSIT_ATTO = 10**12
BOTH_WAYS = {"test_bad_input", "test_leaving", "test_openai_client", "test_provider_faults", "test_rates"}
_numbers = itertools.count(1)


class Books(Accounts):
    """The real accounts and journal without a database: one customer, one key, and notes of what was entered."""

    def __init__(self, folder: Path, timing: Timing) -> None:
        super().__init__(None, Journal(folder), timing, 1, lambda: timing.slot_at(time.time()))  # type: ignore[arg-type]
        self._keys[hashlib.sha256(KEY.encode()).digest()] = Account(CUSTOMER, 1, "test")
        self._revoked.add(hashlib.sha256(REVOKED.encode()).digest())
        self.purse = self._purses[CUSTOMER] = _Purse(put_in=DEPOSIT_ATTO, caps=(Cap(DEPOSIT_ATTO, 0),))
        self.holds: list[Hold] = []
        self.posted: list[Attempt] = []
        self.recorded: list[Attempt] = []

    def hold(self, customer: str, job: bytes, most_atto: int, expires_at: float) -> Hold:
        self.holds.append(super().hold(customer, job, most_atto, expires_at))
        return self.holds[-1]

    def post(self, hold: Hold, attempt: Attempt) -> None:
        super().post(hold, attempt)
        self.posted.append(attempt)

    def record(self, attempt: Attempt) -> None:
        super().record(attempt)
        self.recorded.append(attempt)

    @property
    def held_atto(self) -> int:
        return self.balance(CUSTOMER).held_atto

    @property
    def charged_atto(self) -> int:
        return sum(attempt.receipt.charge_atto for attempt in self.posted)


class FakeChain:
    """A chain reader whose providers and failures a test decides."""

    def __init__(self) -> None:
        self.records: dict[str, ProviderRecord] = {}
        self.scores: dict[str, int] = {}
        self.standings: dict[str, int] = {}
        self.paused_until = 0
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
            delegated=0,
            commission_ppm=0,
        )
        self.records[provider.owner] = replace(record, **changes)

    async def read(self) -> Reading:
        self.reads += 1
        if self.down:
            raise ChainUnavailable((("http://127.0.0.1:1", "refused"),))
        return Reading(
            Checkpoint(1, bytes(32), 0),
            tuple(self.records.values()),
            self.scores,
            10**6,
            18,
            0,
            self.standings,
            self.paused_until,
        )


class Town:
    """Everything of one test: `desk`.

    `directory`, `app`, `books`, `chain`, `providers`, and clients for the gateway's port.
    """

    def __init__(self, folder: Path, patience: Patience, bounds: Bounds, by_asgi: bool = False) -> None:
        timing = Timing(int(time.time()) - 1_000, 1, 600)
        self.books = Books(folder, timing)
        self.chain = FakeChain()
        self.providers: list[MockProvider] = []
        self.customers = {CUSTOMER}
        self.upstream = Upstream(devnet=True)
        self.market = MarketState(Policy(newcomer_floor_ppm=0, explore_ppm=0))
        self.directory = Directory(self.chain, self.upstream, self.market, devnet=True)
        self.matching = Matching(self.market, self.directory, rng=random.Random(1))
        self.desk = Desk(
            accounts=self.books,
            matching=self.matching,
            upstream=self.upstream,
            witness=Witness(GATEWAY, DOMAIN.separator()),
            timing=timing,
            metrics=Metrics(),
            patience=patience,
        )
        self.inference = Inference(self.desk, bounds, self.directory.paused_until)
        self.app = GatewayApp(self.desk, self.directory, self.inference)
        self.server = HttpServer(self.app, "127.0.0.1", 0, None if by_asgi else self.inference)
        self._clients: list[openai.AsyncOpenAI] = []

    async def add(self, score_ppm: int = 900_000, **settings: Any) -> MockProvider:
        """Start a provider and register it; a better score is asked first."""
        number = next(_numbers)
        provider = MockProvider(
            owner=f"0x{number:040x}",
            signer=Signer(number.to_bytes(32)),
            domain=DOMAIN,
            gateways={GATEWAY.address},
            **({"weights_digest": b"\x05" * 32} | settings),
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
            assert bool(hold.resolution) != (id(hold) in waiting), hold
        balance = books.balance(CUSTOMER)
        assert balance.held_atto == sum(hold.most_atto for hold in books.holds if not hold.resolution)
        assert balance.uncharged_atto == books.charged_atto
        assert balance.available_atto + balance.held_atto + books.charged_atto == books.purse.put_in
        posted = [hold for hold in books.holds if hold.resolution == "posted"]
        self.check_journal()
        assert len(posted) == len(books.posted)
        for attempt in [*books.posted, *books.recorded]:
            countersigned = attempt.countersignature
            witness = self.desk.witness
            assert countersigned.signed_by(witness.separator, attempt.gateway_signature) == witness.signer.address
            assert countersigned.receipt == attempt.receipt.struct_hash()
            assert countersigned.customer in self.customers
        pairs = [(attempt.receipt.job, attempt.receipt.attempt) for attempt in [*books.posted, *books.recorded]]
        assert len(pairs) == len(set(pairs)), "an attempt was entered twice"
        assert self.market.open_reservations == 0
        for provider in self.providers:
            assert self.market.in_flight_atto(provider.owner) == 0
            assert self.market.lane(provider.owner, provider.model).running == 0

    def check_journal(self) -> None:
        """Every hold has its line, and one that resolves it unless it is open."""
        self.books._journal.seal()
        lines = [line for _, lines in self.books._journal.sealed() for line in lines]
        kinds = {kind: [line.job for line in lines if line.kind is kind] for kind in Kind}
        assert sorted(kinds[Kind.HOLD]) == sorted(hold.job for hold in self.books.holds)
        resolved = sorted(kinds[Kind.POST] + kinds[Kind.VOID])
        assert resolved == sorted(hold.job for hold in self.books.holds if hold.resolution)
        assert len(kinds[Kind.RECORD]) == len(self.books.recorded)

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        for client in self._clients:
            await client.close()
        self.upstream.close()
        await self.server.stop(0.5)
        for provider in self.providers:
            await provider.stop()
        self.books._journal.close()


QUICK = Patience(
    first_byte_s=0.5, gap_floor_s=0.5, gap_times_itl=0.0, pace_times_itl=0.0, total_s=5.0, body_most=1_000_000
)


@pytest.fixture
def patience() -> Patience:
    return QUICK


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


@pytest.fixture
def by_asgi() -> bool:
    return False


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is about customers' connections on both ways in: the connection itself, and plain ASGI."""
    if "town" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH_WAYS:
        metafunc.parametrize("by_asgi", [False, True], ids=["connection", "asgi"])


@pytest.fixture
async def town(tmp_path: Path, patience: Patience, bounds: Bounds, by_asgi: bool) -> AsyncIterator[Town]:
    town = Town(tmp_path, patience, bounds, by_asgi)
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
