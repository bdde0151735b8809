"""Keep what the gateway knows of one lane (a provider serving a model) and turn it into a row to be priced.

Counts are the gateway's own: `running` from reserve to release, `queued_tokens` (uncached prompt) from reserve to the
first byte, `kv_tokens` (prompt and half of the answer) from the first byte to release. A provider's report of its own
load may raise what is priced, never lower it, and is forgotten after a while.
"""

from __future__ import annotations

from math import inf

from scheduler.breaker import Breaker
from scheduler.cost import Row
from scheduler.flow.limit import Limit
from scheduler.gates import BUSY, FULL, HALF, NEWCOMER, OPEN, QUARTER, REFUSED, SHARE, WITHDRAWN
from scheduler.hardware import cache_tokens, latency_prior
from scheduler.latency import LatencyModel
from scheduler.policy import Policy
from scheduler.reliability import Reliability
from scheduler.types import PPM, Offer

LOGISTIC_PER_NORMAL = 1.702
TYPICAL_INPUT_TOKENS = 500.0
TYPICAL_OUTPUT_TOKENS = 200.0
JOB_STEP = 0.1
NO_PLACES = OPEN | REFUSED | WITHDRAWN
KNOWN_AFTER = 20
"""As many jobs as the prior is worth; before, the model does not know a backlog well enough to bar anybody by it."""

BELIEF_STEP = 0.1
LEAST_BELIEF = 0.25
LEAST_SAVED_MS = 20.0
DISBELIEF_MS = 600_000.0
LEAST_BASE_MS = 0.1
"""Estimates are divided by, so that none may be zero."""


