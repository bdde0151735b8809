"""Hold one gateway's view of the market: offers, own counts, what is in flight, and the rows that decisions price.

Whoever changes something here refreshes the rows that depend on it, so a decision reads and never computes what could
have been computed before. Changes by time alone (a breaker's deadline, a report that expires) wait in a heap of alarms
and are made by `tick`, which `decide` calls when one is due.

Conservation: `reserve` adds a job's worst charge, its slot and its tokens to the counts of one lane, `release` takes
exactly the same away, once. The value in flight of a provider never exceeds kappa times its free bond.
"""

from __future__ import annotations

import heapq
from math import inf

from scheduler import gates
from scheduler.cost import GATE, LANE, PACKED, Row
from scheduler.decision import Decision
from scheduler.eligibility import Eligibility
from scheduler.errors import AlreadyReleased, LaneBarred, NotACandidate, StakeCeilingExceeded, UnknownOffer
from scheduler.flow.limit import jobs_waiting
from scheduler.flow.places import Places
from scheduler.gates import BUSY
from scheduler.lane import JOB_STEP, Lane
from scheduler.policy import Policy
from scheduler.traffic import Traffic
from scheduler.types import PPM, Offer, Outcome, Reservation, Status

LEAST_TOKENS_FOR_ITL = 4
ROOM_MARGIN = 1.0 - 1e-12
"""Rows compare floats; the margin keeps a rounded comparison from admitting what the exact one in `reserve` refuses."""

REPORT_MOST = 10**9
"""Reports are strangers' numbers; beyond this they say nothing more, and infinity has no place in a log."""

STATIC_FIELDS = ("context_length", "features", "region", "price_in_atto", "price_out_atto", "jailed")


class _Live:
    """What `release` must give back for one reservation."""

    __slots__ = ("context_tokens", "hit_tokens", "kv_at_start", "running_at_start", "started", "ttft_ms")

    def __init__(self) -> None:
        self.started = False
        self.ttft_ms = 0.0
        self.running_at_start = 0
        self.kv_at_start = 0.0
        self.context_tokens = 0.0
        self.hit_tokens = 0


