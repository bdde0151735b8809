"""How the stake behind a provider, its own and delegated, shapes what it and its delegators earn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rewards.incentive import backing, delegators_part, stake_cap

AMOUNT = st.integers(0, 2**96)
STAKE = st.integers(0, 2**128)
PPM = st.integers(0, 10**6)


def test_the_worked_examples_of_the_docstrings_hold() -> None:
    assert backing(100, 2_000) == 1_600
    assert stake_cap(800 * 10**18, 1_000_000, 18) == 80_000_000
    assert delegators_part(1_000, 200, 600, 100_000) == 675


def test_nothing_delegated_nothing_shared() -> None:
    assert delegators_part(1_000, 200, 0, 0) == 0
    assert delegators_part(1_000, 0, 600, 0) == 0
    assert delegators_part(1_000, 0, 0, 0) == 0
    assert delegators_part(0, 200, 600, 0) == 0


def test_a_commission_of_the_whole_leaves_delegators_nothing() -> None:
    assert delegators_part(10**24, 1, 16, 10**6) == 0
    assert delegators_part(17, 1, 16, 0) == 16


@given(AMOUNT, STAKE, STAKE, PPM)
def test_delegators_never_get_more_than_their_stake_behind_the_provider_earns(
    incentive: int, stake: int, delegated: int, commission: int
) -> None:
    part, counted = delegators_part(incentive, stake, delegated, commission), backing(stake, delegated)
    assert 0 <= part <= incentive and counted <= 16 * stake
    assert part * (stake + counted) <= incentive * counted
    assert part <= delegators_part(incentive, stake, delegated, 0)


@given(AMOUNT, STAKE, STAKE, STAKE, PPM)
def test_more_delegation_never_earns_delegators_less(
    incentive: int, stake: int, delegated: int, more: int, commission: int
) -> None:
    before = delegators_part(incentive, stake, delegated, commission)
    assert delegators_part(incentive, stake, delegated + more, commission) >= before
