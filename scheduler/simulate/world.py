"""Run a simulation: one agenda of events, engines that serve, a router that chooses, and what became of each request.

Every request ends exactly once, as served, refused or failed. An attempt that breaks before its first token may be
made again at another provider, at most `ATTEMPTS_MOST` in all, whoever routes. One that breaks later goes on
elsewhere behind what was delivered, which is computed there as part of the prompt: most of the routers that are
compared cannot do that, but it is not what is compared, so all of them have it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from scheduler.errors import SchedulerError
from scheduler.simulate.engine import Attempt, Engine
from scheduler.simulate.pools import Provider
from scheduler.simulate.trace import Arrival

ATTEMPTS_MOST = 3
REPORT_EVERY_MS = 50.0


class EndedTwice(SchedulerError):
    """A request of a simulation ended twice, or not at all: the router that was played loses or repeats requests."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of one request. `ttft_ms` and `total_ms` count from its arrival at the gateway; `provider` is -1 and
    times are 0 if it was not served. `paid_atto` is what the receipt says."""

    arrival: Arrival
    status: str
    provider: int = -1
    ttft_ms: float = 0.0
    itl_ms: float = 0.0
    total_ms: float = 0.0
    hit_tokens: int = 0
    paid_atto: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says of its own load, up to `REPORT_EVERY_MS` ago."""

    running: int
    waiting: int
    kv_share: float


class Router(Protocol):
    """Who decides where requests go. Each call of `arrive` ends in one `send` or `refuse`, at once or later."""

    def begin(self, world: World) -> None:
        """Learn about the world before anything happens."""

    def arrive(self, arrival: Arrival, tried: Collection[int], now_ms: float) -> None:
        """Take a request; `tried` broke with it already."""

    def first_token(self, attempt: Attempt, now_ms: float) -> None:
        """Note the first token of an attempt."""

    def finished(self, attempt: Attempt, now_ms: float) -> None:
        """Note that an attempt was served."""

    def broken(self, attempt: Attempt, now_ms: float) -> None:
        """Note that an attempt broke; `arrive` follows if it is to be made again."""


