"""Combine the ProbeDays of all verifiers into one measurement per provider, and commit to what it was made of.

`contracts.measured` hashes the leaves made here, and `ChallengeCourt` computes uptime and p95 from one of them again,
bit for bit what `rewards.measurement` does. Definitions: docs/protocol.md, sections 4 and 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.types import MeasuredDay, MeasuredLeaf
from rewards.epoch import Work
from rewards.measurement import (
    NO_COUNTS,
    Measured,
    combine,
    join_words,
    maintenance_mask,
    majority_down,
    on_duty,
    registered_mask,
    split_words,
    unpack_histogram,
    void_slots,
)
from rewards.types import EpochInputs, SignedProbeDay


@dataclass(frozen=True, slots=True)
class MarketMeasured:
    """What an epoch's probes say of everybody: by provider, and as the leaves under `report.measurements`."""

    of: dict[str, Measured]
    leaves: tuple[MeasuredLeaf, ...]


def measure(inputs: EpochInputs, work: Mapping[str, Work]) -> MarketMeasured:
    """Measure all providers of an epoch, in the order of the inputs.

    Which slots are void follows from everybody's days, so one provider cannot be measured alone; whether one was served
    a customer there does not matter for that.
    """
    days = _days(inputs)
    duty = duty_masks(inputs)
    down: dict[str, int] = {}
    counts: dict[str, tuple[int, ...]] = {}
    for name, mask in duty.items():
        attested = days.get(name, ())
        if len(attested) >= inputs.quorum:
            ups = [join_words(one.day.up) for one in attested]
            down[name] = mask & majority_down(ups, inputs.timing.slots_per_epoch)
            histograms = [unpack_histogram(one.day.histogram) for one in attested]
            counts[name] = tuple(map(sum, zip(*histograms, strict=True)))
    void = void_slots(duty, down, inputs.timing.slots_per_epoch)
    market_void = split_words(void)
    of, leaves = {}, []
    for name, mask in duty.items():
        served, summed = work[name].served_slots, counts.get(name, NO_COUNTS)
        of[name] = combine(mask, down.get(name, 0), void, served, summed, enough=name in down)
        attested = days.get(name, ())
        leaves.append(
            MeasuredLeaf(
                provider=name,
                duty=split_words(mask),
                served=split_words(served),
                void=market_void,
                days=tuple(MeasuredDay(one.verifier, one.day.up, one.day.histogram, one.signature) for one in attested),
            )
        )
    return MarketMeasured(of, tuple(leaves))


def duty_masks(inputs: EpochInputs) -> dict[str, int]:
    """Return the slots of each provider that count before void ones are taken out.

    A provider that was at work for none of the epoch has none; otherwise those slots count that begin at or after its
    registration and outside its declared maintenance.
    """
    was_active = {state.provider for state in inputs.opening.providers if state.active}
    windows = dict(inputs.maintenance)
    duty = {}
    for record in inputs.providers:
        name, mask = record.provider, 0
        if on_duty(record, name in was_active):
            away = maintenance_mask(inputs.timing, inputs.epoch, windows.get(name, ()))
            mask = registered_mask(inputs.timing, inputs.epoch, record.registered_at) & ~away
        duty[name] = mask
    return duty


def _days(inputs: EpochInputs) -> dict[str, list[SignedProbeDay]]:
    """Group the probe days by provider; they stay ascending by verifier."""
    days: dict[str, list[SignedProbeDay]] = {}
    for signed in inputs.probe_days:
        days.setdefault(signed.day.provider, []).append(signed)
    return days
