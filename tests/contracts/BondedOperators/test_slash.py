"""slash: what a proof before the court costs an operator."""

import pytest

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused

BOND = 5000 * STAKE
WHOLE = 1_000_000


def test_refuses_everybody_but_the_court(market):
    for caller in (market.admin, market.verifier_accounts[1], market.staking):
        found = refused(market.verifiers.slash, market.verifier_accounts[0], 1, sender=caller)
        assert found == ("NotCourt", str(caller).lower())


def test_refuses_a_share_of_nothing_or_above_the_whole(market, as_court):
    for ppm in (0, WHOLE + 1):
        found = refused(market.verifiers.slash, market.verifier_accounts[0], ppm, sender=as_court)
        assert found == ("OutOfBounds", "ppm", ppm, 1, WHOLE)


def slashed(market, court, operator, ppm):
    """Slash and check where the tokens went; returns the transaction."""
    bonds, held = market.verifiers.totalBonds(), market.stake_token.balanceOf(market.verifiers)
    at_court, bond = market.stake_token.balanceOf(court), market.verifiers.member(operator)["bond"]
    tx = market.verifiers.slash(operator, ppm, {"from": court})
    taken = tx.return_value
    assert market.verifiers.totalBonds() == bonds - taken
    assert market.stake_token.balanceOf(market.verifiers) == held - taken
    assert market.stake_token.balanceOf(court) == at_court + taken
    assert market.verifiers.member(operator)["bond"] == bond - taken
    assert not market.verifiers.isMember(operator) and operator not in market.verifiers.members()
    return tx


def test_a_tenth_expels_at_once_and_the_rest_unbonds(market, as_court):
    verifier = market.verifier_accounts[0]
    tx = slashed(market, as_court, verifier, 100_000)
    release = tx.timestamp + 120
    assert tx.return_value == BOND // 10
    assert tx.events["Slashed"] == {
        "operator": verifier,
        "amount": BOND // 10,
        "bondAfter": BOND * 9 // 10,
        "releaseAt": release,
    }
    assert tuple(market.verifiers.member(verifier))[3:] == (False, release) and market.verifiers.memberCount() == 2
    assert refused(market.verifiers.leave, sender=verifier) == ("NotMember", verifier.address.lower())
    assert refused(market.verifiers.join, "http://x", sender=verifier) == ("AlreadyBonded", verifier.address.lower())
    market.wait_until(release - 1)
    assert refused(market.verifiers.withdraw, sender=verifier) == ("StillUnbonding", release, release - 1)
    market.wait_until(release)
    assert market.verifiers.withdraw({"from": verifier}).return_value == BOND * 9 // 10


def test_who_loses_all_of_it_has_nothing_here_and_may_bond_again(market, as_court):
    verifier = market.verifier_accounts[0]
    tx = slashed(market, as_court, verifier, WHOLE)
    assert tx.return_value == BOND
    assert tx.events["Slashed"] == {"operator": verifier, "amount": BOND, "bondAfter": 0, "releaseAt": 0}
    assert tuple(market.verifiers.member(verifier)) == ("", 0, 0, False, 0)
    found = refused(market.verifiers.withdraw, sender=verifier)
    assert found == ("NothingToWithdraw", verifier.address.lower())
    market.verifiers.join("http://again", {"from": verifier})
    assert market.verifiers.isMember(verifier) and market.verifiers.member(verifier)["bond"] == BOND


def test_leaving_does_not_escape_it_and_the_release_stays_as_it_was(market, as_court):
    verifier = market.verifier_accounts[0]
    release = market.verifiers.leave({"from": verifier}).timestamp + 120
    market.wait_until(release - 3)
    tx = slashed(market, as_court, verifier, 100_000)
    assert tx.return_value == BOND // 10 and tx.events["Slashed"]["releaseAt"] == release
    market.wait_until(release)
    assert market.verifiers.withdraw({"from": verifier}).return_value == BOND * 9 // 10


def test_a_matured_bond_is_never_touched_withdrawn_or_not(market, as_court):
    verifier = market.verifier_accounts[0]
    release = market.verifiers.leave({"from": verifier}).timestamp + 120
    market.next_block_at(release)
    tx = market.verifiers.slash(verifier, WHOLE, {"from": as_court})
    assert tx.timestamp == release and tx.return_value == 0 and "Slashed" not in tx.events
    assert market.verifiers.withdraw({"from": verifier}).return_value == BOND


def test_takes_nothing_from_somebody_who_has_nothing_here(market, as_court):
    tx = market.verifiers.slash(market.stranger, WHOLE, {"from": as_court})
    assert tx.return_value == 0 and "Slashed" not in tx.events and "Transfer" not in tx.events


def test_a_second_slash_takes_of_what_is_left_until_nothing_is(market, as_court):
    verifier, left = market.verifier_accounts[0], BOND
    release = None
    for _ in range(3):
        tx = slashed(market, as_court, verifier, 100_000)
        release = release or tx.timestamp + 120
        assert tx.return_value == left // 10 and tx.events["Slashed"]["releaseAt"] == release
        left -= tx.return_value
    assert slashed(market, as_court, verifier, WHOLE).return_value == left
    assert market.verifiers.slash(verifier, WHOLE, {"from": as_court}).return_value == 0


@pytest.mark.parametrize(("bond", "ppm", "taken"), [(1, 1, 1), (3, 333_333, 1), (3, 333_334, 2), (10**27, 1, 10**21)])
def test_rounds_up_so_that_the_smallest_slash_takes_something(market, built, as_court, bond, ppm, taken):
    links = (market.stake_token, market.clock, market.court, market.guardian)
    them = built.BondedOperators.deploy(*links, (bond, 1, 1, 1, 120), {"from": market.admin})
    market.stake_token.approve(them, bond, {"from": market.fresh})
    them.join("http://x", {"from": market.fresh})
    assert them.slash(market.fresh, ppm, {"from": as_court}).return_value == taken
    assert them.member(market.fresh)["bond"] == them.totalBonds() == market.stake_token.balanceOf(them) == bond - taken


def test_works_while_the_market_is_paused_and_without_a_quorum_left(market, as_court):
    market.pause()
    for verifier in market.verifier_accounts[:3]:
        slashed(market, as_court, verifier, WHOLE)
    assert market.verifiers.memberCount() == 0 == market.verifiers.totalBonds()


def test_a_slashed_operator_speaks_for_the_set_no_longer(market, as_court):
    slashed(market, as_court, market.verifier_accounts[0], 1)
    market.verifiers.join("http://x", {"from": market.verifier_accounts[3]})
    signers = market.signers((0, 1))
    found = refused(market.verifiers.checkQuorum, signers, sender=market.stranger)
    assert found == ("NotMember", market.verifier_accounts[0].address.lower())
    market.verifiers.checkQuorum(market.signers((1, 3)))
