"""Whole simulations: every request ends exactly once whoever routes, and the same draws give the same endings."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from scheduler.classes import STANDARD
from scheduler.simulate.engine import Attempt
from scheduler.simulate.measures import Measures, gini, is_good, measure, quantile
from scheduler.simulate.oracle import Oracle
from scheduler.simulate.ours import Bonded
from scheduler.simulate.pools import BAD_SHARE, POOLS, Provider, UnknownPool, capacity_per_s, make_pool
from scheduler.simulate.rivals import RIVALS, RoundRobin
from scheduler.simulate.trace import Arrival, hurry, rate_per_s
from scheduler.simulate.world import EndedTwice, Ending, Router, World

ROUTERS: dict[str, Callable[[random.Random], Router]] = {rival.name: rival for rival in RIVALS} | {
    "oracle": lambda rng: Oracle(rng, STANDARD),
    "bonded": lambda rng: Bonded(rng),
}


def traffic(count: int, seed: int = 1) -> list[Arrival]:
    """Return requests of mixed sizes that share prefixes, one every 10 ms."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        blocks = (rng.randrange(4), *(100 + number * 10 + at for at in range(rng.randrange(6))))
        rows.append(Arrival(number, 10.0 * number, 512 * len(blocks) + 40, rng.randrange(1, 200), blocks))
    return rows


def outage_pool(count: int = 6) -> list[Provider]:
    """Return a pool in which everybody goes away once, one after the other."""
    pool = make_pool("everything", random.Random(3), count)
    return [replace(one, outages=((500.0 + 400.0 * n, 900.0 + 400.0 * n),)) for n, one in enumerate(pool)]


@pytest.mark.parametrize("name", ROUTERS)
def test_every_request_ends_exactly_once_though_providers_come_and_go(name: str) -> None:
    arrivals = traffic(250)
    pool = outage_pool()
    endings = World(pool, ROUTERS[name](random.Random(1)), arrivals).run()
    assert [one.arrival for one in endings] == arrivals
    assert {one.status for one in endings} <= {"served", "refused", "failed"}
    assert sum(one.status == "served" for one in endings) > 50
    for one in endings:
        if one.status == "served":
            assert 0.0 < one.ttft_ms <= one.total_ms and one.paid_atto > 0