class MarketState:
    """The market as one gateway sees it. All times are the caller's clock, in milliseconds, never going back."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.version = 0
        self.hot: list[Row] = []
        self.packed = bytearray()
        self.names: list[str] = []
        self.lanes: list[Lane] = []
        self.eligible = Eligibility(
            self.policy.price_all_up_to,
            lambda lane: self.lanes[lane].sampling_weight(),
            lambda lane: self.lanes[lane].is_newcomer(self.policy),
        )
        self.gate_bits: dict[int, int] = dict.fromkeys(gates.BARRING, 0)
        self.pins: dict[str, tuple[int, int, float]] = {}
        self.next_wake_ms = inf
        self.traffic = Traffic(self.policy.share_half_life_ms)
        self._alarms: list[tuple[float, int]] = []
        self._lane_at: dict[tuple[str, str], int] = {}
        self._providers: dict[str, int] = {}
        self._provider_lanes: list[list[Lane]] = []
        self._free_atto: list[int] = []
        self._in_flight_atto: list[int] = []
        self._model_capacity: dict[str, float] = {}
        self._places: dict[str, Places] = {}
        self._quickest: dict[str, int] = {}
        self._live: dict[int, _Live] = {}
        self._reservations = 0

    # Offers

    def put_offer(self, offer: Offer, now_ms: float) -> int:
        """Register an offer or change its terms; return its lane. Scores and stakes change without rebuilding pools."""
        at = self._lane_at.get((offer.provider, offer.model))
        if at is None:
            lane = self._add_lane(offer)
            self._model_capacity[offer.model] = self._model_capacity.get(offer.model, 0.0) + lane.capacity
            self.eligible.put(lane.index, offer)
        else:
            lane = self.lanes[at]
            before, withdrawn, capacity = lane.offer, lane.withdrawn, 0.0 if lane.withdrawn else lane.capacity
            lane.amend(offer, self.policy)
            others = self._model_capacity.get(offer.model, 0.0) - capacity
            self._model_capacity[offer.model] = others + lane.capacity
            moved = any(getattr(before, name) != getattr(offer, name) for name in STATIC_FIELDS)
            if withdrawn or moved or (before.weight_ppm > 0) != (offer.weight_ppm > 0):
                self.eligible.put(lane.index, offer)
        self._free_atto[lane.provider_index] = offer.stake_free_atto
        self._refresh_provider(lane.provider_index, now_ms)
        return lane.index

    def remove_offer(self, provider: str, model: str, now_ms: float) -> None:
        """Take an offer out; jobs that run on it are released as any other."""
        lane = self.lane(provider, model)
        if not lane.withdrawn:
            self.eligible.drop(lane.index)
            self._model_capacity[model] -= lane.capacity
            self.traffic.drop(lane.index, model)
            lane.withdrawn = True
            self._refresh(lane, now_ms)

    def lane(self, provider: str, model: str) -> Lane:
        """Return a provider's lane for a model; raise `UnknownOffer` if there never was one."""
        try:
            return self.lanes[self._lane_at[provider, model]]
        except KeyError:
            raise UnknownOffer(provider, model) from None

    def lane_index(self, provider: str, model: str) -> int | None:
        """Return the lane of a provider for a model, None if there is none."""
        return self._lane_at.get((provider, model))

    def places(self, model: str) -> Places:
        """Return the places of a model; the same object for ever, moved with every change of its lanes."""
        found = self._places.get(model)
        if found is None:
            found = self._places[model] = Places()
        return found

    def quickest_ms(self, model: str, tokens: float) -> float:
        """Estimate the time to first byte of a prompt at the quickest lane of a model, if it were idle; 0 if unknown.

        Which lane that is, is looked up when the market is weighed anew.
        """
        at = self._quickest.get(model)
        return 0.0 if at is None else self.lanes[at].latency.ttft_ms(tokens)

    def models(self) -> list[tuple[str, Places]]:
        """Return the models that were ever offered, with their places."""
        return sorted(self._places.items())

    def _add_lane(self, offer: Offer) -> Lane:
        if offer.provider not in self._providers:
            self._providers[offer.provider] = len(self._provider_lanes)
            self._provider_lanes.append([])
            self._free_atto.append(0)
            self._in_flight_atto.append(0)
        lane = Lane(len(self.lanes), self._providers[offer.provider], offer, self.policy)
        self.lanes.append(lane)
        self._provider_lanes[lane.provider_index].append(lane)
        self._lane_at[offer.provider, offer.model] = lane.index
        self.names.append(offer.provider)
        self.hot.append(lane.row(0, 0.0))
        self.packed += bytes(PACKED.size)
        return lane

    # Stake

    def room_atto(self, provider: str) -> int:
        """Return how much more value may be in flight at a provider: kappa · free bond - in flight."""
        at = self._providers[provider]
        return self._free_atto[at] * self.policy.kappa_ppm // PPM - self._in_flight_atto[at]

    def in_flight_atto(self, provider: str) -> int:
        """Return the sum of the worst charges of a provider's open reservations."""
        return self._in_flight_atto[self._providers[provider]]

    @property
    def open_reservations(self) -> int:
        """How many reservations were not released yet."""
        return len(self._live)

    # Jobs

    def reserve(self, decision: Decision, now_ms: float, provider: str | None = None) -> Reservation:
        """Claim the decided provider, or a runner-up, before anything is sent to it.

        Raises `NotACandidate` for a provider that the decision did not admit, and a `CandidateGone` when the market
        moved since: `LaneBarred` by a gate, `StakeCeilingExceeded` by the free bond. Then nothing was changed.
        """
        row = decision.row if provider is None else decision.row_of(provider)
        if row is None:
            raise NotACandidate(provider or "", decision.job)
        lane = self.lanes[row[LANE]]
        offer = lane.offer
        if self.version != decision.version:
            barred = lane.compute_gate(now_ms, self.policy) & decision.mask
            if not row[GATE] & BUSY and lane.index in decision.hits:
                barred &= ~BUSY
            if barred:
                raise LaneBarred(offer.provider, [gates.NAMES[bit] for bit in gates.BARRING if barred & bit])
        input_tokens, out, most = int(decision.numbers[0]), decision.numbers[1], int(decision.numbers[2])
        worst_atto = input_tokens * offer.price_in_atto + most * offer.price_out_atto
        at = lane.provider_index
        room_atto = self._free_atto[at] * self.policy.kappa_ppm // PPM - self._in_flight_atto[at]
        if worst_atto > room_atto:
            raise StakeCeilingExceeded(offer.provider, worst_atto, room_atto)

        running, queued_tokens, kv_tokens = lane.load()
        fresh_tokens = input_tokens - decision.hits.get(lane.index, 0)
        slot_wait_ms = lane.slot_wait_ms(running)
        ttft_ms = lane.latency.ttft_ms(queued_tokens + fresh_tokens, slot_wait_ms)
        self._reservations += 1
        live = _Live()
        live.context_tokens = input_tokens + 0.5 * out
        live.hit_tokens = self._claimed(decision, lane)
        self._live[self._reservations] = live
        reservation = Reservation(
            number=self._reservations,
            job=decision.job,
            session=decision.session,
            lane=lane.index,
            provider=offer.provider,
            model=offer.model,
            price_in_atto=offer.price_in_atto,
            price_cached_atto=offer.price_cached_atto,
            price_out_atto=offer.price_out_atto,
            worst_atto=worst_atto,
            input_tokens=input_tokens,
            fresh_tokens=fresh_tokens,
            expected_output_tokens=int(out),
            backlog_tokens=int(queued_tokens) + fresh_tokens,
            slot_wait_ms=slot_wait_ms,
            ttft_ms=ttft_ms,
            ttft_q95_ms=ttft_ms * lane.latency.ttft.tail,
            itl_ms=lane.latency.itl_ms(running + 1, kv_tokens + live.context_tokens),
            reserved_ms=now_ms,
            trial=lane.breaker.begin(now_ms),
        )
        lane.running += 1
        lane.queued_tokens += fresh_tokens
        self._in_flight_atto[at] += worst_atto
        self.traffic.add(lane.index, offer.model, now_ms)
        self._check_share(lane, now_ms)
        self._refresh_provider(at, now_ms)
        return reservation

    def started(self, reservation: Reservation, ttft_ms: float, now_ms: float) -> None:
        """Note the first byte of an attempt: its prompt is no longer queued, and its delay teaches the model."""
        live = self._find(reservation)
        if live.started:
            return
        lane = self.lanes[reservation.lane]
        live.started = True
        lane.queued_tokens -= reservation.fresh_tokens
        lane.kv_tokens += live.context_tokens
        live.running_at_start, live.kv_at_start = lane.running, lane.kv_tokens
        live.ttft_ms = ttft_ms
        if live.hit_tokens and not reservation.slot_wait_ms:
            cold = reservation.backlog_tokens + reservation.input_tokens - reservation.fresh_tokens
            saved_ms = live.hit_tokens * lane.latency.token_ms
            lane.judge_hit(lane.latency.ttft_ms(cold), saved_ms, ttft_ms, now_ms)
        if not reservation.slot_wait_ms and now_ms >= lane.last_ttft_ms + self.policy.learn_gap_ms:
            lane.last_ttft_ms = now_ms
            lane.latency.learn_ttft(reservation.backlog_tokens, ttft_ms)
        self._refresh(lane, now_ms)

    def release(self, reservation: Reservation, outcome: Outcome, now_ms: float) -> None:
        """Give back everything a reservation claimed and learn from how it ended; raise `AlreadyReleased` the second
        time.

        Only `provider_error` and `timeout` are the provider's failures, and `refused` while the gateway held fewer jobs
        there than the provider declared slots.
        """
        live = self._find(reservation)
        del self._live[reservation.number]
        lane = self.lanes[reservation.lane]
        running, kv_tokens = lane.running, lane.kv_tokens
        lane.running -= 1
        if live.started:
            lane.kv_tokens -= live.context_tokens
        else:
            lane.queued_tokens -= reservation.fresh_tokens
        self._in_flight_atto[lane.provider_index] -= reservation.worst_atto

        status = outcome.status
        if status is Status.SERVED:
            lane.observations += 1
            lane.reliability.success()
            lane.breaker.success(now_ms, reservation.trial)
            step = max(JOB_STEP, 1.0 / (1.0 + lane.observations))  # what the prior says is worth one job
            lane.job_ms += step * (now_ms - reservation.reserved_ms - reservation.slot_wait_ms - lane.job_ms)
            lane.job_ms = max(1.0, lane.job_ms)
            alone_ms = lane.latency.ttft_ms(reservation.fresh_tokens)
            whole_ms = now_ms - reservation.reserved_ms
            waiting = jobs_waiting(running, live.ttft_ms, alone_ms, whole_ms) if live.started else None
            lane.limit.served(running, waiting, now_ms)
            self._learn_itl(lane, live, outcome, (running, kv_tokens), now_ms)
            self._pin(reservation, outcome, now_ms)
        elif status in (Status.PROVIDER_ERROR, Status.TIMEOUT) or (
            status is Status.REFUSED and lane.running < lane.offer.slots
        ):
            lane.observations += 1
            lane.reliability.failure()
            lane.breaker.failure(now_ms, reservation.trial)
        else:
            lane.breaker.abandon(reservation.trial)
        if status is Status.TIMEOUT:
            lane.limit.timed_out(running)
        if status is Status.REFUSED:
            lane.limit.refused(lane.running, now_ms)
            if lane.running < lane.offer.slots:  # else the learned limit bars it until one of its jobs ends
                lane.refused_until_ms = max(lane.refused_until_ms, now_ms + self.policy.refusal_hold_ms)
        self._refresh_provider(lane.provider_index, now_ms)

    def _claimed(self, decision: Decision, lane: Lane) -> int:
        """Return the tokens that the prefix index says the lane holds; 0 for a session's word, which anybody
        can give."""
        hit = decision.hits.get(lane.index, 0)
        pin = self.pins.get(decision.session) if decision.session else None
        return int(hit / lane.believed) if hit and (pin is None or pin[0] != lane.index) else 0

    def _find(self, reservation: Reservation) -> _Live:
        live = self._live.get(reservation.number)
        if live is None:
            raise AlreadyReleased(reservation.number, reservation.provider)
        return live

    def _learn_itl(self, lane: Lane, live: _Live, outcome: Outcome, now: tuple[int, float], now_ms: float) -> None:
        enough = outcome.itl_us is not None and outcome.output_tokens >= LEAST_TOKENS_FOR_ITL and live.started
        if enough and outcome.itl_us and now_ms >= lane.last_itl_ms + self.policy.learn_gap_ms:
            lane.last_itl_ms = now_ms
            running = (live.running_at_start + now[0]) / 2
            kv_tokens = (live.kv_at_start + now[1]) / 2
            lane.latency.learn_itl(running, kv_tokens, outcome.itl_us / 1000)

    def _pin(self, reservation: Reservation, outcome: Outcome, now_ms: float) -> None:
        if reservation.session:
            self.pins.pop(reservation.session, None)
            while len(self.pins) >= self.policy.pins_limit:
                del self.pins[next(iter(self.pins))]
            held = reservation.input_tokens + outcome.output_tokens
            self.pins[reservation.session] = (reservation.lane, held, now_ms + self.policy.pin_ttl_ms)

    # What others say

    def report(
        self, provider: str, model: str, running: int, queued_tokens: float, kv_tokens: float, now_ms: float
    ) -> None:
        """Take a provider's word on its own load: it may raise what is priced, never lower it below our own counts."""
        lane = self.lane(provider, model)
        lane.reported = (min(running, REPORT_MOST), min(queued_tokens, REPORT_MOST), min(kv_tokens, REPORT_MOST))
        lane.reported_until_ms = now_ms + self.policy.report_ttl_ms
        self._refresh(lane, now_ms)

    def observe_rtt(self, provider: str, rtt_ms: float, now_ms: float) -> None:
        """Take a round trip that the gateway measured itself, for all lanes of the provider."""
        for lane in self._provider_lanes[self._providers[provider]]:
            lane.latency.learn_rtt(rtt_ms)
            self._refresh(lane, now_ms)

    # Time

    def tick(self, now_ms: float) -> None:
        """Make the changes that are due by time alone."""
        alarms = self._alarms
        while alarms and alarms[0][0] <= now_ms:
            due_ms, at = heapq.heappop(alarms)
            lane = self.lanes[at]
            if due_ms >= lane.wake_ms:
                lane.wake_ms = inf
            lane.expire(now_ms)
            self._check_share(lane, now_ms)
            self._refresh(lane, now_ms)
        self.next_wake_ms = alarms[0][0] if alarms else inf

    def rebalance(self, now_ms: float) -> None:
        """Weigh all lanes anew for sampling and shares. Call it every few seconds, off the request path."""
        self.tick(now_ms)
        self._model_capacity.clear()
        self._quickest.clear()
        for places in self._places.values():
            places.total = places.used = 0
            places.per_ms = 0.0
        for lane in self.lanes:
            if not lane.withdrawn:
                lane.capacity = lane.measure_capacity()
                model = lane.offer.model
                self._model_capacity[model] = self._model_capacity.get(model, 0.0) + lane.capacity
                quickest = self._quickest.get(model)
                if quickest is None or lane.typical_ttft_ms() < self.lanes[quickest].typical_ttft_ms():
                    self._quickest[model] = lane.index
            self.places(lane.offer.model).move((0, 0, 0.0), lane.counted)
        self.eligible.reweigh()
        self.version += 1

    def share_cap(self, lane: Lane) -> float:
        """Return the part of a model's traffic that a lane may reach."""
        total = self._model_capacity.get(lane.offer.model, 0.0)
        fair = lane.capacity / total if total else 1.0
        return max(self.policy.share_cap_ppm / PPM, self.policy.share_capacity_multiple * fair)

    def _check_share(self, lane: Lane, now_ms: float) -> None:
        model = lane.offer.model
        lane.over_share = (
            self.traffic.share(lane.index, model) > self.share_cap(lane)
            and self.traffic.jobs(model, now_ms) >= self.policy.share_min_jobs
        )

    def _refresh_provider(self, provider_index: int, now_ms: float) -> None:
        for lane in self._provider_lanes[provider_index]:
            self._refresh(lane, now_ms)

    def _refresh(self, lane: Lane, now_ms: float) -> None:
        """Build the lane's row again, note which gates changed, and set the alarm for its next change."""
        gate = lane.compute_gate(now_ms, self.policy)
        at = lane.provider_index
        room_atto = self._free_atto[at] * self.policy.kappa_ppm // PPM - self._in_flight_atto[at]
        counted = lane.count_places(gate)
        if counted != lane.counted:
            self.places(lane.offer.model).move(lane.counted, counted)
            lane.counted = counted
        changed = self.hot[lane.index][GATE] ^ gate
        row = lane.row(gate, room_atto * ROOM_MARGIN)
        self.hot[lane.index] = row
        PACKED.pack_into(self.packed, lane.index * PACKED.size, *row)
        if changed:
            for bit in gates.BARRING:
                if changed & bit:
                    self.gate_bits[bit] ^= 1 << lane.index
        turn_ms = lane.next_turn_ms(now_ms, self.policy)
        if turn_ms < lane.wake_ms:
            lane.wake_ms = turn_ms
            heapq.heappush(self._alarms, (turn_ms, lane.index))
            self.next_wake_ms = self._alarms[0][0]
        self.version += 1
