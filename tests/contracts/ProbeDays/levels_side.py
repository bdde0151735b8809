"""What is left of a level by `rewards.served`, run in the server's environment: pickled in, pickled out.

In: a number of cases and a seed. Out, for each: its masks and ups, what is asked (slots served besides, the day that is
struck, slots, quorum, level, seconds of a slot, whether an epoch was before), and the answer: uptime, and whether the
level stands.
"""

from __future__ import annotations

import pickle
import random
import sys
from typing import Any

from contracts.types import MeasuredDay, MeasuredLeaf, Timing
from rewards.measurement import join_words, split_words
from rewards.served import down_slots, level_stands, uptime_ppm
from tests.contracts.ProbeDays.measurement_side import MOST_SLOTS, draw, mask

NOBODY = "0x" + 40 * "0"
LEVELS = (0, 1, 2, 3, 4, 5, 5, 5, 6, 6, 6, 7, 8)


def answer(masks: Any, ups: Any, asked: Any) -> tuple[int, bool]:
    """Take the struck verifier to have said up everywhere, and the slots served besides as served."""
    also, struck, slots, quorum, level, slot_s, carried = asked
    said = [split_words((1 << MOST_SLOTS) - 1) if i == struck else up for i, up in enumerate(ups)]
    duty, served, void = masks
    besides = split_words(join_words(served) | join_words(also))
    leaf = MeasuredLeaf(NOBODY, duty, besides, void, tuple(MeasuredDay(NOBODY, up, 0, b"") for up in said))
    counted, down = down_slots(leaf, quorum, slots)
    return uptime_ppm(counted, down), level_stands(level, counted, down, Timing(0, slot_s, slots), int(carried))


def main() -> None:
    given: Any = pickle.load(sys.stdin.buffer)
    rng = random.Random(given["seed"])
    answers = []
    for _ in range(given["count"]):
        case, slots, quorum = draw(rng)
        masks, ups = tuple(map(split_words, case[:3])), tuple(map(split_words, case[3]))
        struck = rng.choice([len(ups), rng.randrange(len(ups) + 1)])
        asked = (
            *(split_words(rng.choice([0, mask(rng) & mask(rng)])), struck, slots, quorum),
            *(rng.choice(LEVELS), rng.choice([1, 60, 120, 300, 3_600]), rng.random() < 0.5),
        )
        answers.append((masks, ups, asked, *answer(masks, ups, asked)))
    pickle.dump(answers, sys.stdout.buffer)


if __name__ == "__main__":
    main()
