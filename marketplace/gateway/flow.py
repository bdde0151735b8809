"""Let requests wait for a place: the asyncio side of `scheduler.flow`.

A request that finds a place free, and nobody before it, goes on in the same breath: one look at the model's line, the
decision, the reservation. Any other waits here, bound to no provider; when a place is given back, or a bar ends, the
next one is decided and reserved in that moment, so that nobody can slip in between. While something waits a timer looks
after what changes by itself: patience that ends, breakers that half-open, offers that come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from math import inf
from typing import TYPE_CHECKING

from contracts.messages import Status
from marketplace.accounts import Account
from marketplace.gateway.errors import ApiError, too_busy
from marketplace.gateway.flow_metrics import FlowMetrics
from marketplace.gateway.inquiry import Inquiry
from marketplace.gateway.lanes import Lane
from marketplace.gateway.matching import Match, Matching, NoRoom
from scheduler.classes import CLASSES
from scheduler.classes import STANDARD as STANDARD_CLASS
from scheduler.flow.bands import BANDS, BATCH, BY_NAME, STANDARD, FlowPolicy
from scheduler.flow.flow import EVICTED, KEY_FULL, PATIENCE, QUEUE_FULL, WAITED, Denied, Flow
from scheduler.flow.line import Line, Verdict
from scheduler.flow.queue import Waiting
from scheduler.refusal import BETTER_WAIT
from scheduler.types import Reservation

if TYPE_CHECKING:
    from marketplace.gateway.desk import Desk, Run

TICK_S = 0.025
_PASSING = (404, 502)
"""An offer that is gone may come back, or another come, while the request waits."""
_CLEARABLE = ("full", "stake_ceiling")
"""What keeps realtime work out and is gone when filler ends."""
_RANKS = {band.name: band.rank for band in BANDS}
_MESSAGES = {
    PATIENCE: "All providers of {model} are busy, and the wait would be longer than {band} work waits",
    WAITED: "No provider of {model} had a place within the time that {band} work waits",
    QUEUE_FULL: "As many requests wait for a provider as this gateway holds",
    KEY_FULL: "As many requests of this key wait for a provider as a key may have waiting",
    EVICTED: "Work of a higher class needed the room in the queue",
}


class Place:
    """A job's claim on one place: lanes to try, best first, and a reservation at the first of them. Close it once the
    job has ended, in any case."""

    __slots__ = (
        "_control", "_expected", "_input", "_reservation", "cleared", "closed", "evict", "lanes", "line", "match",
        "most_atto", "number", "output_tokens", "rank", "since_ms", "tenant",
    )  # fmt: skip

    def __init__(
        self, control: FlowControl, match: Match, lanes: list[Lane], most_atto: int, reservation: Reservation
    ) -> None:
        self._control = control
        self._reservation: Reservation | None = reservation
        self._expected = reservation.expected_output_tokens
        self._input = reservation.input_tokens
        self.match = match
        self.lanes = lanes
        self.most_atto = most_atto
        self.output_tokens = 0
        self.closed = False
        self.cleared = False
        self.evict: Callable[[], None] | None = None
        self.line: Line
        self.rank = 0
        self.tenant = ""
        self.number = 0
        self.since_ms = 0.0

    def tokens(self, output_weight: int) -> float:
        """Return the service that the job is expected to attain."""
        return float(self._input + output_weight * self._expected)

    def reserve(self, lane: Lane) -> Reservation | None:
        """Return the reservation at the first lane, or make one at a later one; None if the market moved on."""
        found, self._reservation = self._reservation, None
        return found if found is not None else self._control.matching.reserve(self.match, lane)

    def close(self, served: bool = True) -> None:
        """Give back what was not used, and correct the service that the tenant was expected to attain: none at all if
        nobody served it."""
        if not self.closed:
            self.closed = True
            weight = self._control.weight
            more = weight * (self.output_tokens - self._expected) if served else -self.tokens(weight)
            self._control.ended(self, self._reservation, float(more))


class _Asking:
    """What a waiting request needs to be placed. `most_atto` bounds its cost if a hold was placed before."""

    __slots__ = ("account", "desk", "future", "most_atto", "run")

    def __init__(self, desk: Desk, run: Run, account: Account, most_atto: int | None) -> None:
        self.desk = desk
        self.run = run
        self.account = account
        self.most_atto = most_atto
        self.future: asyncio.Future[Place | None] = asyncio.get_running_loop().create_future()

    def tell(self, error: Exception) -> None:
        """End the wait with an error."""
        if not self.future.done():
            self.future.set_exception(error)


class FlowControl:
    """Flow control of one gateway."""

    def __init__(self, matching: Matching, metrics: FlowMetrics, policy: FlowPolicy | None = None) -> None:
        self.matching = matching
        self.flow = Flow(policy, self._refuse)
        self._metrics = metrics
        self.weight = self.flow.policy.output_weight
        self._placed: dict[str, Place] = {}
        self._timer: asyncio.TimerHandle | None = None
        matching.freed = self._freed

    async def place(self, desk: Desk, run: Run, account: Account) -> Place | None:
        """Return a place for the job, at once if one is free; None if the customer leaves while it waits.

        Raises ApiError: 429 with `retry_after_ms` if it may not wait (any longer), others if no wait would help.
        """
        inquiry = run.inquiry
        now_ms = self.matching.now_ms()
        rank = _RANKS.get(account.service_class, STANDARD.rank)
        line = self.flow.lines.get(inquiry.model)
        first_ms, rule = 0.0, "full"
        budget_atto = _budget(desk, run)
        try:
            match = self.matching.match(inquiry, account.service_class, run.job, budget_atto)
        except NoRoom as refusal:
            first_ms, rule = float(refusal.wait_ms), refusal.rule
        else:
            line = line or self._line(inquiry.model)
            if line.passes(rank, now_ms):
                place = self._claim(desk, inquiry, match, budget_atto)
                if place is not None:
                    self._pass(place, line, rank, run.customer, now_ms)
                    place.evict = run.evict
                    return place
        line = line or self._line(inquiry.model)
        cleared = rank == 0 and rule in _CLEARABLE and self._clear_place(line)
        job = self._enter(desk, run, account, line, rank, 0.0 if cleared else first_ms, now_ms, cleared)
        return await self._wait(line, job)

    def _pass(self, place: Place, line: Line, rank: int, tenant: str, now_ms: float) -> None:
        """Count a job that did not have to wait."""
        place.line, place.rank, place.tenant, place.since_ms = line, rank, tenant, now_ms
        place.number = self.flow.number()
        self._placed[place.match.decision.job] = place
        line.begin(rank, tenant, place.tokens(self.weight), now_ms)

    def _enter(
        self,
        desk: Desk,
        run: Run,
        account: Account,
        line: Line,
        rank: int,
        first_ms: float,
        now_ms: float,
        awaited: bool = False,
    ) -> Waiting:
        inquiry = run.inquiry
        due_ms = now_ms + (run.due - desk.clock()) * 1_000.0 if run.due else inf
        rank = self.flow.band_of(rank, due_ms, now_ms)
        size, tokens = self._size(inquiry)
        job = self.flow.enter(
            line, rank, run.customer, account.key_id, self._kind(inquiry, size, account), size, tokens,
            now_ms, first_ms, due_ms, _Asking(desk, run, account, None), self._good_ms(inquiry, account, now_ms),
            awaited,
        )  # fmt: skip
        if isinstance(job, Denied):
            raise self._denied(job, rank, inquiry.model)
        return job

    def _clear_place(self, line: Line) -> bool:
        """Evict the newest filler of a model for one more realtime job; False if none may be evicted.

        Places that are being cleared are counted against the realtime jobs that wait for them.
        """
        fillers = [one for one in self._placed.values() if one.line is line and one.rank >= BATCH.rank]
        if sum(one.cleared for one in fillers) > len(line.queues[0]):
            return True
        newest = max(
            (one for one in fillers if one.evict is not None and not one.cleared),
            key=lambda one: one.number,
            default=None,
        )
        if newest is None or newest.evict is None:
            return False
        newest.cleared = True
        newest.evict()
        return True

    async def again(self, desk: Desk, run: Run, account: Account, place: Place, afresh: bool = False) -> Place | None:
        """Give a place back and wait for another, at the job's old age and within what is left of its patience.

        For a job whose provider turned out to be full or gone, or broke off: then it has its whole patience `afresh`.
        The new place costs at most what the job's hold covers.
        """
        place.close(served=False)
        line, inquiry, now_ms = place.line, run.inquiry, self.matching.now_ms()
        size, tokens = self._size(inquiry)
        until_ms = (now_ms if afresh else place.since_ms) + BANDS[place.rank].patience_ms
        job = Waiting(
            place.number, line.model, place.rank, run.customer, account.key_id, self._kind(inquiry, size, account),
            size, tokens, place.since_ms, until_ms, until_ms, _Asking(desk, run, account, run.hold.most_atto),
        )  # fmt: skip
        denied = self.flow.come_back(line, job, now_ms)
        if denied is not None:
            raise self._denied(denied, place.rank, inquiry.model)
        return await self._wait(line, job)

    async def _wait(self, line: Line, job: Waiting) -> Place | None:
        asking: _Asking = job.payload
        run, future = asking.run, asking.future

        def left() -> None:
            self.flow.leave(job)
            if not future.done():
                future.set_result(None)

        run.on_leave = left
        if run.left:
            left()
        self._pump(line)
        self._arm()
        try:
            return await future
        except asyncio.CancelledError:
            self.flow.leave(job)
            if future.done() and not future.cancelled() and future.exception() is None and (place := future.result()):
                place.close()
            raise
        finally:
            run.on_leave = None

    def free_places(self, model: str, band: str) -> int:
        """Return how many jobs of a band would be placed at once; 0 while others wait before them."""
        line = self.flow.lines.get(model)
        if line is None:
            return self.matching.market.places(model).free
        return line.free_for(BY_NAME[band].rank, self.matching.now_ms())

    # Placing

    def _claim(self, desk: Desk, inquiry: Inquiry, match: Match, budget_atto: int) -> Place | None:
        """Reserve at the best lane that the budget covers; None if the market moved on."""
        lanes, most_atto = affordable(match, inquiry, budget_atto, desk.patience.attempts_most)
        for at, lane in enumerate(lanes):
            reservation = self.matching.reserve(match, lane)
            if reservation is not None:
                return Place(self, match, lanes[at:], most_atto, reservation)
        return None

    def _begin(self, place: Place, line: Line, job: Waiting) -> None:
        """Let a place know whose it is."""
        place.line, place.rank, place.tenant = line, job.rank, job.tenant
        place.number, place.since_ms = job.number, job.since_ms
        self._placed[place.match.decision.job] = place

    def _attempt(self, job: Waiting) -> Verdict:
        """Try to place a waiting job, at today's market and today's balance."""
        asking: _Asking = job.payload
        run = asking.run
        try:
            budget_atto = _budget(asking.desk, run) if asking.most_atto is None else asking.most_atto
            match = self.matching.match(
                run.inquiry, asking.account.service_class, run.job, budget_atto, self.matching.now_ms() - job.since_ms
            )
            place = self._claim(asking.desk, run.inquiry, match, budget_atto)
        except NoRoom as refusal:
            return Verdict.TOO_LARGE if refusal.rule in ("stake_ceiling", BETTER_WAIT) else Verdict.FULL
        except Exception as error:  # one job's mistake is its own: the others go on
            if isinstance(error, ApiError) and error.status in _PASSING:
                return Verdict.FULL
            asking.tell(error)
            return Verdict.FAILED
        if place is None:
            return Verdict.TOO_LARGE
        self._begin(place, self.flow.lines[job.model], job)
        place.evict = run.evict
        self._metrics.placed(job.rank, self.matching.now_ms() - job.since_ms)
        asking.future.set_result(place)
        return Verdict.TAKEN

    def _pump(self, line: Line) -> None:
        if line.waiting:
            self.flow.dispatch(line, self.matching.now_ms(), self._attempt)

    def _freed(self, reservation: Reservation, output_tokens: int) -> None:
        """Take note of a place that was given back, and give it to who waits for it."""
        place = self._placed.get(reservation.job)
        if place is not None:
            place.output_tokens += output_tokens
        line = self.flow.lines.get(reservation.model)
        if line is not None:
            self._pump(line)

    def ended(self, place: Place, unused: Reservation | None, more_tokens: float) -> None:
        """Count the end of a job; called once, by its place."""
        self._placed.pop(place.match.decision.job, None)
        now_ms = self.matching.now_ms()
        place.line.end(place.rank, place.tenant, more_tokens, now_ms)
        if unused is not None:
            self.matching.release(unused, Status.CUSTOMER_ABORT, False, 0, None)
        elif place.line.waiting:
            self._pump(place.line)

    # Waiting

    def _line(self, model: str) -> Line:
        return self.flow.line(model, self.matching.market.places(model))

    def _kind(self, inquiry: Inquiry, size: tuple[int, int], account: Account) -> Hashable:
        """Return what decides which lanes may serve a request at all."""
        level = self.matching.market.eligible.level(sum(size))
        return inquiry.features, inquiry.region, level, CLASSES.get(account.service_class, STANDARD_CLASS).filler

    def _good_ms(self, inquiry: Inquiry, account: Account, since_ms: float) -> float:
        """Return until when a request must be placed to meet its class's objective for the first byte."""
        service = CLASSES.get(account.service_class, STANDARD_CLASS)
        return since_ms + service.slo_ttft_ms - self.matching.quickest_ms(inquiry)

    def _size(self, inquiry: Inquiry) -> tuple[tuple[int, int], float]:
        """Return (prompt tokens, most tokens of the answer) and the service to be expected."""
        tokens_in, most_out, expected_out = self.matching.size(inquiry)
        return (tokens_in, most_out), float(tokens_in + self.weight * expected_out)

    def _refuse(self, job: Waiting, denied: Denied) -> None:
        job.payload.tell(self._denied(denied, job.rank, job.model))

    def _denied(self, denied: Denied, rank: int, model: str) -> ApiError:
        self._metrics.refused(rank, denied.reason)
        message = _MESSAGES[denied.reason].format(model=model, band=BANDS[rank].name)
        return too_busy(f"{message}; ask again later.", denied.retry_ms)

    def _arm(self) -> None:
        if self._timer is None and self.flow.waiting:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            now_ms = self.matching.now_ms()
            market = self.matching.market
            if now_ms >= market.next_wake_ms:
                market.tick(now_ms)
            self.flow.expire(now_ms)
            for line in list(self.flow.lines.values()):
                self._pump(line)
        finally:
            self._arm()

    def turn_away(self, error: ApiError) -> None:
        """End every wait with an error, because no new work is begun any more."""
        for job in self.flow.clear():
            job.payload.tell(error)

    def sweep(self) -> None:
        """Forget what nobody uses any more. Call it every second or so."""
        self.flow.sweep()

    # Showing

    def lines(self) -> list[tuple[str, int, int, int, int, int, int]]:
        """Return (model, places, those in use, waiting realtime, standard, batch, background) of every model."""
        rows = []
        for model, places in self.matching.market.models():
            line = self.flow.lines.get(model)
            realtime, standard, batch, background = map(len, line.queues) if line is not None else (0, 0, 0, 0)
            if places.total or line is not None:
                rows.append((model, places.total, places.used, realtime, standard, batch, background))
        return rows

    def show(self) -> None:
        """Bring the gauges up to date, for a reader of the metrics."""
        self._metrics.show(self.flow, self.matching.market)


def _budget(desk: Desk, run: Run) -> int:
    return desk.accounts.spendable_atto(run.customer)


def affordable(match: Match, inquiry: Inquiry, budget_atto: int, count: int) -> tuple[list[Lane], int]:
    """Return the best lanes that the budget covers, and the most that the request can cost at one of them.

    When it covers none, the last one is returned with its cost, for the refusal to name.
    """
    lanes: list[Lane] = []
    highest = 0
    among = match.lanes
    if inquiry.avoid:
        among = [lane for lane in among if lane.provider not in inquiry.avoid] or among
    for lane in among:
        most = lane.terms.most_atto(min(inquiry.input_tokens_most, lane.context_length), match.output_tokens)
        if most <= budget_atto or (not lanes and lane is among[-1]):
            lanes.append(lane)
            highest = max(highest, most)
            if len(lanes) == count:
                break
    return lanes, highest
