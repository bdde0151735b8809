"""Guardian.pause, unpause, requireOpen: a pause that expires by itself and cannot be repeated at will."""

import pytest

from tests.contracts.support.refusals import deployment_refused, refused

DAY = 86_400
MOST, BETWEEN = 30, 30 * DAY  # seconds: a devnet's longest pause


@pytest.mark.parametrize("act", ["pause", "unpause"])
def test_refuses_everybody_without_the_role(market, act):
    arguments = [20] if act == "pause" else []
    for who in (market.stranger, market.alice, market.small, market.verifier_accounts[0]):
        error = refused(getattr(market.guardian, act), *arguments, sender=who)
        assert error == ("AccessManagedUnauthorized", str(who).lower())


@pytest.mark.parametrize("seconds", [0, MOST + 1, 2**64 - 1])
def test_refuses_a_pause_of_no_time_or_of_more_than_was_deployed(market, seconds):
    assert refused(market.guardian.pause, seconds, sender=market.admin) == ("OutOfBounds", "seconds", seconds, 1, MOST)


def test_refuses_to_end_a_pause_when_there_is_none(market):
    assert refused(market.guardian.unpause, sender=market.admin) == ("NotPaused",)
    market.pause(20)
    market.wait(20)
    assert refused(market.guardian.unpause, sender=market.admin) == ("NotPaused",)


def test_refuses_a_second_pause_within_thirty_days_of_the_beginning_of_the_last(market):
    market.pause(MOST)
    next_at = market.now() + BETWEEN
    market.wait_until(next_at - 1)
    error = refused(market.guardian.pause, 1, sender=market.admin)
    assert error == ("PausedTooRecently", next_at, market.now())
    market.wait_until(next_at)
    market.pause(1)


def test_ending_a_pause_early_does_not_bring_the_next_one_nearer(market):
    market.pause(MOST)
    next_at = market.guardian.nextPauseAt()
    market.guardian.unpause({"from": market.admin})
    assert market.guardian.nextPauseAt() == next_at
    error = refused(market.guardian.pause, 1, sender=market.admin)
    assert error[:2] == ("PausedTooRecently", next_at)


def test_a_pause_lasts_to_its_last_second_and_ends_by_itself(market):
    assert (market.guardian.pausedUntil(), market.guardian.nextPauseAt()) == (0, 0)
    market.guardian.requireOpen()
    tx = market.guardian.pause(MOST, {"from": market.admin})
    until = tx.timestamp + MOST
    assert [(e.name, *e.values()) for e in tx.events] == [("Paused", market.admin.address, until)]
    assert (market.guardian.pausedUntil(), market.guardian.nextPauseAt()) == (until, tx.timestamp + BETWEEN)
    market.wait_until(until - 1)
    assert market.guardian.paused()
    assert refused(market.guardian.requireOpen, sender=market.stranger) == ("StillPaused", until)
    market.wait_until(until)
    assert not market.guardian.paused()
    market.guardian.requireOpen()


def test_a_pause_can_be_ended_early_and_says_when_it_ended(market):
    market.pause(MOST)
    tx = market.guardian.unpause({"from": market.admin})
    assert [(e.name, *e.values()) for e in tx.events] == [("Unpaused", market.admin.address)]
    assert market.guardian.pausedUntil() == tx.timestamp and not market.guardian.paused()
    market.guardian.requireOpen()


def test_the_constructor_refuses_to_be_without_an_authority(market, built):
    error = deployment_refused(built.Guardian, "0x" + 40 * "0", MOST, sender=market.admin)
    assert error == ("ZeroAddress", "authority")


@pytest.mark.parametrize("seconds", [0, 7 * DAY + 1])
def test_the_constructor_refuses_pauses_of_no_time_or_of_more_than_seven_days(market, built, seconds):
    error = deployment_refused(built.Guardian, market.authority, seconds, sender=market.admin)
    assert error == ("OutOfBounds", "mostPauseSeconds", seconds, 1, 7 * DAY)


def test_says_how_long_and_how_often(market, built):
    longest = built.Guardian.deploy(market.authority, 7 * DAY, {"from": market.admin})
    assert (longest.mostPauseSeconds(), longest.betweenPauses()) == (7 * DAY, BETWEEN)
    assert market.guardian.mostPauseSeconds() == MOST
