"""unbond and lockedFor: ten times the fees that can still be taken back must stay.

On the devnet a stake token is worth one payment token, so ten whole stake tokens are locked for each token of fees.
"""

from dataclasses import replace

import pytest

from tests.contracts.support.market import CPU, NO_LEAF, PAY, STAKE, T4
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf
from tests.contracts.support.stakes import unbond

NEVER = 2**256 - 1


@pytest.fixture
def earned(market):
    """Settle an epoch in which the small provider earned nine tokens; the challenge windows are open."""
    leaves = [make_leaf(market.small, fees=9 * PAY), make_leaf(market.large)]
    return market.settle(leaves, charges={market.alice: 10 * PAY})


def windows(market):
    """Return how long a report can be challenged after its activation could begin."""
    return market.court.challengeSeconds() + market.court.arbitrationSeconds()


def close(market, report):
    """Wait until the windows of a report are over."""
    market.wait_until(market.ledger.record(report.epoch)["activatesAt"] + windows(market))


def test_refuses_what_would_leave_less_than_ten_times_the_fees(market, earned):
    risk = market.risk(market.small, earned)
    assert market.staking.lockedFor(market.small, risk) == 90 * STAKE
    found = refused(market.staking.unbond, 210 * STAKE + 1, risk, sender=market.small)
    assert found == ("FeesLocked", 90 * STAKE - 1, 90 * STAKE)
    unbond(market, 210 * STAKE, risk=risk)
    assert refused(market.staking.unbond, 1, risk, sender=market.small) == ("FeesLocked", 90 * STAKE - 1, 90 * STAKE)


def test_refuses_to_take_the_fees_on_trust(market, earned):
    small = str(market.small).lower()
    expected = ("WrongLeaf", 0, small)
    leaf, proof, *_ = market.risk(market.small, earned)
    cheaper = (*leaf[:1], PAY, *leaf[2:])
    other, other_proof, *_ = market.risk(market.large, earned)
    for shown in ((NO_LEAF, []), (cheaper, proof), (leaf, []), (leaf, other_proof), (other, other_proof)):
        risk = (*shown, 0, NO_LEAF, [])
        assert refused(market.staking.unbond, 1, risk, sender=market.small) == expected
        assert refused(market.staking.lockedFor, market.small, risk, sender=market.stranger) == expected


def test_refuses_an_older_report_in_the_place_of_the_newest(market, earned):
    leaves = [replace(leaf, cumulative_fees=leaf.cumulative_fees + PAY) for leaf in earned.leaves]
    newest = market.settle(leaves, charges={market.alice: 3 * PAY})
    found = refused(market.staking.unbond, 1, market.risk(market.small, earned), sender=market.small)
    assert found == ("WrongLeaf", newest.epoch, str(market.small).lower())


def test_refuses_a_report_as_closed_that_is_not(market):
    leaves = [make_leaf(market.small, fees=9 * PAY), make_leaf(market.large)]
    first = market.next_report(leaves, charges={market.alice: 10 * PAY})
    market.end_of(1)
    market.submit(first)
    market.complete(first)
    second = market.submitted(leaves)
    risk = market.risk(market.small, second, second)
    name, epoch, closes, _ = refused(market.staking.unbond, 1, risk, sender=market.small)
    assert (name, epoch, closes) == ("StillOpen", 1, NEVER), "it is not even activated"
    market.activate(first)
    closes_at = market.ledger.record(0)["activatesAt"] + windows(market)
    risk = market.risk(market.small, second, first)
    market.wait_until(closes_at - 2)
    name, epoch, closes, _ = refused(market.staking.unbond, 1, risk, sender=market.small)
    assert (name, epoch, closes) == ("StillOpen", 0, closes_at)
    market.wait_until(closes_at)
    assert market.staking.lockedFor(market.small, risk) == 0


def test_refuses_a_leaf_of_the_closed_report_that_is_not_there(market, earned):
    close(market, earned)
    second = market.submitted(earned.leaves)
    newest = market.risk(market.small, second)[:2]
    other = market.risk(market.large, second, earned)[3:]
    leaf, proof = market.risk(market.small, second, earned)[3:]
    dearer = (*leaf[:1], 100 * PAY, *leaf[2:])
    for shown in (other, (dearer, proof), (leaf, [b"\x01" * 32])):
        found = refused(market.staking.unbond, 1, (*newest, 0, *shown), sender=market.small)
        assert found == ("WrongLeaf", 0, str(market.small).lower())


def test_locks_only_what_was_earned_since_the_closed_report(market, earned):
    close(market, earned)
    leaves = [make_leaf(market.small, fees=11 * PAY), make_leaf(market.large)]
    second = market.submitted(leaves, charges={market.alice: 4 * PAY})
    assert market.staking.lockedFor(market.small, market.risk(market.small, second)) == 110 * STAKE
    risk = market.risk(market.small, second, earned)
    assert market.staking.lockedFor(market.small, risk) == 20 * STAKE
    unbond(market, 280 * STAKE, risk=risk)


