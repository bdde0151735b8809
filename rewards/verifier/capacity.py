"""Measure what hardware does when many ask at once, and hold it against the class it is declared to be.

A burst is `requests` ordinary requests at one moment; its rate is the tokens of all receipts over the time from the
first request to the last answer. Generating one token reads all weights once, so what a class should reach follows from
the bandwidth of its memory; a quarter of that is expected, since no engine reads at full speed, and no more than
`MOST_PER_STREAM` tokens a second for each request, because small models wait for other things than memory:

    expected = min(units · bandwidth // (4 · bytes of the weights), requests · MOST_PER_STREAM)     tokens a second

Two T4 (320 GB/s each) with weights of 8 GB, eight requests: min(2 · 320 // 32, 480) = 20 tokens a second; 15 measured
are 750,000 ppm.

Every provider is asked at the same drawn moments. So hardware that is registered twice is loaded twice at once and
gives each of the two half of what it has: in epoch after epoch like hardware that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.types import HardwareClass
from rewards.measurement import PPM
from rewards.verifier.draw import Draw

BYTES_PER_S: Mapping[HardwareClass, int] = {
    HardwareClass.CPU: 16 * 10**9,
    HardwareClass.T4: 320 * 10**9,
    HardwareClass.A10: 600 * 10**9,
    HardwareClass.RTX4090: 1_008 * 10**9,
    HardwareClass.A100: 1_555 * 10**9,
    HardwareClass.H100: 3_350 * 10**9,
}
"""Bandwidth of memory by the makers' data sheets, of the smallest part of the name; a CPU's is one channel."""

MOST_PER_STREAM = 60
SLOW_PPM = PPM // 2


def expected_rate(hardware_class: HardwareClass, units: int, weights_bytes: int, requests: int) -> int:
    """Return the tokens a second that a burst should reach at least, never less than one."""
    by_memory = units * BYTES_PER_S[hardware_class] // (4 * weights_bytes)
    return max(1, min(by_memory, requests * MOST_PER_STREAM))


def capacity_ppm(rates: Sequence[int], expected: int) -> int:
    """Return the lower median of the rates of an epoch's bursts, of what was expected; 0 without any."""
    return sorted(rates)[(len(rates) - 1) // 2] * PPM // expected if rates else 0


def slow_epochs(before: int, bursts: int, capacity: int) -> int:
    """Return for how many epochs on end the capacity was below half; an epoch without a burst says nothing: 0."""
    return before + 1 if bursts and capacity < SLOW_PPM else 0


def burst_slots(seed: bytes, slots: int, bursts: int) -> tuple[int, ...]:
    """Draw the slots of an epoch's bursts from its seed, the same for all providers, ascending."""
    draw, drawn = Draw(b"burst" + seed), set[int]()
    while len(drawn) < min(bursts, slots):
        drawn.add(draw.below(slots))
    return tuple(sorted(drawn))
