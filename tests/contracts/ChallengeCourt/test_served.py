"""challengeServed, ground 7: customers were served in as many down slots as the level rests on; nobody is blamed."""

import pytest
from eth_utils import keccak

from tests.contracts.ChallengeCourt.attested import (
    FULL,
    countersign,
    malleated,
    receipt,
    sign_receipt,
    signer_key,
    slashed,
    waiting,
)
from tests.contracts.ChallengeCourt.challenge_acts import LEVEL, bad_day, refusal, sustain
from tests.contracts.support.market import VERIFIER_KEYS

GROUND, FUNCTION = 7, "challengeServed"
NO_FAULT = ("NoFault", GROUND)
SLOT = 20
GATEWAY = 3
"""The number of the account that runs a gateway."""
EDGE = ((1 << 31) - 1) << 10
"""One slot more than half of the epoch: 48.3 % uptime, and 50 % with one slot less."""
WHOLE = 10**6


@pytest.fixture
def gated(market):
    """Give a test a market with a gateway, from the first seconds on."""
    market.gateways.join("http://gateway", {"from": market.verifier_accounts[GATEWAY]})
    return market


def edge_day(market, **parts):
    """Return what was measured of a provider whose level 4 rests on a single slot."""
    return bad_day(market, downs=parts.pop("downs", {0: EDGE, 1: EDGE}), **parts)


def at(market, slots):
    """Return a customer served in each of these slots, counted from genesis."""
    return [served(market, slot) for slot in slots]


def served(market, slot=SLOT, keys=None, grounds=None, counter_slot=None, **fields):
    """Return an `IChallengeCourt.Served`: a receipt, its signature, its acceptance and that one's signature."""
    provider_key, gateway_key = keys or (signer_key(market.small), VERIFIER_KEYS[GATEWAY])
    here, there = grounds or (market.ground, market.ground)
    one = receipt(fields.pop("provider", market.small), slot, **fields)
    counter, signature = countersign(there, gateway_key, one, market.alice, counter_slot or slot)
    if there != market.ground:
        counter = (countersign(market.ground, gateway_key, one, market.alice, slot)[0][0], *counter[1:])
    return one, sign_receipt(here, provider_key, one), counter, signature


def test_refuses_a_report_that_waits(gated):
    """One gateway that keeps receipts back must not hold up everybody's settlement; the slash can still be undone."""
    case = waiting(gated, edge_day(gated), LEVEL)
    found = refusal(case, FUNCTION, *case.arguments(), [served(gated)])
    assert found == ("NothingToUndo", 0, gated.small.address.lower())


@pytest.mark.parametrize("slot", [60, 2**64 - 1])
def test_refuses_slots_outside_the_epoch(gated, slot):
    case = slashed(gated, edge_day(gated), LEVEL)
    found = refusal(case, FUNCTION, *case.arguments(), [served(gated, counter_slot=slot)])
    assert found == ("SlotOutsideEpoch", slot, 60)


def test_refuses_a_slot_of_the_epoch_before(gated):
    gated.settle([])
    case = slashed(gated, edge_day(gated, epoch=1), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), [served(gated, 59)]) == ("SlotOutsideEpoch", 59, 60)


@pytest.mark.parametrize(("shown", "uptime"), [(range(20, 29), 483_333), ([20] * 10, 350_000)])
def test_refuses_fewer_slots_than_the_level_rests_on_and_counts_each_once(gated, shown, uptime):
    """Forty of sixty down: ten receipts of ten slots make half of the epoch, nine do not, nor ten of one slot."""
    case = slashed(gated, bad_day(gated), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), at(gated, shown)) == ("LevelStands", 4, uptime)
    sustain(case, GROUND, FUNCTION, *case.arguments(), at(gated, range(20, 30)), wrong=[])


@pytest.mark.parametrize(("level", "down", "stands"), [(2, 4, 933_333), (3, 7, 883_333), (4, 31, 483_333)])
def test_a_level_falls_at_the_uptime_from_which_on_another_follows(gated, level, down, stands):
    """95, 90 and 50 %: with one receipt the uptime is exactly that, and the level below follows or none."""
    mask = (1 << down) - 1
    day = bad_day(gated, downs={0: mask | 1 << 50, 1: mask | 1 << 50})
    case = slashed(gated, day, {"slash_level": level})
    assert refusal(case, FUNCTION, *case.arguments(), at(gated, [1]))[0] == "LevelStands"
    assert refusal(case, FUNCTION, *case.arguments(), at(gated, [50])) == ("LevelStands", level, stands)
    sustain(case, GROUND, FUNCTION, *case.arguments(), at(gated, [1, 50]), wrong=[])


def test_refuses_to_be_shown_nobody(gated):
    case = slashed(gated, edge_day(gated), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), []) == NO_FAULT


def test_one_receipt_that_does_not_hold_spoils_all(gated):
    case = slashed(gated, bad_day(gated), LEVEL)
    shown = [*at(gated, range(20, 30)), served(gated, 50)]
    assert refusal(case, FUNCTION, *case.arguments(), shown) == NO_FAULT


