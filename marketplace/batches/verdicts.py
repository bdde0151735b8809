"""Judge a line that was not served: may it be tried again, and when?

no money left         the batch pauses; one line is tried when the pause is over, until the deadline comes
nobody has room       the line waits; that is no failure of the line's
provider or gateway   tried again, with a pause that doubles each time; after `TRIES_MOST` it is dead
the request itself    dead at once: another try would say the same
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from marketplace.gateway.errors import ApiError

TRIES_MOST = 8
PAUSE_S = 30
_FIRST_S = 5
_CLOSED = ("draining", "market_paused")
_MOST_S = 600


class Kind(Enum):
    """What becomes of the line."""

    PAUSE = "pause"
    WAIT = "wait"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`after_s`: for how long the line, or its batch, is left alone; `tries`: the failures that count so far."""

    kind: Kind
    after_s: int
    tries: int


def judge(error: ApiError, tries: int) -> Verdict:
    """Judge an error of a line that failed `tries` times before."""
    if error.code == "insufficient_quota":
        return Verdict(Kind.PAUSE, PAUSE_S, tries)
    if error.status == 429 or error.code in _CLOSED:
        return Verdict(Kind.WAIT, max(1, -(-(error.retry_after_ms or 1000) // 1000)), tries)
    if error.status < 500 and error.status not in (404, 408):
        return Verdict(Kind.DEAD, 0, tries + 1)
    if tries + 1 >= TRIES_MOST:
        return Verdict(Kind.DEAD, 0, tries + 1)
    return Verdict(Kind.RETRY, min(_MOST_S, _FIRST_S * 2**tries), tries + 1)
