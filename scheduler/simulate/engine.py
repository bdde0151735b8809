"""Play one provider's engine: continuous batching with chunked prompts, a prefix cache, and outages.

Prompts wait in order of arrival for a slot and for room in the caches, then their tokens are computed in steps of at
most `CHUNK_TOKENS`, several prompts in one step if they fit. While a step runs every decoding sequence gets one
token, so long prompts stretch the gaps of the others. Between prompts the sequences decode together at the pace of a
step, which is played as a flow: from one event to the next its pace is constant. Caches keep the blocks of prompts,
least recently used first out.

What is left out: preemption (a sequence is admitted only with room for all of its answer), the blocks of answers,
and the fraction of a step until a new prompt is noticed.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from scheduler.simulate.coefficients import CHUNK_TOKENS, StepTiming
from scheduler.simulate.trace import BLOCK_TOKENS, Arrival

Later = Callable[[float, Callable[[float], None]], None]
"""Have something called at a time."""

_ROUNDING = 1e-9


class Attempt:
    """One request at one engine. `hit_tokens` of its prompt were in the cache; times are 0 until they are known.
    `delivered` tokens of its answer had left when it broke."""

    __slots__ = ("arrival", "computed", "delivered", "end_ms", "first_ms", "hit_tokens", "left", "provider", "sent_ms")

    def __init__(self, arrival: Arrival, provider: int, sent_ms: float) -> None:
        self.arrival = arrival
        self.provider = provider
        self.sent_ms = sent_ms
        self.first_ms = 0.0
        self.end_ms = 0.0
        self.hit_tokens = 0
        self.left = arrival.input_tokens
        self.computed = 0
        self.delivered = 0


class Audience(Protocol):
    """Who is told what becomes of attempts."""

    def first_token(self, attempt: Attempt, now_ms: float) -> None:
        """Note the first token."""

    def finished(self, attempt: Attempt, now_ms: float) -> None:
        """Note the last token."""

    def broken(self, attempt: Attempt, now_ms: float) -> None:
        """Note that the engine went away."""


class Engine:
    """One engine; `later` is the simulation's agenda."""

    def __init__(self, timing: StepTiming, slots: int, kv_tokens: int, later: Later, audience: Audience) -> None:
        self.timing = timing
        self.slots = slots
        self.kv_tokens = kv_tokens
        self.down = False
        self.queue: deque[Attempt] = deque()
        self._later = later
        self._audience = audience
        self._prompts: deque[Attempt] = deque()
        self._answers: list[tuple[float, int, Attempt]] = []
        self._number = 0
        self._kv_taken = 0
        self._kv_read = 0.0
        self._tokens = 0.0
        self._since_ms = 0.0
        self._pace = 0.0
        self._step_until_ms = 0.0
        self._stepping = False
        self._turn = 0
        self._cache: OrderedDict[int, None] = OrderedDict()
        self._cache_blocks = kv_tokens // BLOCK_TOKENS

    @property
    def running(self) -> int:
        """How many requests have a slot."""
        return len(self._prompts) + len(self._answers)

    @property
    def prompts(self) -> int:
        """How many requests have a slot and no token yet."""
        return len(self._prompts)

    @property
    def kv_share(self) -> float:
        """The part of the caches that running requests take."""
        return self._kv_taken / self.kv_tokens

    def take(self, attempt: Attempt, now_ms: float) -> None:
        """Accept a request; it waits if there is no slot."""
        if self.down:
            self._audience.broken(attempt, now_ms)
            return
        self.queue.append(attempt)
        if not self._stepping:
            self._run_to(now_ms)
            self._plan(now_ms)

    def stop(self, now_ms: float) -> None:
        """Go away: everything here breaks, the cache is lost."""
        self.down = True
        if self._stepping:
            self._since_ms = now_ms
        self._run_to(now_ms)
        for due, _, attempt in self._answers:
            attempt.delivered = max(1, int(attempt.arrival.output_tokens - (due - self._tokens)))
        lost = [*(entry[2] for entry in self._answers), *self._prompts, *self.queue]
        self.queue.clear()
        self._prompts.clear()
        self._answers.clear()
        self._cache.clear()
        self._kv_taken, self._kv_read, self._step_until_ms = 0, 0.0, 0.0
        self._stepping = False
        self._turn += 1
        for attempt in lost:
            self._audience.broken(attempt, now_ms)

    def start(self) -> None:
        """Come back, empty."""
        self.down = False

    def count_hit(self, arrival: Arrival) -> int:
        """Return how many tokens of a prompt are in the cache; the last token is always computed anew."""
        held = 0
        for block in arrival.blocks:
            if block not in self._cache:
                break
            held += 1
        return min(held * BLOCK_TOKENS, arrival.input_tokens - 1)

    def expect(self, arrival: Arrival, now_ms: float) -> tuple[float, float]:
        """Return (ms to the first token, gap in ms) of a request that came now, from all that the engine knows."""
        waiting_ms = max(0.0, self._step_until_ms - now_ms)
        prompts = [*self._prompts, *self.queue]
        waiting_ms += sum(self.timing.prefill_ms(one.left, one.computed) for one in prompts)
        hit = self.count_hit(arrival)
        own_ms = self.timing.prefill_ms(arrival.input_tokens - hit, hit)
        running = self.running + len(self.queue) + 1
        kv_tokens = self._kv_read + sum(one.arrival.input_tokens for one in prompts) + arrival.input_tokens
        step_ms = self.timing.decode_ms(running, kv_tokens)
        return self.timing.overhead_ms + waiting_ms + own_ms + step_ms, step_ms

    def _run_to(self, now_ms: float) -> None:
        if self._answers:
            self._tokens += (now_ms - self._since_ms) * self._pace
        self._since_ms = now_ms

    def _plan(self, now_ms: float) -> None:
        """Admit who may run and begin the next step, or let the answers flow until one of them ends."""
        self._turn += 1
        turn = self._turn
        self._admit()
        decode_ms = self.timing.decode_ms(len(self._answers), self._kv_read)
        if self._prompts:
            duration_ms = decode_ms + self._compute_chunk()
            self._step_until_ms = now_ms + duration_ms
            self._stepping = True
            self._later(self._step_until_ms, lambda at_ms: self._step_over(turn, at_ms))
        elif self._answers:
            self._pace = 1.0 / decode_ms
            due_ms = now_ms + max(0.0, self._answers[0][0] - self._tokens) * decode_ms
            self._later(due_ms, lambda at_ms: self._answer_over(turn, at_ms))

    def _admit(self) -> None:
        while self.queue and self.running < self.slots:
            attempt = self.queue[0]
            arrival = attempt.arrival
            need = arrival.input_tokens + arrival.output_tokens
            if self._kv_taken and self._kv_taken + need > self.kv_tokens:
                break
            self.queue.popleft()
            self._kv_taken += need
            attempt.hit_tokens = attempt.computed = self.count_hit(arrival)
            attempt.left = arrival.input_tokens - attempt.hit_tokens
            self._prompts.append(attempt)

    def _compute_chunk(self) -> float:
        """Take the next tokens of the waiting prompts; return what they add to the step, in ms."""
        room, taken_ms = CHUNK_TOKENS, 0.0
        for attempt in self._prompts:
            tokens = min(room, attempt.left)
            taken_ms += self.timing.prefill_ms(tokens, attempt.computed)
            attempt.computed += tokens
            attempt.left -= tokens
            room -= tokens
            if not room:
                break
        return taken_ms

    def _step_over(self, turn: int, now_ms: float) -> None:
        if turn != self._turn:
            return
        self._stepping = False
        self._tokens += 1.0
        self._since_ms = now_ms
        ended = self._take_ended()
        begun = []
        while self._prompts and not self._prompts[0].left:
            attempt = self._prompts.popleft()
            attempt.first_ms = now_ms
            self._keep(attempt.arrival)
            begun.append(attempt)
            arrival = attempt.arrival
            self._kv_read += arrival.input_tokens + arrival.output_tokens / 2
            self._number += 1
            heapq.heappush(self._answers, (self._tokens + arrival.output_tokens - 1, self._number, attempt))
        ended += self._take_ended()
        self._plan(now_ms)
        for attempt in begun:
            self._audience.first_token(attempt, now_ms)
        self._tell_ended(ended, now_ms)

    def _answer_over(self, turn: int, now_ms: float) -> None:
        if turn != self._turn:
            return
        self._tokens = max(self._tokens, self._answers[0][0])
        self._since_ms = now_ms
        ended = self._take_ended()
        self._plan(now_ms)
        self._tell_ended(ended, now_ms)

    def _take_ended(self) -> list[Attempt]:
        ended = []
        while self._answers and self._answers[0][0] <= self._tokens + _ROUNDING:
            attempt = heapq.heappop(self._answers)[2]
            arrival = attempt.arrival
            self._kv_taken -= arrival.input_tokens + arrival.output_tokens
            self._kv_read -= arrival.input_tokens + arrival.output_tokens / 2
            ended.append(attempt)
        return ended

    def _tell_ended(self, ended: list[Attempt], now_ms: float) -> None:
        for attempt in ended:
            attempt.end_ms = now_ms
            self._audience.finished(attempt, now_ms)

    def _keep(self, arrival: Arrival) -> None:
        for block in reversed(arrival.blocks):  # so that the end of a prompt goes before its beginning
            self._cache[block] = None
            self._cache.move_to_end(block)
        while len(self._cache) > self._cache_blocks:
            self._cache.popitem(last=False)
