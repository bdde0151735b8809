"""The agent as a process: start its parts in order, serve, drain on SIGTERM, leave nothing unwritten."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import uvicorn

from contracts.signing import Signer
from marketplace.agent.config import ProviderConfig
from marketplace.agent.engines import make_engine
from marketplace.agent.engines.base import Engine
from marketplace.agent.errors import AgentError, EngineError, NotRegistered, OfferDiffers
from marketplace.agent.facts import ChainFacts, KnownFacts, ReadFacts
from marketplace.agent.handover import Handover
from marketplace.agent.metrics import AgentMetrics
from marketplace.agent.offer import Offer, make_offer
from marketplace.agent.receipts import ReceiptJournal
from marketplace.agent.server import AgentParts, AgentServer
from marketplace.agent.used import UsedTickets

log = structlog.get_logger(__name__)

_ENGINE_CHECK_S = 10.0
_FLUSH_S = 5.0


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: the agent drains first."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    config: ProviderConfig, signer: Signer, read_facts: ReadFacts, ready: Callable[[str], None] = lambda url: None
) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called with the URL once requests are answered.

    Raises AgentError when something is wrong that would cost the provider money: an offer that differs from the
    chain's, a signer that is not the registered one, a state folder in use.
    """
    stop = asyncio.Event()
    _on_signals(stop)
    async with AsyncExitStack() as stack:
        stack.enter_context(_locked(config.state_folder))
        offer = await asyncio.to_thread(make_offer, config)
        facts = KnownFacts(read_facts, config.state_folder / "chain.json")
        await facts.start(config.owner)
        stack.push_async_callback(facts.stop)
        check_registration(config, offer, signer, facts.current)
        engine = make_engine(config)
        stack.push_async_callback(engine.stop)
        await engine.start()
        await engine.check()
        used = UsedTickets(config.state_folder / "used", time.time())
        stack.callback(used.close)
        journal = ReceiptJournal(config.state_folder / "receipts", also_sync=used.sync)
        stack.callback(journal.close)
        handover = Handover(journal, lambda: facts.current.gateways)
        stack.push_async_callback(handover.stop)
        handover.start()
        app = AgentServer(
            AgentParts(
                provider=config.owner,
                offer=offer,
                engine=engine,
                signer=signer,
                facts=facts,
                used=used,
                journal=journal,
                handover=handover,
                metrics=AgentMetrics(),
                max_body_bytes=config.max_body_bytes,
            )
        )
        await _listen(config, app, engine, stop, ready)
        left = await handover.flush(_FLUSH_S)
        await journal.sync()
        log.info("stopped", open_receipts=left)


def check_registration(config: ProviderConfig, offer: Offer, signer: Signer, facts: ChainFacts) -> None:
    """Refuse to serve with a registration that does not fit; raises NotRegistered or OfferDiffers."""
    if not facts.registered:
        raise NotRegistered(f"{config.owner} is not registered as a provider", "bonded provider register")
    if facts.signer != signer.address:
        raise NotRegistered(
            f"the registered signer is {facts.signer}, this keystore holds {signer.address}",
            "give the registered signer's keystore, or register this one with bonded provider update",
        )
    if facts.offer_digest != "0x" + offer.digest.hex():
        raise OfferDiffers(
            f"the offer on chain is {facts.offer_digest}, the provider file makes 0x{offer.digest.hex()}",
            "bonded provider update puts the file's offer on chain",
        )


async def _listen(
    config: ProviderConfig, app: AgentServer, engine: Engine, stop: asyncio.Event, ready: Callable[[str], None]
) -> None:
    listening = _bind(config.listen_host, config.listen_port)
    host, port = listening.getsockname()[:2]
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=5,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    watching = asyncio.create_task(_watch(engine, app))
    stopping = asyncio.create_task(stop.wait())
    try:
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if not serving.done():
            ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            log.info("serving", port=port, provider=config.owner)
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            log.info("draining", limit_s=config.drain_s)
            await app.drain(config.drain_s)
            server.should_exit = True
        await serving
    finally:
        for task in (watching, stopping):
            task.cancel()


async def _watch(engine: Engine, app: AgentServer) -> None:
    while True:
        await asyncio.sleep(_ENGINE_CHECK_S)
        try:
            await engine.check()
            app.engine_problem = ""
        except EngineError as error:
            if not app.engine_problem:
                log.error("engine_failed", error=str(error))
            app.engine_problem = str(error)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise AgentError(
            f"cannot listen on {host}:{port}: {error.strerror}", "change [provider] listen or stop what holds the port"
        ) from None
    return listening


def _on_signals(stop: asyncio.Event) -> None:
    """First SIGTERM or SIGINT: drain. Second: exit at once; the journal holds what was signed."""

    def asked() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the state folder for this process: two agents on one journal could sign two receipts for one attempt."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AgentError(
                f"another agent runs on {folder}", "stop it first, or give this one its own [provider] state_folder"
            ) from None
        yield
