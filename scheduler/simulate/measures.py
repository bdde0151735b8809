"""Say what a simulation came to: times to first token, goodput, cost, and how evenly work was spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scheduler.simulate.world import Ending
from scheduler.types import ServiceClass

ATTO = 10**18


@dataclass(frozen=True, slots=True)
class Measures:
    """What one simulation came to.

    `goodput_per_s` counts requests served within both objectives of the class, over the span of the arrivals;
    `good_share` is their part of all requests. Quantiles are of those served. `cost_per_million` is in whole payment
    tokens for a million tokens, prompt and answer. `gini` is of the requests that each provider served, 0 for all
    alike.
    """

    requests: int
    served: int
    refused: int
    failed: int
    good_share: float
    goodput_per_s: float
    ttft_p50_ms: float
    ttft_p99_ms: float
    itl_p50_ms: float
    cost_per_million: float
    hit_share: float
    gini: float


def quantile(values: Iterable[float], share: float) -> float:
    """Return a quantile by the nearest rank, 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def gini(counts: Sequence[float]) -> float:
    """Return Gini's coefficient: half the mean difference between two, divided by the mean."""
    ordered, total = sorted(counts), sum(counts)
    if not total:
        return 0.0
    weighted = sum((2 * rank - len(ordered) - 1) * count for rank, count in enumerate(ordered, 1))
    return weighted / (len(ordered) * total)


def is_good(ending: Ending, service: ServiceClass) -> bool:
    """Tell whether a request was served within the class's objectives for the first token and for the gaps."""
    return (
        ending.status == "served"
        and ending.ttft_ms <= service.slo_ttft_ms
        and 1e3 * ending.itl_ms <= service.slo_itl_us
    )


def measure(endings: Sequence[Ending], providers: int, service: ServiceClass) -> Measures:
    """Sum up the endings of one simulation."""
    served = [one for one in endings if one.status == "served"]
    good = sum(is_good(one, service) for one in served)
    span_s = (endings[-1].arrival.at_ms - endings[0].arrival.at_ms) / 1e3
    tokens = sum(one.arrival.input_tokens + one.arrival.output_tokens for one in served)
    prompts = sum(one.arrival.input_tokens for one in served)
    counts = [0.0] * providers
    for one in served:
        counts[one.provider] += 1
    return Measures(
        requests=len(endings),
        served=len(served),
        refused=sum(one.status == "refused" for one in endings),
        failed=sum(one.status == "failed" for one in endings),
        good_share=good / len(endings),
        goodput_per_s=good / span_s if span_s else 0.0,
        ttft_p50_ms=quantile((one.ttft_ms for one in served), 0.5),
        ttft_p99_ms=quantile((one.ttft_ms for one in served), 0.99),
        itl_p50_ms=quantile((one.itl_ms for one in served), 0.5),
        cost_per_million=1e6 * sum(one.paid_atto for one in served) / ATTO / tokens if tokens else 0.0,
        hit_share=sum(one.hit_tokens for one in served) / prompts if prompts else 0.0,
        gini=gini(counts),
    )
