"""leave and withdraw: membership ends at once, the bond returns later."""

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused

BOND = 5000 * STAKE


def test_refuses_who_is_no_member(market):
    assert refused(market.verifiers.leave, sender=market.stranger) == ("NotMember", market.stranger.address.lower())
    verifier = market.verifier_accounts[0]
    market.verifiers.leave({"from": verifier})
    assert refused(market.verifiers.leave, sender=verifier) == ("NotMember", verifier.address.lower())


def test_refuses_to_pay_members_strangers_and_the_early(market):
    verifier = market.verifier_accounts[0]
    for nobody in (verifier, market.stranger):
        found = refused(market.verifiers.withdraw, sender=nobody)
        assert found == ("NothingToWithdraw", nobody.address.lower())
    release = market.verifiers.leave({"from": verifier}).timestamp + 120
    market.wait_until(release - 1)
    assert refused(market.verifiers.withdraw, sender=verifier) == ("StillUnbonding", release, release - 1)
    market.wait_until(release)
    assert market.verifiers.withdraw.call({"from": verifier}) == BOND


def test_ends_membership_at_once_and_pays_the_bond_once(market):
    verifier = market.verifier_accounts[0]
    tx = market.verifiers.leave({"from": verifier})
    assert tx.events["Left"] == {"operator": verifier, "releaseAt": tx.timestamp + 120}
    assert not market.verifiers.isMember(verifier) and market.verifiers.memberCount() == 2
    assert tuple(market.verifiers.member(verifier))[1:] == (
        BOND,
        market.verifiers.member(verifier)[2],
        False,
        tx.timestamp + 120,
    )
    assert market.verifiers.totalBonds() == 3 * BOND, "still here, still to be lost"
    market.wait(121)
    balance = market.stake_token.balanceOf(verifier)
    tx = market.verifiers.withdraw({"from": verifier})
    assert tx.return_value == BOND and tx.events["Withdrawn"] == {"operator": verifier, "amount": BOND}
    assert market.stake_token.balanceOf(verifier) == balance + BOND
    assert market.verifiers.totalBonds() == 2 * BOND
    assert refused(market.verifiers.withdraw, sender=verifier)[0] == "NothingToWithdraw"


def test_lets_a_former_member_return_and_another_take_its_place(market):
    verifier, other = market.verifier_accounts[0], market.verifier_accounts[3]
    market.verifiers.leave({"from": verifier})
    market.verifiers.join("http://other", {"from": other})
    market.wait(121)
    market.verifiers.withdraw({"from": verifier})
    assert refused(market.verifiers.join, "http://x", sender=verifier) == ("SetFull", 3, 3)
    market.verifiers.leave({"from": other})
    market.verifiers.join("http://x", {"from": verifier})
    assert market.verifiers.isMember(verifier) and not market.verifiers.isMember(other)
