"""Count what happens to batch lines, in the gateway's registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class BatchMetrics:
    """Metrics of one gateway's batches."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lines = Counter(
            "bonded_gateway_batch_lines",
            "Tries of batch lines, by how they ended: done, dead, retry, wait, pause, lost.",
            ["end"],
            registry=registry,
        )
        self.running = Gauge("bonded_gateway_batch_lines_running", "Batch lines being served.", registry=registry)

    def ended(self, how: str) -> None:
        """Count the end of a try."""
        self._lines.labels(how).inc()
