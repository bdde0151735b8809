"""What being down costs a provider: multiplier, slash level, outage runs, strikes and standing.

Every rule is a function of integers; who guards whom (the median, void slots) is written at the function that applies
it. Shares are in ppm.
"""

from __future__ import annotations

from dataclasses import dataclass

from rewards.measurement import PPM

MULTIPLIER_POINTS = ((300_000, 0), (850_000, 500_000), (950_000, 800_000), (980_000, 1_000_000), (995_000, 1_100_000))
LEVEL_STEPS = ((500_000, 4), (900_000, 3), (950_000, 2), (980_000, 1))
OUTAGE_STEPS_S = ((120 * 3600, 6), (48 * 3600, 5))
GUARD_PPM = 30_000
STRIKE_WINDOW_EPOCHS = 6
PROBATION_STRIKES = 3
PROBATION_LEVEL = 5
LOWEST_STANDING = 2


def multiplier_ppm(uptime_ppm: int) -> int:
    """Return the quality multiplier: straight lines between the published points, rounded down; 900000 → 650000."""
    low, value = MULTIPLIER_POINTS[0]
    if uptime_ppm < low:
        return 0
    for high, top in MULTIPLIER_POINTS[1:]:
        if uptime_ppm < high:
            return value + (top - value) * (uptime_ppm - low) // (high - low)
        low, value = high, top
    return value


def uptime_level(uptime_ppm: int, median_ppm: int) -> int:
    """Return the slash level an uptime calls for, 0 to 4; 0 while it is at most three points below the median.

    Uptime 940000 is level 2 beside a median of 1000000, and nothing beside a median of 970000.
    """
    if uptime_ppm >= median_ppm - GUARD_PPM:
        return 0
    for below, level in LEVEL_STEPS:
        if uptime_ppm < below:
            return level
    return 0


@dataclass(frozen=True, slots=True)
class Outage:
    """How long a provider was down without a break: longest run, run standing at the end of the epoch, level."""

    longest_slots: int
    standing_slots: int
    level: int


def outage(down: int, counted: int, slots: int, slot_s: int, opening_run: int) -> Outage:
    """Follow consecutive down slots through an epoch, beginning with the run that was standing at its start.

    Slots that do not count are skipped: they neither end an outage nor lengthen it. A level is reached once per
    outage and threshold, in the epoch in which the run passes it: a run of 47 h at the start that stands at 71 h
    reaches level 5, the next day at 95 h none, at 121 h level 6.
    """
    if not counted:
        return Outage(0, 0, 0)
    if not down:
        return Outage(0, 0, 0) if opening_run == 0 else Outage(opening_run, 0, 0)
    text = format(down, f"0{slots}b")[::-1]
    if counted.bit_count() != slots:
        kept = format(counted, f"0{slots}b")[::-1]
        text = "".join(bit for bit, counts in zip(text, kept, strict=True) if counts == "1")
    lengths = [len(run) for run in text.split("0")]
    lengths[0] += opening_run
    level = max(
        max(_outage_level(length * slot_s) for length in lengths[1:]) if len(lengths) > 1 else 0,
        _passed(opening_run * slot_s, lengths[0] * slot_s),
    )
    return Outage(max(lengths), lengths[-1], level)


def _outage_level(seconds: int) -> int:
    for above, level in OUTAGE_STEPS_S:
        if seconds > above:
            return level
    return 0


def _passed(before_s: int, after_s: int) -> int:
    after = _outage_level(after_s)
    return after if after > _outage_level(before_s) else 0


def strikes_after(strike_epochs: tuple[int, ...], epoch: int, level: int) -> tuple[int, ...]:
    """Return the epochs of the strikes that count at the end of `epoch`: every level is one, the last six epochs count.

    Strikes of epochs 3 and 8 and a fresh one in epoch 9: epochs 4 to 9 count, so (8, 9).
    """
    kept = tuple(past for past in strike_epochs if past > epoch - STRIKE_WINDOW_EPOCHS)
    return (*kept, epoch) if level else kept


def standing_after(before: int, strikes: int, level: int, measured: bool) -> int:
    """Return the standing (routing weight: 0 whole, 1 half, 2 a quarter) at the end of an epoch of this slash level.

    `strikes` counts those in the window, this epoch's included. The lowest standing comes with the third strike, with
    any strike during probation, and with an outage; each measured epoch without a strike lifts it by one step. Strikes
    in epochs 2, 3 and 5 and none after: standing 2 after epoch 5, 1 after 6, 0 after 7, though three still count.
    """
    if level:
        fallen = strikes >= PROBATION_STRIKES or before > 0 or level >= PROBATION_LEVEL
        return LOWEST_STANDING if fallen else 0
    return before - 1 if measured and before else before


def share_ppm(amount: int, ppm: int) -> int:
    """Return `ppm` parts per million of an amount, rounded down."""
    return amount * ppm // PPM
