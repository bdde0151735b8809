"""A gateway process that works until it is killed: every line it prints is an answer somebody got.

python -m tests.marketplace.store.reckless URL FOLDER CUSTOMER SEED [drain]
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from marketplace.accounts import Hold
from marketplace.db import Database
from tests.marketplace.store.town import Till


async def main(url: str, folder: str, customer: str, seed: int, draining: bool) -> None:
    """Hold, post and void at random; one line per answer: what, job, atto."""
    rng = random.Random(seed)
    database = await Database.open(url, Path(folder))
    till = await Till(database, Path(folder) / "journal").open()
    holds: list[Hold] = []

    def answer(*words: object) -> None:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()

    async def drain() -> None:
        while True:
            await till.drainer.drain()
            await asyncio.sleep(0.01)

    drainer = asyncio.create_task(drain()) if draining else None
    answer("ready")
    while drainer is None or not drainer.done():
        if not holds or rng.random() < 0.5:
            hold = till.accounts.hold(customer, rng.randbytes(32), rng.randrange(1, 1000), 0.0)
            holds.append(hold)
            answer("hold", hold.job.hex(), hold.most_atto)
        else:
            hold = holds.pop(rng.randrange(len(holds)))
            if rng.random() < 0.7:
                charge = rng.randrange(hold.most_atto + 1)
                till.accounts.post(hold, till.attempt(customer, hold.job, charge))
                answer("post", hold.job.hex(), charge)
            else:
                till.accounts.void(hold)
                answer("void", hold.job.hex(), 0)
        await asyncio.sleep(0)
    drainer.result()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:] == ["drain"]))
