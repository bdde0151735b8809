"""Play the gateway's own code: `decide` over a `MarketState`, with `Flow` before it, on the simulation's clock.

What the gateway does with asyncio is done here with the agenda, in the same order: a request that finds a place and
nobody before it is decided and reserved at once, any other waits in the line; a place that is given back is offered to
the line in the same moment; a timer looks every 25 ms while something waits; every two seconds the market is weighed
anew. Expected answers are learned as there, prices and claims are the offers', and nothing is known of an engine but
what its answers show.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf

from scheduler.classes import STANDARD
from scheduler.decide import decide
from scheduler.decision import Decision
from scheduler.errors import CandidateGone
from scheduler.flow.bands import BY_NAME, FlowPolicy
from scheduler.flow.flow import Denied, Flow
from scheduler.flow.line import Line, Verdict
from scheduler.flow.queue import Waiting
from scheduler.policy import Policy
from scheduler.prefix import PrefixIndex
from scheduler.simulate.engine import Attempt
from scheduler.simulate.trace import Arrival
from scheduler.simulate.world import World
from scheduler.state import MarketState
from scheduler.types import Demand, Job, Outcome, Reservation, ServiceClass, Status

TICK_MS = 25.0
REBALANCE_MS = 2_000.0
EXPECTED_OUTPUT_TOKENS = 128.0
LEARN_OUTPUT = 0.05
MAX_OUTPUT_TOKENS = 4_096
BUDGET_ATTO = 10**20
TENANTS = 100


@dataclass(slots=True)
class _Placed:
    """A request with a place: the decision, whom it names in order, and the reservation of the present attempt."""

    arrival: Arrival
    decision: Decision
    order: list[str]
    rank: int
    tenant: str
    tokens: float
    reservation: Reservation
    tried: int = 0


class Bonded:
    """This market's router. `serve` gives the class of service of a request, the same for all unless said otherwise.

    `policy` and `flow` are the marketplace's own unless given, for ablations.
    """

    name = "bonded"

    def __init__(
        self,
        rng: random.Random,
        service: ServiceClass = STANDARD,
        policy: Policy | None = None,
        flow: FlowPolicy | None = None,
        serve: Callable[[Arrival], ServiceClass] | None = None,
    ) -> None:
        self.rng = rng
        self.world: World
        self.state = MarketState(policy)
        self.flow = Flow(flow, self._refuse)
        self._serve = serve or (lambda arrival: service)
        self._line: Line
        self._model = ""
        self._numbers: dict[str, int] = {}
        self._expected = EXPECTED_OUTPUT_TOKENS
        self._placed: dict[int, _Placed] = {}
        self._ticking = False
        self.prefixes = PrefixIndex()

    # What the world calls

    def begin(self, world: World) -> None:
        """Put the offers on the market."""
        self.world = world
        for number, provider in enumerate(world.providers):
            self.state.put_offer(provider.offer, 0.0)
            self.state.observe_rtt(provider.offer.provider, provider.rtt_ms, 0.0)
            self._numbers[provider.offer.provider] = number
        self._model = world.providers[0].offer.model
        self._demand = Demand(self._model)
        self._line = self.flow.line(self._model, self.state.places(self._model))
        world.later(REBALANCE_MS, self._rebalance)

    def arrive(self, arrival: Arrival, tried: Collection[int], now_ms: float) -> None:
        """Place a request at once or let it wait; a broken one goes on to the next of its decision."""
        if tried and self._go_on(arrival, now_ms):
            return
        service = self._serve(arrival)
        rank = BY_NAME[service.name].rank
        first_ms = 0.0
        decision = decide(self.state, self._job(arrival), self.rng, now_ms)
        if isinstance(decision, Decision):
            if self._line.passes(rank, now_ms) and self._claim(arrival, decision, rank, now_ms):
                return
        else:
            if not decision.retryable:
                self.world.refuse(arrival)
                return
            first_ms = float(decision.wait_ms)
        tenant = self._tenant(arrival)
        size = (arrival.input_tokens, MAX_OUTPUT_TOKENS)
        job = self.flow.enter(
            self._line,
            rank,
            tenant,
            tenant,
            "chat",
            size,
            self._tokens(arrival),
            now_ms,
            first_ms,
            inf,
            arrival,
            arrival.at_ms + service.slo_ttft_ms - self.state.quickest_ms(self._model, arrival.input_tokens),
        )
        if isinstance(job, Denied):
            self.world.refuse(arrival)
            return
        self._pump(now_ms)
        self._tick_later(now_ms)

    def first_token(self, attempt: Attempt, now_ms: float) -> None:
        """Tell the market of the first byte."""
        self.state.started(self._placed[attempt.arrival.number].reservation, now_ms - attempt.sent_ms, now_ms)
        provider = self.world.providers[attempt.provider]
        if attempt.arrival.blocks:
            self.prefixes.note(attempt.arrival.blocks, provider.offer.provider, float(provider.kv_tokens), now_ms)
        self._pump(now_ms)

    def finished(self, attempt: Attempt, now_ms: float) -> None:
        """Give the place back, and to who waits for it."""
        arrival = attempt.arrival
        placed = self._placed.pop(arrival.number)
        gaps = arrival.output_tokens - 1
        itl_us = round(1e3 * (now_ms - attempt.first_ms) / gaps) if gaps else None
        self._expected += LEARN_OUTPUT * (arrival.output_tokens - self._expected)
        self.state.release(placed.reservation, Outcome(Status.SERVED, arrival.output_tokens, itl_us), now_ms)
        weight = self.flow.policy.output_weight
        more = weight * (arrival.output_tokens - placed.reservation.expected_output_tokens)
        self._line.end(placed.rank, placed.tenant, float(more), now_ms)
        self._pump(now_ms)

    def broken(self, attempt: Attempt, now_ms: float) -> None:
        """Give the place back of an attempt that broke."""
        placed = self._placed[attempt.arrival.number]
        self.state.release(placed.reservation, Outcome(Status.PROVIDER_ERROR), now_ms)
        placed.tried += 1
        if placed.tried >= 3:
            self._drop(placed, now_ms)

    # Placing

    def _job(self, arrival: Arrival) -> Job:
        return Job(
            id=str(arrival.number),
            demand=self._demand,
            service=self._serve(arrival),
            input_tokens=arrival.input_tokens,
            max_output_tokens=MAX_OUTPUT_TOKENS,
            expected_output_tokens=int(min(MAX_OUTPUT_TOKENS, self._expected)),
            budget_atto=BUDGET_ATTO,
            waited_ms=self.world.now_ms - arrival.at_ms,
            warm=self.prefixes.find(arrival.blocks, self.world.now_ms),
        )

    def _tokens(self, arrival: Arrival) -> float:
        return float(arrival.input_tokens + self.flow.policy.output_weight * int(self._expected))

    def _tenant(self, arrival: Arrival) -> str:
        return f"tenant-{arrival.number % TENANTS}"

    def _claim(self, arrival: Arrival, decision: Decision, rank: int, now_ms: float) -> bool:
        """Place a request that did not have to wait; False if the market moved on."""
        tenant, tokens = self._tenant(arrival), self._tokens(arrival)
        placed = self._place(arrival, decision, rank, tenant, tokens, now_ms)
        if placed:
            self._line.begin(rank, tenant, tokens, now_ms)
        return placed

    def _place(
        self, arrival: Arrival, decision: Decision, rank: int, tenant: str, tokens: float, now_ms: float
    ) -> bool:
        """Reserve at the best that still has a place and send; False if nobody has."""
        order = decision.order()
        for at, provider in enumerate(order):
            reservation = self._reserve(decision, provider, now_ms)
            if reservation is not None:
                rest = order[at + 1 :]
                self._placed[arrival.number] = _Placed(arrival, decision, rest, rank, tenant, tokens, reservation)
                self.world.send(arrival, self._numbers[provider])
                return True
        return False

    def _reserve(self, decision: Decision, provider: str, now_ms: float) -> Reservation | None:
        try:
            return self.state.reserve(decision, now_ms, provider)
        except CandidateGone:
            return None

    def _go_on(self, arrival: Arrival, now_ms: float) -> bool:
        """Send a broken request to the next of its decision; False if it must wait for another place."""
        placed = self._placed[arrival.number]
        while placed.order:
            provider = placed.order.pop(0)
            reservation = self._reserve(placed.decision, provider, now_ms)
            if reservation is not None:
                placed.reservation = reservation
                self.world.send(arrival, self._numbers[provider])
                return True
        self._drop(placed, now_ms)
        return False

    def _drop(self, placed: _Placed, now_ms: float) -> None:
        del self._placed[placed.arrival.number]
        self._line.end(placed.rank, placed.tenant, -placed.tokens, now_ms)
        self._pump(now_ms)

    def _attempt(self, job: Waiting) -> Verdict:
        arrival: Arrival = job.payload
        now_ms = self.world.now_ms
        decision = decide(self.state, self._job(arrival), self.rng, now_ms)
        if not isinstance(decision, Decision):
            return Verdict.TOO_LARGE if decision.rule in ("stake_ceiling", "better_wait") else Verdict.FULL
        taken = self._place(arrival, decision, job.rank, job.tenant, job.tokens, now_ms)
        return Verdict.TAKEN if taken else Verdict.TOO_LARGE

    def _pump(self, now_ms: float) -> None:
        if self._line.waiting:
            self.flow.dispatch(self._line, now_ms, self._attempt)

    # Time

    def _refuse(self, job: Waiting, denied: Denied) -> None:
        self.world.refuse(job.payload)

    def _tick_later(self, now_ms: float) -> None:
        if not self._ticking and self.flow.waiting:
            self._ticking = True
            self.world.later(now_ms + TICK_MS, self._tick)

    def _tick(self, now_ms: float) -> None:
        self._ticking = False
        if now_ms >= self.state.next_wake_ms:
            self.state.tick(now_ms)
        self.flow.expire(now_ms)
        self._pump(now_ms)
        self._tick_later(now_ms)

    def _rebalance(self, now_ms: float) -> None:
        self.state.rebalance(now_ms)
        if not self.world.over:
            self.world.later(now_ms + REBALANCE_MS, self._rebalance)
