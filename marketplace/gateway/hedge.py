"""Ask a second provider when the first lets a realtime customer wait, and go on with whoever is first.

Once a job, before any byte, if nothing came within `delay_s`, and out of a budget of three in a hundred of such jobs.
The other attempt's connection is closed in the same breath: it gave nothing, so nothing of it is owed, and it is
recorded as idle, which is nobody's failure. One that fails while the other runs is recorded as what it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from marketplace.gateway.desk import Desk
from marketplace.gateway.trial import Next, Trial
from scheduler.types import Reservation

LEAST_S = 0.3
TIMES_Q95 = 1.5

Begin = Callable[[], tuple[Trial, bytes] | None]


def delay_s(reservation: Reservation) -> float:
    """Return how long the first byte may be away before another provider is asked too."""
    return max(LEAST_S, TIMES_Q95 * reservation.ttft_q95_ms / 1000)


async def run_hedged(desk: Desk, trial: Trial, request: bytes, wait_s: float, second: Begin) -> None:
    """Serve by a trial, or by the one that `second` begins if that is faster; raises what `Trial.run_request` raises.

    The caller closes `trial`, and this the other.
    """
    loop = asyncio.get_running_loop()
    desk.hedges.earn()
    waiting = {loop.create_task(trial.await_first_byte(request)): trial}
    other: Trial | None = None
    try:
        done, _ = await asyncio.wait(waiting, timeout=wait_s)
        if not done and desk.hedges.spend(False) and (begun := second()) is not None:
            other, other_request = begun
            desk.metrics.hedged()
            waiting[loop.create_task(other.await_first_byte(other_request))] = other
        winner = await _first(waiting)
        for loser in waiting.values():
            loser.lose()
        await winner.relay()
    finally:
        for task in waiting:
            task.cancel()
            with suppress(Next, asyncio.CancelledError):
                await task
        if other is not None:
            other.close()


async def _first(waiting: dict[asyncio.Task[None], Trial]) -> Trial:
    """Return the first trial that has a byte and leave those that do not in `waiting`; raises Next if none has."""
    while True:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in waiting if task in done]:
            trial = waiting.pop(task)
            try:
                task.result()
            except Next:
                if not waiting:
                    raise
            else:
                return trial
