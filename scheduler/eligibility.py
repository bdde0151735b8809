"""Find the lanes that may serve a demand at all: cached pools, rebuilt only when an offer of the model changes.

The rules, in the order in which an offer is counted as excluded: model, jailed, context, features, region, price.
All but price are bitsets (bit i is lane i), so a pool is a few ANDs of Python integers; price caps are compared on what
is left. Rules that change by the second (breaker, slots, share, stake) are not here: see `scheduler.gates`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import NamedTuple

from scheduler.sampling import AliasTable, build_alias_table
from scheduler.types import Demand, Job, Offer

STATIC_RULES = ("model", "jailed", "context", "features", "region", "price")
POOLS_LIMIT = 1_024


class Pool(NamedTuple):
    """The lanes that may serve one demand.

    `table` is None when the pool is small enough to price all of it. `excluded` counts, by the first rule broken, the
    offers of the model that are not in the pool; offers of other models come and go without touching a pool.
    """

    lanes: tuple[int, ...]
    twice: tuple[int, ...]
    members: frozenset[int]
    bits: int
    newcomers: tuple[int, ...]
    table: AliasTable | None
    excluded: dict[str, int]
    least_in_atto: int
    least_out_atto: int

    def is_beyond(self, job: Job) -> bool:
        """Tell from the lowest prices alone that the job's budget cannot pay any lane of the pool at the worst."""
        worst_atto = job.input_tokens * self.least_in_atto + job.max_output_tokens * self.least_out_atto
        return worst_atto > job.budget_atto


def in_region(wanted: str, region: str) -> bool:
    """Tell whether `region` is `wanted` or a part of it ("eu" holds "eu-west")."""
    return not wanted or region == wanted or region.startswith(wanted + "-")


def disagreement(rule: str, offer: Offer, demand: Demand, context_tokens: int) -> tuple[object, object] | None:
    """Return (wanted, offered) if the offer breaks the rule, None if it keeps it."""
    match rule:
        case "model":
            return None if offer.model == demand.model else (demand.model, offer.model)
        case "jailed":
            return (False, True) if offer.jailed or offer.weight_ppm <= 0 else None
        case "context":
            return None if offer.context_length >= context_tokens else (context_tokens, offer.context_length)
        case "features":
            missing = demand.features - offer.features
            return (sorted(demand.features), sorted(offer.features)) if missing else None
        case "region":
            return None if in_region(demand.region, offer.region) else (demand.region, offer.region)
        case "price":
            if demand.max_price_in_atto is not None and offer.price_in_atto > demand.max_price_in_atto:
                return demand.max_price_in_atto, offer.price_in_atto
            if demand.max_price_out_atto is not None and offer.price_out_atto > demand.max_price_out_atto:
                return demand.max_price_out_atto, offer.price_out_atto
            return None
    raise ValueError(f"no static rule is called {rule!r}; the rules are {', '.join(STATIC_RULES)}")


def lanes_of(bits: int) -> list[int]:
    """List the positions of the one bits, ascending."""
    return [at for at, digit in enumerate(reversed(bin(bits)[2:])) if digit == "1"]


