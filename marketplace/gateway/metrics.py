"""Count what the gateway does, under the standard `gen_ai` names where there are such, for Prometheus to read."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from contracts.messages import Receipt, Status
from marketplace.gateway.flow_metrics import FlowMetrics
from marketplace.gateway.tallies import Count, Counts, Tallies, Tally

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_ITL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All metrics of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._requests = Counts(
            "bonded_gateway_requests", "Requests answered, by path and status.", ["path", "status"], registry=registry
        )
        self._attempts = Counts(
            "bonded_gateway_attempts", "Attempts at providers, by how they ended.", ["status"], registry=registry
        )
        self._attempt = {status: self._attempts.labels(status.name.lower()) for status in Status}
        self._refused = Counter(
            "bonded_gateway_receipts_refused", "Receipts that did not say what happened.", registry=registry
        )
        self._broken = Counter(
            "bonded_gateway_streams_broken", "Streams that ended in an error event.", registry=registry
        )
        self._continued = Counter(
            "bonded_gateway_streams_continued",
            "Times another provider went on with an answer that broke.",
            registry=registry,
        )
        self._hedged = Counter(
            "bonded_gateway_hedges", "Second providers asked because the first was slow.", registry=registry
        )
        self._left = Counter("bonded_gateway_customers_left", "Customers who left early.", registry=registry)
        self._expired = Counter(
            "bonded_gateway_tickets_expired", "Tickets whose receipt never came.", registry=registry
        )
        self._duration = Tallies(
            "gen_ai_server_request_duration_seconds",
            "Time from the request's last byte to the answer's last byte.",
            ["gen_ai_operation_name"],
            bounds=_SECONDS,
            registry=registry,
        )
        self._durations = {name: self._duration.labels(name) for name in ("chat", "text_completion", "embeddings")}
        self._ttft = Tallies(
            "gen_ai_server_time_to_first_token_seconds",
            "Time to the first event of a streamed answer.",
            ["gen_ai_request_model"],
            bounds=_SECONDS,
            registry=registry,
        )
        self._itl = Tallies(
            "gen_ai_server_time_per_output_token_seconds",
            "Mean gap between the later events of a streamed answer.",
            ["gen_ai_request_model"],
            bounds=_ITL_SECONDS,
            registry=registry,
        )
        self._usage = Tallies(
            "gen_ai_client_token_usage",
            "Tokens per request, as billed.",
            ["gen_ai_request_model", "gen_ai_token_type"],
            bounds=_TOKENS,
            registry=registry,
        )
        self.active = Gauge("bonded_gateway_active_requests", "Requests being served.", registry=registry)
        self.open_tickets = Gauge("bonded_gateway_open_tickets", "Tickets that wait for a receipt.", registry=registry)
        self.connections = Gauge("bonded_gateway_upstream_connections", "Connections to providers.", registry=registry)
        self.providers = Gauge("bonded_gateway_providers", "Providers that may be matched.", registry=registry)
        self.directory_age = Gauge(
            "bonded_gateway_directory_age_seconds", "Age of the chain's last good reading.", registry=registry
        )
        self.flow = FlowMetrics(registry)
        self._models: dict[str, tuple[Tally, Tally, Tally, Tally]] = {}
        self._paths: dict[tuple[str, int], Count] = {}

    def answered(self, path: str, status: int) -> None:
        """Count an answer; `path` is one of our own."""
        key = (path, status)
        counter = self._paths.get(key)
        if counter is None:
            counter = self._paths[key] = self._requests.labels(path, str(status))
        counter.inc()

    def took(self, operation: str, seconds: float) -> None:
        """Note how long an inference request took."""
        self._durations[operation].observe(seconds)

    def attempt(self, status: Status) -> None:
        """Count an attempt."""
        self._attempt[status].inc()

    def receipt_refused(self) -> None:
        """Count a receipt that was refused."""
        self._refused.inc()

    def stream_broken(self) -> None:
        """Count a stream that ended in an error event."""
        self._broken.inc()

    def continued(self) -> None:
        """Count a leg of an answer that another provider began."""
        self._continued.inc()

    def hedged(self) -> None:
        """Count a realtime job at which a second provider was asked beside the first."""
        self._hedged.inc()

    def customer_left(self) -> None:
        """Count a customer who left before the end."""
        self._left.inc()

    def ticket_expired(self) -> None:
        """Count a ticket whose receipt never came."""
        self._expired.inc()

    def served(self, model: str, receipt: Receipt, ttft_ms: int, itl_us: int | None, stream: bool) -> None:
        """Note a served attempt: tokens, and times if it was streamed. `model` is one that the directory lists."""
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = (
                self._ttft.labels(model),
                self._itl.labels(model),
                self._usage.labels(model, "input"),
                self._usage.labels(model, "output"),
            )
        ttft, itl, tokens_in, tokens_out = found
        tokens_in.observe(receipt.input_tokens)
        tokens_out.observe(receipt.output_tokens)
        if stream:
            ttft.observe(ttft_ms / 1000)
            if itl_us is not None:
                itl.observe(itl_us / 1e6)

    def text(self) -> bytes:
        """Return everything in Prometheus' text form."""
        return generate_latest(self.registry)
