"""Tell what is left of a slash level when customers were served in slots that a report took for down.

`ChallengeCourt.challengeServed` computes the same from the same words (docs/protocol.md, section 4.2): whoever has
receipts that the report did not know finds here which of them undo the slash, and whether they are enough.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.types import MeasuredLeaf, Timing
from rewards.measurement import PPM, join_words, majority_down
from rewards.penalty import LEVEL_STEPS, OUTAGE_STEPS_S

LEAST_SLASHED_LEVEL = 2
_UPTIME_BELOW = {level: below for below, level in LEVEL_STEPS}
_SECONDS_ABOVE = {level: above for above, level in OUTAGE_STEPS_S}


def down_slots(measured: MeasuredLeaf, quorum: int, slots: int) -> tuple[int, int]:
    """Return the masks of the slots that count and of those of them that are down and served nobody."""
    counted = join_words(measured.duty) & ~join_words(measured.void) & ((1 << slots) - 1)
    if len(measured.days) < quorum:
        return counted, 0
    down = majority_down([join_words(day.up) for day in measured.days], slots)
    return counted, down & counted & ~join_words(measured.served)


def uptime_ppm(counted: int, down: int) -> int:
    """Return the share of counted slots that are not down, in ppm rounded down; the whole when none counts."""
    slots = counted.bit_count()
    return PPM if not slots else (slots - down.bit_count()) * PPM // slots


def level_stands(level: int, counted: int, down: int, timing: Timing, epoch: int) -> bool:
    """Say whether a level can still follow from these slots, with the same two gaps as the contract.

    The guard by the market's median is left out, and an outage that came from the epoch before may have been as long as
    it takes. Levels 7 and 8 do not rest on slots and stand. 30 of 60 slots down: level 4 does not stand, level 3 does.
    """
    if level < LEAST_SLASHED_LEVEL:
        return False
    if level in _UPTIME_BELOW:
        return uptime_ppm(counted, down) < _UPTIME_BELOW[level]
    if level in _SECONDS_ABOVE:
        return _outage_stands(_SECONDS_ABOVE[level], counted, down, timing, carried=epoch > 0)
    return True


def _outage_stands(above_s: int, counted: int, down: int, timing: Timing, carried: bool) -> bool:
    run = 0
    for slot in range(timing.slots_per_epoch):
        if not counted >> slot & 1:
            continue
        if not down >> slot & 1:
            run, carried = 0, False
            continue
        run += 1
        if carried or run * timing.slot_s > above_s:
            return True
    return False


def slots_needed(
    level: int, measured: MeasuredLeaf, served: Iterable[int], quorum: int, timing: Timing, epoch: int
) -> tuple[int, ...] | None:
    """Return slots of the epoch, none of which can be left out, that undo a level; None when all of `served` do not.

    `served`: slots of the epoch, counted from its beginning, for which somebody holds a receipt; those that do not
    count as down are passed over. 40 of 60 slots down and level 4: ten receipts are needed, the last ten are taken.
    """
    counted, down = down_slots(measured, quorum, timing.slots_per_epoch)
    useful = sorted(slot for slot in set(served) if slot >= 0 and down >> slot & 1)
    left = down
    for slot in useful:
        left &= ~(1 << slot)
    if level_stands(level, counted, left, timing, epoch):
        return None
    needed = []
    for slot in useful:
        if level_stands(level, counted, left | 1 << slot, timing, epoch):
            needed.append(slot)
        else:
            left |= 1 << slot
    return tuple(needed)
