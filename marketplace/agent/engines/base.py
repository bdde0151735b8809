"""What every engine must do; the server knows engines by this alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

CHAT = "chat/completions"
COMPLETIONS = "completions"
EMBEDDINGS = "embeddings"
CONTINUE = "continue"
"""The feature of an offer whose engine can go on behind the beginning of an answer."""
FEATURE_OF_ROUTE = {CHAT: "chat", COMPLETIONS: "completions", EMBEDDINGS: "embeddings"}


class Engine(Protocol):
    """A model server the agent may ask. Requests are OpenAI request bodies, already cut to the ticket.

    Every call raises EngineFailed, EngineTimedOut or EngineRefused and nothing else; closing a stream or cancelling
    a call stops the engine's work for it at once.
    """

    async def start(self) -> None:
        """Make the engine ready to answer; raises EngineFailed."""

    async def stop(self) -> None:
        """Give back what start took."""

    async def check(self) -> None:
        """Return when the engine is alive; raises EngineFailed."""

    def stream(self, route: str, request: dict[str, Any]) -> AsyncIterator[bytes]:
        """Yield the payloads of the SSE events (the bytes after `data: `) up to the end of the answer.

        The last event with `usage` is included. A stream that ends without `[DONE]` raises EngineFailed.
        """

    def resume(self, route: str, request: dict[str, Any], delivered: Sequence[str]) -> AsyncIterator[bytes]:
        """Yield the rest of an answer of which these pieces were delivered, as `stream` yields a whole one.

        `max_tokens` is for the rest; each piece counts as one token.
        """

    async def complete(self, route: str, request: dict[str, Any]) -> bytes:
        """Return the whole JSON answer."""

    async def count_input(self, route: str, request: dict[str, Any]) -> int | None:
        """Return how many tokens the request's prompt has, None when the engine cannot tell."""
