"""Our histograms say to Prometheus what its own would have said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from marketplace.gateway.tallies import Tallies

BOUNDS = (0.01, 0.5, 1, 30)


def shown(registry: CollectorRegistry) -> list[bytes]:
    return sorted(line for line in generate_latest(registry).splitlines() if b"_created" not in line)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([0.0, 0.01, 0.25, 0.5, 1.0, 7.0, 30.0, 1e6]))))
def test_a_tally_shows_what_prometheus_own_histogram_shows(values: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallies = Tallies("took_seconds", "How long it took.", ["model"], BOUNDS, ours)
    histogram = Histogram("took_seconds", "How long it took.", ["model"], buckets=BOUNDS, registry=theirs)
    for model in ("a", "b"):
        tallies.labels(model)
        histogram.labels(model)
    for model, value in values:
        tallies.labels(model).observe(value)
        histogram.labels(model).observe(value)
    assert shown(ours) == shown(theirs)
