"""The constructor: the challenge court belongs to one set of contracts."""

import pytest

from tests.contracts.support.refusals import deployment_refused

NOBODY = "0x" + 40 * "0"
NAMES = ("epochLedger", "staking", "slashingCourt", "verifiers", "gateways")


def others(market):
    return [market.ledger, market.staking, market.court, market.verifiers, market.gateways]


@pytest.mark.parametrize("index", range(5))
def test_refuses_the_zero_address(market, built, index):
    arguments = others(market)
    arguments[index] = NOBODY
    found = deployment_refused(built.ChallengeCourt, *arguments, sender=market.admin)
    assert found == ("ZeroAddress", NAMES[index])


def test_refuses_a_ledger_that_obeys_another_challenge_court(market, built):
    found = deployment_refused(built.ChallengeCourt, *others(market), sender=market.admin)
    assert found[:3] == ("WrongLink", "epochLedger.challengeCourt", market.challenges.address.lower())
