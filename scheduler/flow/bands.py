"""Name the four bands of waiting work and set what each is owed.

A band is the waiting side of a service class. Realtime comes first without exception. The others follow in their order,
but batch gets one turn in `turn_every` although standard waits, and background one in its own, so that neither starves.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Band:
    """One band. `patience_ms`: how long its work waits before it is refused; about four times the class's objective
    for the first byte where somebody sits before the answer, and as long as a client keeps a connection where nobody
    does. `turn_every`: after so many places given to higher bands one goes to this one; 0 for none."""

    name: str
    rank: int
    patience_ms: float
    turn_every: int = 0


REALTIME = Band("realtime", 0, 2_000.0)
STANDARD = Band("standard", 1, 8_000.0)
BATCH = Band("batch", 2, 120_000.0, turn_every=32)
BACKGROUND = Band("background", 3, 300_000.0, turn_every=64)
BANDS = (REALTIME, STANDARD, BATCH, BACKGROUND)
BY_NAME = {band.name: band for band in BANDS}


@dataclass(frozen=True, slots=True)
class FlowPolicy:
    """Settings of flow control.

    `queued_most` jobs wait at one gateway, of one API key `queued_per_key`. Attained service is counted in tokens, one
    of the answer as `output_weight` of the prompt, and fades with `half_life_ms`. One place in `oldest_every` goes to
    whoever waits longest, whatever its tenant attained. Realtime's recent peak, but at most `reserve_ppm` of a model's
    places, is left free for it; the peak fades with `peak_half_life_ms`. Batch work that is due within `promote_ms`
    waits among standard.
    """

    queued_most: int = 1_024
    queued_per_key: int = 96
    output_weight: int = 2
    half_life_ms: float = 60_000.0
    oldest_every: int = 8
    reserve_ppm: int = 250_000
    peak_half_life_ms: float = 30_000.0
    promote_ms: float = 900_000.0
    retry_least_ms: int = 50
    retry_most_ms: int = 120_000
    """Clients give up rather than obey a longer wait."""
