"""challengeDuty, ground 3: a slot before the registration, or in declared maintenance, counts."""

import pytest

from tests.contracts.ChallengeCourt.attested import FULL, slashed, waiting
from tests.contracts.ChallengeCourt.challenge_acts import DOWN, LEVEL, bad_day, refusal, sustain
from tests.contracts.support.market import STAKE

GROUND, FUNCTION = 3, "challengeDuty"
NO_FAULT = ("NoFault", GROUND)


def away(market, first, last):
    """Declare maintenance from the beginning of one slot to the beginning of another."""
    genesis = market.clock.genesis()
    market.staking.declareMaintenance(genesis + first, genesis + last, {"from": market.small})


def test_refuses_slots_beyond_the_epoch(market):
    case = waiting(market, bad_day(market), LEVEL)
    for slot in (60, 2**256 - 1):
        assert refusal(case, FUNCTION, *case.arguments(), slot) == ("SlotOutsideEpoch", slot, 60)


def test_no_slot_of_a_present_provider_is_a_fault(market):
    case = waiting(market, bad_day(market), LEVEL)
    for slot in (0, 1, 39, 40, 59):
        assert refusal(case, FUNCTION, *case.arguments(), slot) == NO_FAULT


@pytest.mark.parametrize("state", [waiting, slashed])
@pytest.mark.parametrize("slot", [20, 24])
def test_a_slot_in_declared_maintenance_does_not_count(market, state, slot):
    away(market, 20, 25)
    case = state(market, bad_day(market), LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments(), slot)


@pytest.mark.parametrize("slot", [19, 25])
def test_maintenance_has_its_declared_beginning_and_end_to_the_second(market, slot):
    away(market, 20, 25)
    case = waiting(market, bad_day(market), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), slot) == NO_FAULT


def test_maintenance_taken_back_before_it_began_excuses_nothing(market):
    away(market, 20, 25)
    market.staking.cancelMaintenance(0, {"from": market.small})
    case = waiting(market, bad_day(market), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), 22) == NO_FAULT


@pytest.mark.parametrize("masks", [{"duty": FULL & ~(31 << 20)}, {"void": 31 << 20}])
def test_maintenance_that_was_left_out_or_is_void_is_no_fault(market, masks):
    away(market, 20, 25)
    case = waiting(market, bad_day(market, **masks), LEVEL)
    for slot in (20, 24):
        assert refusal(case, FUNCTION, *case.arguments(), slot) == NO_FAULT


def test_a_slot_that_was_up_in_maintenance_is_a_fault_as_well(market):
    """It made the share of the others smaller or larger; whoever signed it did not look."""
    away(market, 45, 50)
    case = waiting(market, bad_day(market), LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments(), 47)


def test_slots_before_the_registration_do_not_count(market):
    """Registered in the second in which slot 30 begins: slot 29 is before, slot 30 is not."""
    market.next_block_at(market.clock.genesis() + 30)
    market.register(market.fresh, 0, 1)
    market.staking.stake(300 * STAKE, {"from": market.fresh})
    one = bad_day(market, market.fresh)
    case = waiting(market, one, LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), 30) == NO_FAULT
    sustain(case, GROUND, FUNCTION, *case.arguments(), 29)


def test_slots_of_a_later_epoch_are_counted_from_its_beginning(market):
    market.submitted([])
    genesis = market.clock.genesis()
    market.staking.declareMaintenance(genesis + 80, genesis + 81, {"from": market.small})
    case = waiting(market, bad_day(market, epoch=1), LEVEL)
    for slot in (19, 21):
        assert refusal(case, FUNCTION, *case.arguments(), slot) == NO_FAULT
    assert DOWN >> 20 & 1
    market.challenges.challengeDuty(*case.arguments(), 20, {"from": market.bob})