def test_an_older_closed_report_only_locks_more(market, earned):
    second = market.settle(
        [make_leaf(market.small, fees=10 * PAY), make_leaf(market.large)], charges={market.alice: 3 * PAY}
    )
    close(market, second)
    third = market.submitted(
        [make_leaf(market.small, fees=12 * PAY), make_leaf(market.large)], charges={market.alice: 4 * PAY}
    )
    locked = [market.staking.lockedFor(market.small, market.risk(market.small, third, r)) for r in (earned, second)]
    assert locked == [30 * STAKE, 20 * STAKE]


def test_locks_from_the_submission_on_before_a_leaf_is_published(market):
    report = market.next_report([make_leaf(market.small, fees=9 * PAY)], charges={market.alice: 10 * PAY})
    market.submit(report)
    name, *_ = refused(market.staking.unbond, 1, market.risk(market.small), sender=market.small)
    assert name == "WrongLeaf"
    assert market.staking.lockedFor(market.small, market.risk(market.small, report)) == 90 * STAKE


def test_rounds_the_lock_up(market):
    rules = market.clock.rules()
    market.clock.setRules((*rules[:5], 3 * PAY, *rules[6:]), {"from": market.admin})
    market.end_of(0)
    report = market.next_report([make_leaf(market.small, fees=1)], charges={market.alice: 2})
    market.submit(report)
    assert market.staking.lockedFor(market.small, market.risk(market.small, report)) == 10 * STAKE // (3 * PAY) + 1


def test_needs_nothing_shown_before_the_first_report(market):
    assert market.staking.lockedFor(market.small, market.risk(market.small)) == 0
    unbond(market, 300 * STAKE)


def test_needs_nothing_shown_once_the_newest_report_has_closed_and_not_a_second_earlier(market, earned):
    closes_at = market.ledger.record(0)["activatesAt"] + windows(market)
    market.wait_until(closes_at - 1)
    assert refused(market.staking.lockedFor, market.small, market.risk(market.small), sender=market.small)[0] == (
        "WrongLeaf"
    )
    market.wait_until(closes_at)
    assert market.staking.lockedFor(market.small, market.risk(market.small)) == 0
    unbond(market, 300 * STAKE)


def test_needs_nothing_shown_from_who_never_reached_its_required_stake(market):
    market.register(market.fresh, T4, 1)
    market.staking.stake(399 * STAKE, {"from": market.fresh})
    market.submitted([make_leaf(market.small), make_leaf(market.large)])
    unbond(market, 399 * STAKE, market.fresh)


def test_needs_nothing_shown_from_who_was_listed_after_the_epoch(market):
    report = market.next_report([make_leaf(market.small), make_leaf(market.large)])
    market.wait_until(market.clock.epochEnd(0))
    market.register(market.fresh, CPU, 1)
    market.staking.stake(200 * STAKE, {"from": market.fresh})
    market.submit(report)
    unbond(market, 200 * STAKE, market.fresh)


def test_who_was_listed_in_the_epoch_must_show_its_leaf(market):
    market.register(market.fresh, CPU, 1)
    market.staking.stake(200 * STAKE, {"from": market.fresh})
    report = market.next_report([make_leaf(market.fresh), make_leaf(market.small), make_leaf(market.large)])
    market.submit(report)
    found = refused(market.staking.unbond, 1, market.risk(market.fresh), sender=market.fresh)
    assert found == ("WrongLeaf", 0, str(market.fresh).lower())
    unbond(market, 200 * STAKE, market.fresh, risk=market.risk(market.fresh, report))


def test_a_stake_rate_of_zero_locks_nothing(market):
    rules = market.clock.rules()
    market.clock.setRules((*rules[:5], 0, *rules[6:]), {"from": market.admin})
    market.submitted([make_leaf(market.small, fees=9 * PAY)], charges={market.alice: 10 * PAY})
    assert market.clock.rules()["stakeRate"] == 0
    unbond(market, 300 * STAKE)


def test_a_leaf_that_fell_below_the_closed_one_locks_nothing_rather_than_everything(market, earned):
    close(market, earned)
    lower = market.next_report([make_leaf(market.small, fees=5 * PAY), make_leaf(market.large, fees=4 * PAY)])
    market.submit(lower)
    assert market.staking.lockedFor(market.small, market.risk(market.small, lower, earned)) == 0
    assert market.staking.lockedFor(market.large, market.risk(market.large, lower, earned)) == 40 * STAKE


def test_a_report_without_the_provider_locks_its_stake_no_longer_than_until_it_has_closed(market, earned):
    report = market.settle([make_leaf(market.small, fees=9 * PAY)])
    found = refused(market.staking.unbond, 1, market.risk(market.large), sender=market.large)
    assert found == ("WrongLeaf", report.epoch, str(market.large).lower())
    close(market, report)
    unbond(market, 600 * STAKE, market.large)


def test_a_cancelled_report_locks_nothing(market, as_challenges):
    report = market.submitted([make_leaf(market.small, fees=9 * PAY)], charges={market.alice: 10 * PAY})
    assert market.staking.lockedFor(market.small, market.risk(market.small, report)) == 90 * STAKE
    market.ledger.cancel(0, {"from": as_challenges})
    unbond(market, 300 * STAKE)
