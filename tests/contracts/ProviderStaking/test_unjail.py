"""unjail: a jailed provider comes back with its stake at the requirement."""

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused


def test_refuses_who_is_not_jailed(market, as_court):
    assert refused(market.staking.unjail, sender=market.small) == ("NotJailed", market.small.address.lower())
    assert refused(market.staking.unjail, sender=market.fresh) == ("NotJailed", market.fresh.address.lower())
    market.staking.slash(market.small, 0, False, True, {"from": as_court})
    assert refused(market.staking.unjail, sender=market.small) == ("NotJailed", market.small.address.lower())


def test_refuses_below_the_required_stake(market, as_court):
    market.staking.slash(market.small, 100 * STAKE + 1, True, False, {"from": as_court})
    found = refused(market.staking.unjail, sender=market.small)
    assert found == ("InsufficientStake", 200 * STAKE - 1, 200 * STAKE)


def test_returns_to_active(market, as_court):
    market.staking.slash(market.small, 0, True, False, {"from": as_court})
    assert not market.staking.isActive(market.small)
    tx = market.staking.unjail({"from": market.small})
    assert tx.events["Unjailed"]["provider"] == market.small
    assert market.staking.provider(market.small)["status"] == 1 and market.staking.isActive(market.small)


def test_refuses_while_paused(market, as_court):
    market.staking.slash(market.small, 0, True, False, {"from": as_court})
    market.pause()
    assert refused(market.staking.unjail, sender=market.small) == ("StillPaused", market.guardian.pausedUntil())
