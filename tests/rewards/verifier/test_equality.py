"""The two-sample test: exact, symmetrical in what it must not look at, and calibrated."""

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.verifier.equality import GRID, LENGTH, PPB, Asked, compare, likeness
from rewards.verifier.equality import _deals as deals_of

texts = st.sampled_from(["", "a", "ab", "abc", "b", "a stone bridge", "a stone wall", "x" * 200])
prompts = st.builds(
    Asked, st.lists(texts, min_size=1, max_size=2).map(tuple), st.lists(texts, min_size=2, max_size=4).map(tuple)
)


def enumerated(asked: list[Asked]) -> tuple[int, int]:
    """Deal everything in every way, one by one."""
    spread = [deals_of(one) for one in asked]
    seen = sum(found for found, _ in spread)
    ways = list(product(*(list(values.elements()) for _, values in spread)))
    return sum(sum(way) >= seen for way in ways), len(ways)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (Asked((), ("a", "b")), "not 0 and 2"),
        (Asked(("a",), ("b",)), "not 1 and 1"),
        (Asked(("a",) * 10, ("b",) * 30), "ways, 20000 are the most"),
    ],
)
def test_refuses_what_cannot_be_tested(one: Asked, why: str):
    with pytest.raises(ValueError, match=why):
        compare([one])


def test_nothing_asked_proves_nothing():
    assert compare([]).p_ppb == PPB


def test_the_only_stranger_of_four_stands_out_with_one_in_four():
    found = compare([Asked(("b",), ("a", "a", "a"))])
    assert (found.at_least, found.deals, found.p_ppb) == (1, 4, 250_000_000)


def test_twelve_strangers_to_eight_alike_are_beyond_chance():
    found = compare([Asked(("b",), ("a",) * 8)] * 12)
    assert (found.at_least, found.deals) == (1, 9**12)
    assert found.p_ppb == 1


@given(st.lists(prompts, min_size=1, max_size=3))
def test_the_packed_distribution_is_that_of_every_deal_counted_one_by_one(asked: list[Asked]):
    found = compare(asked)
    assert (found.at_least, found.deals) == enumerated(asked)


@given(st.lists(prompts, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_neither_the_order_of_prompts_nor_of_answers_matters(asked: list[Asked], rng: random.Random):
    turned = [
        Asked(tuple(rng.sample(one.provider, len(one.provider))), tuple(rng.sample(one.reference, len(one.reference))))
        for one in rng.sample(asked, len(asked))
    ]
    assert compare(turned).p_ppb == compare(asked).p_ppb


@given(texts, texts)
def test_likeness_is_symmetrical_whole_with_itself_and_counts_what_both_have_not(one: str, other: str):
    assert likeness(one, other) == likeness(other, one) <= likeness(one, one) == LENGTH


def test_likeness_counts_equal_places_and_the_common_end():
    assert likeness("abcd", "abxd") == LENGTH - 1
    assert likeness("ab", "abcd") == LENGTH - 2
    assert likeness("x" * LENGTH + "tail", "x" * LENGTH) == LENGTH


def test_steps_of_the_statistic_are_coarse_but_never_turn_an_order_round():
    near = deals_of(Asked(("y" + "a" * 95,), ("a" * 96,) * 4))[0]
    far = deals_of(Asked(("y" * 96,), ("a" * 96,) * 4))[0]
    assert 0 <= near < far == 2 * GRID


def test_an_honest_provider_is_below_one_in_twenty_about_once_in_twenty():
    rng = random.Random(3)
    said = ["it is a bridge", "it is a stone bridge", "a bridge of stone", "I do not know", "bridges are old"]

    def drawn(count: int) -> tuple[str, ...]:
        return tuple(rng.choices(said, weights=(5, 3, 2, 1, 1), k=count))

    below = sum(compare([Asked(drawn(1), drawn(6)) for _ in range(12)]).p_ppb <= 50_000_000 for _ in range(400))
    # binomial with 400 trials at 5 %: more than 40 in one of a thousand runs; the draws are fixed, so this is for ever
    assert 5 <= below <= 40
