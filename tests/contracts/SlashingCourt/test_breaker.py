"""The circuit breaker: what would bring slashes above 5 % of all stake within 7 days waits for the timelock."""

from tests.contracts.ChallengeCourt.attested import receipt, sign_receipt, signer_key
from tests.contracts.SlashingCourt.acts import CHALLENGE, DAY, EXECUTED, opened
from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused

LIMIT = 45 * STAKE
"""Five per cent of 900."""


def queued(market, slash_id):
    return market.court.slash(slash_id)["queued"]


def test_counts_what_is_opened_and_queues_what_would_pass_the_limit(market):
    assert market.court.breaker() == (0, LIMIT)
    assert not queued(market, opened(market, 6)) and market.court.breaker() == (40 * STAKE, LIMIT)
    assert not queued(market, opened(market, 3)) and market.court.breaker() == (44 * STAKE, LIMIT)
    assert queued(market, opened(market, 2)) and market.court.breaker() == (46 * STAKE, LIMIT)
    assert queued(market, opened(market, 2)), "and everything after it"


def test_lets_through_exactly_the_limit(market):
    """Four times 120 and once 20 of a limit of 500."""
    market.staking.stake(9_100 * STAKE, {"from": market.large})
    assert market.court.breaker() == (0, 500 * STAKE)
    for _ in range(4):
        assert not queued(market, opened(market, 6, market.large))
    assert market.court.breaker()[0] == 480 * STAKE
    assert not queued(market, opened(market, 5)) and market.court.breaker()[0] == 500 * STAKE
    assert queued(market, opened(market, 2))


def test_queues_one_slash_that_is_too_large_by_itself(market):
    slash_id = opened(market, 6, market.large)
    assert queued(market, slash_id) and market.court.breaker() == (120 * STAKE, LIMIT)
    market.wait(CHALLENGE)
    assert refused(market.court.execute, slash_id, sender=market.stranger) == ("Queued", slash_id)
    market.court.release(slash_id, {"from": market.admin})
    market.execute(slash_id)
    assert market.court.slash(slash_id)["stage"] == EXECUTED


def test_forgets_after_seven_whole_days(market):
    slash_id = opened(market, 6)
    day = market.court.slash(slash_id)["proposedAt"] // DAY
    market.wait_until((day + 8) * DAY - 1)
    assert market.court.breaker()[0] == 40 * STAKE
    market.wait_until((day + 8) * DAY)
    assert market.court.breaker() == (0, LIMIT)


def test_cancelled_slashes_still_count(market, as_challenges):
    slash_id = opened(market, 6)
    market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    assert market.court.breaker()[0] == 40 * STAKE


def test_two_receipts_count_but_never_wait(market):
    a, b = receipt(market.large, 3), receipt(market.large, 4)
    key = signer_key(market.large)
    signatures = [sign_receipt(market.ground, key, one) for one in (a, b)]
    tx = market.court.proveReceipts(a, signatures[0], b, signatures[1], {"from": market.stranger})
    assert market.court.slash(tx.return_value)["stage"] == EXECUTED
    opened_, limit = market.court.breaker()
    assert opened_ == 150 * STAKE > limit == (900 - 150) * STAKE // 20
    assert queued(market, opened(market, 2))


def test_the_limit_follows_the_stake_of_the_moment(market):
    market.staking.stake(9_100 * STAKE, {"from": market.large})
    assert market.court.breaker()[1] == 500 * STAKE
    assert not queued(market, opened(market, 6, market.large))
