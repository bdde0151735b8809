"""Describe what is matched: offers, demands, jobs, and how an attempt ended.

Money is in atto units (10^-18 of a payment token), integers. Times are milliseconds unless the name says otherwise.
A *lane* is one provider serving one model revision: the thing a job is sent to, and the index of its offer in the
market.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

PPM = 1_000_000

Coefficients = tuple[float, float, float, float, float, float, float, float]
"""(weight of price, atto/ms of ttft, atto/ms of itl and output token, slo ttft ms, slo itl ms, atto of a missed slo,
atto of a failure, atto/ms of curiosity)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider's terms for one model revision, with what the chain says about the provider.

    `stake_free_atto` is the bond that nothing else locks, valued in payment atto units. `weight_ppm` is 250,000 or
    500,000 on probation. `audited_tokens_per_s` is what verifiers measured at full load, zero while nobody has; until
    then the learned latency model stands in for it. `active_params_m` sizes the latency prior only.
    """

    provider: str
    model: str
    context_length: int
    features: frozenset[str]
    region: str
    hardware_class: str
    units: int
    price_in_atto: int
    price_cached_atto: int
    price_out_atto: int
    slots: int
    score_ppm: int
    stake_free_atto: int
    weight_ppm: int = PPM
    jailed: bool = False
    observations: int = 0
    active_params_m: int = 7_000
    audited_tokens_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """The hard requirements of a job; make one per key and model and use it again, pools are cached by it.

    `region` is a residency rule: "" accepts any, "eu" accepts "eu" and "eu-west". Price caps are per token, None for
    none.
    """

    model: str
    features: frozenset[str] = frozenset()
    region: str = ""
    max_price_in_atto: int | None = None
    max_price_out_atto: int | None = None
    key: str = field(init=False, compare=False, repr=False)
    """The same for equal demands; a text, because its hash is computed once."""

    def __post_init__(self) -> None:
        key = (self.model, sorted(self.features), self.region, self.max_price_in_atto, self.max_price_out_atto)
        object.__setattr__(self, "key", repr(key))


@dataclass(frozen=True, slots=True)
class ServiceClass:
    """What time, a missed objective and a failure are worth to the customer; see `scheduler.classes` for the four.

    `itl_value_atto` is per millisecond of gap and per output token. `filler` work may test a half-open breaker.
    """

    name: str
    ttft_value_atto: float
    itl_value_atto: float
    miss_atto: float
    failure_atto: float
    slo_ttft_ms: int
    slo_itl_us: int
    curiosity_atto: float
    filler: bool = False
    coefficients: Coefficients = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "coefficients",
            (
                1.0,
                float(self.ttft_value_atto),
                float(self.itl_value_atto),
                float(self.slo_ttft_ms),
                self.slo_itl_us / 1000.0,
                float(self.miss_atto),
                float(self.failure_atto),
                float(self.curiosity_atto),
            ),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One request to be placed.

    `budget_atto` is the customer's hold: the most the whole job may cost at the worst. `session` is a hash, "" for
    none. `warm` names providers believed to hold a prefix of the prompt and how many tokens of it, best first.
    `waited_ms` is for how long it has waited for a place already.
    """

    id: str
    demand: Demand
    service: ServiceClass
    input_tokens: int
    max_output_tokens: int
    expected_output_tokens: int
    budget_atto: int
    session: str = ""
    warm: tuple[tuple[str, int], ...] = ()
    waited_ms: float = 0.0


class Status(Enum):
    """How an attempt ended; the first five are the receipt's statuses, in the receipt's order."""

    SERVED = "served"
    IDLE = "idle"
    CUSTOMER_ABORT = "customer_abort"
    PROVIDER_ERROR = "provider_error"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """The provider said "full" before any byte. It counts as a failure only below the provider's own declared slots."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gateway saw of an attempt, by its own clock. `itl_us` is None when fewer than two tokens came."""

    status: Status
    output_tokens: int = 0
    itl_us: int | None = None


class Reservation(NamedTuple):
    """A job's claim on a provider, from before the send to its one release. Prices are those the ticket must carry."""

    number: int
    job: str
    session: str
    lane: int
    provider: str
    model: str
    price_in_atto: int
    price_cached_atto: int
    price_out_atto: int
    worst_atto: int
    input_tokens: int
    fresh_tokens: int
    expected_output_tokens: int
    backlog_tokens: int
    slot_wait_ms: float
    ttft_ms: float
    ttft_q95_ms: float
    itl_ms: float
    reserved_ms: float
    trial: bool