def bits_of(lanes: Iterable[int]) -> int:
    """Return the integer whose one bits are at these positions."""
    lanes = list(lanes)
    digits = bytearray(max(lanes, default=-1) // 8 + 1)
    for lane in lanes:
        digits[lane >> 3] |= 1 << (lane & 7)
    return int.from_bytes(digits, "little")


class Eligibility:
    """The bitsets of all offers and the pools cut from them.

    `weigh` gives a lane's sampling weight and `is_newcomer` whether it takes part in the newcomers' floor; both are
    read when a pool is built and when `reweigh` is called.
    """

    def __init__(self, price_all_up_to: int, weigh: Callable[[int], float], is_newcomer: Callable[[int], bool]) -> None:
        self.version = 0
        self._price_all_up_to = price_all_up_to
        self._weigh = weigh
        self._is_newcomer = is_newcomer
        self._offers: dict[int, Offer] = {}
        self._models: dict[str, int] = {}
        self._features: dict[str, int] = {}
        self._regions: dict[str, int] = {}
        self._contexts: dict[int, int] = {}
        self._levels: list[int] = []
        self._barred = 0
        self._pools: dict[tuple[str, int, str], Pool] = {}

    def put(self, lane: int, offer: Offer) -> None:
        """Set a lane's offer and forget the pools that it may enter or leave."""
        self.drop(lane)
        bit = 1 << lane
        self._offers[lane] = offer
        self._models[offer.model] = self._models.get(offer.model, 0) | bit
        for feature in offer.features:
            self._features[feature] = self._features.get(feature, 0) | bit
        self._regions[offer.region] = self._regions.get(offer.region, 0) | bit
        if offer.context_length not in self._contexts:
            self._levels = sorted([*self._contexts, offer.context_length])
            # Levels number the cached pools, so another level moves the meaning of every number.
            self._pools.clear()
        self._contexts[offer.context_length] = self._contexts.get(offer.context_length, 0) | bit
        if offer.jailed or offer.weight_ppm <= 0:
            self._barred |= bit
        self._forget(offer.model)

    def drop(self, lane: int) -> None:
        """Take a lane's offer out; unknown lanes are ignored."""
        offer = self._offers.pop(lane, None)
        if offer is None:
            return
        keep = ~(1 << lane)
        self._models[offer.model] &= keep
        self._regions[offer.region] &= keep
        self._contexts[offer.context_length] &= keep
        for feature in offer.features:
            self._features[feature] &= keep
        self._barred &= keep
        self._forget(offer.model)

    def _forget(self, model: str) -> None:
        self.version += 1
        for key in [key for key in self._pools if key[2] == model]:
            del self._pools[key]

    def pool(self, demand: Demand, context_tokens: int) -> Pool:
        """Return the pool for a demand and a length of prompt and answer together, from the cache if it is there."""
        key = (demand.key, bisect_left(self._levels, context_tokens), demand.model)
        found = self._pools.get(key)
        return found if found is not None else self._cut(demand, context_tokens, key)

    def level(self, context_tokens: int) -> int:
        """Return the number of the context length that is needed: pools differ between levels, not within one."""
        return bisect_left(self._levels, context_tokens)

    def count_others(self, model: str) -> int:
        """Return how many offers are of other models."""
        return len(self._offers) - self._models.get(model, 0).bit_count()

    def reweigh(self) -> None:
        """Build the tables of all cached pools from present weights; call it off the request path."""
        for key, pool in self._pools.items():
            self._pools[key] = self._arrange(list(pool.lanes), pool.bits, pool.excluded)

    def _cut(self, demand: Demand, context_tokens: int, key: tuple[str, int, str]) -> Pool:
        remaining = self._models.get(demand.model, 0)
        excluded: dict[str, int] = {}

        def keep(rule: str, bits: int) -> None:
            nonlocal remaining
            excluded[rule] = (remaining & ~bits).bit_count()
            remaining &= bits

        keep("jailed", ~self._barred)
        keep("context", _union(bits for level, bits in self._contexts.items() if level >= context_tokens))
        featured = remaining
        for feature in demand.features:
            featured &= self._features.get(feature, 0)
        keep("features", featured)
        keep("region", _union(bits for region, bits in self._regions.items() if in_region(demand.region, region)))
        lanes = lanes_of(remaining)
        if demand.max_price_in_atto is not None or demand.max_price_out_atto is not None:
            lanes = [lane for lane in lanes if disagreement("price", self._offers[lane], demand, 0) is None]
        keep("price", bits_of(lanes))
        while len(self._pools) >= POOLS_LIMIT:
            del self._pools[next(iter(self._pools))]
        pool = self._arrange(lanes, remaining, excluded)
        self._pools[key] = pool
        return pool

    def _arrange(self, lanes: list[int], bits: int, excluded: dict[str, int]) -> Pool:
        newcomers = tuple(lane for lane in lanes if self._is_newcomer(lane))
        sampled = len(lanes) > self._price_all_up_to
        return Pool(
            lanes=tuple(lanes),
            twice=() if sampled else (*lanes, *lanes),
            members=frozenset(lanes),
            bits=bits,
            newcomers=newcomers if len(newcomers) < len(lanes) else (),
            table=build_alias_table(lanes, [self._weigh(lane) for lane in lanes]) if sampled else None,
            excluded=excluded,
            least_in_atto=min((self._offers[lane].price_in_atto for lane in lanes), default=0),
            least_out_atto=min((self._offers[lane].price_out_atto for lane in lanes), default=0),
        )


def _union(bitsets: Iterable[int]) -> int:
    union = 0
    for bits in bitsets:
        union |= bits
    return union
