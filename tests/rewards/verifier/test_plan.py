"""The probing plan: unpredictable without the seed, exactly repeatable with it."""

import itertools

import pytest

from contracts.signing import keccak
from rewards.verifier.plan import commitment, draw_plan, epoch_seed

PROVIDERS = ["0x" + f"{n:02x}" * 20 for n in range(1, 9)]


def test_refuses_a_gap_below_one_slot():
    with pytest.raises(ValueError, match="at least one slot, not 0"):
        draw_plan(bytes(32), PROVIDERS, 60, 1000, 0)


def test_the_same_seed_draws_the_same_plan_whatever_the_order_of_providers():
    seed = epoch_seed(b"\x07" * 32, 3)
    assert draw_plan(seed, PROVIDERS, 60, 1000, 4) == draw_plan(seed, PROVIDERS[::-1], 60, 1000, 4)


def test_another_epoch_of_the_same_master_secret_draws_another_plan():
    one, other = (draw_plan(epoch_seed(b"\x07" * 32, epoch), PROVIDERS, 60, 1000, 4) for epoch in (3, 4))
    assert [(p.slot, p.offset_ms) for p in one] != [(p.slot, p.offset_ms) for p in other]


def test_probes_every_slot_once_when_the_gap_is_one():
    plan = draw_plan(bytes(32), PROVIDERS[:1], 1440, 60_000, 1)
    assert [p.slot for p in plan] == list(range(1440))


def test_probes_about_every_gap_slots_and_never_twice_in_one():
    plan = draw_plan(b"\x01" * 32, PROVIDERS, 1440, 60_000, 4)
    for provider in PROVIDERS:
        slots = [p.slot for p in plan if p.provider == provider]
        assert len(set(slots)) == len(slots)
        assert all(1 <= later - earlier <= 7 for earlier, later in itertools.pairwise(slots))
        assert 300 < len(slots) < 420  # 1440 / 4 = 360, six standard deviations either way


def test_leaves_room_in_the_slot_for_one_retry_and_mixes_canaries_in():
    plan = draw_plan(b"\x02" * 32, PROVIDERS, 1440, 60_000, 4)
    assert max(p.offset_ms for p in plan) < 30_000
    canaries = sum(p.canary for p in plan)
    assert 0.28 * len(plan) < canaries < 0.39 * len(plan)
    assert len({p.salt for p in plan}) == len(plan)


def test_the_commitment_is_the_keccak_of_the_seed():
    seed = epoch_seed(b"\x09" * 32, 1)
    assert commitment(seed) == keccak(seed)
    assert len(seed) == 32
