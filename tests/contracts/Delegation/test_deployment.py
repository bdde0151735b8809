"""The constructor of Delegation: what a deployment is refused for."""

import pytest

from tests.contracts.support.refusals import deployment_refused

ZERO = "0x" + "00" * 20


def refusal(market, built, **changes):
    values = dict(
        stakeToken=market.stake_token,
        paymentToken=market.payment_token,
        clock=market.clock,
        staking=market.staking,
        epochLedger=market.ledger,
        guardian=market.guardian,
    )
    return deployment_refused(built.Delegation, *(values | changes).values(), sender=market.admin)


@pytest.mark.parametrize("name", ["clock", "staking", "epochLedger", "guardian"])
def test_refuses_a_link_to_nobody(market, built, name):
    assert refusal(market, built, **{name: ZERO}) == ("ZeroAddress", name)


@pytest.mark.parametrize("name", ["stakeToken", "paymentToken"])
def test_refuses_a_token_without_code(market, built, name):
    assert refusal(market, built, **{name: market.bob}) == ("NoToken", name, market.bob.address.lower())


@pytest.mark.parametrize("name", ["stakeToken", "paymentToken", "clock", "guardian"])
def test_refuses_what_the_others_do_not_know(market, built, name):
    found = refusal(market, built, **{name: market.court})
    assert found[:2] == ("WrongLink", name) and market.court.address.lower() in found


def test_refuses_another_ledger_than_the_staking_contracts(market, built):
    links = (market.clock, market.payment_token, market.escrow, market.verifiers, market.delegation)
    other = built.EpochLedger.deploy(*links, market.admin, market.challenges, market.guardian, {"from": market.admin})
    found = refusal(market, built, epochLedger=other)
    assert found == ("WrongLink", "epochLedger", market.ledger.address.lower(), other.address.lower())


def test_refuses_a_staking_contract_that_was_deployed_for_another(market, built):
    assert refusal(market, built)[:2] == ("WrongLink", "delegation of staking")


def test_tells_its_links(market):
    delegation = market.delegation
    assert (delegation.stakeToken(), delegation.paymentToken()) == (market.stake_token, market.payment_token)
    assert (delegation.clock(), delegation.staking()) == (market.clock, market.staking)
    assert (delegation.epochLedger(), delegation.guardian()) == (market.ledger, market.guardian)
