"""Our gateway as a process: `ours.py PORT ENGINE_PORTS FOLDER`; prints port, key and the database's process id.

This runs what `bonded operator gateway` runs, the same function: uvicorn with its pinned settings, keys, holds,
decisions and their log, tickets, receipts judged and countersigned, the journal and its drain into an embedded
PostgreSQL, control API, refreshes and sweeps. Only the chain is replaced, by a fixed reading that has the engines
(ENGINE_PORTS is a JSON list) as providers; the customer's deposit and cap are entered as the indexer enters them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import marketplace.gateway.run as process
from contracts.types import Checkpoint, ProviderRecord, ProviderStatus, Timing
from marketplace.chain_ledger import post_events
from marketplace.db import Database
from marketplace.gateway.reading import Reading
from marketplace.gateway.testing import MockProvider
from marketplace.models import chain_events
from marketplace.settings import GatewaySettings
from scripts.bench.relay.engine import DEPLOYMENT, GATEWAY, make_provider

CUSTOMER = "0x" + "c0" * 20
DEPOSIT_UNITS = 10**30
UNIT_ATTO = 10**12


class FixedSource:
    """The same reading for ever."""

    def __init__(self, ports: list[int]) -> None:
        engines = [make_provider(number, port) for number, port in enumerate(ports)]
        scores = {engine.owner: 950_000 for engine in engines}
        self._reading = Reading(Checkpoint(1, bytes(32), 0), tuple(map(_record, engines)), scores, 10**12, 6, 0)

    async def read(self) -> Reading:
        """Return the reading."""
        return self._reading


def _record(engine: MockProvider) -> ProviderRecord:
    return ProviderRecord(
        provider=engine.owner,
        signer=engine.signer.address,
        endpoint=engine.endpoint,
        hardware_class=5,
        units=8,
        weight=81,
        offer_digest=hashlib.sha256(engine.offer()).digest(),
        status=int(ProviderStatus.ACTIVE),
        registered_at=0,
        stake=10**9,
        required_stake=1,
        delegated=0,
        commission_ppm=0,
    )


async def fund(database: Database) -> None:
    """Enter the customer's deposit and cap."""
    fields = {"customer": CUSTOMER, "amount": str(DEPOSIT_UNITS), "balance_after": str(DEPOSIT_UNITS)}
    cap = {"customer": CUSTOMER, "cap": str(DEPOSIT_UNITS), "from_epoch": "0"}
    async with database.begin() as connection:
        await post_events(connection, [("chain:bench:1", "Deposited", fields)], UNIT_ATTO)
        await connection.execute(
            insert(chain_events).values(
                block_number=1,
                block_hash=secrets.token_bytes(32),
                tx_hash=secrets.token_bytes(32),
                log_index=0,
                contract="JobEscrow",
                name="CapSet",
                fields=cap,
            )
        )


class FixedChain:
    """In the place of `contracts.chain.Chain`: it only knows what was deployed."""

    deployment = DEPLOYMENT

    @classmethod
    async def connect(cls, *_: Any, **__: Any) -> FixedChain:
        """Connect to nothing."""
        return cls()

    async def close(self) -> None:
        """Have nothing to close."""


async def fixed_clock(_: FixedChain) -> tuple[Timing, int]:
    """Return the clock of the epochs and the worth of a token unit."""
    return Timing(int(time.time()) - 1_000, 60, 1_440), UNIT_ATTO


class FundedGateway(process.Gateway):
    """The gateway with a customer who has deposited and has a key, both told to whoever started it."""

    async def prepare(self) -> None:
        """Enter the deposit, prepare, make the key."""
        await fund(self._database)
        await super().prepare()
        _, key = await self.services.accounts.create_key(CUSTOMER, "bench")
        postmaster = (self.services.settings.data_folder / "postgres" / "postmaster.pid").read_text().split()[0]
        print(self._server.port, key, postmaster, flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    port, ports, folder = int(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout carries one line
    DEPLOYMENT.write(folder / "deployment.json")
    source = FixedSource(ports)
    parts: Any = process
    parts.Chain, parts._read_deployment, parts.Gateway = FixedChain, fixed_clock, FundedGateway
    parts.ChainSource = lambda _: source
    settings = GatewaySettings(
        data_folder=folder, listen=f"127.0.0.1:{port}", deployment=folder / "deployment.json", devnet=True
    )
    process.run(settings, GATEWAY)


if __name__ == "__main__":
    main()
