"""What the control API and the dashboard show, as frozen dataclasses; `marketplace.api.reads` holds the queries.

Amounts ending in `_units` are token units, in `_atto` 10^-18 of the payment token. On the wire both are decimal
strings, because they may exceed 2^53, where a browser's numbers end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class BalanceView:
    """A customer's money: what lies in escrow, and what of it can be spent at this moment."""

    customer: str
    escrow_units: int
    thawing_units: int
    available_atto: int
    held_atto: int
    uncharged_atto: int
    cap_units: int
    compensation_units: int


@dataclass(frozen=True, slots=True)
class KeyView:
    """An API key without its secret."""

    id: int
    name: str
    hint: str
    service_class: str
    requests_per_minute: int | None
    tokens_per_minute: int | None
    created: datetime
    revoked: datetime | None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One day of one model for one customer."""

    day: str
    model: str
    attempts: int
    served: int
    input_tokens: int
    output_tokens: int
    charge_atto: int


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One attempt as both sides signed it; `stars` is what the customer thought of it, None if it did not say."""

    job: str
    attempt: int
    provider: str
    model: str
    status: str
    slot: int
    epoch: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    ttft_ms: int
    itl_us: int
    charge_atto: int
    stars: int | None = None


@dataclass(frozen=True, slots=True)
class CreditRow:
    """Money that came back to a customer, with the rule that sent it.

    `token` is `payment` or `stake` and says in which units the amount is.
    """

    epoch: int | None
    provider: str
    amount_units: int
    token: str
    rule: str
    transaction: str


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """A provider as everybody may see it.

    What it offers, what it and others staked, how it was measured in its last settled epoch. `problem` says why it gets
    no work, "" if it does; `slash` how far its newest slash has come, "" without one. `standing`: routing weight, 0
    whole, 1 half, 2 a quarter.
    """

    provider: str
    endpoint: str
    region: str
    hardware: str
    units: int
    status: str
    problem: str
    models: tuple[str, ...]
    price_in_atto: int | None
    price_out_atto: int | None
    stake_units: int
    required_units: int
    delegated_units: int
    commission_ppm: int
    epoch: int | None
    standing: int | None
    score_ppm: int | None
    uptime_ppm: int | None
    success_ppm: int | None
    ttft_p95_ms: int | None
    strikes: int | None
    slashed_units: int
    slash: str


@dataclass(frozen=True, slots=True)
class EpochRow:
    """A report of an epoch as submitted on chain; `pools` is what delegators got."""

    epoch: int
    state: str
    leaves: int
    charged_units: int
    provider_fees_units: int
    incentive_units: int
    pools_units: int
    credits_units: int
    evidence: str
    root: str
    transaction: str


@dataclass(frozen=True, slots=True)
class LeafRow:
    """One provider's line of an epoch report, with what the epoch alone brought it."""

    provider: str
    fees_units: int
    incentive_units: int
    uptime_ppm: int
    ttft_p95_ms: int | None
    success_ppm: int
    verification_ppm: int
    score_ppm: int
    strikes: int
    standing: int
    slash_level: int
    measured: bool


@dataclass(frozen=True, slots=True)
class EpochDetail:
    """An epoch with its lines."""

    row: EpochRow
    leaves: tuple[LeafRow, ...]


@dataclass(frozen=True, slots=True)
class LineRow:
    """The line for one model at this gateway: what open lanes may hold, what they hold, how many wait in each band."""

    model: str
    places: int
    used: int
    realtime: int
    standard: int
    batch: int
    background: int


@dataclass(frozen=True, slots=True)
class StatusView:
    """Where the marketplace stands: the clock, the chain, the market."""

    chain_id: int
    block: int
    epoch: int
    slot: int
    seconds_to_next_epoch: int
    epoch_s: int
    slot_s: int
    providers: int
    payment_decimals: int
    stake_decimals: int
    payment_symbol: str
    stake_symbol: str
    lines: tuple[LineRow, ...]


def wire(value: Any) -> Any:
    """Return the JSON form of a view: amounts as decimal strings, times in ISO 8601."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _amount(f.name, getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: wire(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [wire(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _amount(name: str, value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and name.endswith(("_units", "_atto")):
        return str(value)
    return wire(value)
