"""Play the rules of other routers, each re-implemented from its public description.

All of them bind a request to a provider when it comes, as those routers do; it waits behind the engine. They share what
most of them have in some form and none is judged by here: a provider that broke three attempts in a row is left out for
a while (our own breaker's figures), and an attempt that broke before its first token goes to another provider.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections import deque
from collections.abc import Collection, Sequence

from scheduler.breaker import Breaker
from scheduler.simulate.engine import Attempt
from scheduler.simulate.seen import SeenBlocks
from scheduler.simulate.trace import Arrival
from scheduler.simulate.world import World


class Rival:
    """What the rules share: own counts of requests and uncached prompt tokens in flight, breakers, the sending."""

    name = ""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.world: World
        self.running: list[int] = []
        self.tokens: list[float] = []
        self._everybody: list[int] = []
        self._breakers: list[Breaker] = []

    def begin(self, world: World) -> None:
        """Learn how many providers there are."""
        self.world = world
        count = len(world.providers)
        self.running, self.tokens = [0] * count, [0.0] * count
        self._everybody = list(range(count))
        self._breakers = [Breaker() for _ in range(count)]

    @abstractmethod
    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Return who serves a request."""

    def weigh(self, arrival: Arrival, provider: int) -> float:
        """Return the prompt tokens that the provider is thought to compute."""
        return float(arrival.input_tokens)

    def arrive(self, arrival: Arrival, tried: Collection[int], now_ms: float) -> None:
        """Choose and send."""
        among = [one for one in self._everybody if one not in tried and not self._breakers[one].gate(now_ms)]
        if not among:
            among = [one for one in self._everybody if one not in tried]
        chosen = self.choose(arrival, among)
        self.running[chosen] += 1
        self.tokens[chosen] += self.weigh(arrival, chosen)
        self.sent(arrival, chosen)
        self._breakers[chosen].begin(now_ms)
        self.world.send(arrival, chosen)

    def sent(self, arrival: Arrival, provider: int) -> None:
        """Note where a request went."""

    def first_token(self, attempt: Attempt, now_ms: float) -> None:
        """Note that the prompt is computed."""
        self.tokens[attempt.provider] -= self.weigh(attempt.arrival, attempt.provider)

    def finished(self, attempt: Attempt, now_ms: float) -> None:
        """Note a served request."""
        self.running[attempt.provider] -= 1
        breaker = self._breakers[attempt.provider]
        breaker.success(now_ms, breaker.is_open)

    def broken(self, attempt: Attempt, now_ms: float) -> None:
        """Note a broken attempt."""
        self.running[attempt.provider] -= 1
        if not attempt.first_ms:
            self.tokens[attempt.provider] -= self.weigh(attempt.arrival, attempt.provider)
        breaker = self._breakers[attempt.provider]
        breaker.failure(now_ms, breaker.is_open)

    def least_busy(self, among: Sequence[int]) -> int:
        """Return one of those with the fewest requests in flight, drawn evenly."""
        least = min(self.running[one] for one in among)
        return self.rng.choice([one for one in among if self.running[one] == least])


class RoundRobin(Rival):
    """Each in turn. Default of the vLLM production stack and of a Kubernetes service."""

    name = "round robin"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._turn = 0

    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Take the next."""
        self._turn += 1
        return among[self._turn % len(among)]


class LeastRequest(Rival):
    """Fewest requests in flight, counted by the router. LiteLLM `least-busy`, AIBrix `least-request`, Envoy."""

    name = "least request"

    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Take the least busy."""
        return self.least_busy(among)


class PowerOfTwo(Rival):
    """Of two drawn evenly the one with fewer requests in flight. sglang-router `power_of_two`, Ray Serve."""

    name = "power of two"

    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Draw two, take the less busy."""
        if len(among) == 1:
            return among[0]
        one, other = self.rng.sample(among, 2)
        return one if self.running[one] <= self.running[other] else other


class CacheAware(Rival):
    """sglang-router's and vllm-router's default (`cache_aware`): imbalanced (most - least > 64 and most > 1.5 · least)
    → least load; else the longest match in a tree of past prompts if it exceeds 0.3 of the prompt; else least load. The
    tree is of blocks here, of text there."""

    name = "cache aware"
    APART, TIMES, MATCH = 64, 1.5, 0.3

    def begin(self, world: World) -> None:
        """Begin with an empty tree."""
        super().begin(world)
        self._tree = SeenBlocks(len(world.providers), 2**26 // 2_048)

    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Take the match unless the pool is imbalanced."""
        most, least = max(self.running[one] for one in among), min(self.running[one] for one in among)
        if arrival.blocks and not (most - least > self.APART and most > self.TIMES * least):
            shares = self._tree.shares(arrival, among)
            best = max(among, key=lambda one: shares.get(one, 0.0))
            if shares.get(best, 0.0) > self.MATCH:
                return best
        return self.least_busy(among)

    def sent(self, arrival: Arrival, provider: int) -> None:
        """Put the prompt into the tree."""
        self._tree.add(arrival, provider)


