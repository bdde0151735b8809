"""unjail: a jailed provider comes back with its stake at the requirement."""

from tests.contracts.ProviderStaking.test_measure_hardware import measure
from tests.contracts.support.market import CPU, JAIL, JAIL_UNTIL_MEASURED, REMOVAL, STAKE
from tests.contracts.support.refusals import refused


def test_refuses_who_is_not_jailed(market, as_court):
    assert refused(market.staking.unjail, sender=market.small) == ("NotJailed", market.small.address.lower())
    assert refused(market.staking.unjail, sender=market.fresh) == ("NotJailed", market.fresh.address.lower())
    market.staking.slash(market.small, 0, REMOVAL, {"from": as_court})
    assert refused(market.staking.unjail, sender=market.small) == ("NotJailed", market.small.address.lower())


def test_refuses_below_the_required_stake(market, as_court):
    market.staking.slash(market.small, 100 * STAKE + 1, JAIL, {"from": as_court})
    found = refused(market.staking.unjail, sender=market.small)
    assert found == ("InsufficientStake", 200 * STAKE - 1, 200 * STAKE)


def jail_for_hardware(market, as_court):
    """Jail as for wrong hardware; returns the first epoch whose measurement counts, which the event names."""
    tx = market.staking.slash(market.small, 0, JAIL_UNTIL_MEASURED, {"from": as_court})
    first = market.clock.currentEpoch() + 1
    assert dict(tx.events["Jailed"]) == {"provider": market.small, "measureFrom": first}
    assert market.staking.measureFrom(market.small) == first
    return first


def test_refuses_who_was_jailed_for_its_hardware_until_a_later_epoch_has_measured_it(market, as_court):
    """Stake alone does not mend hardware; what was measured in the epoch of the jailing may have been before it."""
    market.wait_until(market.clock.epochStart(1))
    first = jail_for_hardware(market, as_court)
    missing = ("NotMeasuredSince", market.small.address.lower(), first)
    assert refused(market.staking.unjail, sender=market.small) == missing
    measure(market, market.small, first - 1, CPU, 1)
    market.wait_until(market.clock.epochStart(first + 1))
    assert refused(market.staking.unjail, sender=market.small) == missing
    measure(market, market.small, first, CPU, 1)
    market.staking.unjail({"from": market.small})
    assert market.staking.isActive(market.small)


def test_who_was_measured_must_be_again_when_it_is_jailed_for_its_hardware_again(market, as_court):
    market.wait_until(market.clock.epochStart(jail_for_hardware(market, as_court)))
    measure(market, market.small, 1, CPU, 1)
    again = jail_for_hardware(market, as_court)
    assert refused(market.staking.unjail, sender=market.small)[0] == "NotMeasuredSince"
    market.wait_until(market.clock.epochStart(again))
    measure(market, market.small, again, CPU, 1)
    market.staking.unjail({"from": market.small})


def test_an_outage_in_jail_asks_for_no_measurement_and_takes_none_back(market, as_court):
    tx = market.staking.slash(market.small, 0, JAIL, {"from": as_court})
    assert tx.events["Jailed"]["measureFrom"] == 0 == market.staking.measureFrom(market.small)
    first = jail_for_hardware(market, as_court)
    tx = market.staking.slash(market.small, 0, JAIL, {"from": as_court})
    assert "Jailed" not in tx.events and market.staking.measureFrom(market.small) == first


def test_once_measured_a_later_outage_asks_for_no_measurement(market, as_court):
    market.wait_until(market.clock.epochStart(jail_for_hardware(market, as_court)))
    measure(market, market.small, 1, CPU, 1)
    market.staking.unjail({"from": market.small})
    market.staking.slash(market.small, 0, JAIL, {"from": as_court})
    market.staking.unjail({"from": market.small})
    assert market.staking.isActive(market.small)


def test_returns_to_active(market, as_court):
    market.staking.slash(market.small, 0, JAIL, {"from": as_court})
    assert not market.staking.isActive(market.small)
    tx = market.staking.unjail({"from": market.small})
    assert tx.events["Unjailed"]["provider"] == market.small
    assert market.staking.provider(market.small)["status"] == 1 and market.staking.isActive(market.small)


def test_refuses_while_paused(market, as_court):
    market.staking.slash(market.small, 0, JAIL, {"from": as_court})
    market.pause()
    assert refused(market.staking.unjail, sender=market.small) == ("StillPaused", market.guardian.pausedUntil())
