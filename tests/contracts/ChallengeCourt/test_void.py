"""challengeVoid, ground 4: when more than 30 % of the providers on duty are down, it is not they who failed."""

from dataclasses import replace

import pytest
from brownie import accounts

from tests.contracts.ChallengeCourt.attested import FULL, measured, slashed, waiting
from tests.contracts.ChallengeCourt.challenge_acts import LEVEL, bad_day, refusal, sustain
from tests.contracts.support.reports import plain

GROUND, FUNCTION = 4, "challengeVoid"
NO_FAULT = ("NoFault", GROUND)
SLOT = 5


def crowd(market, down, up, **masks):
    """Return measured leaves of other providers that were down and up in the slot."""
    people = [accounts[i] for i in range(9, 9 + down + up)]
    return [
        measured(market, one, 0, dict.fromkeys((0, 1), 1 << SLOT if i < down else 0), **masks)
        for i, one in enumerate(people)
    ]


def shown(case, leaves):
    """Return measured leaves, ascending, and their proofs."""
    ascending = sorted(leaves, key=lambda one: one.provider)
    return [plain(one) for one in ascending], [case.proof(one) for one in ascending]


def ten(market, down, state=waiting, **masks):
    """Return a case of ten providers, of which so many are down in the slot, the challenged one among them."""
    return state(market, bad_day(market), LEVEL, *crowd(market, down - 1, 10 - down, **masks))


def downs(case):
    return [one for one in case.leaves if not one.days[0].up[0] >> SLOT & 1]


def test_refuses_slots_beyond_the_epoch(market):
    case = ten(market, 4)
    found = refusal(case, FUNCTION, *case.arguments(), 60, *shown(case, downs(case)))
    assert found == ("SlotOutsideEpoch", 60, 60)


def test_refuses_leaves_without_proofs(market):
    case = ten(market, 4)
    others, proofs = shown(case, downs(case))
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, others, proofs[:3]) == ("LengthMismatch", 4, 3)


def test_refuses_a_provider_twice(market):
    case = ten(market, 2)
    others, proofs = shown(case, downs(case))
    twice, provider = [others[0]] * 2, others[0][0]
    found = refusal(case, FUNCTION, *case.arguments(), SLOT, twice, [proofs[0]] * 2)
    assert found == ("ProvidersNotAscending", provider, provider)
    found = refusal(case, FUNCTION, *case.arguments(), SLOT, others[::-1], proofs[::-1])
    assert found == ("ProvidersNotAscending", others[1][0], provider)


def test_refuses_what_was_not_measured_of_others(market):
    case = ten(market, 4)
    others, proofs = shown(case, downs(case))
    lie = plain(replace(downs(case)[0], served=downs(case)[0].duty))
    place = [other[0] for other in others].index(lie[0])
    others[place] = lie
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, others, proofs) == ("NotMeasured", 0, lie[0])


def test_exactly_thirty_percent_is_no_fault(market):
    case = ten(market, 3)
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, *shown(case, downs(case))) == NO_FAULT
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, *shown(case, case.leaves)) == NO_FAULT


@pytest.mark.parametrize("state", [waiting, slashed])
def test_more_than_thirty_percent_make_a_slot_void(market, state):
    case = ten(market, 4, state)
    sustain(case, GROUND, FUNCTION, *case.arguments(), SLOT, *shown(case, downs(case)))


def test_providers_that_were_up_prove_nothing(market):
    case = ten(market, 4)
    ups = [one for one in case.leaves if one not in downs(case)]
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, *shown(case, ups)) == NO_FAULT
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, [], []) == NO_FAULT


def test_who_was_not_on_duty_is_taken_from_the_whole(market):
    """Three of ten are not more than 30 %; three of nine are."""
    idle = measured(market, market.large, 0, {0: 0, 1: 0}, duty=FULL & ~(1 << SLOT))
    case = waiting(market, bad_day(market), LEVEL, idle, *crowd(market, 2, 6))
    assert len(case.leaves) == 10 and len(downs(case)) == 3
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, *shown(case, downs(case))) == NO_FAULT
    sustain(case, GROUND, FUNCTION, *case.arguments(), SLOT, *shown(case, [*downs(case), idle]))


def test_who_was_down_but_not_on_duty_does_not_count_as_down(market):
    case = ten(market, 4, duty=FULL & ~(1 << SLOT))
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, *shown(case, downs(case)[:3])) == NO_FAULT


def test_a_served_customer_does_not_bring_a_slot_back(market):
    """Void is about what verifiers saw; a customer that was served elsewhere says nothing of the network."""
    case = ten(market, 4, served=1 << SLOT)
    sustain(case, GROUND, FUNCTION, *case.arguments(), SLOT, *shown(case, downs(case)))


def test_providers_without_a_quorum_are_not_down(market):
    people = [accounts[i] for i in range(9, 12)]
    alone = [measured(market, one, 0, {0: 1 << SLOT}) for one in people]
    case = waiting(market, bad_day(market), LEVEL, *alone, *crowd_up(market, 6))
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, *shown(case, downs(case))) == NO_FAULT


def crowd_up(market, count):
    return [measured(market, accounts[12 + i], 0, {0: 0, 1: 0}) for i in range(count)]


@pytest.mark.parametrize("masks", [{"void": 1 << SLOT}, {"duty": FULL & ~(1 << SLOT)}])
def test_a_slot_that_does_not_count_is_no_fault(market, masks):
    case = waiting(market, bad_day(market, **masks), LEVEL, *crowd(market, 3, 6))
    others = [one for one in downs(case) if one.provider != case.mine.provider]
    assert refusal(case, FUNCTION, *case.arguments(), SLOT, *shown(case, others)) == NO_FAULT
