"""Run the gateway process: put its parts together, keep them fresh in the background, and stop without losing an
answer.

Order of a start: chain → clock of the epochs → database, for this gateway alone → journal drained and stale holds
voided → accounts → directory → listening. Order of a stop: no new requests, and those that wait for a place are sent
on → running answers end, or are cancelled when their time is up → background tasks → journal drained once more →
connections closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
import uvloop

from contracts.chain import Chain, Finality
from contracts.clock import Clock
from contracts.deployment import Deployment
from contracts.devnet import dev_accounts
from contracts.signing import Signer
from contracts.tokens import Token
from contracts.types import Timing
from marketplace.accounts import Accounts
from marketplace.api.app import create_api
from marketplace.api.hosts import Hosts
from marketplace.api.session_keys import SessionKeys, session_reader
from marketplace.api.sessions import Sessions
from marketplace.batches.service import BatchService
from marketplace.db import Database
from marketplace.drain import Drainer
from marketplace.errors import BondedError
from marketplace.gateway.acceptance import Witness
from marketplace.gateway.app import GatewayApp
from marketplace.gateway.chain_source import ChainSource
from marketplace.gateway.clerk import Clerk
from marketplace.gateway.decisions import DecisionLog
from marketplace.gateway.desk import Desk, Patience
from marketplace.gateway.directory import Directory
from marketplace.gateway.errors import market_paused, shutting_down
from marketplace.gateway.fallback import make_fallback
from marketplace.gateway.flow import FlowControl
from marketplace.gateway.inference import Bounds, Inference
from marketplace.gateway.matching import Matching
from marketplace.gateway.metrics import Metrics
from marketplace.gateway.paperwork import expire_tickets
from marketplace.gateway.server import HttpServer
from marketplace.gateway.services import Services
from marketplace.gateway.sole import SoleGateway
from marketplace.gateway.upstream import Upstream
from marketplace.journal import Journal
from marketplace.ratings import RatingDays
from marketplace.settings import GatewaySettings
from rewards.types import Attempt
from scheduler.flow.bands import FlowPolicy
from scheduler.state import MarketState

_SWEEP_EVERY_S = 1.0
_CHAIN_WAIT_S = 60.0
_DEVNET_ACCOUNTS = 20
_COLLECT_EVERY = 10_000

log = structlog.get_logger("gateway")


class ClockNotOpen(BondedError):
    """The deployment's epochs have not begun: the administrator calls `open` of the EpochClock."""


def run(settings: GatewaySettings, signer: Signer) -> None:
    """Run until SIGTERM or SIGINT, on uvloop."""
    uvloop.run(run_gateway(settings, signer))


async def run_gateway(settings: GatewaySettings, signer: Signer, stop: asyncio.Event | None = None) -> None:
    """Run until a signal comes or `stop` is set."""
    stop = stop or _stop_on_signals()
    async with contextlib.AsyncExitStack() as exits:
        deployment = Deployment.find(settings.deployment, None)
        chain = await Chain.connect(settings.urls(), deployment, finality=Finality.parse(settings.finality))
        exits.push_async_callback(chain.close)
        timing, unit_atto = await _read_deployment(chain)
        database = await Database.open(settings.database_url, settings.data_folder)
        exits.push_async_callback(database.close)
        sole = SoleGateway(database)
        exits.push_async_callback(sole.release)
        await sole.take()
        journal = Journal(settings.data_folder / "journal")
        exits.callback(journal.close)
        gateway = Gateway(settings, signer, chain, timing, unit_atto, database, journal, sole)
        exits.push_async_callback(gateway.close)
        await gateway.prepare()
        await gateway.serve(stop)


async def _read_deployment(chain: Chain) -> tuple[Timing, int]:
    """Return the clock of the epochs and the worth of a payment token's unit in atto."""
    at = await chain.wait_until_up(_CHAIN_WAIT_S)
    timing = await Clock(chain).timing(at)
    if timing.genesis == 0:
        raise ClockNotOpen(ClockNotOpen.__doc__)
    return timing, 10 ** (18 - await Token(chain, "PaymentToken").decimals(at))


