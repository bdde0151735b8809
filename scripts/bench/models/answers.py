"""Let real engines answer prompts and keep the answers, so that a study can be drawn from them again and again.

Every model answers every prompt many times through the agent's own engine, with the body a verifier would send. What
was answered once is kept in a file and not asked again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marketplace.agent.engines.base import CHAT
from marketplace.agent.engines.llamacpp import LlamaCppEngine
from rewards.verifier.challenge import answer_text

CONTEXT = 512


@dataclass(frozen=True, slots=True)
class Served:
    """One way to serve: a name, the weights, and how the engine runs them."""

    name: str
    weights: Path
    threads: int = 1
    slots: int = 8


def answers(served: Served, bodies: Sequence[bytes], times: int, kept: Path) -> list[list[str]]:
    """Return `times` answers to each body, of the kept ones and as many new ones as are missing."""
    path = kept / f"{served.name}.json"
    known: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    missing = [body for body in bodies for _ in range(times - len(known.get(body.decode(), ())))]
    if missing:
        for body, text in zip(missing, asyncio.run(_ask(served, missing)), strict=True):
            known.setdefault(body.decode(), []).append(text)
        kept.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known))
    return [known[body.decode()][:times] for body in bodies]


async def _ask(served: Served, bodies: Sequence[bytes]) -> list[str]:
    engine = LlamaCppEngine(
        served.weights, "m", slots=served.slots, context_length=CONTEXT, threads=served.threads, embeddings=False
    )
    places = asyncio.Semaphore(served.slots)
    await engine.start()

    async def one(body: bytes) -> str:
        async with places:
            events = [payload async for payload in engine.stream(CHAT, json.loads(body))]
        return answer_text(b"".join(b"data: " + payload + b"\n\n" for payload in events))

    try:
        return list(await asyncio.gather(*[one(body) for body in bodies]))
    finally:
        await engine.stop()
