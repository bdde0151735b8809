"""Scarcity and tenure move the split for availability, slowly, inside their bounds, and never its sum."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from contracts.types import HardwareClass
from rewards.scarcity import LEAST_PPM, MOST_PPM, moved_ppm, target_ppm
from rewards.settlement import settle
from rewards.tenure import FULL_EPOCHS
from rewards.testing import Network
from rewards.types import Scarcity, Settlement


@given(st.integers(LEAST_PPM, MOST_PPM), st.integers(0, 10**6))
def test_a_multiplier_moves_by_at_most_a_tenth_and_stays_inside_its_bounds(before: int, utilisation: int) -> None:
    after = moved_ppm(before, utilisation)
    assert abs(after - before) * 10 <= before and LEAST_PPM <= after <= MOST_PPM
    assert abs(after - target_ppm(utilisation)) <= abs(before - target_ppm(utilisation))


def test_steady_use_brings_a_class_to_its_target_and_keeps_it_there() -> None:
    multiplier = 1_000_000
    for _ in range(12):
        multiplier = moved_ppm(multiplier, 10**6)
    assert multiplier == MOST_PPM
    for _ in range(20):
        multiplier = moved_ppm(multiplier, 0)
    assert multiplier == LEAST_PPM


def _epoch(net: Network, epoch: int, before: Settlement | None, busy: str) -> Settlement:
    served = [
        net.attempt(busy, net.customer_names[0], epoch * 40 + slot, job=bytes([epoch, slot]) * 16, charge_atto=10**12)
        for slot in range(40)
    ]
    opening = {} if before is None else {"opening": replace(before.closing, report=b"\x01" * 32)}
    return settle(net.inputs(epoch, attempts=served, **opening))


def test_the_class_in_use_draws_more_of_the_same_budget_from_the_next_epoch_on() -> None:
    net = Network(providers=2, slots=40)
    busy, idle = net.provider_names
    net.change(busy, hardware_class=HardwareClass.A100)
    first = _epoch(net, 0, None, busy)
    assert first.closing.scarcity == (
        Scarcity(int(HardwareClass.CPU), 900_000), Scarcity(int(HardwareClass.A100), 1_100_000),
    )  # fmt: skip
    second = _epoch(net, 1, first, busy)

    def availability(settled: Settlement) -> dict[str, int]:
        lines = [line for line in settled.lines if line.rule.startswith("incentive")]
        return {line.subject: dict(line.numbers)["availability"] for line in lines}

    assert availability(first)[busy] == availability(first)[idle] == 200_000
    # one clean epoch lies behind both, so tenure changes nothing between them: 400,000 at 1.1 to 0.9
    assert availability(second) == {busy: 220_000, idle: 179_999}


def test_a_class_in_which_nobody_was_measured_stays_where_it_is() -> None:
    net = Network(providers=2, slots=40)
    first = settle(net.inputs(0))
    second = settle(net.inputs(1, probe_days=(), opening=replace(first.closing, report=b"\x01" * 32)))
    assert second.closing.scarcity == first.closing.scarcity


def test_ninety_clean_epochs_earn_a_tenth_more_and_a_strike_ends_them() -> None:
    net = Network(providers=5, slots=40)
    old, *others = net.provider_names
    first = settle(net.inputs(0))
    states = tuple(
        replace(state, clean_epochs=FULL_EPOCHS if state.provider == old else 0) for state in first.closing.providers
    )
    opening = replace(first.closing, providers=states, report=b"\x01" * 32)
    settled = settle(net.inputs(1, opening=opening))
    earned = {leaf.provider: leaf.cumulative_incentive - 80_000 for leaf in settled.report.leaves}
    assert earned == {old: 86_274, **dict.fromkeys(others, 78_431)}, "400,000 at 1.1 to four times 1.0, rounded down"
    clean = {state.provider: state.clean_epochs for state in settled.closing.providers}
    assert clean == {old: FULL_EPOCHS, **dict.fromkeys(others, 1)}
    fallen = settle(net.inputs(1, opening=opening, probe_days=net.probe_days(1, {old: range(12)})))
    clean = {state.provider: state.clean_epochs for state in fallen.closing.providers}
    assert clean == {old: 0, **dict.fromkeys(others, 1)}
