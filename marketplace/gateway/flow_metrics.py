"""Show how work waits: by band how much and how long, who is sent away and why, and what each lane may hold."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from scheduler.flow.bands import BANDS
from scheduler.flow.flow import REASONS, Flow
from scheduler.lane import Lane
from scheduler.state import MarketState

_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 30, 120, 300)
_LIMITS_SHOWN = 1_000


class FlowMetrics:
    """The metrics of flow control, in the gateway's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        waits = Histogram(
            "bonded_gateway_queue_wait_seconds",
            "Waits for a place of the requests that had to wait and got one.",
            ["band"],
            buckets=_SECONDS,
            registry=registry,
        )
        refusals = Counter(
            "bonded_gateway_queue_refusals", "Requests sent away with 429.", ["band", "reason"], registry=registry
        )
        queued = Gauge("bonded_gateway_queued_requests", "Requests that wait for a place.", ["band"], registry=registry)
        self._waits = [waits.labels(band.name) for band in BANDS]
        self._refusals = [{reason: refusals.labels(band.name, reason) for reason in REASONS} for band in BANDS]
        self._queued = [queued.labels(band.name) for band in BANDS]
        self._places = Gauge(
            "bonded_gateway_places", "Jobs that the open lanes of a model may hold.", ["model"], registry=registry
        )
        self._used = Gauge("bonded_gateway_places_used", "Places of a model in use.", ["model"], registry=registry)
        self._limits = Gauge(
            "bonded_gateway_lane_limit",
            "Learned limits of the lanes where it is below what the provider declared.",
            ["provider", "model"],
            registry=registry,
        )

    def placed(self, rank: int, waited_ms: float) -> None:
        """Note a request that waited and got a place."""
        self._waits[rank].observe(waited_ms / 1_000)

    def refused(self, rank: int, reason: str) -> None:
        """Count a request that was sent away."""
        self._refusals[rank][reason].inc()

    def show(self, flow: Flow, market: MarketState) -> None:
        """Set the gauges to this moment."""
        for band in BANDS:
            self._queued[band.rank].set(flow.queued(band.rank))
        for gauge in (self._places, self._used, self._limits):
            gauge.clear()
        for model, places in market.models():
            self._places.labels(model).set(places.total)
            self._used.labels(model).set(places.used)
        for lane in _lowered(market):
            self._limits.labels(lane.offer.provider, lane.offer.model).set(lane.limit.places)


def _lowered(market: MarketState) -> Iterator[Lane]:
    shown = 0
    for lane in market.lanes:
        if lane.limit.value < lane.limit.most and not lane.withdrawn:
            yield lane
            shown += 1
            if shown == _LIMITS_SHOWN:
                return
