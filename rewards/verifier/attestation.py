"""Turn an epoch's measurements into signed ProbeDays and CanaryDays, and into the document other parties fetch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from contracts.errors import BadMessage, BadSignature
from contracts.messages import CanaryDay, ProbeDay
from contracts.signing import Signer
from rewards.measurement import Probe, probe_day
from rewards.types import SignedCanaryDay, SignedProbeDay
from rewards.verifier.store import Measurement


def attest(
    signer: Signer,
    separator: bytes,
    epoch: int,
    slots_per_epoch: int,
    measurements: Iterable[Measurement],
    before: Iterable[Measurement] = (),
) -> tuple[tuple[SignedProbeDay, ...], tuple[SignedCanaryDay, ...]]:
    """Sign one ProbeDay per provider that was probed, and one CanaryDay per provider that was asked canaries.

    `before` are the measurements of the epoch before: the last of each provider brackets an outage that began there.
    A provider about which nothing was seen gets no ProbeDay at all: silence is not evidence.
    """
    first = epoch * slots_per_epoch
    edge = {m.provider: m for m in before if m.verdict.up is not None}
    seen: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        seen.setdefault(measurement.provider, []).append(measurement)
    days: list[SignedProbeDay] = []
    canaries: list[SignedCanaryDay] = []
    for provider in sorted(seen):
        probes = [Probe(first + m.slot, m.verdict.up, m.ttft_ms) for m in seen[provider] if m.verdict.up is not None]
        if probes:
            if (last := edge.get(provider)) is not None:
                probes.append(Probe(first - slots_per_epoch + last.slot, bool(last.verdict.up)))
            day = probe_day(provider, epoch, slots_per_epoch, probes)
            days.append(SignedProbeDay(signer.address, day, signer.sign(day.digest(separator))))
        judged = [m.canary for m in seen[provider] if m.canary is not None]
        if judged:
            counted = CanaryDay(provider, epoch, len(judged), sum(judged))
            canaries.append(SignedCanaryDay(signer.address, counted, signer.sign(counted.digest(separator))))
    return tuple(days), tuple(canaries)


def document(
    verifier: str,
    epoch: int,
    seed: bytes,
    days: Iterable[SignedProbeDay],
    canaries: Iterable[SignedCanaryDay],
) -> dict[str, Any]:
    """Return the wire form of one verifier's attestation of one epoch (docs/protocol.md, section 3.3)."""
    return {
        "verifier": verifier,
        "epoch": epoch,
        "seed": "0x" + seed.hex(),
        "probe_days": [signed.day.to_json() | {"signature": "0x" + signed.signature.hex()} for signed in days],
        "canary_days": [signed.day.to_json() | {"signature": "0x" + signed.signature.hex()} for signed in canaries],
    }


def read_document(
    value: Mapping[str, Any], verifier: str, epoch: int, separator: bytes
) -> tuple[bytes, tuple[SignedProbeDay, ...], tuple[SignedCanaryDay, ...]]:
    """Read another party's attestation: (seed, probe days, canary days); every signature is checked.

    Raises BadMessage for a missing or ill-typed field or another epoch, BadSignature when a day was not signed by
    `verifier`.
    """
    try:
        seed = bytes.fromhex(str(value["seed"]).removeprefix("0x"))
        rows = [(ProbeDay, row) for row in value["probe_days"]] + [(CanaryDay, row) for row in value["canary_days"]]
        signatures = [bytes.fromhex(str(row["signature"]).removeprefix("0x")) for _, row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise BadMessage(f"the attestation of {verifier} for epoch {epoch} cannot be read: {error!r}") from error
    if len(seed) != 32:
        raise BadMessage(f"the seed of {verifier} has {len(seed)} bytes, 32 are wanted")
    days: list[SignedProbeDay] = []
    canaries: list[SignedCanaryDay] = []
    for (kind, row), signature in zip(rows, signatures, strict=True):
        day = kind.from_json(row)
        by = day.signed_by(separator, signature)
        if by != verifier:
            raise BadSignature(f"a {kind.__name__} about {day.provider} shown by {verifier} was signed by {by}")
        if day.epoch != epoch:
            raise BadMessage(f"a {kind.__name__} about {day.provider} is of epoch {day.epoch}, not {epoch}")
        if isinstance(day, ProbeDay):
            days.append(SignedProbeDay(verifier, day, signature))
        else:
            canaries.append(SignedCanaryDay(verifier, day, signature))
    return seed, tuple(days), tuple(canaries)
