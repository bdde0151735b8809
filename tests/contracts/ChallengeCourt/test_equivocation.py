"""challengeEquivocation, ground 5: a verifier whose day was used signed another; it pays alone, with all it has."""

import pytest

from tests.contracts.ChallengeCourt.attested import FULL, malleated, probe_day, sign_day, slashed, waiting
from tests.contracts.ChallengeCourt.challenge_acts import DOWN, LEVEL, UP, bad_day, refusal, sustain
from tests.contracts.SlashingCourt.acts import VERIFIER_BOND
from tests.contracts.support.market import VERIFIER_KEYS
from tests.contracts.support.refusals import refused

GROUND, FUNCTION = 5, "challengeEquivocation"
NO_FAULT = ("NoFault", GROUND)


def number_of(market, index):
    """Return which verifier signed the day at an index."""
    return sorted((0, 1), key=lambda i: int(market.verifier_accounts[i].address, 16))[index]


def third_of(market, index):
    """Return which of three verifiers signed the day at an index."""
    return sorted((0, 1, 2), key=lambda i: int(market.verifier_accounts[i].address, 16))[index]


def other_day(market, index, up=FULL, histogram=0, **fields):
    """Return another day of the same verifier, signed."""
    day = probe_day(fields.get("provider", market.small), fields.get("epoch", 0), up, histogram)
    number = fields["number"] if "number" in fields else number_of(market, index)
    key = VERIFIER_KEYS[number]
    return day, sign_day(fields.get("ground", market.ground), key, day)


@pytest.mark.parametrize("index", [2, 2**256 - 1])
def test_refuses_a_day_that_does_not_exist(market, index):
    case = waiting(market, bad_day(market), LEVEL)
    found = refusal(case, FUNCTION, *case.arguments(), index, *other_day(market, 0))
    assert found == ("DayNotFound", index, 2)


def test_refuses_the_same_day(market):
    case = waiting(market, bad_day(market), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), 0, *other_day(market, 0, UP)) == NO_FAULT


@pytest.mark.parametrize("what", ["provider", "epoch", "verifier", "chain", "contract"])
def test_refuses_a_day_of_something_else(market, what):
    chain_id, ledger = market.ground
    fields = {
        "provider": {"provider": market.large},
        "epoch": {"epoch": 1},
        "verifier": {"number": number_of(market, 1)},
        "chain": {"ground": (chain_id + 1, ledger)},
        "contract": {"ground": (chain_id, market.court.address)},
    }[what]
    case = waiting(market, bad_day(market), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), 0, *other_day(market, 0, **fields)) == NO_FAULT


def test_refuses_a_signature_that_is_none(market):
    case = waiting(market, bad_day(market), LEVEL)
    day, signature = other_day(market, 0)
    for wrong in (malleated(signature), signature[:64], b"", bytes(65)):
        assert refusal(case, FUNCTION, *case.arguments(), 0, day, wrong) == NO_FAULT


def test_refuses_to_punish_for_a_day_that_the_report_put_into_a_verifiers_mouth(market):
    """The day in the report is not signed by it: that is ground 1, and the fault of those who signed the report."""
    from dataclasses import replace

    one = bad_day(market)
    forged = replace(one, days=(replace(one.days[0], signature=bytes(65)), one.days[1]))
    case = waiting(market, forged, LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), 0, *other_day(market, 0)) == NO_FAULT


@pytest.mark.parametrize("state", [waiting, slashed])
@pytest.mark.parametrize("index", [0, 1])
def test_who_said_two_things_loses_its_whole_bond_and_nobody_else_anything(market, state, index):
    case = state(market, bad_day(market), LEVEL)
    verifier = market.verifier_accounts[number_of(market, index)].address
    shown = other_day(market, index)
    sustain(case, GROUND, FUNCTION, *case.arguments(), index, *shown, wrong=[verifier], part=VERIFIER_BOND, lost=0)
    assert market.verifiers.memberCount() == 2


@pytest.mark.parametrize("state", [waiting, slashed])
def test_the_bond_of_one_verifier_buys_nobody_out_of_what_the_others_saw(market, state):
    """Two of three saw it down; without the third, whatever it says, they still are more than half."""
    case = state(market, bad_day(market, downs={0: DOWN, 1: DOWN, 2: DOWN}), LEVEL)
    shown = other_day(market, 1, number=third_of(market, 1))
    assert refusal(case, FUNCTION, *case.arguments(), 1, *shown) == ("LevelStands", 4, 333_333)


@pytest.mark.parametrize("state", [waiting, slashed])
@pytest.mark.parametrize(("silent", "falls"), [(0, True), (2, False)])
def test_of_three_days_only_one_that_the_majority_needed_undoes_anything(market, state, silent, falls):
    """Verifiers 0 and 1 saw it down, verifier 2 saw it up."""
    one = bad_day(market, downs={0: DOWN, 1: DOWN, 2: 0})
    case = state(market, one, LEVEL)
    verifier = market.verifier_accounts[silent].address
    index = [day.verifier for day in one.days].index(verifier.lower())
    shown = other_day(market, index, up=7, number=silent)
    if not falls:
        assert refusal(case, FUNCTION, *case.arguments(), index, *shown) == ("LevelStands", 4, 333_333)
        return
    arguments = (*case.arguments(), index, *shown)
    sustain(case, GROUND, FUNCTION, *arguments, wrong=[verifier], part=VERIFIER_BOND, lost=0)


@pytest.mark.parametrize("code", [7, 8])
def test_what_rests_on_no_day_is_not_undone_by_one(market, code):
    case = slashed(market, bad_day(market), {"slash_level": code})
    assert refusal(case, FUNCTION, *case.arguments(), 0, *other_day(market, 0)) == ("LevelStands", code, 10**6)


def test_an_outage_falls_with_the_day_of_a_verifier_whose_word_it_needed(market):
    market.settle([])
    case = slashed(market, bad_day(market, epoch=1), {"slash_level": 5})
    verifier = market.verifier_accounts[number_of(market, 0)].address
    shown = other_day(market, 0, epoch=1)
    sustain(case, GROUND, FUNCTION, *case.arguments(), 0, *shown, wrong=[verifier], part=VERIFIER_BOND, lost=0)


def test_another_histogram_is_another_day(market):
    case = waiting(market, bad_day(market), LEVEL)
    verifier = market.verifier_accounts[number_of(market, 0)].address
    shown = other_day(market, 0, UP, 1)
    sustain(case, GROUND, FUNCTION, *case.arguments(), 0, *shown, wrong=[verifier], part=VERIFIER_BOND, lost=0)


def test_is_undone_though_the_verifier_was_convicted_before(market):
    """Its bond is gone; that makes its day no better."""
    case = slashed(market, bad_day(market), LEVEL)
    day, signature = other_day(market, 0)
    own = other_day(market, 0, UP)
    market.court.proveProbeDays(day, signature, *own, {"from": market.stranger})
    sustain(case, GROUND, FUNCTION, *case.arguments(), 0, day, signature, wrong=[])


def test_a_convicted_verifier_does_not_pay_again_for_the_same_two_days(market):
    case = slashed(market, bad_day(market), LEVEL)
    number = number_of(market, 0)
    shown = other_day(market, 0)
    market.challenges.challengeEquivocation(*case.arguments(), 0, *shown, {"from": market.bob})
    market.verifiers.join("http://again", {"from": market.verifier_accounts[number]})
    found = refused(market.court.proveProbeDays, *shown, *other_day(market, 0, UP), sender=market.stranger)
    assert found[0] == "AlreadyPunished"
