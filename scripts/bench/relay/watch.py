"""What is watched beside the requests: memory while streams live, streams that are left, memory over many requests."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator

from scripts.bench.relay.load import make_request, press
from scripts.bench.relay.processes import System

_LOOK_EVERY_S = 0.5
_SLICE = 10_000


@contextlib.asynccontextmanager
async def most_memory_mb(system: System) -> AsyncIterator[list[float]]:
    """Look at a system's memory again and again; the list's one number is the most that was seen."""
    most = [system.memory_mb()]

    async def look() -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            most[0] = max(most[0], await asyncio.to_thread(system.memory_mb))

    task = asyncio.create_task(look())
    try:
        yield most
    finally:
        task.cancel()
        await asyncio.wait([task])


async def leave_streams(system: System, body: bytes, times: int) -> list[float]:
    """Leave streams after their first event; returns how long each engine went on not knowing, in milliseconds.

    Infinity for one that was not told within ten seconds.
    """
    late_ms = []
    for _ in range(times):
        reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
        writer.write(make_request(system.port, body, system.key))
        await reader.readuntil(b"data: ")
        left = time.perf_counter()
        writer.transport.abort()
        noticed = await asyncio.to_thread(system.leavings.after, left) if system.leavings else None
        late_ms.append((noticed - left) * 1e3 if noticed is not None else float("inf"))
    return late_ms


async def soak(system: System, body: bytes, connections: int, requests: int) -> tuple[list[tuple[int, float]], float]:
    """Ask for long; returns memory (MB) after so many requests each, and its slope in MB per 100,000 requests.

    The slope is that of the least squares over the second half: the first fills what is bounded.
    """
    seen: list[tuple[int, float]] = []
    done = 0
    while done < requests:
        result = await press(system.port, body, system.key, connections, 3_600.0, min(_SLICE, requests - done))
        if result.failures:
            raise RuntimeError(f"{system.name}: {result.failures} requests failed, the last with: {result.failure}")
        done += result.requests
        seen.append((done, system.memory_mb()))
        print(f"{done} requests, {seen[-1][1]:.1f} MB, {result.per_second:.0f} req/s", file=sys.stderr)
    half = seen[len(seen) // 2 :]
    slope = statistics.linear_regression(*zip(*half, strict=True)).slope if len(half) > 1 else float("nan")
    return seen, slope * 100_000
