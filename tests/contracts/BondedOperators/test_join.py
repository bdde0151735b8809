"""join, setEndpoint: who is in the set."""

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import deployment_refused, refused

BOND = 5000 * STAKE
ZERO = "0x" + "00" * 20
LINKS = {"clock": "EpochClock", "court": "SlashingCourt", "guardian": "Guardian"}


def test_refuses_a_second_bond(market):
    verifier = market.verifier_accounts[0]
    found = refused(market.verifiers.join, "http://x", sender=verifier)
    assert found == ("AlreadyBonded", verifier.address.lower())


def test_refuses_a_bond_while_an_earlier_one_unbonds(market):
    verifier = market.verifier_accounts[0]
    market.verifiers.leave({"from": verifier})
    found = refused(market.verifiers.join, "http://x", sender=verifier)
    assert found == ("AlreadyBonded", verifier.address.lower())


def test_refuses_more_members_than_there_is_room_for(market):
    found = refused(market.verifiers.join, "http://x", sender=market.verifier_accounts[3])
    assert found == ("SetFull", 3, 3)


def test_refuses_an_endpoint_outside_its_bounds(market):
    assert refused(market.gateways.join, "", sender=market.fresh) == ("OutOfBounds", "endpoint bytes", 0, 1, 200)
    found = refused(market.gateways.join, "e" * 201, sender=market.fresh)
    assert found == ("OutOfBounds", "endpoint bytes", 201, 1, 200)


def test_refuses_who_cannot_pay_the_bond(market):
    market.stake_token.approve(market.gateways, BOND - 1, {"from": market.fresh})
    found = refused(market.gateways.join, "http://x", sender=market.fresh)
    assert found == ("ERC20InsufficientAllowance", market.gateways.address.lower(), BOND - 1, BOND)


def test_refuses_to_be_deployed_with_a_quorum_two_halves_could_reach(market, built):
    def refusal(most, least, quorum, unbonding=120, bond=1):
        config = (bond, most, least, quorum, unbonding)
        links = (market.stake_token, market.clock, market.court, market.guardian)
        return deployment_refused(built.BondedOperators, *links, config, sender=market.admin)

    assert refusal(5, 4, 2) == ("OutOfBounds", "quorum", 2, 3, 4)
    assert refusal(5, 3, 4) == ("OutOfBounds", "quorum", 4, 2, 3)
    assert refusal(5, 6, 4) == ("OutOfBounds", "least", 6, 1, 5)
    assert refusal(65, 3, 2) == ("OutOfBounds", "most", 65, 1, 64)
    assert refusal(5, 3, 2, bond=0) == ("OutOfBounds", "bond", 0, 1, 10**27)
    assert refusal(5, 3, 2, unbonding=63) == ("OutOfBounds", "unbondingSeconds", 63, 64, 90 * 24 * 3600)


def test_refuses_to_be_deployed_without_knowing_the_others(market, built):
    names = ("clock", "court", "guardian")
    for name in names:
        links = [ZERO if each == name else market.contracts[LINKS[each]] for each in names]
        config = (1, 3, 3, 2, 120)
        found = deployment_refused(built.BondedOperators, market.stake_token, *links, config, sender=market.admin)
        assert found == ("ZeroAddress", name)


def test_refuses_while_the_market_is_paused_and_nothing_else_is(market):
    gone, verifier = market.verifier_accounts[0], market.verifier_accounts[1]
    market.verifiers.leave({"from": gone})
    market.wait(120)
    market.pause()
    found = refused(market.gateways.join, "http://x", sender=market.fresh)
    assert found == ("StillPaused", market.guardian.pausedUntil())
    market.verifiers.setEndpoint("http://y", {"from": verifier})
    market.verifiers.commitSeed(9, b"\x01" * 32, {"from": verifier})
    market.verifiers.leave({"from": verifier})
    assert market.verifiers.withdraw({"from": gone}).return_value == BOND and market.guardian.paused()


def test_pulls_the_bond_and_makes_a_member(market):
    balance, bonds = market.stake_token.balanceOf(market.fresh), market.gateways.totalBonds()
    tx = market.gateways.join("http://gateway", {"from": market.fresh})
    assert tx.events["Joined"] == {"operator": market.fresh, "bond": BOND, "endpoint": "http://gateway"}
    assert tuple(market.gateways.member(market.fresh)) == ("http://gateway", BOND, tx.timestamp, True, 0)
    assert market.gateways.isMember(market.fresh) and market.gateways.members() == [market.fresh]
    assert market.gateways.memberCount() == 1 and market.gateways.totalBonds() == bonds + BOND
    assert market.stake_token.balanceOf(market.fresh) == balance - BOND
    assert not market.verifiers.isMember(market.fresh), "the other set is another set"


def test_set_endpoint_is_for_members_and_changes_only_that(market):
    found = refused(market.verifiers.setEndpoint, "http://y", sender=market.stranger)
    assert found == ("NotMember", market.stranger.address.lower())
    verifier = market.verifier_accounts[0]
    found = refused(market.verifiers.setEndpoint, "", sender=verifier)
    assert found == ("OutOfBounds", "endpoint bytes", 0, 1, 200)
    before = tuple(market.verifiers.member(verifier))
    tx = market.verifiers.setEndpoint("http://y", {"from": verifier})
    assert tx.events["EndpointSet"] == {"operator": verifier, "endpoint": "http://y"}
    assert tuple(market.verifiers.member(verifier)) == ("http://y", *before[1:])


def test_tells_its_links_and_parameters(market):
    them = market.verifiers
    assert (them.stakeToken(), them.clock()) == (market.stake_token, market.clock)
    assert (them.court(), them.guardian()) == (market.court, market.guardian)
    assert (them.bond(), them.most(), them.least(), them.quorum(), them.unbondingSeconds()) == (BOND, 3, 3, 2, 120)
