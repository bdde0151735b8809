"""Put the chain's part and the signed part of an epoch's inputs together, and take them apart again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from rewards.epoch import canonical
from rewards.types import (
    Attempt,
    ChainInputs,
    EpochInputs,
    EpochState,
    SeedReveal,
    SignedCanaryDay,
    SignedProbeDay,
)

_SHARED = tuple(one.name for one in dataclasses.fields(ChainInputs) if one.name != "previous")


def assemble(
    chain: ChainInputs,
    opening: EpochState,
    *,
    attempts: Iterable[Attempt],
    probe_days: Iterable[SignedProbeDay],
    canary_days: Iterable[SignedCanaryDay],
    seeds: Mapping[str, bytes],
    commitments: Mapping[str, bytes],
) -> EpochInputs:
    """Return the inputs of an epoch in canonical order.

    Attestations of anybody who is not an active verifier at the checkpoint are left out. `opening.report` is set to
    the chain's previous report. `seeds`: what each verifier revealed; `commitments`: what the chain holds of it
    (absent: zero).
    """
    active = {record.operator for record in chain.verifiers if record.active}
    return canonical(
        EpochInputs(
            **{name: getattr(chain, name) for name in _SHARED},
            probe_days=tuple(day for day in probe_days if day.verifier in active),
            canary_days=tuple(day for day in canary_days if day.verifier in active),
            seeds=tuple(
                SeedReveal(verifier, seed, commitments.get(verifier, bytes(32)))
                for verifier, seed in seeds.items()
                if verifier in active
            ),
            attempts=tuple(attempts),
            opening=dataclasses.replace(opening, report=chain.previous),
        )
    )


def chain_part(inputs: EpochInputs) -> ChainInputs:
    """Return what of the inputs the chain alone decides."""
    return ChainInputs(**{name: getattr(inputs, name) for name in _SHARED}, previous=inputs.opening.report)
