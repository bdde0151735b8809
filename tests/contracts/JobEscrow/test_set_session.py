"""setSession, setCapBySession: a key that stands for a customer for a while and can move no money."""

import pytest

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused

DAY = 24 * 3600
NOBODY = ("0x" + "00" * 20, 0, 0)


@pytest.fixture
def key(market):
    """Return an account that did nothing yet."""
    return market.dora


@pytest.fixture
def until(market):
    """Return a moment an hour from now."""
    return market.now() + 3600


def test_refuses_the_caller_itself_and_nobody(market, until):
    me = market.alice.address
    found = refused(market.escrow.setSession, me, until, 0, sender=market.alice)
    assert found == ("KeyTaken", me.lower(), me.lower())
    assert refused(market.escrow.setSession, NOBODY[0], until, 0, sender=market.alice) == ("ZeroAddress", "key")


def test_refuses_a_key_that_acts_for_itself(market, until, key):
    found = refused(market.escrow.setSession, market.bob, until, 0, sender=market.alice)
    assert found == ("KeyTaken", market.bob.address.lower(), market.bob.address.lower()), "it deposited"
    market.escrow.setCap(1, {"from": key})
    found = refused(market.escrow.setSession, key, until, 0, sender=market.alice)
    assert found == ("KeyTaken", key.address.lower(), key.address.lower()), "it set a cap"
    market.escrow.deposit(market.egon, 1, {"from": market.egon})
    found = refused(market.escrow.setSession, market.egon, until, 0, sender=market.alice)
    assert found == ("KeyTaken", market.egon.address.lower(), market.egon.address.lower())


def test_a_gift_of_dust_takes_nobodys_new_key_away(market, until, key):
    market.escrow.deposit(key, 1, {"from": market.stranger})
    market.escrow.setSession(key, until, 0, {"from": market.alice})
    assert market.escrow.sessionOf(key)[0] == market.alice


def test_refuses_the_key_of_another_customer_until_its_session_is_over(market, until, key):
    market.escrow.setSession(key, until, 0, {"from": market.alice})
    found = refused(market.escrow.setSession, key, until, 0, sender=market.bob)
    assert found == ("KeyTaken", key.address.lower(), market.alice.address.lower())
    market.wait_until(until)
    market.escrow.setSession(key, until + 60, 5, {"from": market.bob})
    assert market.escrow.sessionOf(key) == (market.bob, until + 60, 5)


def test_refuses_a_session_that_is_too_long_or_over(market, key):
    at = market.now()
    name, expires, most = refused(market.escrow.setSession, key, at + 91 * DAY, 0, sender=market.alice)
    assert (name, expires) == ("SessionTooLong", at + 91 * DAY)
    assert 0 <= most - at - 90 * DAY <= 1
    found = refused(market.escrow.setSession, key, at, 0, sender=market.alice)
    assert found[:3] == ("OutOfBounds", "expiresAt", at)
    market.escrow.setSession(key, at + 90 * DAY, 0, {"from": market.alice})


def test_refuses_to_end_what_is_not_the_callers(market, until, key):
    found = refused(market.escrow.setSession, key, 0, 0, sender=market.alice)
    assert found == ("NoSession", key.address.lower())
    assert refused(market.escrow.setSession, key, 0, 0, sender=key) == ("NoSession", key.address.lower())
    market.escrow.setSession(key, until, 0, {"from": market.alice})
    found = refused(market.escrow.setSession, key, 0, 0, sender=market.bob)
    assert found == ("NoSession", key.address.lower())


def test_makes_changes_and_ends_a_session(market, until, key):
    assert market.escrow.sessionOf(key) == NOBODY
    tx = market.escrow.setSession(key, until, 7 * PAY, {"from": market.alice})
    assert tx.events["SessionSet"] == {
        "customer": market.alice,
        "key": key,
        "expiresAt": until,
        "mostCap": 7 * PAY,
    }
    assert market.escrow.sessionOf(key) == (market.alice, until, 7 * PAY)
    market.escrow.setSession(key, until + 1, 8 * PAY, {"from": market.alice})
    assert market.escrow.sessionOf(key) == (market.alice, until + 1, 8 * PAY)
    tx = market.escrow.setSession(key, 0, 8 * PAY, {"from": market.alice})
    assert tx.events["SessionSet"] == {"customer": market.alice, "key": key, "expiresAt": 0, "mostCap": 0}
    assert market.escrow.sessionOf(key) == NOBODY
    assert refused(market.escrow.setCapBySession, 1, sender=key) == ("NoSession", key.address.lower())