@pytest.mark.parametrize("name", ROUTERS)
def test_the_same_draws_give_the_same_endings(name: str) -> None:
    runs = [
        World(make_pool("everything", random.Random(5), 6), ROUTERS[name](random.Random(1)), traffic(120)).run()
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_our_market_has_given_everything_back_at_the_end() -> None:
    router = Bonded(random.Random(1))
    World(outage_pool(), router, traffic(250)).run()
    assert router.state.open_reservations == 0
    assert all(lane.running == 0 and lane.queued_tokens == 0 for lane in router.state.lanes)
    counts = router.flow.counts
    assert counts.entered == counts.placed + counts.left + counts.refused + counts.failed
    assert router.flow.waiting == 0


def test_a_broken_answer_goes_on_elsewhere_behind_what_was_delivered() -> None:
    pool = make_pool("equal", random.Random(1), 2)
    pool[1] = replace(pool[1], outages=((500.0, 600.0),))
    ending = World(pool, RoundRobin(random.Random(1)), [Arrival(0, 0.0, 100, 200)]).run()[0]
    assert ending.status == "served" and ending.provider == 0
    undisturbed = World(make_pool("equal", random.Random(1), 2), RoundRobin(random.Random(1)), [ending.arrival]).run()[
        0
    ]
    assert ending.ttft_ms == undisturbed.ttft_ms
    assert ending.total_ms > undisturbed.total_ms
    whole = 100 * pool[0].offer.price_in_atto + 200 * pool[0].offer.price_out_atto
    assert undisturbed.paid_atto == whole < ending.paid_atto, "the prompt is computed again"


class Loses(RoundRobin):
    """A router that forgets every request."""

    def arrive(self, arrival: Arrival, tried: object, now_ms: float) -> None:
        pass


class Repeats(RoundRobin):
    """A router that sends every request twice."""

    def sent(self, arrival: Arrival, provider: int) -> None:
        self.world.send(arrival, 0)
        self.running[0] += 1


@pytest.mark.parametrize("router", [Loses, Repeats])
def test_a_router_that_loses_or_repeats_requests_is_found(router: type[RoundRobin]) -> None:
    with pytest.raises((EndedTwice, KeyError)):
        World(make_pool("equal", random.Random(1), 2), router(random.Random(1)), traffic(3)).run()


def test_a_liar_reports_an_idle_engine_and_the_others_what_is_true() -> None:
    pool = make_pool("equal", random.Random(1), 2)
    pool[0] = replace(pool[0], lies=True)
    world = World(pool, RoundRobin(random.Random(1)), traffic(1))
    for engine in world.engines:
        for number in range(60):
            engine.take(Attempt(Arrival(number, 0.0, 100, 100), 0, 0.0), 0.0)
    assert world.report(0).running == 0 and world.report(0).waiting == 0
    assert world.report(1).running + world.report(1).waiting == 60


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_is_what_its_name_says(name: str) -> None:
    pool = make_pool(name, random.Random(1), 40)
    assert len({one.offer.hardware_class for one in pool}) == (1 if name == "equal" else 3)
    bad = round(BAD_SHARE * 40)
    assert sum(one.lies for one in pool) == (bad if name in ("lying", "everything") else 0)
    assert sum(one.timing.a_ms > 60.0 or one.timing.p_ms > 0.3 for one in pool) >= (bad if name == "slow" else 0)
    assert all(one.outages for one in pool) == (name in ("churning", "everything"))
    assert pool == make_pool(name, random.Random(1), 40)


def test_a_pool_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(UnknownPool, match="equal, mixed"):
        make_pool("perfect", random.Random(1))


def test_capacity_is_what_an_overloaded_pool_serves() -> None:
    pool = make_pool("equal", random.Random(1), 2)
    rng = random.Random(2)
    rows = [Arrival(n, 10.0 * n, rng.randrange(500, 1_500), rng.randrange(100, 300)) for n in range(1_500)]
    capacity = capacity_per_s(pool, rows)
    rows = hurry(rows, 2.0 * capacity / rate_per_s(rows))
    endings = World(pool, RoundRobin(random.Random(1)), rows).run()
    last_s = max(one.arrival.at_ms + one.total_ms for one in endings) / 1e3
    assert len(rows) / last_s == pytest.approx(capacity, rel=0.1)


def test_measures_of_a_handful_of_endings() -> None:
    def ended(number: int, status: str, ttft_ms: float, itl_ms: float, provider: int) -> Ending:
        arrival = Arrival(number, 1_000.0 * number, 100, 100)
        return Ending(arrival, status, provider, ttft_ms, itl_ms, ttft_ms + 99 * itl_ms, 50, 10**12)

    endings = [
        ended(0, "served", 100.0, 10.0, 0),
        ended(1, "served", 2_001.0, 10.0, 0),
        ended(2, "served", 300.0, 101.0, 0),
        ended(3, "refused", 0.0, 0.0, -1),
        ended(4, "served", 2_000.0, 100.0, 1),
    ]
    assert [is_good(one, STANDARD) for one in endings] == [True, False, False, False, True]
    assert measure(endings, 2, STANDARD) == Measures(
        requests=5,
        served=4,
        refused=1,
        failed=0,
        good_share=0.4,
        goodput_per_s=0.5,
        ttft_p50_ms=2_000.0,
        ttft_p99_ms=2_001.0,
        itl_p50_ms=100.0,
        cost_per_million=1e6 * 4e12 / 1e18 / 800,
        hit_share=0.5,
        gini=0.25,
    )


def test_quantile_and_gini_of_nothing_and_of_everything_at_one() -> None:
    assert quantile([], 0.5) == 0.0 and gini([0.0, 0.0]) == 0.0
    assert gini([5.0, 5.0, 5.0]) == 0.0
    assert gini([0.0, 0.0, 0.0, 8.0]) == 0.75
