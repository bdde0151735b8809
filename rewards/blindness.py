"""Ask whether a provider treats those who measure it better than those who pay it.

Outcomes are compared in settlement (`rewards.honesty.outcomes_ppb`); here are latencies.

The test (Wilcoxon 1945, with ties as they fall): times to the first token of probes and of customers, taken together
in strata of requests of about the same length, since a longer prompt waits longer. The statistic is the sum over strata
of the probes' ranks; the p-value is the share of deals whose sum is as low, or lower. It is exact as long as the strata
are small enough to count all deals; beyond that the normal approximation with the deals' own variance is used, rounded
up. It is published, and moves nothing: where it is measured differs (docs/trust.md, W2).

Example: probes took 5 and 6 ms, customers 7, 8 and 9 ms: one deal of ten is as low, so 100,000,000 ppb.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.messages import Status
from rewards.measurement import PPB
from rewards.types import Attempt, EpochInputs

EXACT_MOST = 60
"""Most times in all strata together for which every deal is counted."""

LEAST = 8
"""Fewest times of probes, and of customers, that are compared."""

_STRATA_TOKENS = (16, 32, 64, 128, 256, 512, 1_024, 4_096)

Stratum = tuple[Sequence[int], Sequence[int]]


@dataclass(slots=True)
class Seen:
    """Times to the first token in ms of one provider, of probes and of customers, by length of the request."""

    probes: dict[int, list[int]] = field(default_factory=dict)
    customers: dict[int, list[int]] = field(default_factory=dict)

    def add(self, one: Attempt, is_probe: bool) -> None:
        """Add a served attempt that was streamed: without streaming the first byte is the last."""
        if one.receipt.status == Status.SERVED and one.countersignature.itl_us:
            side = self.probes if is_probe else self.customers
            side.setdefault(_length(one.receipt.input_tokens), []).append(one.countersignature.ttft_ms)

    def strata(self) -> list[Stratum]:
        """Return probes' and customers' times for each length that both have."""
        return [(self.probes[key], self.customers[key]) for key in sorted(self.probes.keys() & self.customers.keys())]


@dataclass(frozen=True, slots=True)
class Blindness:
    """One provider's epoch: how many times were compared, their medians in ms, and the p-value in ppb (10^9: none)."""

    provider: str
    probes: int
    customers: int
    probes_median_ms: int
    customers_median_ms: int
    p_ppb: int


def blindness(inputs: EpochInputs) -> tuple[Blindness, ...]:
    """Compare every provider's times for probes with those for customers; a probe is an attempt a verifier paid for."""
    verifiers = {record.operator for record in inputs.verifiers}
    seen: dict[str, Seen] = {record.provider: Seen() for record in inputs.providers}
    for one in inputs.attempts:
        seen[one.receipt.provider].add(one, one.countersignature.customer in verifiers)
    return tuple(_blindness(name, times) for name, times in seen.items())


def _blindness(provider: str, seen: Seen) -> Blindness:
    strata = seen.strata()
    probes = sorted(time for ours, _ in strata for time in ours)
    customers = sorted(time for _, theirs in strata for time in theirs)
    p_ppb = latencies_ppb(strata) if min(len(probes), len(customers)) >= LEAST else PPB
    return Blindness(provider, len(probes), len(customers), _median(probes), _median(customers), p_ppb)


def latencies_ppb(strata: Iterable[Stratum]) -> int:
    """Return the p-value in ppb, rounded up, of the probes' times (first of each pair) being as low as they are.

    Raises ValueError when there is nothing to compare.
    """
    ranked = [(_doubled_ranks([*ours, *theirs]), len(ours)) for ours, theirs in strata if ours and theirs]
    if not ranked:
        raise ValueError("no length of request has times of both probes and customers: there is nothing to compare")
    seen = sum(sum(ranks[:count]) for ranks, count in ranked)
    if sum(len(ranks) for ranks, _ in ranked) <= EXACT_MOST:
        return _exact_ppb(ranked, seen)
    mean, variance = 0.0, 0.0
    for ranks, count in ranked:
        size, middle = len(ranks), sum(ranks) / len(ranks)
        mean += count * middle
        spread = sum((rank - middle) ** 2 for rank in ranks)
        variance += spread * count * (size - count) / (size * (size - 1))
    if not variance:
        return PPB
    # one step of a doubled rank is two: the continuity correction is one
    return min(PPB, math.ceil(PPB * math.erfc(-(seen + 1 - mean) / math.sqrt(2 * variance)) / 2) or 1)


def _exact_ppb(ranked: Sequence[tuple[Sequence[int], int]], seen: int) -> int:
    """Count all deals: `ways[sum]` of the strata so far, one stratum dealt after the other."""
    ways: Mapping[int, int] = {0: 1}
    for ranks, count in ranked:
        dealt: list[dict[int, int]] = [{0: 1}, *({} for _ in range(count))]
        for rank in ranks:
            for taken in range(count, 0, -1):
                for total, times in dealt[taken - 1].items():
                    dealt[taken][total + rank] = dealt[taken].get(total + rank, 0) + times
        together: dict[int, int] = {}
        for total, times in ways.items():
            for more, others in dealt[count].items():
                together[total + more] = together.get(total + more, 0) + times * others
        ways = together
    low = sum(times for total, times in ways.items() if total <= seen)
    return -(-low * PPB // sum(ways.values()))


def _doubled_ranks(times: Sequence[int]) -> list[int]:
    """Return twice the rank of each time, ties sharing the middle of theirs: 5, 7, 7 → 2, 5, 5."""
    order = sorted(times)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for place, time in enumerate(order, 1):
        first.setdefault(time, place)
        last[time] = place
    return [first[time] + last[time] for time in times]


def _length(tokens: int) -> int:
    return next((index for index, most in enumerate(_STRATA_TOKENS) if tokens <= most), len(_STRATA_TOKENS))


def _median(ordered: Sequence[int]) -> int:
    return ordered[(len(ordered) - 1) // 2] if ordered else 0
