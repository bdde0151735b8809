"""What a settled epoch makes of slots that are down: levels, what is void or excused, outages, exits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.messages import Status
from rewards.settlement import settle
from rewards.state import GENESIS
from rewards.testing import Network
from rewards.types import EpochInputs
from tests.rewards.leaf import leaf_of

DAY = 1440


def _net_with(down: dict[int, range], providers: int = 8, **changes: object) -> tuple[Network, EpochInputs]:
    net = Network(providers=providers, slots=DAY, **changes)  # type: ignore[arg-type]
    return net, net.inputs(probe_days=net.probe_days(0, {net.provider_names[i]: slots for i, slots in down.items()}))


@pytest.mark.parametrize(
    ("down_slots", "uptime", "level"),
    [(0, 10**6, 0), (28, 980_555, 0), (29, 979_861, 0), (43, 970_138, 0), (44, 969_444, 1), (73, 949_305, 2),
     (145, 899_305, 3), (721, 499_305, 4), (1440, 0, 4)],
)  # fmt: skip
def test_uptime_decides_the_level(down_slots: int, uptime: int, level: int) -> None:
    net, inputs = _net_with({0: range(down_slots)})
    leaf = leaf_of(settle(inputs), net.provider_names[0])
    assert (leaf.uptime_ppm, leaf.slash_level, leaf.strikes) == (uptime, level, int(level > 0))


def test_slots_in_which_too_many_are_down_are_void_for_all() -> None:
    net, inputs = _net_with({0: range(100), 1: range(100), 2: range(100), 3: range(50, 90)})
    settled = settle(inputs)
    assert [leaf.slash_level for leaf in settled.report.leaves] == [0] * 8
    assert leaf_of(settled, net.provider_names[0]).uptime_ppm == 10**6
    net, inputs = _net_with({0: range(100), 1: range(100), 2: range(20)})
    settled = settle(inputs)
    assert leaf_of(settled, net.provider_names[0]).uptime_ppm == (1420 - 80) * 10**6 // 1420


def test_a_slot_in_which_a_paying_customer_was_served_counts_as_up() -> None:
    net, inputs = _net_with({0: range(1440)})
    name = net.provider_names[0]
    served = [net.attempt(name, net.customer_names[0], slot, job=slot.to_bytes(32)) for slot in range(0, 1440, 2)]
    leaf = leaf_of(settle(replace(inputs, attempts=tuple(served))), name)
    assert (leaf.uptime_ppm, leaf.slash_level) == (500_000, 3)


def test_an_attempt_that_failed_does_not_make_a_slot_up() -> None:
    net, inputs = _net_with({0: range(1440)})
    name = net.provider_names[0]
    failed = [
        net.attempt(name, net.customer_names[0], slot, job=slot.to_bytes(32), status=Status.TIMEOUT, signed=False)
        for slot in range(100)
    ]
    leaf = leaf_of(settle(replace(inputs, attempts=tuple(failed))), name)
    assert (leaf.uptime_ppm, leaf.success_ppm, leaf.slash_level) == (0, 0, 4)


def test_declared_maintenance_is_not_held_against_anybody() -> None:
    net = Network(providers=8, slots=DAY)
    name = net.provider_names[0]
    days = net.probe_days(0, {name: range(300)})
    assert leaf_of(settle(net.inputs(probe_days=days)), name).slash_level == 3
    settled = settle(net.inputs(probe_days=days, maintenance={name: [net.window(0, 0, 300)]}))
    leaf = leaf_of(settled, name)
    assert (leaf.uptime_ppm, leaf.slash_level) == (10**6, 0)
    away = leaf_of(settle(net.inputs(maintenance={name: [net.window(0, -5, 1445)]})), name)
    assert (away.uptime_ppm, away.measured, away.cumulative_incentive) == (10**6, False, 0)


def test_slots_before_the_registration_do_not_count() -> None:
    net = Network(providers=8, slots=DAY)
    name = net.provider_names[0]
    net.change(name, registered_at=net.timing.genesis + 300 * 60)
    leaf = leaf_of(settle(net.inputs(probe_days=net.probe_days(0, {name: range(300)}))), name)
    assert (leaf.uptime_ppm, leaf.slash_level) == (10**6, 0)


def test_below_a_quorum_nothing_speaks_against_a_provider() -> None:
    net = Network(providers=8, slots=DAY)
    name = net.provider_names[0]
    others = [day for day in net.probe_days(0) if day.day.provider != name]
    alone = net.probe_day(0, name, 0, range(1440), counts=[0] * 15 + [9])
    settled = settle(net.inputs(probe_days=[*others, alone]))
    leaf = leaf_of(settled, name)
    assert (leaf.uptime_ppm, leaf.slash_level, leaf.ttft_p95_bucket, leaf.measured) == (10**6, 0, 255, False)
    assert leaf.cumulative_incentive == 0  # nothing measured, no availability incentive


def test_nobody_is_struck_within_three_points_of_the_median() -> None:
    """Everybody loses about 6 %, each at another time, so that no slot is void: nobody is struck."""
    down = {index: range(index * 90, index * 90 + 90) for index in range(8)}
    _, inputs = _net_with(down)
    assert [leaf.slash_level for leaf in settle(inputs).report.leaves] == [0] * 8
    down[0] = range(0, 140)
    net, inputs = _net_with(down)
    assert leaf_of(settle(inputs), net.provider_names[0]).slash_level == 2


def test_an_outage_runs_on_across_epochs_and_ends_in_jail_then_removal() -> None:
    net = Network(providers=8, slots=DAY)
    name, opening, levels = net.provider_names[0], GENESIS, []
    for epoch in range(7):
        settled = settle(net.inputs(epoch, probe_days=net.probe_days(epoch, {name: range(1440)}), opening=opening))
        levels.append(leaf_of(settled, name).slash_level)
        opening = settled.closing
    assert levels == [4, 4, 5, 4, 4, 6, 4]
    assert (leaf_of(settled, name).strikes, leaf_of(settled, name).standing) == (6, 2)
    assert next(state for state in opening.providers if state.provider == name).down_run_slots == 7 * 1440


def test_unbonding_at_the_end_of_a_bad_epoch_does_not_escape_it() -> None:
    net = Network(providers=8, slots=DAY)
    name = net.provider_names[0]
    opening = settle(net.inputs()).closing
    net.change(name, stake=0)
    days = net.probe_days(1, {name: range(1440)})
    settled = settle(net.inputs(1, probe_days=days, opening=opening))
    assert leaf_of(settled, name).slash_level == 4
    after = settle(net.inputs(2, probe_days=net.probe_days(2, {name: range(1440)}), opening=settled.closing))
    leaf = leaf_of(after, name)
    assert (leaf.uptime_ppm, leaf.slash_level, leaf.strikes) == (10**6, 0, 1)
