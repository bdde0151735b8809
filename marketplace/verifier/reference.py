"""A reference engine: the same weights, run by the verifier itself, to know what an honest provider answers."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from marketplace.agent.engines.base import CHAT
from marketplace.agent.engines.llamacpp import LlamaCppEngine
from marketplace.agent.errors import AgentError
from marketplace.agent.weights import find_weights, weights_digest
from rewards.verifier.challenge import EngineReference, Pool, Wanted, make_pool
from rewards.verifier.prompts import USUAL, Mix

_CONTEXT = 512
_AT_ONCE = 8


class ReferencePools:
    """Make an epoch's pool with weights in a file: start the engine, let it answer, and let it go.

    `weights` is a path or `package:<import name>`, `model` the name customers use. Answers are made `_AT_ONCE` at a
    time on one thread: a batch changes an answer's rounding as little as another machine does.
    """

    def __init__(self, weights: str, model: str, wanted: Wanted, own: Sequence[str] = (), mix: Mix = USUAL) -> None:
        self._path = find_weights(weights, Path.cwd())
        self._model = model
        self._wanted = wanted
        self._own = own
        self._mix = mix
        with tempfile.TemporaryDirectory() as folder:
            self._digest = weights_digest(self._path, Path(folder))

    @property
    def weights_bytes(self) -> int:
        """Return the size of the weights file."""
        return self._path.stat().st_size

    async def make(self, seed: bytes) -> Pool:
        """Return the pool of an epoch; raises OSError when the engine fails."""
        engine = LlamaCppEngine(
            self._path, self._model, slots=_AT_ONCE, context_length=_CONTEXT, threads=1, embeddings=False
        )
        places = asyncio.Semaphore(_AT_ONCE)

        async def ask(body: bytes) -> bytes:
            async with places:
                events = [payload async for payload in engine.stream(CHAT, json.loads(body))]
            return b"".join(b"data: " + payload + b"\n\n" for payload in events)

        try:
            await engine.start()
            reference = EngineReference(ask)
            return await make_pool(self._digest, self._model, seed, reference, self._wanted, self._mix, self._own)
        except AgentError as error:
            raise OSError(f"the reference engine failed: {error}") from error
        finally:
            await engine.stop()
