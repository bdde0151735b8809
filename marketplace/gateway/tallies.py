"""Histograms and counters that cost the request path little; Prometheus' own cost ten times as much.

A gateway's event loop is one thread, so nothing is locked. Prometheus sees them as any other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Tally:
    """One histogram's cells: how many values lie at or below each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Take a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def cells(self) -> tuple[list[tuple[str, float]], float]:
        """Return (bound, values up to it) for each bound, the last one without end, and the sum of all values."""
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True)), self._sum


class Count:
    """One counter's value: prometheus' own takes a lock for each step."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """Count one more."""
        self.value += 1


class Counts(Collector):
    """Counters of one name, by the values of its labels. `name` is without `_total`."""

    def __init__(self, name: str, about: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name = name
        self._about = about
        self._label_names = labels
        self._counts: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """Return the counter for these values of the labels; keep it where it is used often."""
        found = self._counts.get(values)
        if found is None:
            found = self._counts[values] = Count()
        return found

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Give Prometheus what was counted so far."""
        family = CounterMetricFamily(self._name, self._about, labels=self._label_names)
        for values, count in self._counts.items():
            family.add_metric(list(values), count.value)
        yield family


class Tallies(Collector):
    """Histograms of one name, by the values of its labels."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._about = about
        self._label_names = labels
        self._bounds = bounds
        self._tallies: dict[tuple[str, ...], Tally] = {}
        registry.register(self)

    def labels(self, *values: str) -> Tally:
        """Return the histogram for these values of the labels; keep it where it is used often."""
        found = self._tallies.get(values)
        if found is None:
            found = self._tallies[values] = Tally(self._bounds)
        return found

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Give Prometheus what was taken so far."""
        family = HistogramMetricFamily(self._name, self._about, labels=self._label_names)
        for values, tally in self._tallies.items():
            buckets, total = tally.cells()
            family.add_metric(list(values), buckets, total)
        yield family
