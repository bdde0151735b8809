"""Turn an epoch's measurements into signed days, and into the document other parties fetch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.errors import BadMessage, BadSignature
from contracts.messages import ZERO32, CanaryDay, CheckDay, ProbeDay
from contracts.signing import Signer
from rewards.measurement import PPM, Probe, probe_day
from rewards.types import SignedCanaryDay, SignedCheckDay, SignedProbeDay
from rewards.verifier.capacity import capacity_ppm, slow_epochs
from rewards.verifier.challenge import Pool
from rewards.verifier.equality import compare
from rewards.verifier.samples import Samples, collect
from rewards.verifier.store import Measurement

_UINT32_MOST = 2**32 - 1
_LISTS = {ProbeDay: "probe_days", CanaryDay: "canary_days", CheckDay: "check_days"}


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


def check_days(
    signer: Signer,
    separator: bytes,
    epoch: int,
    measurements: Iterable[Measurement],
    pool: Pool | None,
    bursts: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    slow_before: Mapping[str, int] | None = None,
) -> tuple[tuple[SignedCheckDay, ...], tuple[Samples, ...]]:
    """Compare every provider's answers to the pool's requests with the reference's, and sign what comes of it.

    Returns one CheckDay per provider that was tried, and the answers behind those that compared any. `bursts`: rate and
    expected rate of each burst by provider; `slow_before`: slow epochs on end up to the epoch before.
    """
    answers: dict[str, dict[int, list[str]]] = {}
    tries: dict[str, list[bool]] = {}
    for one in measurements:
        if one.prompt is not None:
            answers.setdefault(one.provider, {}).setdefault(one.prompt, []).append(one.answer)
        if one.again or one.verdict.up is not None:
            tries.setdefault(one.provider, []).append(one.again or not one.verdict.up)
    signed: list[SignedCheckDay] = []
    kept: list[Samples] = []
    for provider in sorted(tries):
        samples = collect(signer.address, provider, epoch, pool, answers.get(provider, {})) if pool else None
        found = samples.test() if samples else compare(())
        seen = (bursts or {}).get(provider, ())
        capacity = capacity_ppm([rate * PPM // expected for rate, expected in seen], PPM)
        day = CheckDay(
            provider=provider,
            epoch=epoch,
            weights=samples.weights if samples else ZERO32,
            completions=found.completions,
            model_ppb=found.p_ppb,
            bursts=len(seen),
            capacity_ppm=min(capacity, _UINT32_MOST),
            slow_epochs=slow_epochs((slow_before or {}).get(provider, 0), len(seen), capacity),
            tries=len(tries[provider]),
            failed_tries=sum(tries[provider]),
            samples=samples.seal()[1] if samples else ZERO32,
        )
        signed.append(SignedCheckDay(signer.address, day, signer.sign(day.digest(separator))))
        if samples:
            kept.append(samples)
    return tuple(signed), tuple(kept)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one verifier showed of one epoch: the seed of its plan, and its days."""

    verifier: str
    seed: bytes
    probe_days: tuple[SignedProbeDay, ...]
    canary_days: tuple[SignedCanaryDay, ...]
    check_days: tuple[SignedCheckDay, ...] = ()

    def document(self, epoch: int) -> dict[str, Any]:
        """Return the wire form (docs/protocol.md, section 3.3)."""

        def rows(days: Sequence[SignedProbeDay | SignedCanaryDay | SignedCheckDay]) -> list[dict[str, Any]]:
            return [signed.day.to_json() | {"signature": "0x" + signed.signature.hex()} for signed in days]

        return {
            "verifier": self.verifier,
            "epoch": epoch,
            "seed": "0x" + self.seed.hex(),
            "probe_days": rows(self.probe_days),
            "canary_days": rows(self.canary_days),
            "check_days": rows(self.check_days),
        }


def read_document(value: Mapping[str, Any], verifier: str, epoch: int, separator: bytes) -> Shown:
    """Read another party's attestation; every signature is checked. `check_days` may be missing.

    Raises BadMessage for a missing or ill-typed field or another epoch, BadSignature when a day was not signed by
    `verifier`.
    """
    try:
        seed = bytes.fromhex(str(value["seed"]).removeprefix("0x"))
        rows: list[tuple[type[ProbeDay | CanaryDay | CheckDay], Any]] = []
        for kind in (ProbeDay, CanaryDay, CheckDay):
            listed = value[_LISTS[kind]] if kind is not CheckDay else value.get(_LISTS[kind], ())
            rows += [(kind, row) for row in listed]
        signatures = [bytes.fromhex(str(row["signature"]).removeprefix("0x")) for _, row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise BadMessage(f"the attestation of {verifier} for epoch {epoch} cannot be read: {error!r}") from error
    if len(seed) != 32:
        raise BadMessage(f"the seed of {verifier} has {len(seed)} bytes, 32 are wanted")
    days: list[SignedProbeDay] = []
    canaries: list[SignedCanaryDay] = []
    checks: list[SignedCheckDay] = []
    for (kind, row), signature in zip(rows, signatures, strict=True):
        day = kind.from_json(row)
        by = day.signed_by(separator, signature)
        if by != verifier:
            raise BadSignature(f"a {kind.__name__} about {day.provider} shown by {verifier} was signed by {by}")
        if day.epoch != epoch:
            raise BadMessage(f"a {kind.__name__} about {day.provider} is of epoch {day.epoch}, not {epoch}")
        if isinstance(day, ProbeDay):
            days.append(SignedProbeDay(verifier, day, signature))
        elif isinstance(day, CanaryDay):
            canaries.append(SignedCanaryDay(verifier, day, signature))
        else:
            checks.append(SignedCheckDay(verifier, day, signature))
    return Shown(verifier, seed, tuple(days), tuple(canaries), tuple(checks))