def test_the_key_itself_can_end_it_even_while_the_market_is_paused(market, until, key):
    market.pause()
    market.escrow.setSession(key, until, 0, {"from": market.alice})
    tx = market.escrow.setSession(key, 0, 0, {"from": key})
    assert tx.events["SessionSet"] == {"customer": market.alice, "key": key, "expiresAt": 0, "mostCap": 0}
    assert market.escrow.sessionOf(key) == NOBODY


def test_ends_by_itself_to_the_second(market, until, key):
    market.escrow.setSession(key, until, 200 * PAY, {"from": market.alice})
    market.wait_until(until - 1)
    assert market.escrow.sessionOf(key)[0] == market.alice
    assert market.escrow.setCapBySession.call(150 * PAY, {"from": key}) is not None
    market.wait_until(until)
    assert market.escrow.sessionOf(key) == NOBODY
    assert refused(market.escrow.setCapBySession, 1, sender=key) == ("NoSession", key.address.lower())


def test_whoever_begins_to_act_for_itself_is_nobodys_key(market, until, key):
    for act in (
        lambda: market.escrow.setCap(0, {"from": key}),
        lambda: market.escrow.deposit(key, 1, {"from": key}),
    ):
        market.escrow.setSession(market.egon, until, 1, {"from": market.alice})
        market.escrow.setSession(key, until, 1, {"from": market.alice})
        tx = act()
        assert tx.events["SessionSet"] == {"customer": market.alice, "key": key, "expiresAt": 0, "mostCap": 0}
        assert market.escrow.sessionOf(key) == NOBODY
        assert market.escrow.sessionOf(market.egon)[0] == market.alice, "others' sessions go on"


def test_a_deposit_for_others_ends_no_session(market, until, key):
    market.escrow.setSession(key, until, 1, {"from": market.alice})
    market.escrow.deposit(market.alice, 1, {"from": key})
    market.escrow.deposit(key, 1, {"from": market.alice})
    assert market.escrow.sessionOf(key)[0] == market.alice


def test_refuses_a_cap_from_who_is_no_key(market):
    for nobody in (market.stranger, market.alice):
        found = refused(market.escrow.setCapBySession, 1, sender=nobody)
        assert found == ("NoSession", nobody.address.lower())


def test_refuses_a_cap_above_what_the_session_permits(market, until, key):
    market.escrow.setSession(key, until, 120 * PAY, {"from": market.alice})
    found = refused(market.escrow.setCapBySession, 120 * PAY + 1, sender=key)
    assert found == ("CapAboveSession", 120 * PAY + 1, 120 * PAY)
    market.escrow.setSession(key, until, 2**128 - 1, {"from": market.alice})
    found = refused(market.escrow.setCapBySession, 2**88, sender=key)
    assert found == ("OutOfBounds", "cap", 2**88, 0, 2**88 - 1)


def test_sets_the_customers_cap_and_not_its_own(market, until, key):
    market.escrow.setSession(key, until, 120 * PAY, {"from": market.alice})
    tx = market.escrow.setCapBySession(120 * PAY, {"from": key})
    assert tx.events["CapSet"] == {"customer": market.alice, "cap": 120 * PAY, "fromEpoch": 0}
    assert market.escrow.capFor(market.alice, 0) == 120 * PAY and market.escrow.capFor(key, 0) == 0
    tx = market.escrow.setCapBySession(0, {"from": key})
    assert tx.events["CapSet"] == {"customer": market.alice, "cap": 0, "fromEpoch": 2}
    assert market.escrow.sessionOf(key)[0] == market.alice, "setting a cap for another is no act for itself"


def test_a_key_can_move_no_money(market, until, key):
    """The calls that pay out act for their caller alone, so a stolen key costs at most the cap of its time."""
    market.escrow.setSession(key, until, 120 * PAY, {"from": market.alice})
    market.escrow.requestWithdrawal(5 * PAY, {"from": market.alice})
    market.wait(131)
    mine = key.address.lower()
    assert refused(market.escrow.requestWithdrawal, 1, sender=key) == ("WithdrawalAboveBalance", 1, 0)
    assert refused(market.escrow.cancelWithdrawal, sender=key) == ("NothingThawing", mine)
    assert refused(market.escrow.withdraw, sender=key) == ("NothingThawing", mine)
    assert refused(market.escrow.withdrawCompensation, sender=key) == ("NothingToWithdraw", mine)
    assert market.escrow.customer(market.alice)["thawing"] == 5 * PAY
