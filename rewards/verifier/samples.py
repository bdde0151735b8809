"""The answers behind a CheckDay: kept and served by digest, so that anybody computes the p-value again.

A document is canonical JSON with every request that was compared, the provider's answers and the reference's. It holds
the verifier's own requests alone: nothing of a customer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rewards.canonical import Unreadable, build, canonical_json, plain, read_json
from rewards.errors import EvidenceDamaged
from rewards.verifier.challenge import Pool
from rewards.verifier.equality import Asked, Equality, compare

MOST_COMPARED = 64
"""Prompts of one provider in one epoch that are compared: more prove little and cost the square of their number."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One request, the provider's answers to it and the reference's."""

    body: str
    provider: tuple[str, ...]
    reference: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """All that a verifier compared of one provider in one epoch; `weights` is the digest of the reference's weights."""

    verifier: str
    provider: str
    epoch: int
    weights: bytes
    compared: tuple[Compared, ...]

    def test(self) -> Equality:
        """Compute the p-value."""
        return compare([Asked(one.provider, one.reference) for one in self.compared])

    def seal(self) -> tuple[bytes, bytes]:
        """Return the document's bytes and their SHA-256."""
        data = canonical_json(plain(self))
        return data, hashlib.sha256(data).digest()


def collect(
    verifier: str, provider: str, epoch: int, pool: Pool, answers: Mapping[int, Sequence[str]]
) -> Samples | None:
    """Put a provider's answers, by their place in the pool, beside the reference's; None when there are none."""
    compared = tuple(
        Compared(pool.sampled[place].body.decode(), tuple(answers[place]), pool.sampled[place].answers)
        for place in sorted(answers)[:MOST_COMPARED]
        if place < len(pool.sampled)
    )
    return Samples(verifier, provider, epoch, pool.weights, compared) if compared else None


def read_samples(data: bytes, digest: bytes) -> Samples:
    """Read a document that must have this digest; raises EvidenceDamaged."""
    found = hashlib.sha256(data).digest()
    if found != digest:
        raise EvidenceDamaged("samples", "its bytes are not those of its digest", expected=digest, found=found)
    try:
        samples: Samples = build(Samples, read_json(data))
    except Unreadable as error:
        raise EvidenceDamaged("samples", f"it cannot be read: {error}") from error
    return samples
