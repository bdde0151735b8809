"""Mock engines in one process: `engine.py PORT bare|receipts WORDS GAP_S [COUNT]`; prints their ports when they listen.

`bare` is a plain OpenAI-compatible engine. `receipts` is the same engine behind tickets and signed receipts, as our
gateway needs it; the ticket is read but its signature not checked, because the provider's cost is not measured. With
PORT 0 each takes a free one; otherwise they follow one another. Whenever a caller leaves a stream that runs, a line
with the moment (`time.perf_counter`, which all processes of a machine share) follows.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from contracts.deployment import Deployment
from contracts.signing import Signer
from marketplace.gateway.testing import MockProvider

DEPLOYMENT = Deployment(
    31337,
    0,
    {
        name: f"0x{0xC0 + number:040x}"
        for number, name in enumerate(("EpochLedger", "JobEscrow", "PaymentToken", "StakeToken"))
    },
)
GATEWAY = Signer(b"\x22" * 32)
MODEL = "mock-model"


def make_provider(number: int, port: int, bare: bool = False, words: int = 1, gap_s: float = 0.0) -> MockProvider:
    """Return engine `number`; the processes on both sides of the benchmark make the same."""
    return MockProvider(
        f"0x{0xA0 + number:040x}",
        Signer((0x1000 + number).to_bytes(32)),
        DEPLOYMENT.domain(),
        {GATEWAY.address},
        model=MODEL,
        slots=100_000,
        words=words,
        gap_s=gap_s,
        check_tickets=False,
        keep_notes=False,
        bare=bare,
        port=port,
    )


class Told(list[float]):
    """The moments at which callers left, each printed as it comes."""

    def append(self, moment: float) -> None:
        """Print the moment; it is not kept."""
        print(moment, flush=True)


async def main() -> None:
    """Serve until killed."""
    first, kind, words, gap_s, *rest = sys.argv[1:]
    ports = []
    for number in range(int(rest[0]) if rest else 1):
        port = int(first) + number if int(first) else 0
        provider = make_provider(number, port, kind == "bare", int(words), float(gap_s))
        provider.left = Told()
        ports.append((await provider.start()).port)
    print(*ports, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
