"""What serving takes: the parts behind it (`Desk`), the customer before it (`Sink`), the job itself (`Run`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from contracts.types import Timing
from marketplace.accounts import Accounts, Hold
from marketplace.gateway.acceptance import Witness
from marketplace.gateway.connection import Connection
from marketplace.gateway.flow import FlowControl
from marketplace.gateway.inquiry import Inquiry
from marketplace.gateway.matching import Matching
from marketplace.gateway.metrics import Metrics
from marketplace.gateway.open_tickets import OpenTickets
from marketplace.gateway.retry import RetryBudget, hedge_budget
from marketplace.gateway.tickets import new_salt
from marketplace.gateway.transcript import Transcript
from marketplace.gateway.upstream import Upstream

if TYPE_CHECKING:
    from marketplace.gateway.fallback import Fallback


class Sink(Protocol):
    """The customer's side of one answer.

    One that can send without waiting also has `put(data) -> bool`, for the pieces behind the first: it says whether the
    next may come that way too, or should wait in `write`.
    """

    async def start(self, content_type: bytes, length: int | None = None) -> None:
        """Send status 200 and the headers."""

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the customer is slow."""

    async def end(self, data: bytes) -> None:
        """Send the last piece of the body and end the answer properly."""

    def break_off(self) -> None:
        """Make sure that what was sent does not look like a whole answer."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the gateway waits (seconds) and how much it takes.

    A gap may last `gap_times_itl` times the expected one, but at least `gap_floor_s`. An answer that is not streamed
    may take `first_byte_s` and `pace_times_itl` times the expected gap for each token ordered. A stream may have
    `events_per_token` events for each token ordered and `events_spare` more. A ticket must be used within `ticket_s`;
    a receipt that is posted may come until `receipt_s` after that and the longest answer.
    """

    first_byte_s: float = 30.0
    gap_floor_s: float = 2.0
    gap_times_itl: float = 20.0
    pace_times_itl: float = 4.0
    total_s: float = 600.0
    body_most: int = 32 * 1024 * 1024
    events_per_token: int = 2
    events_spare: int = 64
    ticket_s: int = 60
    receipt_s: int = 120
    attempts_most: int = 3

    @property
    def hold_s(self) -> float:
        """Return how long a hold may wait for its receipt."""
        return self.ticket_s + self.total_s + self.receipt_s


@dataclass(slots=True)
class Desk:
    """Everything a request is served with, one per gateway.

    `clock` is unix time, `ticker` a monotonic clock, in seconds. A copy of a desk has the same flow control.
    """

    accounts: Accounts
    matching: Matching
    upstream: Upstream
    witness: Witness
    timing: Timing
    metrics: Metrics
    open_tickets: OpenTickets = field(default_factory=OpenTickets)
    patience: Patience = field(default_factory=Patience)
    retries: RetryBudget = field(default_factory=RetryBudget)
    hedges: RetryBudget = field(default_factory=hedge_budget)
    clock: Callable[[], float] = time.time
    ticker: Callable[[], float] = time.perf_counter
    log: Any = field(default_factory=lambda: structlog.get_logger("gateway"))
    flow: FlowControl = None  # type: ignore[assignment]
    fallback: Fallback | None = None

    def __post_init__(self) -> None:
        if self.flow is None:
            self.flow = FlowControl(self.matching, self.metrics.flow)

    def slot(self) -> int:
        """Return the slot the gateway is in; it decides the epoch of what is countersigned."""
        return max(0, self.timing.slot_at(self.clock()))


class Run:
    """One job on its way: its hold, the connections that serve it, and whether the customer is still there.

    `about`: headers of its answer beside those of every answer. `asked` is what the customer wants, `inquiry` what a
    provider is asked for, `attempts` how many tickets were made. `settled` says that the hold was posted, voided or
    handed to the open tickets; `started`, that the customer has bytes. Of a stream, `transcript` is what the customer
    has, `family` and `ordered` with whom and up to how many tokens another provider goes on, `broken` who is asked
    again only if nobody else is there. `due` is the unix time by which batch work must be done, 0 if nobody said.
    `tokens`: what the job was billed for, input and output. `on_leave` is called when the customer leaves; `evict`
    gives its place up for realtime work, None if it may stay.
    """

    __slots__ = (
        "_connections", "about", "asked", "attempts", "broken", "customer", "due", "evict", "family", "hold", "inquiry",
        "job", "left", "on_leave", "ordered", "salt", "settled", "sink", "started", "tokens", "transcript",
    )  # fmt: skip

    def __init__(self, customer: str, inquiry: Inquiry, job: bytes, sink: Sink) -> None:
        self.customer = customer
        self.about: list[tuple[bytes, bytes]] = []
        self.asked = inquiry
        self.inquiry = inquiry
        self.job = job
        self.sink = sink
        self.salt = new_salt()
        self.hold: Hold
        self.settled = False
        self.started = False
        self.tokens = 0
        self.left = False
        self.due = 0.0
        self.on_leave: Callable[[], None] | None = None
        self.evict: Callable[[], None] | None = None
        self.attempts = 0
        self.transcript = Transcript() if inquiry.stream else None
        self.family = ""
        self.ordered = 0
        self.broken: list[str] = []
        self._connections: list[Connection] = []

    def leave(self) -> None:
        """Note that the customer left; closes the upstream socket, or leaves the queue, in the same breath."""
        self.left = True
        if self.on_leave is not None:
            self.on_leave()
        for connection in list(self._connections):
            connection.abort()

    def attach(self, connection: Connection) -> None:
        """Name a connection that is to be closed when the customer leaves."""
        self._connections.append(connection)
        if self.left:
            connection.abort()

    def detach(self, connection: Connection) -> None:
        """Forget a connection that serves this job no more."""
        if connection in self._connections:
            self._connections.remove(connection)