class Gateway:
    """The parts of a gateway process and its background tasks."""

    def __init__(
        self,
        settings: GatewaySettings,
        signer: Signer,
        chain: Chain,
        timing: Timing,
        unit_atto: int,
        database: Database,
        journal: Journal,
        sole: SoleGateway,
    ) -> None:
        self._settings = settings
        self._database = database
        self._sole = sole
        self._tasks: set[asyncio.Task[None]] = set()
        domain = chain.deployment.domain()
        apart = settings.signing_process
        apart = len(os.sched_getaffinity(0)) > 1 if apart is None else apart
        self._clerk = Clerk(signer) if apart else None
        self._witness = Witness(signer, domain.separator(), self._clerk)
        self._timing = timing
        self._accounts = Accounts(database, journal, timing, unit_atto, self._slot)
        days = RatingDays(signer, domain.separator(), timing)
        self._drainer = Drainer(database, journal, signer.address, timing, self._slot, self._countersign_anew, days)
        self._decisions = DecisionLog(settings.data_folder / "decisions")
        upstream = Upstream(devnet=settings.devnet)
        market = MarketState()
        self._directory = Directory(ChainSource(chain), upstream, market, settings.devnet, settings.directory_s)
        matching = Matching(market, self._directory, settings.default_output_tokens, self._decisions.note)
        metrics = Metrics()
        waiting = FlowPolicy(queued_most=settings.queued_most, queued_per_key=settings.queued_per_key)
        self._desk = Desk(
            accounts=self._accounts,
            matching=matching,
            upstream=upstream,
            witness=self._witness,
            timing=timing,
            metrics=metrics,
            flow=FlowControl(matching, metrics.flow, waiting),
            patience=Patience(
                first_byte_s=settings.first_byte_s,
                gap_floor_s=settings.gap_floor_s,
                total_s=settings.answer_s,
                receipt_s=settings.receipt_s,
            ),
            fallback=make_fallback(settings),
        )
        bounds = Bounds(active_most=settings.active_most, active_per_key=settings.active_per_key)
        self._inference = Inference(self._desk, bounds, self._directory.paused_until)
        self.services = Services(
            settings=settings,
            accounts=self._accounts,
            directory=self._directory,
            market=market,
            chain=chain,
            database=database,
            domain=domain,
            signer=signer,
            timing=timing,
            desk=self._desk,
            decisions=self._decisions,
            devnet_accounts=dev_accounts(_DEVNET_ACCOUNTS) if settings.devnet else (),
        )
        self._batches = BatchService(
            database,
            self._desk,
            self._drainer,
            known=lambda model: self._directory.longest_context(model) > 0,
            check_open=self._inference.check_open,
            sessions=Sessions(settings.session_secret(), domain.chain_id, SessionKeys(session_reader(chain))),
            public=Hosts(settings).public,
        )
        app = GatewayApp(self._desk, self._directory, self._inference, create_api(self.services), self._batches.routes)
        host, _, port = settings.listen.rpartition(":")
        self._server = HttpServer(app, host.strip("[]") or "127.0.0.1", int(port), self._inference)

    async def prepare(self) -> None:
        """Bring books and market up to date before the first request."""
        await self._database.persist(self._drainer.recover, "draining the journal of the run before")
        await self._database.persist(self._accounts.load, "reading keys and balances")
        await self._database.persist(self._batches.recover, "putting back lines of batches")
        await self._directory.refresh()

    async def serve(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set, then drain; raises what ended a background task.

        Without one of them books or market would silently grow old, so the process ends with it.
        """

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                stop.set()

        for work in self._background():
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(ended)
        _spare_collections()
        await self._server.start()
        log.info("listening", port=self._server.port, gateway=self._witness.signer.address)
        await stop.wait()
        log.info("draining", active=self._inference.active)
        self._inference.draining = True
        self._desk.flow.turn_away(shutting_down())
        await asyncio.gather(self._server.stop(self._settings.stop_s), self._batches.stop(self._settings.stop_s))
        for task in self._tasks:
            if task.done():
                await task

    async def close(self) -> None:
        """End the background tasks and put what was journaled into the database, if it is there."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._desk.upstream.close()
        if self._desk.fallback is not None:
            self._desk.fallback.close()
        self._decisions.flush()
        try:
            async with asyncio.timeout(self._settings.stop_s or 1.0):
                await self._drainer.drain()
        except Exception as error:  # the journal stays, and the next start drains it
            log.warning("journal not drained", error=str(error))

    def _background(self) -> list[Coroutine[Any, Any, None]]:
        settings = self._settings
        return [
            self._sole.keep(),
            self._directory.run(),
            self._drainer.run(settings.drain_every_s),
            self._decisions.run(),
            _every(settings.refresh_s, self._refresh_accounts),
            _every(_SWEEP_EVERY_S, self._expire),
            _every(self._inference.bounds.stall_s, self._give_up_stalled),
            *self._batches.background(),
            *([self._clerk.run()] if self._clerk is not None else []),
        ]

    async def _refresh_accounts(self) -> None:
        await self._database.persist(self._accounts.refresh, "reading deposits and keys")

    async def _expire(self) -> None:
        expire_tickets(self._desk)
        self._desk.flow.sweep()
        until, now = self._directory.paused_until(), self._desk.clock()
        if now < until:
            self._desk.flow.turn_away(market_paused(until, now))

    async def _give_up_stalled(self) -> None:
        self._inference.stalled.sweep()

    def _slot(self) -> int:
        return max(0, self._timing.slot_at(time.time()))

    def _countersign_anew(self, attempt: Attempt) -> Attempt:
        """Accept an attempt again, in the present slot: the epoch of its first slot is already being settled."""
        seen = attempt.countersignature
        return self._witness.countersign(
            attempt.receipt, attempt.provider_signature, seen.customer, self._slot(), seen.ttft_ms, seen.itl_us
        )


def _spare_collections() -> None:
    """Leave what the process begins with out of every later collection of garbage.

    Modules, routes, keys and balances stay for as long as the process does; walking them again and again for the few
    cycles that requests leave took a fifth of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await work()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