@pytest.mark.parametrize("level", [5, 6])
def test_an_outage_that_came_from_the_epoch_before_ends_only_where_the_epoch_begins(gated, level):
    """How long it had lasted is not in these words: a customer served later may have come after the 48 or 120 hours."""
    gated.settle([])
    case = slashed(gated, bad_day(gated, epoch=1, duty=FULL & ~0b11), {"slash_level": level})
    shown = at(gated, [60 + slot for slot in range(3, 40)])
    assert refusal(case, FUNCTION, *case.arguments(), shown) == ("LevelStands", level, 57 * WHOLE // 58)
    sustain(case, GROUND, FUNCTION, *case.arguments(), at(gated, [62]), wrong=[])


def test_no_outage_came_from_before_the_first_epoch(gated):
    """Sixty seconds are not 48 hours, so what was served only has to be served at all."""
    case = slashed(gated, bad_day(gated), {"slash_level": 5})
    sustain(case, GROUND, FUNCTION, *case.arguments(), at(gated, [39]), wrong=[])


def test_cancels_the_slash_and_takes_nobodys_bond(gated):
    case = slashed(gated, edge_day(gated), LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments(), [served(gated)], wrong=[])
    assert gated.verifiers.memberCount() == 3


@pytest.mark.parametrize("code", [7, 8])
def test_a_wrong_result_or_wrong_hardware_is_not_excused_by_having_served(gated, code):
    case = slashed(gated, edge_day(gated), {"slash_level": code})
    assert refusal(case, FUNCTION, *case.arguments(), [served(gated)]) == ("LevelStands", code, WHOLE // 2)


def test_the_slot_is_the_gateways(gated):
    """The provider's clock may be off; the countersignature decides."""
    case = slashed(gated, edge_day(gated), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), [served(gated, SLOT, counter_slot=50)]) == NO_FAULT
    sustain(case, GROUND, FUNCTION, *case.arguments(), [served(gated, 50, counter_slot=SLOT)], wrong=[])


@pytest.mark.parametrize(
    "masks",
    [{"served": 1 << SLOT}, {"void": 1 << SLOT}, {"duty": FULL & ~(1 << SLOT)}, {"downs": {0: 1 << 3, 1: FULL}}],
)
def test_a_slot_that_does_not_count_as_down_is_no_fault(gated, masks):
    """Counted as served, void, off duty, or up because verifiers were divided."""
    case = slashed(gated, edge_day(gated, **masks), {"uptime_ppm": 0} | LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), [served(gated)]) == NO_FAULT


def test_without_a_quorum_no_slot_counts_as_down(gated):
    case = slashed(gated, edge_day(gated, downs={0: FULL}), {"uptime_ppm": 0} | LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), [served(gated)]) == NO_FAULT


@pytest.mark.parametrize("status", [1, 2, 3, 4])
def test_what_was_not_served_is_no_fault(gated, status):
    case = slashed(gated, edge_day(gated), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), [served(gated, status=status)]) == NO_FAULT


@pytest.mark.parametrize("who", ["another provider", "a stranger's key", "another provider's key"])
def test_what_somebody_else_served_is_no_fault(gated, who):
    case = slashed(gated, edge_day(gated), LEVEL)
    gateway = VERIFIER_KEYS[GATEWAY]
    shown = {
        "another provider": lambda: served(gated, provider=gated.large, keys=(signer_key(gated.large), gateway)),
        "a stranger's key": lambda: served(gated, keys=(keccak(text="nobody"), gateway)),
        "another provider's key": lambda: served(gated, keys=(signer_key(gated.large), gateway)),
    }[who]()
    assert refusal(case, FUNCTION, *case.arguments(), [shown]) == NO_FAULT


def test_what_no_gateway_accepted_is_no_fault(gated):
    case = slashed(gated, edge_day(gated), LEVEL)
    for key in (keccak(text="nobody"), VERIFIER_KEYS[0], signer_key(gated.small)):
        shown = served(gated, keys=(signer_key(gated.small), key))
        assert refusal(case, FUNCTION, *case.arguments(), [shown]) == NO_FAULT


def test_a_gateway_that_joined_after_the_slot_cannot_speak_of_it(market):
    """Nobody buys itself a receipt for a slot that is over."""
    market.wait_until(market.clock.genesis() + SLOT + 5)
    market.gateways.join("http://late", {"from": market.verifier_accounts[GATEWAY]})
    case = slashed(market, edge_day(market), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), [served(market)]) == NO_FAULT
    sustain(case, GROUND, FUNCTION, *case.arguments(), [served(market, SLOT + 15)], wrong=[])


def test_a_gateway_that_left_can_still_speak_of_what_it_saw(gated):
    case = slashed(gated, edge_day(gated), LEVEL)
    gated.gateways.leave({"from": gated.verifier_accounts[GATEWAY]})
    sustain(case, GROUND, FUNCTION, *case.arguments(), [served(gated)], wrong=[])


@pytest.mark.parametrize("change", ["chain", "contract"])
@pytest.mark.parametrize("which", [0, 1])
def test_signatures_of_another_chain_or_deployment_are_none_here(gated, change, which):
    chain_id, ledger = gated.ground
    grounds = [gated.ground, gated.ground]
    grounds[which] = {"chain": (chain_id + 1, ledger), "contract": (chain_id, gated.court.address)}[change]
    case = slashed(gated, edge_day(gated), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), [served(gated, grounds=grounds)]) == NO_FAULT


def test_a_countersignature_of_another_receipt_is_no_fault(gated):
    case = slashed(gated, edge_day(gated), LEVEL)
    one, signature, _, _ = served(gated)
    _, _, counter, countersignature = served(gated, outputTokens=8)
    assert refusal(case, FUNCTION, *case.arguments(), [(one, signature, counter, countersignature)]) == NO_FAULT


@pytest.mark.parametrize("which", [1, 3])
def test_signatures_that_are_none_are_no_fault(gated, which):
    case = slashed(gated, edge_day(gated), LEVEL)
    shown = list(served(gated))
    right = shown[which]
    for wrong in (malleated(right), right[:64], b"", bytes(65)):
        shown[which] = wrong
        assert refusal(case, FUNCTION, *case.arguments(), [shown]) == NO_FAULT
