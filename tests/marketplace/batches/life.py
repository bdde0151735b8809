"""One life of a gateway that serves batches: started by tests, to be killed by them.

    python -m tests.marketplace.batches.life DATABASE_URL FOLDER OWNER ENDPOINT OFFER_DIGEST_HEX

Prints the port it listens on, and logs to standard error. The provider lives elsewhere and outlives it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import structlog

from contracts.signing import Signer
from contracts.types import ProviderRecord, ProviderStatus
from marketplace.db import Database
from tests.marketplace.batches.shop import Shop


async def live(url: str, folder: Path, owner: str, endpoint: str, digest: str) -> None:
    """Serve until killed."""
    shop = Shop(await Database.open(url, folder), folder)
    shop.chain.records[owner] = ProviderRecord(
        provider=owner,
        signer=Signer((1).to_bytes(32)).address,
        endpoint=endpoint,
        hardware_class=0,
        units=1,
        weight=1,
        offer_digest=bytes.fromhex(digest),
        status=int(ProviderStatus.ACTIVE),
        registered_at=0,
        stake=200,
        required_stake=200,
        delegated=0,
        commission_ppm=0,
    )
    await shop.start()
    shop.work()
    sys.stdout.write(f"{shop.server.port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(live(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:6]))
