"""Prometheus metrics of one agent, under the names of the GenAI conventions where they exist."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contracts.messages import Status
from marketplace.agent.meter import SignedReceipt

_TTFT_S = (0.02, 0.032, 0.051, 0.082, 0.131, 0.21, 0.336, 0.537, 0.859, 1.374, 2.199, 3.518, 5.629, 9.007, 14.412)
_ITL_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)


class AgentMetrics:
    """Counters of one process in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.attempts = Counter(
            "bonded_agent_attempts", "Receipts signed, by how the attempt ended.", ("status",), registry=self._registry
        )
        self.refusals = Counter(
            "bonded_agent_refusals", "Requests refused before engine work.", ("code",), registry=self._registry
        )
        self.tokens = Counter(
            "gen_ai_client_token_usage", "Tokens in signed receipts.", ("gen_ai_token_type",), registry=self._registry
        )
        self.ttft = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time to first token.",
            buckets=_TTFT_S,
            registry=self._registry,
        )
        self.itl = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Mean gap between later tokens of an answer.",
            buckets=_ITL_S,
            registry=self._registry,
        )
        self.in_flight = Gauge("bonded_agent_in_flight", "Requests at the engine.", ("model",), registry=self._registry)
        self.open_receipts = Gauge(
            "bonded_agent_open_receipts", "Receipts no gateway has acknowledged.", registry=self._registry
        )
        self.facts_age = Gauge(
            "bonded_agent_chain_facts_age_seconds", "Age of what is known of the chain.", registry=self._registry
        )
        self.draining = Gauge("bonded_agent_draining", "1 while the agent takes no new work.", registry=self._registry)

    def signed(self, signed: SignedReceipt) -> None:
        """Count a receipt."""
        receipt = signed.receipt
        self.attempts.labels(Status(receipt.status).name.lower()).inc()
        self.tokens.labels("input").inc(receipt.input_tokens)
        self.tokens.labels("output").inc(receipt.output_tokens)
        if receipt.ttft_ms:
            self.ttft.observe(receipt.ttft_ms / 1000)
        if receipt.itl_us:
            self.itl.observe(receipt.itl_us / 1e6)

    def text(self) -> bytes:
        """Return the exposition format."""
        return generate_latest(self._registry)
