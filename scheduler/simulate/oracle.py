"""Play a router that knows what no router can: a bound in practice for all of them.

It knows each engine's true timing, what is in it, its cache and queue at this very moment, the length of every answer
before it begins, and when each provider will be gone. It keeps the queue (late binding) and gives every request that
can still meet its objective, oldest first, to the provider that will be done with it first among those that meet it;
what can meet it nowhere any more is refused, so that no capacity is spent on it. It does not know who will arrive
later and does not look for the best assignment of several requests at once, so it is no proven optimum.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from itertools import islice
from math import inf

from scheduler.simulate.engine import Attempt
from scheduler.simulate.trace import Arrival
from scheduler.simulate.world import World
from scheduler.types import ServiceClass

LOOKS_AT = 32
"""Of a long queue, how many are looked at in one moment."""


class Oracle:
    """See the module. `service` is the objective of every request."""

    name = "oracle"

    def __init__(self, rng: random.Random, service: ServiceClass) -> None:
        self.world: World
        self._service = service
        self._waiting: dict[int, Arrival] = {}
        self._coming: list[list[Arrival]] = []

    def begin(self, world: World) -> None:
        """Look at everything."""
        self.world = world
        self._coming = [[] for _ in world.providers]
        for provider in world.providers:
            for _, until_ms in provider.outages:
                world.later(until_ms, lambda now_ms: self._place(now_ms))

    def arrive(self, arrival: Arrival, tried: Collection[int], now_ms: float) -> None:
        """Let a request wait for the moment in which it is placed."""
        self._waiting[arrival.number] = arrival
        self._place(now_ms)

    def first_token(self, attempt: Attempt, now_ms: float) -> None:
        """See that a prompt is computed."""
        self._coming[attempt.provider].remove(attempt.arrival)
        self._place(now_ms)

    def finished(self, attempt: Attempt, now_ms: float) -> None:
        """See that a slot is free."""
        self._place(now_ms)

    def broken(self, attempt: Attempt, now_ms: float) -> None:
        """Forget what an outage took that no forecast of a gap was exact enough for."""
        if not attempt.first_ms:
            self._coming[attempt.provider].remove(attempt.arrival)

    def _place(self, now_ms: float) -> None:
        for arrival in list(islice(self._waiting.values(), LOOKS_AT)):
            chosen, hopeless = self._look(arrival, now_ms)
            if chosen >= 0:
                del self._waiting[arrival.number]
                self._coming[chosen].append(arrival)
                self.world.send(arrival, chosen)
            elif hopeless:
                del self._waiting[arrival.number]
                self.world.refuse(arrival)

    def _look(self, arrival: Arrival, now_ms: float) -> tuple[int, bool]:
        """Return who should serve now (-1 for nobody), and whether nobody ever can in time."""
        begun = self.world.began(arrival)
        left_ms = inf if begun else arrival.at_ms + self._service.slo_ttft_ms - now_ms
        best, chosen, hopeless = inf, -1, True
        for number, (provider, engine) in enumerate(zip(self.world.providers, self.world.engines, strict=True)):
            alone_ms = provider.rtt_ms + provider.timing.overhead_ms + provider.timing.prefill_ms(
                arrival.input_tokens - engine.count_hit(arrival), engine.count_hit(arrival)
            )  # fmt: skip
            if alone_ms > left_ms:
                continue
            hopeless = False
            if engine.down or engine.running + len(engine.queue) + self._on_the_way(number) >= engine.slots:
                continue
            ttft_ms, itl_ms = engine.expect(arrival, now_ms)
            ttft_ms += provider.rtt_ms + self._coming_ms(number)
            if ttft_ms > left_ms or 1e3 * itl_ms > self._service.slo_itl_us:
                continue
            done_ms = ttft_ms + arrival.output_tokens * itl_ms
            until_ms = now_ms + done_ms
            if any(from_ms <= until_ms and now_ms < to_ms for from_ms, to_ms in provider.outages):
                continue
            if done_ms < best:
                best, chosen = done_ms, number
        return chosen, hopeless

    def _on_the_way(self, number: int) -> int:
        engine = self.world.engines[number]
        there = len(engine.queue) + engine.prompts
        return max(0, len(self._coming[number]) - there)

    def _coming_ms(self, number: int) -> float:
        """Return what prompts that are still on the way there will add."""
        away = self._on_the_way(number)
        timing = self.world.providers[number].timing
        return sum(timing.prefill_ms(one.input_tokens) for one in self._coming[number][-away:]) if away else 0.0
