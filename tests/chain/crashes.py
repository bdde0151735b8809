"""Kill a sender between any two of its steps: a store and a connection that die at the n-th boundary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from contracts.chain import Chain
from contracts.outbox import Outbox


class Crash(BaseException):
    """The process died here; no handler of ordinary errors may see it."""


class Fuse:
    """Counts boundaries and raises Crash at one of them."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.passed: list[str] = []

    def burn(self, where: str) -> None:
        self.passed.append(where)
        if len(self.passed) == self._at:
            raise Crash(where)

    async def around(self, name: str, step: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        self.burn(f"before {name}")
        result = await step(*arguments)
        self.burn(f"after {name}")
        return result


class CrashingOutbox:
    """An outbox that dies before or after a step; what the step stored stays stored."""

    _STEPS = frozenset(
        ("prepare", "signed", "broadcast", "mined", "unmined", "final", "reopen", "renonce", "dropped", "get")
    )

    def __init__(self, inner: Outbox, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse
        self.sender, self.chain_key = inner.sender, inner.chain_key

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._inner, name)
        if name not in self._STEPS:
            return step
        return lambda *arguments: self._fuse.around(f"outbox.{name}", step, *arguments)


class CrashingChain:
    """A connection that dies before or after bytes were sent."""

    def __init__(self, inner: Chain, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send_raw(self, raw: bytes) -> bytes:
        sent: bytes = await self._fuse.around("send", self._inner.send_raw, raw)
        return sent
