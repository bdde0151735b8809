"""A provider's screen: what its agent and a gateway say, what is near, and what is silent."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.agent.metrics import AgentMetrics
from marketplace.cli.provider.watching import per_hour, read_metrics, strikes, summary, thresholds
from tests.marketplace.cli.commands import MakePerson
from tests.marketplace.settled import Settled


def metrics(tokens: int) -> str:
    """Return what an agent shows that answered once and refused once."""
    real = AgentMetrics()
    real.attempts.labels("served").inc()
    real.refusals.labels("no_free_slot").inc()
    real.tokens.labels("input").inc(3)
    real.tokens.labels("output").inc(tokens)
    real.in_flight.labels('a "quoted" model').set(2)
    return real.text().decode()


def test_the_agents_own_metrics_are_understood():
    seen = read_metrics(metrics(7))
    assert seen.in_flight == {'a "quoted" model': 2} and seen.attempts == {"served": 1}
    assert (seen.refusals, seen.output_tokens, seen.open_receipts, seen.draining) == (1, 7, 0, False)


def test_tokens_a_second_are_those_between_two_looks_and_never_below_zero():
    first, second = read_metrics(metrics(100)), read_metrics(metrics(150))
    assert summary(None, None, second, (first, 10.0), 12.0, 0.0)["agent"]["tokens_per_second"] == 25
    assert summary(None, None, first, (second, 10.0), 12.0, 0.0)["agent"]["tokens_per_second"] == 0
    assert summary(None, None, first, None, 12.0, 0.0)["agent"]["tokens_per_second"] is None


@pytest.mark.parametrize(
    ("uptime_ppm", "nearest", "loses", "left"),
    [
        (1_000_000, 995_000, "multiplier 1.10 and falling", 7),
        (990_000, 980_000, "multiplier 1.00 and falling, a strike", 13),
        (960_000, 950_000, "multiplier 0.80 and falling, slash level 2", 14),
        (510_000, 500_000, "slash level 4", 14),
    ],
)
def test_the_next_threshold_is_named_before_it_is_crossed(uptime_ppm: int, nearest: int, loses: str, left: int):
    first = thresholds(uptime_ppm, 1_440)[0]
    assert (first.uptime_ppm, first.loses, first.slots_left) == (nearest, loses, left)


def test_what_is_below_every_threshold_has_none_left():
    assert thresholds(200_000, 1_440) == ()


def test_slots_left_is_exact():
    for uptime_ppm in (1_000_000, 990_000, 985_417):
        for one in thresholds(uptime_ppm, 1_440):
            down = 1_440 - 1_440 * uptime_ppm // 1_000_000
            assert (1_440 - down - one.slots_left) * 1_000_000 >= one.uptime_ppm * 1_440
            assert (1_440 - down - one.slots_left - 1) * 1_000_000 < one.uptime_ppm * 1_440


def test_strikes_are_forgotten_after_six_epochs():
    history = [{"epoch": epoch, "slash_level": level} for epoch, level in ((9, 0), (8, 1), (4, 2), (3, 1))]
    assert strikes(history) == [
        {"epoch": 8, "level": 1, "forgotten_from": 14},
        {"epoch": 4, "level": 2, "forgotten_from": 10},
    ]


def test_an_hour_is_compared_with_its_cost():
    history = [{"fees_units": "1000000", "incentive_units": "500000"}, {"fees_units": "0", "incentive_units": "500000"}]
    assert per_hour(history, 7_200, 6, 0.2) == {"earned": 0.5, "cost": 0.2, "left": pytest.approx(0.3)}
    assert per_hour([], 7_200, 6, 0.2)["earned"] is None


@pytest.mark.chain
@pytest.mark.postgres
def test_a_provider_is_shown_from_a_gateway_alone_and_a_silent_agent_is_said(settled: Settled, person: MakePerson):
    somebody = person(settled.live_owner)
    common = ("provider", "dashboard", "--gateway", settled.url, "--provider", settled.market.dead)
    facts: dict[str, Any] = somebody.json(*common)
    market = facts["market"]
    assert facts["agent"] is None and market["provider"] == settled.market.dead
    assert [one["epoch"] for one in market["strikes"]] == [1, 0] and market["slashes"] == []
    assert market["stake_units"] == str(284 * 10**18)
    shown = somebody.says(*common, "--once", "--cost", "0.5")
    assert "the agent does not answer" in shown and "strike of epoch 1" in shown and "0.500000 DUSD" in shown
    nobody = ("provider", "dashboard", "--gateway", "http://127.0.0.1:1", "--provider", "0x" + "11" * 20)
    refused = somebody.fails(*nobody, code=1)
    assert "neither the gateway" in refused and "--agent" in refused
