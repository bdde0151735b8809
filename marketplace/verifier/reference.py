"""A reference engine for determinism canaries: the same weights, run by the verifier itself."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from marketplace.agent.engines.base import CHAT
from marketplace.agent.engines.llamacpp import LlamaCppEngine
from marketplace.agent.weights import find_weights, weights_digest
from rewards.verifier.challenge import Challenge, EngineReference, canaries

_COUNT = 12


async def prepare_canaries(weights: str, model: str, secret: bytes) -> dict[bytes, Sequence[Challenge]]:
    """Run the weights once, ask the canaries' answers, and let the engine go; returns them by weights digest.

    `weights` is a path or `package:<import name>`; `model` the name customers use. The engine runs one request at a
    time, so the answers are those of an undisturbed greedy run.
    """
    path = find_weights(weights, Path.cwd())
    with tempfile.TemporaryDirectory() as folder:
        digest = weights_digest(path, Path(folder))
    engine = LlamaCppEngine(path, model, slots=1, context_length=1024, threads=1, embeddings=False)
    await engine.start()

    async def ask(body: bytes) -> bytes:
        events = [payload async for payload in engine.stream(CHAT, json.loads(body))]
        return b"".join(b"data: " + payload + b"\n\n" for payload in events)

    try:
        return {digest: await canaries(model, secret, _COUNT, EngineReference(ask))}
    finally:
        await engine.stop()
