"""challengeServed, ground 7: a customer was served in a slot that counts as down; nobody is blamed."""

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


@pytest.fixture
def gated(market):
    """Give a test a market with a gateway, from the first seconds on."""
    market.gateways.join("http://gateway", {"from": market.verifier_accounts[GATEWAY]})
    return market


def served(market, slot=SLOT, keys=None, grounds=None, counter_slot=None, **fields):
    """Return a receipt, its signature, its countersignature and that one's signature."""
    provider_key, gateway_key = keys or (signer_key(market.small), VERIFIER_KEYS[GATEWAY])
    here, there = grounds or (market.ground, market.ground)
    one = receipt(fields.pop("provider", market.small), slot, **fields)
    counter, signature = countersign(there, gateway_key, one, market.alice, counter_slot or slot)
    if there != market.ground:
        counter = (countersign(market.ground, gateway_key, one, market.alice, slot)[0][0], *counter[1:])
    return one, sign_receipt(here, provider_key, one), counter, signature


def test_refuses_a_report_that_waits(gated):
    """One gateway that keeps receipts back must not hold up everybody's settlement; the slash can still be undone."""
    case = waiting(gated, bad_day(gated), LEVEL)
    found = refusal(case, FUNCTION, *case.arguments(), *served(gated))
    assert found == ("NothingToUndo", 0, gated.small.address.lower())


@pytest.mark.parametrize("slot", [60, 2**64 - 1])
def test_refuses_slots_outside_the_epoch(gated, slot):
    case = slashed(gated, bad_day(gated), LEVEL)
    found = refusal(case, FUNCTION, *case.arguments(), *served(gated, counter_slot=slot))
    assert found == ("SlotOutsideEpoch", slot, 60)


def test_refuses_a_slot_of_the_epoch_before(gated):
    gated.settle([])
    case = slashed(gated, bad_day(gated, epoch=1), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), *served(gated, 59)) == ("SlotOutsideEpoch", 59, 60)


def test_cancels_the_slash_and_takes_nobodys_bond(gated):
    case = slashed(gated, bad_day(gated), LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments(), *served(gated), wrong=[])
    assert gated.verifiers.memberCount() == 3


@pytest.mark.parametrize("code", [7, 8])
def test_a_wrong_result_or_wrong_hardware_is_not_excused_by_having_served(gated, code):
    case = slashed(gated, bad_day(gated), {"slash_level": code})
    assert refusal(case, FUNCTION, *case.arguments(), *served(gated)) == NO_FAULT


def test_the_slot_is_the_gateways(gated):
    """The provider's clock may be off; the countersignature decides."""
    case = slashed(gated, bad_day(gated), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), *served(gated, SLOT, counter_slot=50)) == NO_FAULT
    sustain(case, GROUND, FUNCTION, *case.arguments(), *served(gated, 50, counter_slot=SLOT), wrong=[])


@pytest.mark.parametrize(
    "masks",
    [{"served": 1 << SLOT}, {"void": 1 << SLOT}, {"duty": FULL & ~(1 << SLOT)}, {"downs": {0: 1 << 3, 1: FULL}}],
)
def test_a_slot_that_does_not_count_as_down_is_no_fault(gated, masks):
    """Counted as served, void, off duty, or up because verifiers were divided."""
    case = slashed(gated, bad_day(gated, **masks), {"uptime_ppm": 0} | LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), *served(gated)) == NO_FAULT


def test_without_a_quorum_no_slot_counts_as_down(gated):
    case = slashed(gated, bad_day(gated, downs={0: FULL}), {"uptime_ppm": 0} | LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), *served(gated)) == NO_FAULT


@pytest.mark.parametrize("status", [1, 2, 3, 4])
def test_what_was_not_served_is_no_fault(gated, status):
    case = slashed(gated, bad_day(gated), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), *served(gated, status=status)) == NO_FAULT


@pytest.mark.parametrize("who", ["another provider", "a stranger's key", "another provider's key"])
def test_what_somebody_else_served_is_no_fault(gated, who):
    case = slashed(gated, bad_day(gated), LEVEL)
    gateway = VERIFIER_KEYS[GATEWAY]
    shown = {
        "another provider": lambda: served(gated, provider=gated.large, keys=(signer_key(gated.large), gateway)),
        "a stranger's key": lambda: served(gated, keys=(keccak(text="nobody"), gateway)),
        "another provider's key": lambda: served(gated, keys=(signer_key(gated.large), gateway)),
    }[who]()
    assert refusal(case, FUNCTION, *case.arguments(), *shown) == NO_FAULT


def test_what_no_gateway_accepted_is_no_fault(gated):
    case = slashed(gated, bad_day(gated), LEVEL)
    for key in (keccak(text="nobody"), VERIFIER_KEYS[0], signer_key(gated.small)):
        shown = served(gated, keys=(signer_key(gated.small), key))
        assert refusal(case, FUNCTION, *case.arguments(), *shown) == NO_FAULT


def test_a_gateway_that_joined_after_the_slot_cannot_speak_of_it(market):
    """Nobody buys itself a receipt for a slot that is over."""
    market.wait_until(market.clock.genesis() + SLOT + 5)
    market.gateways.join("http://late", {"from": market.verifier_accounts[GATEWAY]})
    case = slashed(market, bad_day(market), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), *served(market)) == NO_FAULT
    sustain(case, GROUND, FUNCTION, *case.arguments(), *served(market, SLOT + 15), wrong=[])


def test_a_gateway_that_left_can_still_speak_of_what_it_saw(gated):
    case = slashed(gated, bad_day(gated), LEVEL)
    gated.gateways.leave({"from": gated.verifier_accounts[GATEWAY]})
    sustain(case, GROUND, FUNCTION, *case.arguments(), *served(gated), wrong=[])


@pytest.mark.parametrize("change", ["chain", "contract"])
@pytest.mark.parametrize("which", [0, 1])
def test_signatures_of_another_chain_or_deployment_are_none_here(gated, change, which):
    chain_id, ledger = gated.ground
    grounds = [gated.ground, gated.ground]
    grounds[which] = {"chain": (chain_id + 1, ledger), "contract": (chain_id, gated.court.address)}[change]
    case = slashed(gated, bad_day(gated), LEVEL)
    assert refusal(case, FUNCTION, *case.arguments(), *served(gated, grounds=grounds)) == NO_FAULT


def test_a_countersignature_of_another_receipt_is_no_fault(gated):
    case = slashed(gated, bad_day(gated), LEVEL)
    one, signature, _, _ = served(gated)
    _, _, counter, countersignature = served(gated, outputTokens=8)
    assert refusal(case, FUNCTION, *case.arguments(), one, signature, counter, countersignature) == NO_FAULT


@pytest.mark.parametrize("which", [1, 3])
def test_signatures_that_are_none_are_no_fault(gated, which):
    case = slashed(gated, bad_day(gated), LEVEL)
    shown = list(served(gated))
    right = shown[which]
    for wrong in (malleated(right), right[:64], b"", bytes(65)):
        shown[which] = wrong
        assert refusal(case, FUNCTION, *case.arguments(), *shown) == NO_FAULT
