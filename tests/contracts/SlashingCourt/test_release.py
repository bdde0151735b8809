"""release: only the timelock lets a queued slash go on."""

from tests.contracts.SlashingCourt.acts import CANCELLED, CHALLENGE, contest, opened
from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused


def refusal(market, slash_id, sender=None):
    return refused(market.court.release, slash_id, sender=sender or market.admin)


def test_refuses_everybody_without_permission(market):
    slash_id = opened(market, 6, market.large)
    for person in (market.stranger, market.fresh, market.large):
        assert refusal(market, slash_id, person) == ("AccessManagedUnauthorized", person.address.lower())


def test_refuses_what_was_never_proposed(market):
    assert refusal(market, 1) == ("UnknownSlash", 1)


def test_refuses_what_is_not_queued(market):
    slash_id = opened(market)
    assert refusal(market, slash_id) == ("NotQueued", slash_id)


def test_refuses_what_was_cancelled(market, as_challenges):
    slash_id = opened(market, 6, market.large)
    market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    assert refusal(market, slash_id) == ("WrongStage", slash_id, CANCELLED)


def test_refuses_a_second_release(market):
    slash_id = opened(market, 6, market.large)
    market.court.release(slash_id, {"from": market.admin})
    assert refusal(market, slash_id) == ("NotQueued", slash_id)


def test_lets_it_be_carried_out_after_its_window(market):
    slash_id = opened(market, 6, market.large)
    tx = market.court.release(slash_id, {"from": market.admin})
    assert dict(tx.events["SlashReleased"]) == {"id": slash_id}
    assert not market.court.slash(slash_id)["queued"]
    found = refused(market.court.execute, slash_id, sender=market.stranger)
    assert found[0] == "ChallengeWindowOpen", "a release shortens nothing"
    assert market.execute(slash_id).return_value == 120 * STAKE


def test_a_queued_slash_can_be_contested_and_still_waits_when_upheld(market):
    slash_id = opened(market, 6, market.large)
    contest(market, slash_id, market.large)
    market.court.rule(slash_id, True, [], {"from": market.admin})
    market.wait(CHALLENGE)
    assert refused(market.court.execute, slash_id, sender=market.stranger) == ("Queued", slash_id)
    market.court.release(slash_id, {"from": market.admin})
    assert market.execute(slash_id).return_value == 120 * STAKE
