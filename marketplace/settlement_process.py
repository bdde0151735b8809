"""Run the settlement process: lead or stand by; index, settle, send and serve evidence while leading."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import structlog

from contracts.chain import Chain, Finality
from contracts.deployment import Deployment
from contracts.errors import OutboxLocked
from contracts.signing import Signer
from contracts.tokens import Token
from contracts.transactions import Sender
from marketplace.attestations import Verifiers
from marketplace.clock import Clock, Leadership, LeadershipLost
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps
from marketplace.evidence_server import create_evidence_server
from marketplace.gateway.server import HttpServer
from marketplace.gateway.upstream import Upstream
from marketplace.indexer import Indexer
from marketplace.outbox import PostgresOutbox
from marketplace.settings import SettlementSettings
from marketplace.settled import SettledEpochs
from marketplace.settlement import Settler
from rewards.blobs import FolderStore

log = structlog.get_logger("settlement")

_CHAIN_WAIT_S = 60.0
_KEY_WAIT_S = 0.5


async def run_settlement(settings: SettlementSettings, signer: Signer, stop: asyncio.Event | None = None) -> None:
    """Run until SIGTERM, SIGINT or `stop`.

    A second process of this kind stands by and takes over when the first ends.
    """
    stop = stop or _stop_on_signals()
    async with contextlib.AsyncExitStack() as exits:
        deployment = Deployment.find(settings.deployment, None)
        chain = await Chain.connect(settings.urls(), deployment, finality=Finality.parse(settings.finality))
        exits.push_async_callback(chain.close)
        at = await chain.wait_until_up(_CHAIN_WAIT_S)
        unit_atto = 10 ** (18 - await Token(chain, "PaymentToken").decimals(at))
        database = await Database.open(settings.database_url, settings.data_folder)
        exits.push_async_callback(database.close)
        folder = settings.data_folder / "evidence"
        host, _, port = settings.evidence_listen.rpartition(":")
        server = HttpServer(create_evidence_server(folder), host.strip("[]") or "127.0.0.1", int(port))
        await server.start()
        exits.push_async_callback(server.stop, 1.0)
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            leading = asyncio.create_task(_lead(settings, signer, chain, database, unit_atto, FolderStore(folder)))
            await asyncio.wait({leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not leading.done():
                leading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                try:
                    await leading
                except LeadershipLost:
                    log.warning("the lead is lost, standing by")


async def _lead(
    settings: SettlementSettings,
    signer: Signer,
    chain: Chain,
    database: Database,
    unit_atto: int,
    store: FolderStore,
) -> None:
    """Wait for the lead, then tick until it is lost."""
    waiting = lambda: log.info("another settlement process leads; standing by")  # noqa: E731
    async with Leadership(database).held(waiting) as check:
        outbox = await _outbox(database, signer, chain)
        upstream = Upstream(settings.devnet)
        try:
            sender = Sender(chain, signer, outbox)
            separator = chain.deployment.domain().separator()
            verifiers = Verifiers(upstream, separator, settings.devnet)
            settler = Settler(chain, sender, EpochSteps(database), verifiers, SettledEpochs(store), settings, check)
            clock = Clock()
            clock.every(settings.tick_s, "settle", settler.tick)
            indexer = Indexer(database, chain, unit_atto, settings.index_chunk)
            log.info("leading", settler=signer.address)
            async with asyncio.TaskGroup() as group:
                group.create_task(indexer.run(settings.tick_s))
                group.create_task(sender.run())
                group.create_task(clock.run())
        except* LeadershipLost as lost:
            raise lost.exceptions[0] from None
        finally:
            upstream.close()
            await outbox.close()


async def _outbox(database: Database, signer: Signer, chain: Chain) -> PostgresOutbox:
    """Open the outbox; a process that lost the lead a moment ago may still hold the key's lock."""
    while True:
        try:
            return await PostgresOutbox.open(database, sender=signer.address, chain_key=chain.key)
        except OutboxLocked:
            await asyncio.sleep(_KEY_WAIT_S)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
