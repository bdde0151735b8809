"""open: the clock is started once, and not far ahead."""

from tests.contracts.support.refusals import refused

DAY = 86_400


def test_refuses_everybody_but_whoever_sets_parameters(unopened):
    unopened.separate_roles()
    for person in (unopened.stranger, unopened.admin, unopened.pauser, unopened.arbitrator):
        found = refused(unopened.clock.open, unopened.now() + 9, sender=person)
        assert found == ("AccessManagedUnauthorized", person.address.lower())
    unopened.clock.open(unopened.now() + 9, {"from": unopened.parameter_setter})


def test_refuses_the_past_and_more_than_thirty_days_ahead(unopened):
    now = unopened.now()
    found = refused(unopened.clock.open, now - 1, sender=unopened.admin)
    assert found[:3] == ("OutOfBounds", "genesis", now - 1)
    late = now + 31 * DAY
    found = refused(unopened.clock.open, late, sender=unopened.admin)
    assert found[:3] == ("OutOfBounds", "genesis", late) and found[4] - found[3] == 30 * DAY


def test_refuses_a_second_time(market):
    found = refused(market.clock.open, market.now() + 9, sender=market.admin)
    assert found == ("AlreadyOpen", market.clock.genesis())


def test_tells_when_epoch_zero_begins(unopened):
    genesis = unopened.now() + 50
    tx = unopened.clock.open(genesis, {"from": unopened.admin})
    assert tx.events["Opened"] == {"genesis": genesis} and unopened.clock.genesis() == genesis
