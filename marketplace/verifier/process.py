"""Run a verifier: wait for the clock, prepare the canaries, probe and serve until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from contracts.chain import Chain
from contracts.clock import Clock
from contracts.epochs import Epochs
from contracts.errors import ContractsError
from contracts.file_outbox import FileOutbox
from contracts.signing import Signer
from contracts.transactions import Sender
from contracts.types import Timing
from marketplace.errors import BondedError
from marketplace.gateway.upstream import Upstream
from marketplace.verifier.reference import ReferencePools
from marketplace.verifier.road import CheckedRoad
from marketplace.verifier.server import create_server
from marketplace.verifier.signing import ReportSigner
from marketplace.verifier.surroundings import ChainAndGateway
from rewards.blobs import source_at
from rewards.verifier.challenge import Wanted
from rewards.verifier.prompts import USUAL, bounded
from rewards.verifier.service import Bursts, Verifier
from rewards.verifier.store import MeasurementStore

log = structlog.get_logger("verifier")

_SEED_BYTES = 32
_CLOCK_WAIT_S = 0.5
_CLAIM_EVERY_S = 5.0


class SeedDamaged(BondedError):
    """The master seed is not 32 bytes: restore it from a backup, or move the file away and a new one is made."""


class PromptsMissing(BondedError):
    """The file of prompts is empty: write one prompt a line, or leave the option away."""


@dataclass(frozen=True, slots=True)
class VerifierOptions:
    """What a verifier is told. `evidence` is a folder or a URL; `reference` weights for canaries, None for none.

    `prompts`: a file with wordings of its own, one a line. `outbox_folder` is the one the command line uses for the
    same key, so that the two never send at once.
    """

    folder: Path
    outbox_folder: Path
    gateway: str
    api_key: str
    evidence: str
    listen: str
    reference: str | None
    reference_model: str
    wanted: Wanted
    prompts: Path | None
    bursts: int
    burst_requests: int
    most_input: int
    most_output: int
    devnet: bool


async def run_verifier(chain: Chain, signer: Signer, options: VerifierOptions) -> None:
    """Probe, attest and sign until SIGTERM or SIGINT; a task that fails ends the process with its error."""
    master = master_seed(options.folder)
    own, mix = _own_prompts(options.prompts), bounded(USUAL, options.most_input, options.most_output)
    pools = None
    if options.reference:
        pools = ReferencePools(options.reference, options.reference_model, options.wanted, own, mix)
    timing, gap_slots = await _wait_for_clock(chain)
    upstream = Upstream(options.devnet)
    road = CheckedRoad(upstream, options.devnet)
    source = source_at(options.evidence)
    outbox = FileOutbox.open(options.outbox_folder, sender=signer.address, chain_key=chain.key)
    sender = Sender(chain, signer, outbox)
    surroundings = ChainAndGateway(chain, sender, timing, gap_slots, options.gateway, options.api_key, road)
    bursts = None
    if pools is not None and options.bursts:
        bursts = Bursts(options.bursts, options.burst_requests, pools.weights_bytes)
    store = MeasurementStore(options.folder / "measurements")
    verifier = Verifier(signer, master, store, surroundings, road, pools, own, bursts, mix)
    server = _server(create_server(verifier, ReportSigner(chain, signer, verifier, source)), options.listen)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    working = (stopped.wait(), verifier.run(), server.serve(), sender.run(), _claim(chain, sender))
    tasks = [asyncio.create_task(work) for work in working]
    log.info("probing", verifier=signer.address, listen=options.listen, reference=options.reference or "none")
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        upstream.close()
        await surroundings.close()
        await outbox.close()


def master_seed(folder: Path) -> bytes:
    """Read the verifier's master secret, made on the first run; whoever knows it knows every probe in advance."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "master-seed"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(_SEED_BYTES))
    seed = path.read_bytes()
    if len(seed) != _SEED_BYTES:
        raise SeedDamaged(
            f"{path} holds {len(seed)} bytes, not {_SEED_BYTES}: restore it, or move it away for a new one"
        )
    return seed


def _own_prompts(path: Path | None) -> tuple[str, ...]:
    """Read a verifier's own wordings, one a line; raises PromptsMissing when there are none."""
    if path is None:
        return ()
    lines = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if not lines:
        raise PromptsMissing(f"{path} holds no line with a prompt: write some, or leave the option away")
    return lines


async def _claim(chain: Chain, sender: Sender) -> None:
    """Take the fees of each epoch once they are activated; what fails is tried again."""
    epochs = Epochs(chain)
    while True:
        await asyncio.sleep(_CLAIM_EVERY_S)
        try:
            head = await chain.head()
            if await epochs.owed(sender.address, head):
                activated = (await epochs.progress(head)).next_activation
                await sender.submit(f"owed:{activated}", epochs.claim_owed(), timeout_s=60.0)
                log.info("fees claimed", epochs=activated)
        except (ContractsError, OSError) as error:
            log.warning("fees not claimed yet", error=str(error))


async def _wait_for_clock(chain: Chain) -> tuple[Timing, int]:
    """Wait until the ledger's clock was opened; returns the clock and the mean gap between probes in slots."""
    clock = Clock(chain)
    while True:
        try:
            at = await chain.checkpoint()
            timing = await clock.timing(at)
            if timing.genesis:
                return timing, (await clock.rules(0, at)).probe_gap_slots
        except ContractsError as error:
            log.warning("the ledger cannot be read yet", error=str(error))
        await asyncio.sleep(_CLOCK_WAIT_S)


def _server(application: Any, listen: str) -> uvicorn.Server:
    host, _, port = listen.rpartition(":")
    config = uvicorn.Config(
        application, host=host, port=int(port), log_level="warning", access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    # this process handles its signals itself
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    return server
