"""Try whether an engine can go on behind the beginning of an answer: break one of its own and compare."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson

from marketplace.agent.engines.base import CHAT, Engine
from marketplace.agent.errors import EngineFailed

_TOKENS = 24
_PROMPT = "Count from one to thirty in words, separated by commas."


async def try_seam(engine: Engine, route: str, engine_model: str) -> tuple[str, str]:
    """Return (an answer given in one go, the same answer broken in its middle and gone on with); greedy, so equal.

    Raises what the engine raises, and EngineFailed for an answer too short to be broken.
    """
    request: dict[str, Any] = {"model": engine_model, "max_tokens": _TOKENS, "temperature": 0, "stream": True}
    request |= {"messages": [{"role": "user", "content": _PROMPT}]} if route == CHAT else {"prompt": _PROMPT}
    pieces = await _pieces(engine.stream(route, request))
    half = pieces[: len(pieces) // 2]
    if not half:
        raise EngineFailed("the answer is too short to be broken off and gone on with")
    rest = request | {"max_tokens": _TOKENS - len(half)}
    return "".join(pieces), "".join(half) + "".join(await _pieces(engine.resume(route, rest, half)))


async def _pieces(stream: AsyncIterator[bytes]) -> list[str]:
    """Return the texts of a stream, one for each event that has one."""
    pieces: list[str] = []
    async with aclosing(stream) as payloads:  # type: ignore[type-var]
        async for payload in payloads:
            for choice in orjson.loads(payload).get("choices", ()):
                text = choice.get("text") or (choice.get("delta") or {}).get("content")
                if text:
                    pieces.append(text)
    return pieces
