"""wasMember: the past of an operator, which nothing it does afterwards can change."""

from tests.contracts.support.market import STAKE

WHOLE = 1_000_000
EVER = 2**64 - 1


def test_knows_nobody_who_never_joined(market):
    assert market.verifiers.wasMember(market.stranger, 0, EVER) is False


def test_counts_from_the_second_of_joining_to_the_one_before_leaving(market):
    them, who = market.gateways, market.fresh
    joined = them.join("http://x", {"from": who}).timestamp
    assert them.wasMember(who, joined, joined + 1) and them.wasMember(who, EVER - 1, EVER), "as long as it lasts"
    assert not them.wasMember(who, 0, joined)
    market.wait(10)
    left = them.leave({"from": who}).timestamp
    assert them.wasMember(who, left - 1, left) and them.wasMember(who, 0, EVER)
    assert not them.wasMember(who, left, EVER)


def test_an_interval_without_a_moment_holds_nobody(market):
    now = market.now()
    verifier = market.verifier_accounts[0]
    assert market.verifiers.wasMember(verifier, now, now + 1)
    assert not market.verifiers.wasMember(verifier, now, now)
    assert not market.verifiers.wasMember(verifier, now + 1, now)


def test_neither_withdrawing_nor_losing_everything_clears_it(market, as_court):
    them, (first, second) = market.verifiers, market.verifier_accounts[:2]
    joined = [them.member(who)["joinedAt"] for who in (first, second)]
    left = them.leave({"from": first}).timestamp
    slashed = them.slash(second, WHOLE, {"from": as_court}).timestamp
    market.wait(120)
    them.withdraw({"from": first})
    for who, begin, end in zip((first, second), joined, (left, slashed), strict=True):
        assert them.member(who)["joinedAt"] == 0
        assert them.wasMember(who, begin, begin + 1) and them.wasMember(who, end - 1, EVER)
        assert not them.wasMember(who, end, EVER)


def test_keeps_every_membership_apart_from_the_gaps(market, as_court):
    them, who = market.gateways, market.fresh
    market.stake_token.approve(them, 10**6 * STAKE, {"from": who})
    spans = []
    for _ in range(3):
        begin = them.join("http://x", {"from": who}).timestamp
        market.wait(5)
        them.slash(who, 500_000, {"from": as_court})
        spans.append((begin, market.now()))
        market.wait(120)
        them.withdraw({"from": who})
    for begin, end in spans:
        assert them.wasMember(who, begin, begin + 1) and them.wasMember(who, end - 1, end)
        assert not them.wasMember(who, begin - 1, begin) and not them.wasMember(who, end, end + 100)
    assert them.wasMember(who, spans[0][1], spans[1][0] + 1), "the gap and the first second of the next"


def test_a_slash_while_it_unbonds_makes_no_membership_longer(market, as_court):
    them, verifier = market.verifiers, market.verifier_accounts[0]
    left = them.leave({"from": verifier}).timestamp
    market.wait(10)
    them.slash(verifier, 100_000, {"from": as_court})
    assert them.wasMember(verifier, left - 1, left) and not them.wasMember(verifier, left, EVER)
