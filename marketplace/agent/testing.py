"""Engines that misbehave on purpose: slow ones, ones that die mid-stream, ones that lie about their work.

They wrap a real engine, so what they answer are real tokens. They are chosen in the provider file as
`[engine] kind = "testing:slow"` (or `:dies`, `:lies`) with `inner` naming the real engine; they are for demonstrations
and tests, never for customers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import orjson

from marketplace.agent.engines.base import Engine
from marketplace.agent.errors import EngineFailed


def _closing(stream: AsyncIterator[bytes]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
    """Close the inner stream with the outer one: whoever leaves must not keep the real engine busy."""
    return aclosing(stream)  # type: ignore[type-var]


class _Wrapped:
    def __init__(self, inner: Engine) -> None:
        self._inner = inner

    async def start(self) -> None:
        await self._inner.start()

    async def stop(self) -> None:
        await self._inner.stop()

    async def check(self) -> None:
        await self._inner.check()

    def stream(self, route: str, request: dict[str, Any]) -> AsyncIterator[bytes]:
        return self._bend(self._inner.stream(route, request))

    def resume(self, route: str, request: dict[str, Any], delivered: Sequence[str]) -> AsyncIterator[bytes]:
        return self._bend(self._inner.resume(route, request, delivered))

    def _bend(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Return what is made of a stream of the real engine."""
        return stream

    async def complete(self, route: str, request: dict[str, Any]) -> bytes:
        return await self._inner.complete(route, request)

    async def count_input(self, route: str, request: dict[str, Any]) -> int | None:
        return await self._inner.count_input(route, request)


class SlowEngine(_Wrapped):
    """Wait `first_token_delay_s` before the first event and `token_delay_s` before each later one."""

    def __init__(self, inner: Engine, first_token_delay_s: float = 1.0, token_delay_s: float = 0.0) -> None:
        super().__init__(inner)
        self._first_s = first_token_delay_s
        self._gap_s = token_delay_s

    async def _bend(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await asyncio.sleep(self._first_s)
        first = True
        async with _closing(stream) as payloads:
            async for payload in payloads:
                if not first:
                    await asyncio.sleep(self._gap_s)
                first = False
                yield payload

    async def complete(self, route: str, request: dict[str, Any]) -> bytes:
        await asyncio.sleep(self._first_s)
        body = await self._inner.complete(route, request)
        await asyncio.sleep(self._gap_s * _tokens(body))
        return body


class DyingEngine(_Wrapped):
    """Break off after `after_events` events, in every `every`th request."""

    def __init__(self, inner: Engine, after_events: int = 3, every: int = 1) -> None:
        super().__init__(inner)
        self._after = after_events
        self._every = every
        self._asked = 0

    async def _bend(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._asked += 1
        dies = self._asked % self._every == 0
        events = 0
        async with _closing(stream) as payloads:
            async for payload in payloads:
                if dies and events >= self._after:
                    raise EngineFailed("the engine died on purpose")
                events += 1
                yield payload

    async def complete(self, route: str, request: dict[str, Any]) -> bytes:
        self._asked += 1
        if self._asked % self._every == 0:
            raise EngineFailed("the engine died on purpose")
        return await self._inner.complete(route, request)


class LyingEngine(_Wrapped):
    """Multiply the token counts of every answer by `usage_factor`."""

    def __init__(self, inner: Engine, usage_factor: int = 10) -> None:
        super().__init__(inner)
        self._factor = usage_factor

    async def _bend(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async with _closing(stream) as payloads:
            async for payload in payloads:
                yield self._inflated(payload) if b'"usage"' in payload else payload

    async def complete(self, route: str, request: dict[str, Any]) -> bytes:
        return self._inflated(await self._inner.complete(route, request))

    def _inflated(self, payload: bytes) -> bytes:
        value = orjson.loads(payload)
        usage = value.get("usage")
        if not isinstance(usage, dict):
            return payload
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            usage[name] = usage.get(name, 0) * self._factor
        return orjson.dumps(value)


def _tokens(body: bytes) -> int:
    usage = orjson.loads(body).get("usage")
    return int(usage.get("completion_tokens", 0)) if isinstance(usage, dict) else 0