class World:
    """One simulation: `run` plays all arrivals, numbered from 0, to their end; returns the endings in that order."""

    def __init__(self, providers: Sequence[Provider], router: Router, arrivals: Sequence[Arrival]) -> None:
        self.providers = providers
        self.router = router
        self.engines = [Engine(one.timing, one.slots, one.kv_tokens, self.later, self) for one in providers]
        self.now_ms = 0.0
        self._arrivals = arrivals
        self._endings: dict[int, Ending] = {}
        self._tried: dict[int, set[int]] = {}
        self._first_ms: dict[int, float] = {}
        self._paid_atto: dict[int, int] = {}
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._entries = 0
        self._reports: list[tuple[float, Report]] = [(-REPORT_EVERY_MS, Report(0, 0, 0.0))] * len(providers)

    def run(self) -> list[Ending]:
        """Play to the end; raises `EndedTwice` if the router loses or repeats a request."""
        for number, provider in enumerate(self.providers):
            for from_ms, until_ms in provider.outages:
                self.later(from_ms, self.engines[number].stop)
                self.later(until_ms, lambda _, engine=self.engines[number]: engine.start())  # type: ignore[misc]
        self.router.begin(self)
        self._next(0)
        while self._agenda and len(self._endings) < len(self._arrivals):
            self.now_ms, _, call = heapq.heappop(self._agenda)
            call(self.now_ms)
        if len(self._endings) != len(self._arrivals):
            raise EndedTwice(f"{len(self._arrivals) - len(self._endings)} requests never ended")
        return [self._endings[arrival.number] for arrival in self._arrivals]

    def later(self, at_ms: float, call: Callable[[float], None]) -> None:
        """Have `call` called at a time."""
        self._entries += 1
        heapq.heappush(self._agenda, (at_ms, self._entries, call))

    def began(self, arrival: Arrival) -> bool:
        """Tell whether a request has its first token already, from an attempt that broke."""
        return arrival.number in self._first_ms

    @property
    def over(self) -> bool:
        """Tell whether every request has ended; who repeats something stops then."""
        return len(self._endings) == len(self._arrivals)

    def _next(self, at: int) -> None:
        if at < len(self._arrivals):
            arrival = self._arrivals[at]

            def come(now_ms: float) -> None:
                self._next(at + 1)
                self.router.arrive(arrival, (), now_ms)

            self.later(arrival.at_ms, come)

    def report(self, number: int) -> Report:
        """Return what a provider says of itself: liars always say that they are idle."""
        read_ms, report = self._reports[number]
        if self.now_ms - read_ms >= REPORT_EVERY_MS:
            engine = self.engines[number]
            lies = self.providers[number].lies
            report = Report(0, 0, 0.0) if lies else Report(engine.running, len(engine.queue), engine.kv_share)
            self._reports[number] = self.now_ms, report
        return report

    # What routers do

    def send(self, arrival: Arrival, number: int) -> Attempt:
        """Send a request to a provider; it arrives there after the round trip and the engine's overhead."""
        provider = self.providers[number]
        attempt = Attempt(arrival, number, self.now_ms)
        self._tried.setdefault(arrival.number, set()).add(number)
        self.later(
            self.now_ms + provider.rtt_ms + provider.timing.overhead_ms,
            lambda now_ms: self.engines[number].take(attempt, now_ms),
        )
        return attempt

    def refuse(self, arrival: Arrival) -> None:
        """Send a request away."""
        self._end(Ending(self._arrivals[arrival.number], "refused"))

    # What engines say

    def first_token(self, attempt: Attempt, now_ms: float) -> None:
        """Note a first token."""
        self.router.first_token(attempt, now_ms)

    def finished(self, attempt: Attempt, now_ms: float) -> None:
        """Note a served request."""
        arrival = self._arrivals[attempt.arrival.number]
        first_ms = self._first_ms.get(arrival.number, attempt.first_ms)
        self._end(
            Ending(
                arrival,
                "served",
                attempt.provider,
                first_ms - arrival.at_ms,
                (now_ms - first_ms) / max(1, arrival.output_tokens - 1),
                now_ms - arrival.at_ms,
                attempt.hit_tokens,
                self._paid_atto.get(arrival.number, 0) + self._price(attempt, attempt.arrival.output_tokens),
            )
        )
        self.router.finished(attempt, now_ms)

    def _price(self, attempt: Attempt, output_tokens: int) -> int:
        offer = self.providers[attempt.provider].offer
        return (
            (attempt.arrival.input_tokens - attempt.hit_tokens) * offer.price_in_atto
            + attempt.hit_tokens * offer.price_cached_atto
            + output_tokens * offer.price_out_atto
        )

    def broken(self, attempt: Attempt, now_ms: float) -> None:
        """Note an attempt whose engine went away; it is made again if its customer has no token of it."""
        self.router.broken(attempt, now_ms)
        tried = self._tried[attempt.arrival.number]
        if len(tried) >= ATTEMPTS_MOST:
            self._end(Ending(self._arrivals[attempt.arrival.number], "failed"))
            return
        rest = attempt.arrival
        if attempt.first_ms:
            self._first_ms.setdefault(rest.number, attempt.first_ms)
            self._paid_atto[rest.number] = self._paid_atto.get(rest.number, 0) + self._price(attempt, attempt.delivered)
            rest = replace(
                rest,
                input_tokens=rest.input_tokens + attempt.delivered,
                output_tokens=max(1, rest.output_tokens - attempt.delivered),
            )
        self.router.arrive(rest, tried, now_ms)

    def _end(self, ending: Ending) -> None:
        if ending.arrival.number in self._endings:
            raise EndedTwice(f"request {ending.arrival.number} ended twice")
        self._endings[ending.arrival.number] = ending
