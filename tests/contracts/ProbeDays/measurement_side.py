"""What settlement measures, run in the server's environment: pickled in, pickled out.

In: a number of cases and a seed. Out, for each: its masks, ups and histograms, the epoch's slots and the quorum, and
what settlement makes of it: uptime, bucket, measured, and all slots that a majority calls down.
"""

from __future__ import annotations

import pickle
import random
import sys
from typing import Any

from rewards.measurement import (
    NO_COUNTS,
    WORDS,
    combine,
    majority_down,
    split_words,
    unpack_histogram,
)

Case = tuple[int, int, int, tuple[int, ...], tuple[int, ...]]
MOST_SLOTS = 256 * WORDS


def answer(case: Case, slots: int, quorum: int) -> tuple[int, int, bool, int]:
    """Measure one provider as `rewards.measured` does."""
    duty, served, void, ups, histograms = case
    full = (1 << slots) - 1
    enough = len(ups) >= quorum
    down = majority_down([up & full for up in ups], slots) if enough else 0
    counts = tuple(map(sum, zip(*map(unpack_histogram, histograms), strict=True))) if enough else NO_COUNTS
    found = combine(duty & full, down & duty, void & full, served & full, counts, enough=enough)
    return found.uptime_ppm, found.ttft_p95_bucket, found.measured, majority_down(ups, MOST_SLOTS)


def draw(rng: random.Random) -> tuple[Case, int, int]:
    """Draw a case, the epoch's slots and the quorum: any number of days, with dense, sparse and equal masks."""
    slots = rng.choice([1, 10, 60, 255, 256, 257, 1_024, 1_440, 1_535, 1_536, rng.randint(1, 1_536)])
    quorum = rng.choice([1, 2, 3, 5])
    count = rng.choice([0, 1, 2, 3, 3, 4, 5, 7, 8, 15, 16, 31, 32, 63, 64])
    ups = [mask(rng) for _ in range(count)]
    if count and rng.random() < 0.2:
        ups = [rng.choice(ups[:3]) for _ in range(count)]
    histograms = tuple(histogram(rng) for _ in range(count))
    return (mask(rng), mask(rng), mask(rng), tuple(ups), histograms), slots, quorum


def mask(rng: random.Random) -> int:
    """Draw the bits of an epoch."""
    kind = rng.randrange(6)
    full = (1 << MOST_SLOTS) - 1
    some = rng.getrandbits(MOST_SLOTS)
    sparse = some & rng.getrandbits(MOST_SLOTS) & rng.getrandbits(MOST_SLOTS) & rng.getrandbits(MOST_SLOTS)
    return (0, full, some, sparse, full ^ sparse, 1 << rng.randrange(MOST_SLOTS))[kind]


def histogram(rng: random.Random) -> int:
    """Draw sixteen counters: all zero, all at their end, one of them, or any."""
    counter = rng.choice([lambda: 0, lambda: 0xFFFF, lambda: rng.choice([0, 0, 0, 1]), lambda: rng.getrandbits(16)])
    return sum(counter() << (16 * i) for i in range(16))


def main() -> None:
    asked: Any = pickle.load(sys.stdin.buffer)
    rng = random.Random(asked["seed"])
    drawn = [draw(rng) for _ in range(asked["count"])]
    answers = []
    for case, slots, quorum in drawn:
        masks, ups = tuple(map(split_words, case[:3])), tuple(map(split_words, case[3]))
        uptime, bucket, measured, down = answer(case, slots, quorum)
        answers.append((masks, ups, case[4], slots, quorum, uptime, bucket, measured, split_words(down)))
    pickle.dump(answers, sys.stdout.buffer)


if __name__ == "__main__":
    main()