class Lane:
    """One lane's offer, models and counters. `MarketState` changes it and asks for a row afterwards."""

    __slots__ = (
        "believed", "breaker", "cache_tokens", "capacity", "counted", "disbelieved_until_ms", "index", "job_ms",
        "kv_tokens", "last_itl_ms", "last_ttft_ms", "latency", "limit", "observations", "offer", "over_share",
        "provider_index", "queued_tokens", "refused_until_ms", "reliability", "reported", "reported_until_ms",
        "running", "wake_ms", "withdrawn",
    )  # fmt: skip

    def __init__(self, index: int, provider_index: int, offer: Offer, policy: Policy) -> None:
        self.index = index
        self.provider_index = provider_index
        self.offer = offer
        self.breaker = Breaker()
        self.reliability = Reliability(offer.score_ppm)
        self.running = 0
        self.queued_tokens = 0.0
        self.kv_tokens = 0.0
        self.reported: tuple[int, float, float] | None = None
        self.reported_until_ms = -inf
        self.refused_until_ms = -inf
        self.observations = 0
        self.over_share = False
        self.withdrawn = False
        self.wake_ms = inf
        self.last_ttft_ms = -inf
        self.last_itl_ms = -inf
        self.counted = (0, 0, 0.0)
        self.believed = 1.0
        self.disbelieved_until_ms = -inf
        self._start_limit(policy)
        self._start_model(policy)

    def _start_model(self, policy: Policy) -> None:
        offer = self.offer
        home = not policy.home_region or offer.region == policy.home_region
        prior = latency_prior(offer.hardware_class, offer.units, offer.active_params_m)
        self.latency = LatencyModel(prior, offer.slots, policy.rtt_home_ms if home else policy.rtt_away_ms)
        self.job_ms = self.latency.job_ms(TYPICAL_INPUT_TOKENS, TYPICAL_OUTPUT_TOKENS, 1.0)
        self.capacity = self.measure_capacity()
        self.cache_tokens = cache_tokens(offer.hardware_class, offer.units, offer.active_params_m)

    def _start_limit(self, policy: Policy) -> None:
        slots = self.offer.slots or 1
        self.limit = Limit(slots, slots + policy.queue_allowance)

    def amend(self, offer: Offer, policy: Policy) -> None:
        """Take changed terms. Other slots start the limit over, other hardware the latency model too; another score
        fades own success counts."""
        before, self.offer = self.offer, offer
        self.withdrawn = False
        if offer.score_ppm != before.score_ppm:
            self.reliability.rescore(offer.score_ppm, policy.forget_score_ppm)
        machine = ("hardware_class", "units", "active_params_m", "region")
        if any(getattr(offer, name) != getattr(before, name) for name in machine):
            self._start_model(policy)
        if any(getattr(offer, name) != getattr(before, name) for name in (*machine, "slots")):
            self._start_limit(policy)

    def measure_capacity(self) -> float:
        """Return the tokens a second at full slots: what verifiers audited, else what the latency model implies."""
        if self.offer.audited_tokens_per_s > 0:
            return float(self.offer.audited_tokens_per_s)
        slots = max(1, self.offer.slots)
        job_ms = self.latency.job_ms(TYPICAL_INPUT_TOKENS, TYPICAL_OUTPUT_TOKENS, slots)
        return 1e3 * slots * TYPICAL_OUTPUT_TOKENS / job_ms

    def typical_ttft_ms(self) -> float:
        """Estimate the time to first byte of a typical prompt on the idle lane."""
        return self.latency.ttft_ms(TYPICAL_INPUT_TOKENS)

    def sampling_weight(self) -> float:
        """Return capacity times score squared, reduced on probation."""
        return self.capacity * (self.offer.score_ppm / PPM) ** 2 * self.offer.weight_ppm / PPM

    def is_newcomer(self, policy: Policy) -> bool:
        """Tell whether too little was seen of the lane to judge it."""
        return self.offer.observations + self.observations < policy.newcomer_observations

    def load(self) -> tuple[int, float, float]:
        """Return (running, queued tokens, kv tokens): own counts, raised by a fresh report."""
        if self.reported is None:
            return self.running, self.queued_tokens, self.kv_tokens
        running, queued_tokens, kv_tokens = self.reported
        return max(self.running, running), max(self.queued_tokens, queued_tokens), max(self.kv_tokens, kv_tokens)

    def believe(self, tokens: int, now_ms: float) -> int:
        """Return the part of a cached prefix to count on: as much as earlier hits showed in first bytes."""
        if now_ms < self.disbelieved_until_ms:
            return 0
        return int(tokens * self.believed)

    def judge_hit(self, cold_ms: float, saved_ms: float, ttft_ms: float, now_ms: float) -> None:
        """Learn from a first byte whether a hit was real: without it `cold_ms` was due, all of it saves `saved_ms`.

        Only hits that would save more than the model's usual error say something. Who keeps showing nothing is not
        believed for `DISBELIEF_MS`, and half believed afterwards.
        """
        if saved_ms <= max(LEAST_SAVED_MS, self.latency.ttft.sigma * cold_ms):
            return
        shown = min(1.0, max(0.0, (cold_ms - ttft_ms) / saved_ms))
        self.believed += BELIEF_STEP * (shown - self.believed)
        if self.believed < LEAST_BELIEF:
            self.believed = 0.5
            self.disbelieved_until_ms = now_ms + DISBELIEF_MS

    def slot_wait_ms(self, running: int) -> float:
        """Estimate the wait of one more job for a slot: jobs ahead of it beyond the slots, at the lane's pace."""
        slots = max(1, min(self.offer.slots, self.limit.places))
        return 0.0 if running < slots else (running - slots + 1) * self.job_ms / slots

    def compute_gate(self, now_ms: float, policy: Policy) -> int:
        """Return the gate bits of this moment."""
        gate = self.breaker.gate(now_ms)
        offer = self.offer
        running = self.running if self.reported is None else max(self.running, self.reported[0])
        if running >= self.limit.places:
            gate |= FULL
        if self.observations >= KNOWN_AFTER and (
            self.queued_tokens * self.latency.token_ms > policy.backlog_most_ms
            or self.kv_tokens + self.queued_tokens > self.cache_tokens
        ):
            gate |= BUSY
        if now_ms < self.refused_until_ms:
            gate |= REFUSED
        if self.over_share:
            gate |= SHARE
        if self.withdrawn:
            gate |= WITHDRAWN
        if offer.weight_ppm < PPM:
            gate |= HALF if offer.weight_ppm >= PPM // 2 else QUARTER
        if offer.observations + self.observations < policy.newcomer_observations:
            gate |= NEWCOMER
        return gate

    def count_places(self, gate: int) -> tuple[int, int, float]:
        """Return (places, those in use, how many become free in a millisecond); a barred lane has none."""
        offer = self.offer
        if gate & NO_PLACES or offer.jailed or offer.weight_ppm <= 0:
            return 0, 0, 0.0
        running = self.running if self.reported is None else max(self.running, self.reported[0])
        places = self.limit.places
        used = places if gate & (FULL | BUSY) else min(running, places)
        return places, used, min(running, offer.slots or 1) / self.job_ms

    def next_turn_ms(self, now_ms: float, policy: Policy) -> float:
        """Return when the row changes by time alone, infinity if it does not."""
        turn_ms = now_ms + policy.share_recheck_ms if self.over_share else inf
        if self.reported is not None:
            turn_ms = min(turn_ms, self.reported_until_ms)
        if now_ms < self.refused_until_ms:
            turn_ms = min(turn_ms, self.refused_until_ms)
        if self.breaker.is_open:
            turn_ms = min(turn_ms, self.breaker.wake_ms(now_ms) or inf)
        return turn_ms

    def expire(self, now_ms: float) -> None:
        """Forget a report that is past its time."""
        if self.reported_until_ms <= now_ms:
            self.reported = None

    def row(self, gate: int, room_atto: float) -> Row:
        """Return the numbers to price one more job by; see `scheduler.cost` for the order."""
        offer, latency = self.offer, self.latency
        running, queued_tokens, kv_tokens = self.load()
        base_ms = max(LEAST_BASE_MS, latency.ttft_ms(queued_tokens, self.slot_wait_ms(running)))
        a_ms, b_ms, c_ms = latency.itl_parts()
        seen = offer.observations + self.observations
        return (
            self.index,
            gate,
            room_atto,
            float(offer.price_in_atto),
            float(offer.price_cached_atto),
            float(offer.price_out_atto),
            base_ms,
            latency.token_ms,
            a_ms + b_ms * (running + 1) + c_ms * kv_tokens,
            c_ms,
            LOGISTIC_PER_NORMAL / latency.ttft.sigma,
            LOGISTIC_PER_NORMAL / latency.itl.sigma,
            1.0 - self.reliability.rho,
            latency.ttft.sigma * base_ms / (seen + 1.0) ** 0.5,
        )
