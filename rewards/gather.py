"""Put the chain's part and the signed part of an epoch's inputs together, and take them apart again."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

from contracts.signing import keccak
from rewards.epoch import canonical, day_refusal, rating_refusal
from rewards.types import (
    Attempt,
    ChainInputs,
    EpochInputs,
    EpochState,
    SeedReveal,
    SignedCanaryDay,
    SignedCheckDay,
    SignedProbeDay,
    SignedRatingDay,
)

Day = TypeVar("Day", SignedProbeDay, SignedCanaryDay, SignedCheckDay)
_SHARED = tuple(one.name for one in dataclasses.fields(ChainInputs) if one.name != "previous")


def assemble(
    chain: ChainInputs,
    opening: EpochState,
    *,
    attempts: Iterable[Attempt],
    probe_days: Iterable[SignedProbeDay],
    canary_days: Iterable[SignedCanaryDay],
    check_days: Iterable[SignedCheckDay] = (),
    seeds: Mapping[str, bytes],
    commitments: Mapping[str, bytes],
    rating_days: Iterable[SignedRatingDay] = (),
) -> EpochInputs:
    """Return the inputs of an epoch in canonical order, without attestations that could not be settled.

    One careless verifier must not hold up everybody: left out is what comes from somebody not active at the checkpoint
    or with a seed that is not the committed one, what `rewards.epoch.day_refusal` refuses, and both of two days of
    one verifier for one provider; so with the rating days of gateways. `opening.report` is set to the chain's previous
    report. `seeds`: what each verifier revealed; `commitments`: what the chain holds of it (absent: zero).
    """
    active = {record.operator for record in chain.verifiers if record.active}
    reveals = [SeedReveal(name, seed, commitments.get(name, bytes(32))) for name, seed in seeds.items()]
    reveals = [reveal for reveal in reveals if reveal.verifier in active and keeps_commitment(reveal)]
    verifiers = {reveal.verifier for reveal in reveals}
    providers = {record.provider for record in chain.providers}

    def usable(days: Iterable[Day]) -> tuple[Day, ...]:
        slots = chain.timing.slots_per_epoch
        kept = [day for day in days if day_refusal(day, verifiers, providers, chain.epoch, slots) is None]
        times = Counter((day.verifier, day.day.provider) for day in kept)
        return tuple(day for day in kept if times[day.verifier, day.day.provider] == 1)

    return canonical(
        EpochInputs(
            **{name: getattr(chain, name) for name in _SHARED},
            probe_days=usable(probe_days),
            canary_days=usable(canary_days),
            check_days=usable(check_days),
            seeds=tuple(reveals),
            attempts=tuple(attempts),
            opening=dataclasses.replace(opening, report=chain.previous),
            rating_days=_usable_ratings(chain, rating_days, providers),
        )
    )


def _usable_ratings(
    chain: ChainInputs, days: Iterable[SignedRatingDay], providers: set[str]
) -> tuple[SignedRatingDay, ...]:
    gateways = {record.operator for record in chain.gateways if record.active}
    kept = [day for day in days if rating_refusal(day, gateways, providers, chain.epoch) is None]
    times = Counter((day.gateway, day.day.provider) for day in kept)
    return tuple(day for day in kept if times[day.gateway, day.day.provider] == 1)


def keeps_commitment(reveal: SeedReveal) -> bool:
    """Say whether a revealed seed is the committed one; a verifier that committed to nothing may reveal anything."""
    return not any(reveal.committed) or keccak(reveal.seed) == reveal.committed


def chain_part(inputs: EpochInputs) -> ChainInputs:
    """Return what of the inputs the chain alone decides."""
    return ChainInputs(**{name: getattr(inputs, name) for name in _SHARED}, previous=inputs.opening.report)
