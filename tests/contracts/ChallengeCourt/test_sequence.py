"""challengeSequence, ground 6: a leaf that contradicts the one of the epoch before."""

import pytest

from tests.contracts.ChallengeCourt.attested import Case
from tests.contracts.ChallengeCourt.challenge_acts import refusal, sustain
from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.reports import make_leaf, plain

GROUND, FUNCTION = 6, "challengeSequence"
NO_FAULT = ("NoFault", GROUND)
FAILURES = ("uptime_ppm", "success_ppm", "verification_ppm")


def shown(market, report, provider=None):
    leaf, proof = market.proof(report, provider or market.small)
    return plain(leaf), proof


def two(market, before, after, in_force=False, others=(), **parts):
    """Return the first report, and the second, which is challenged, by what they say of the small provider."""
    make = market.settle if in_force else market.submitted
    first = make([make_leaf(market.small, **before), *others], **parts)
    second = make([make_leaf(market.small, **after), *others])
    slash_id = market.propose(second, market.small, proposer=market.fresh) if in_force else 0
    return first, Case(market, second, [], market.small, slash_id)


def test_refuses_the_first_epoch(market):
    report = market.submitted([make_leaf(market.small)])
    case = Case(market, report, [], market.small)
    found = refusal(case, FUNCTION, case.target(), *shown(market, report))
    assert found == ("NotInRoot", 0, market.small.address.lower())


def test_refuses_a_leaf_that_the_report_before_does_not_hold(market):
    first, case = two(market, {"score_ppm": 9}, {"score_ppm": 8})
    leaf, proof = shown(market, first)
    expected = ("NotInRoot", 1, market.small.address.lower())
    other = (*leaf[:1], 7, *leaf[2:])
    assert refusal(case, FUNCTION, case.target(), other, proof) == expected
    assert refusal(case, FUNCTION, case.target(), *shown(market, case.report)) == expected, "one of the same epoch"


def test_refuses_a_leaf_of_somebody_else(market):
    others = [make_leaf(market.large)]
    first, case = two(market, {}, {}, others=others)
    found = refusal(case, FUNCTION, case.target(), *shown(market, first, market.large))
    assert found == ("NotInRoot", 1, market.large.address.lower())


def test_what_stays_or_rises_is_no_fault(market):
    first, case = two(market, {"score_ppm": 500_000}, {"score_ppm": 500_000})
    assert refusal(case, FUNCTION, case.target(), *shown(market, first)) == NO_FAULT


@pytest.mark.parametrize("field", ["fees", "incentive"])
def test_a_cumulative_amount_must_not_fall(market, field):
    """The sum of all stays right, so the ledger cannot see it: one provider's loss is another's gain."""
    parts = {"charges": {market.alice: 10 * PAY}} if field == "fees" else {}
    first = market.submitted([make_leaf(market.small, **{field: PAY}), make_leaf(market.large)], **parts)
    second = market.submitted([make_leaf(market.small, **{field: PAY - 1}), make_leaf(market.large, **{field: 1})])
    case = Case(market, second, [], market.small)
    gain = case.about(market.large)
    assert refusal(gain, FUNCTION, gain.target(), *shown(market, first, market.large)) == NO_FAULT
    sustain(case, GROUND, FUNCTION, case.target(), *shown(market, first), lost=0)


@pytest.mark.parametrize("field", FAILURES)
@pytest.mark.parametrize(("before", "after"), [(500_000, 500_000), (500_000, 500_001), (0, 1)])
def test_a_failure_always_lowers_the_score(market, field, before, after):
    """A dispute never freezes a score: after any failure it is at least one ppm below the one before."""
    first, case = two(market, {"score_ppm": before}, {"score_ppm": after, field: 999_999})
    sustain(case, GROUND, FUNCTION, case.target(), *shown(market, first), lost=0)


@pytest.mark.parametrize("field", FAILURES)
@pytest.mark.parametrize(("before", "after"), [(500_000, 499_999), (1, 0), (0, 0)])
def test_a_score_that_fell_or_is_the_lowest_is_no_fault(market, field, before, after):
    first, case = two(market, {"score_ppm": before}, {"score_ppm": after, field: 999_999})
    assert refusal(case, FUNCTION, case.target(), *shown(market, first)) == NO_FAULT


def test_cancels_the_slash_of_a_report_in_force(market):
    first, case = two(market, {"score_ppm": 5}, {"score_ppm": 5, "uptime_ppm": 0, "level": 4}, in_force=True)
    sustain(case, GROUND, FUNCTION, case.target(), *shown(market, first), lost=8 * STAKE)