class WeightedSum(Rival):
    """llm-d's legacy blend: 3 · prefix match + 2 · queue + 2 · KV cache, queue as (max - x)/(max - min) over the
    candidates, the cache as 1 - use, highest sum, ties drawn. Queue and cache are what providers report, read every 50
    ms; the prefix is what the router saw (31,250 blocks of 16 tokens a provider, least recently used out)."""

    name = "weighted sum"
    PREFIX, QUEUE, CACHE = 3.0, 2.0, 2.0

    def begin(self, world: World) -> None:
        """Begin with an empty index."""
        super().begin(world)
        self._index = SeenBlocks(len(world.providers), 31_250 * 16 // 512)

    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Take the highest sum."""
        reports = {one: self.world.report(one) for one in among}
        most, least = max(one.waiting for one in reports.values()), min(one.waiting for one in reports.values())
        span = most - least
        shares = self._index.shares(arrival, among)

        def score(one: int) -> float:
            queue = (most - reports[one].waiting) / span if span else 1.0
            return self.PREFIX * shares.get(one, 0.0) + self.QUEUE * queue + self.CACHE * (1.0 - reports[one].kv_share)

        return max(among, key=lambda one: (score(one), self.rng.random()))

    def sent(self, arrival: Arrival, provider: int) -> None:
        """Put the prompt into the index."""
        self._index.add(arrival, provider)


class TokenAware(Rival):
    """llm-d's default since 2026-08, "sticky until saturated": those that hold at least 0.8 of the prompt, unless the
    uncached tokens in flight there lead the least of all by more than 15,928 tokens/s · 18 s; among the rest (of all if
    nobody holds so much) the fewest uncached tokens in flight, this request's included."""

    name = "token aware"
    AFFINITY = 0.8
    LEAD_TOKENS = 15_928 * 18.0

    def begin(self, world: World) -> None:
        """Begin with an empty index."""
        super().begin(world)
        self._index = SeenBlocks(len(world.providers), 31_250 * 16 // 512)
        self._weighed: dict[tuple[int, int], float] = {}
        self._shares: dict[int, float] = {}

    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Take the least loaded of the sticky ones, else of all."""
        self._shares = shares = self._index.shares(arrival, among)
        least = min(self.tokens[one] for one in among)
        sticky = [
            one
            for one in among
            if shares.get(one, 0.0) >= self.AFFINITY and self.tokens[one] - least <= self.LEAD_TOKENS
        ]

        def load(one: int) -> tuple[float, float]:
            return self.tokens[one] + arrival.input_tokens * (1.0 - shares.get(one, 0.0)), self.rng.random()

        return min(sticky or among, key=load)

    def weigh(self, arrival: Arrival, provider: int) -> float:
        """Count the tokens that no hit was seen for; the same number until the request ends."""
        key = (arrival.number, provider)
        if key not in self._weighed:
            self._weighed[key] = arrival.input_tokens * (1.0 - self._shares.get(provider, 0.0))
        return self._weighed[key]

    def sent(self, arrival: Arrival, provider: int) -> None:
        """Put the prompt into the index."""
        self._index.add(arrival, provider)


class LatencyOfLastTen(Rival):
    """LiteLLM `latency-based-routing`: the lowest mean time to first token of the last ten answers
    (`lowest_latency_buffer` 0); who has not answered counts as 0, so everybody is tried."""

    name = "latency of the last ten"

    def begin(self, world: World) -> None:
        """Begin without samples."""
        super().begin(world)
        self._last: list[deque[float]] = [deque(maxlen=10) for _ in world.providers]

    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Take the fastest lately."""

        def mean(one: int) -> float:
            last = self._last[one]
            return sum(last) / len(last) if last else 0.0

        return min(among, key=lambda one: (mean(one), self.rng.random()))

    def finished(self, attempt: Attempt, now_ms: float) -> None:
        """Keep the sample; LiteLLM logs an answer when it is complete."""
        super().finished(attempt, now_ms)
        self._last[attempt.provider].append(attempt.first_ms - attempt.sent_ms)


class InverseSquarePrice(Rival):
    """OpenRouter's older default: leave out who broke within 30 s, draw the others by the inverse square of price (as
    users describe it; the exact formula is not public)."""

    name = "inverse square price"
    OUTAGE_MS = 30_000.0

    def begin(self, world: World) -> None:
        """Weigh the offers."""
        super().begin(world)
        self._weights = [float(one.offer.price_in_atto) ** -2 for one in world.providers]
        self._broke_ms = [-self.OUTAGE_MS] * len(world.providers)

    def choose(self, arrival: Arrival, among: Sequence[int]) -> int:
        """Draw by weight."""
        steady = [one for one in among if self.world.now_ms - self._broke_ms[one] >= self.OUTAGE_MS] or list(among)
        return self.rng.choices(steady, [self._weights[one] for one in steady])[0]

    def broken(self, attempt: Attempt, now_ms: float) -> None:
        """Remember the outage."""
        super().broken(attempt, now_ms)
        self._broke_ms[attempt.provider] = now_ms


RIVALS: tuple[type[Rival], ...] = (
    RoundRobin,
    LeastRequest,
    PowerOfTwo,
    CacheAware,
    WeightedSum,
    TokenAware,
    LatencyOfLastTen,
    InverseSquarePrice,
)
