"""What a quorum's checks cost, and that fewer cost nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import CheckDay, Status
from rewards.epoch import tally
from rewards.errors import InputsRefused
from rewards.honesty import SUSPECT_PPB, WRONG_PPB, agreed, check, outcomes_ppb
from rewards.measurement import PPB
from rewards.settlement import settle
from rewards.signatures import check_signatures
from rewards.testing import Network
from rewards.types import EpochInputs, SignedCheckDay
from tests.rewards.leaf import leaf_of

NET = Network(providers=5, customers=1)
CHEAP = NET.provider_names[2]


def day(
    verifier: int, model_ppb: int = PPB, slow: int = 0, completions: int = 20, tries: int = 15, failed_tries: int = 0
) -> SignedCheckDay:
    key = NET.verifier_keys[verifier]
    found = CheckDay(CHEAP, 0, b"\x06" * 32, completions, model_ppb, 2, 10**6, slow, tries, failed_tries, b"\x07" * 32)
    return SignedCheckDay(key.address, found, key.sign(found.digest(NET.separator)))


def inputs(*days: SignedCheckDay) -> EpochInputs:
    canaries = [NET.canary_day(verifier, CHEAP, 0, 5, 5) for verifier in range(3)]
    found = NET.inputs(canary_days=canaries)
    return replace(found, check_days=tuple(sorted(days, key=lambda one: (one.day.provider, one.verifier))))


def leaf(*days: SignedCheckDay):
    return leaf_of(settle(inputs(*days)), CHEAP)


def test_one_verifier_s_suspicion_costs_nothing_however_strong():
    assert leaf(day(0, 1), day(1), day(2)) == leaf(day(0), day(1), day(2))


def test_a_suspicion_that_a_quorum_shares_fails_the_answers_of_those_who_share_it():
    found = leaf(day(0, SUSPECT_PPB), day(1, SUSPECT_PPB), day(2, SUSPECT_PPB + 1))
    assert found.verification_ppm == (15 + 20) * 10**6 // (15 + 60)
    assert (found.slash_level, found.strikes) == (0, 0)
    assert found.score_ppm < leaf(day(0), day(1), day(2)).score_ppm


def test_a_wrong_result_that_a_quorum_found_is_level_seven_and_one_verifier_less_is_not():
    assert leaf(day(0, WRONG_PPB), day(1, WRONG_PPB + 1), day(2)).slash_level == 0
    found = leaf(day(0, WRONG_PPB), day(1, WRONG_PPB), day(2))
    assert (found.slash_level, found.strikes, found.standing) == (7, 1, 2)


def test_a_verifier_that_compared_nothing_is_not_counted_among_those_who_did():
    assert leaf(day(0, 1), day(1, 1, completions=0), day(2)).slash_level == 0


def test_who_serves_another_model_gets_no_incentive_for_being_there():
    honest, cheap = (settle(inputs(day(0, p), day(1, p), day(2, p))).report for p in (PPB, 1))
    before, after = (next(one for one in r.leaves if one.provider == CHEAP) for r in (honest, cheap))
    assert before.cumulative_incentive > 0 == after.cumulative_incentive


@pytest.mark.parametrize(
    ("slow", "level"), [((3, 3, 0), 8), ((4, 3, 0), 8), ((3, 2, 2), 0), ((4, 4, 4), 0), ((6, 6), 8)]
)
def test_slow_hardware_is_level_eight_every_third_epoch_that_a_quorum_counts(slow: tuple[int, ...], level: int):
    assert leaf(*(day(verifier, slow=epochs) for verifier, epochs in enumerate(slow))).slash_level == level


def test_what_a_quorum_agrees_on_is_the_largest_number_it_counts_at_least():
    assert agreed((4, 3, 0), 2) == 3
    assert agreed((4,), 2) == 0


def test_a_check_of_a_provider_that_was_not_measured_has_no_level():
    found = replace(inputs(day(0, 1), day(1, 1)), probe_days=())
    assert check(found, tally(found))[CHEAP].level == 7
    assert leaf_of(settle(found), CHEAP).slash_level == 0


def test_the_explanation_says_how_many_verifiers_found_what():
    lines = [line for line in settle(inputs(day(0, 1), day(1, 1), day(2))).lines if line.subject == CHEAP]
    (told,) = [dict(line.numbers) for line in lines if line.rule.startswith("honest model")]
    assert told == {"verifiers": 3, "suspect": 2, "wrong": 2, "quorum": 2}


def test_check_days_are_part_of_what_must_be_signed_and_of_what_is_refused():
    good = inputs(day(0), day(1))
    assert check_signatures(good) is None
    forged = replace(good.check_days[0], day=replace(good.check_days[0].day, model_ppb=1))
    difference = check_signatures(replace(good, check_days=(forged, good.check_days[1])))
    assert difference is not None and f"check day of {CHEAP}" in difference.where
    with pytest.raises(InputsRefused, match="check_days"):
        settle(replace(good, check_days=good.check_days[::-1]))
    with pytest.raises(InputsRefused, match="modelPpb"):
        settle(inputs(day(0, 0)))


def failing(customers: int, *days: SignedCheckDay) -> EpochInputs:
    """Let so many attempts for customers fail at the provider."""
    attempts = NET.attempts(0, customers, seed=3, failing=[CHEAP])
    mine = [replace_provider(one) for one in attempts]
    return replace(inputs(*days), attempts=tuple(sorted(mine, key=lambda one: one.receipt.job)))


def replace_provider(one):
    return NET.attempt(
        CHEAP, one.countersignature.customer, one.countersignature.slot, job=one.receipt.job,
        status=Status.PROVIDER_ERROR, signed=False,
    )  # fmt: skip


def test_fisher_s_four_of_four():
    assert outcomes_ppb(4, 0, 4, 4) == 14_285_715
    assert outcomes_ppb(15, 0, 5, 5) == 64_500
    assert outcomes_ppb(10, 0, 10, 0) == PPB


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_fisher_s_test_is_the_share_of_deals_counted_one_by_one(probes: int, a: int, others: int, b: int):
    probes, others = max(probes, a), max(others, b)
    deals = [math.comb(probes, k) * math.comb(others, a + b - k) for k in range(min(probes, a + b) + 1)]
    assert outcomes_ppb(probes, a, others, b) == -(-sum(deals[: a + 1]) * PPB // sum(deals))


def test_who_answers_probes_and_fails_customers_has_proven_nothing_by_its_canaries():
    special = failing(6, day(0), day(1), day(2))
    assert leaf_of(settle(special), CHEAP).verification_ppm == 0
    (told,) = [dict(line.numbers) for line in settle(special).lines if line.rule.startswith("special-casing")]
    assert told == {"p_ppb": outcomes_ppb(45, 0, 6, 6), "customers_failed": 6}


def test_who_fails_probes_and_customers_alike_is_only_unreliable():
    flaky = failing(6, *(day(verifier, tries=15, failed_tries=7) for verifier in range(3)))
    assert leaf_of(settle(flaky), CHEAP).verification_ppm == 10**6


def test_one_verifier_s_word_that_probes_are_favoured_is_not_enough():
    boast = day(0, tries=10**6)
    alone = failing(6, boast, *(day(verifier, tries=15, failed_tries=9) for verifier in (1, 2)))
    assert leaf_of(settle(alone), CHEAP).verification_ppm == 10**6
    assert leaf_of(settle(failing(6, boast)), CHEAP).verification_ppm == 10**6


def test_three_customers_who_all_fail_beside_three_verifiers_who_never_do_are_enough():
    assert outcomes_ppb(45, 0, 3, 3) == 57_817
    assert leaf_of(settle(failing(3, day(0), day(1), day(2))), CHEAP).verification_ppm == 0
    assert leaf_of(settle(failing(2, day(0), day(1), day(2))), CHEAP).verification_ppm == 10**6
