"""Read server-sent events from an engine: only `data:` lines, bounded, strict."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from marketplace.agent.errors import EngineFailed

_MOST_LINE_BYTES = 4 << 20


async def payloads(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the payload of each `data:` line up to `[DONE]`; comments and other fields are dropped.

    Raises EngineFailed when the stream ends without `[DONE]` or a line is longer than four megabytes.
    """
    rest = b""
    async for chunk in chunks:
        rest += chunk
        if b"\n" not in chunk:
            if len(rest) > _MOST_LINE_BYTES:
                raise EngineFailed("the engine sent a line without end")
            continue
        *lines, rest = rest.split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            payload = line[5:].strip()
            if payload == b"[DONE]":
                return
            if payload:
                yield payload
    raise EngineFailed("the engine closed the stream before its end")
