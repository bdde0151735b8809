"""checkQuorum: which signers speak for the set."""

from tests.contracts.support.refusals import refused


def ascending(accounts):
    return sorted((account.address for account in accounts), key=lambda address: int(address, 16))


def test_refuses_too_few_signers(market):
    found = refused(market.verifiers.checkQuorum, ascending(market.verifier_accounts[:1]), sender=market.stranger)
    assert found == ("TooFewSigners", 1, 2)


def test_refuses_a_signer_twice_or_out_of_order(market):
    first, second = ascending(market.verifier_accounts[:2])
    found = refused(market.verifiers.checkQuorum, [first, first], sender=market.stranger)
    assert found == ("SignersNotAscending", first.lower(), first.lower())
    found = refused(market.verifiers.checkQuorum, [second, first], sender=market.stranger)
    assert found == ("SignersNotAscending", second.lower(), first.lower())


def test_refuses_a_signer_who_is_no_member(market):
    outsider = market.verifier_accounts[3]
    signers = ascending([market.verifier_accounts[0], market.verifier_accounts[1], outsider])
    found = refused(market.verifiers.checkQuorum, signers, sender=market.stranger)
    assert found == ("NotMember", outsider.address.lower())


def test_refuses_everybody_while_the_set_is_too_small(market):
    market.verifiers.leave({"from": market.verifier_accounts[2]})
    found = refused(market.verifiers.checkQuorum, ascending(market.verifier_accounts[:2]), sender=market.stranger)
    assert found == ("TooFewMembers", 2, 3)


def test_accepts_a_quorum_and_more(market):
    market.verifiers.checkQuorum(ascending(market.verifier_accounts[:2]))
    market.verifiers.checkQuorum(ascending(market.verifier_accounts[:3]))
