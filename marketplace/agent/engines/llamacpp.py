"""llama.cpp inside the agent's own process: a real model on a CPU with nothing to install beside the wheel.

`xllamacpp` brings an OpenAI-compatible HTTP server in native threads. It listens on an ephemeral port of the
loopback interface and is asked through the same code path as any other server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from marketplace.agent.engines.openai import OpenAIEngine
from marketplace.agent.errors import EngineFailed

_MEAN_POOLING = 1


class LlamaCppEngine:
    """Serve one GGUF file. Each of `slots` requests at once has `context_length` tokens to itself."""

    def __init__(
        self,
        weights: Path,
        name: str,
        slots: int,
        context_length: int,
        threads: int,
        embeddings: bool,
        first_token_s: float = 120.0,
        gap_s: float = 30.0,
        cache_mib: int = 64,
    ) -> None:
        self._weights = weights
        self._name = name
        self._slots = slots
        self._context_length = context_length
        self._threads = threads
        self._embeddings = embeddings
        self._waits = (first_token_s, gap_s)
        self._cache_mib = cache_mib
        self._server: Any = None
        self._client: OpenAIEngine | None = None

    async def start(self) -> None:
        self._server = await asyncio.to_thread(self._load)
        first_token_s, gap_s = self._waits
        self._client = OpenAIEngine(
            f"{self._server.listening_address}/v1",
            first_token_s=first_token_s,
            gap_s=gap_s,
            connections=self._slots + 4,
        )

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.stop()
            self._client = None
        # dropping the last reference stops the native threads; it waits for them
        server, self._server = self._server, None
        await asyncio.to_thread(_drop, [server])

    async def check(self) -> None:
        await self._asked().check()

    def stream(self, route: str, request: dict[str, Any]) -> AsyncIterator[bytes]:
        return self._asked().stream(route, request)

    def resume(self, route: str, request: dict[str, Any], delivered: Sequence[str]) -> AsyncIterator[bytes]:
        return self._asked().resume(route, request, delivered)

    async def complete(self, route: str, request: dict[str, Any]) -> bytes:
        return await self._asked().complete(route, request)

    async def count_input(self, route: str, request: dict[str, Any]) -> int | None:
        return await self._asked().count_input(route, request)

    def _asked(self) -> OpenAIEngine:
        if self._client is None:
            raise EngineFailed("the engine is not started")
        return self._client

    def _load(self) -> Any:
        try:
            import xllamacpp
        except ImportError as error:
            raise EngineFailed(
                "xllamacpp is not installed", "install bonded-compute with its engine, or use [engine] openai"
            ) from error
        params = xllamacpp.CommonParams()
        params.model.path = str(self._weights)
        params.model_alias = {self._name}
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.offline = True
        params.ui = False
        params.verbosity = 0
        params.n_parallel = self._slots
        params.n_ctx = self._context_length * self._slots
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.n_threads_http = self._slots + 2
        # the prompt cache in memory defaults to eight gigabytes
        params.cache_ram_mib = self._cache_mib
        if self._embeddings:
            params.embedding = True
            params.pooling_type = _MEAN_POOLING
        try:
            return xllamacpp.Server(params)
        except Exception as error:
            raise EngineFailed(
                f"llama.cpp cannot load {self._weights}: {error}", "check the file and the free memory"
            ) from error


def _drop(holder: list[Any]) -> None:
    holder.clear()
