"""What is committed to as measured suffices to compute uptime, p95 and void slots again, by another road."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from contracts.types import MeasuredLeaf, ProviderStatus, SixWords
from rewards.epoch import tally
from rewards.measured import duty_masks, measure
from rewards.measurement import join_words
from rewards.settlement import settle
from rewards.state import GENESIS
from rewards.testing import Network
from rewards.types import EpochInputs

SLOTS = 40


def _bits(words: SixWords) -> set[int]:
    return {slot for slot in range(6 * 256) if words[slot // 256] >> (slot % 256) & 1}


def _majority_down(leaf: MeasuredLeaf, quorum: int) -> set[int]:
    """Slots in which more than half of the days say 0; nothing below a quorum."""
    if len(leaf.days) < quorum:
        return set()
    seen = [_bits(day.up) for day in leaf.days]
    return {slot for slot in range(SLOTS) if sum(slot not in up for up in seen) * 2 > len(seen)}


def _computed(leaf: MeasuredLeaf, quorum: int) -> tuple[int, int, bool]:
    """Return uptime, bucket and measured, slot by slot, as docs/protocol.md says in words."""
    if len(leaf.days) < quorum:
        return 10**6, 255, False
    counted = _bits(leaf.duty) - _bits(leaf.void)
    down = (_majority_down(leaf, quorum) & counted) - _bits(leaf.served)
    counts = [sum(day.histogram >> 16 * bucket & 0xFFFF for day in leaf.days) for bucket in range(16)]
    bucket = next((one for one in range(16) if sum(counts[: one + 1]) * 100 >= sum(counts) * 95), 15)
    uptime = (len(counted) - len(down)) * 10**6 // len(counted) if counted else 10**6
    return uptime, bucket if sum(counts) else 255, bool(counted)


def _random_inputs(rng: random.Random) -> EpochInputs:
    net = Network(providers=rng.randrange(1, 8), verifiers=rng.randrange(1, 6), slots=SLOTS, quorum=rng.randrange(1, 4))
    for name in net.provider_names:
        if rng.random() < 0.2:
            net.change(name, registered_at=net.timing.genesis + rng.randrange(-60, SLOTS * 60))
        if rng.random() < 0.1:
            net.change(name, status=ProviderStatus.JAILED)
    days = [
        net.probe_day(
            verifier,
            name,
            0,
            [slot for slot in range(SLOTS) if rng.random() < share],
            [rng.choice((0, 0, 1, 65_535)) for _ in range(16)],
        )
        for name in net.provider_names
        for share in [rng.choice((0.0, 0.1, 0.6, 1.0))]
        for verifier in range(net.verifiers)
        if rng.random() < 0.8
    ]
    windows = {name: [net.window(0, 5, 9), net.window(0, 20, 60)] for name in net.provider_names[::2]}
    return net.inputs(attempts=net.attempts(0, 10, rng.randrange(2**32)), probe_days=days, maintenance=windows)


@pytest.mark.parametrize("seed", range(60))
def test_a_measured_leaf_is_enough_to_compute_what_the_report_says(seed: int) -> None:
    inputs = _random_inputs(random.Random(seed))
    settled = settle(inputs)
    for leaf, measured in zip(settled.report.leaves, settled.measured, strict=True):
        assert measured.provider == leaf.provider
        said = (leaf.uptime_ppm, leaf.ttft_p95_bucket, leaf.measured)
        assert _computed(measured, inputs.quorum) == said


@pytest.mark.parametrize("seed", range(60))
def test_all_measured_leaves_together_show_which_slots_are_void(seed: int) -> None:
    inputs = _random_inputs(random.Random(seed))
    leaves = settle(inputs).measured
    duty = [_bits(leaf.duty) for leaf in leaves]
    down = [_bits(leaf.duty) & _majority_down(leaf, inputs.quorum) for leaf in leaves]
    void = {
        slot for slot in range(SLOTS) if sum(slot in one for one in down) * 10 > 3 * sum(slot in one for one in duty)
    }
    assert all(_bits(leaf.void) == void for leaf in leaves)


def test_duty_leaves_out_what_is_before_the_registration_or_declared_but_not_what_is_void() -> None:
    net = Network(providers=4, slots=SLOTS)
    name, gone, *_ = net.provider_names
    net.change(name, registered_at=net.timing.genesis + 3 * 60)
    net.change(gone, status=ProviderStatus.JAILED)
    down = {one: range(30, 40) for one in net.provider_names}
    inputs = net.inputs(probe_days=net.probe_days(0, down), maintenance={name: [net.window(0, 10, 12)]})
    duty = duty_masks(inputs)
    full = (1 << SLOTS) - 1
    assert duty[name] == full & ~0b111 & ~(0b11 << 10)
    assert duty[gone] == 0 and duty[net.provider_names[2]] == full
    leaves = {leaf.provider: leaf for leaf in measure(inputs, tally(inputs)).leaves}
    assert join_words(leaves[name].duty) == duty[name]
    assert {join_words(leaf.void) for leaf in leaves.values()} == {0b1111111111 << 30}


def test_served_are_the_slots_of_served_attempts_whoever_measured_what() -> None:
    net = Network(providers=2, slots=SLOTS)
    name = net.provider_names[0]
    attempts = [net.attempt(name, net.customer_names[0], slot, job=bytes([slot]) * 32) for slot in (1, 1 + 2, 39)]
    inputs = net.inputs(attempts=attempts, probe_days=())
    leaves = {leaf.provider: leaf for leaf in settle(inputs).measured}
    assert _bits(leaves[name].served) == {1, 3, 39}
    assert all(leaf.days == () for leaf in leaves.values())


def test_days_stand_in_ascending_order_of_verifiers_as_they_were_signed() -> None:
    net = Network(providers=2, slots=SLOTS)
    inputs = net.inputs()
    for leaf in settle(inputs).measured:
        signed = [one for one in inputs.probe_days if one.day.provider == leaf.provider]
        assert [day.verifier for day in leaf.days] == [key.address for key in net.verifier_keys]
        assert [(day.up, day.histogram, day.signature) for day in leaf.days] == [
            (one.day.up, one.day.histogram, one.signature) for one in signed
        ]


def test_the_root_over_what_was_measured_turns_on_every_signed_day() -> None:
    net = Network(providers=2, slots=SLOTS)
    inputs = net.inputs()
    day = net.probe_day(0, net.provider_names[0], 0, counts=(1,) * 16)
    others = [one for one in inputs.probe_days if (one.verifier, one.day.provider) != (day.verifier, day.day.provider)]
    changed = net.inputs(probe_days=[day, *others])
    assert settle(changed).report.measurements != settle(inputs).report.measurements
    elsewhere = replace(inputs, epoch_ledger="0x" + "2e" * 20)
    assert settle(elsewhere).report.measurements != settle(inputs).report.measurements
    assert settle(net.inputs(opening=GENESIS)).report.measurements == settle(inputs).report.measurements
