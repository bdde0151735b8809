"""claim and claimOwed: what was earned is paid once."""

from dataclasses import replace

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf, plain


def earned(market):
    return market.settle(
        [make_leaf(market.small, 60 * PAY, 2 * PAY), make_leaf(market.large, 34 * PAY)],
        charges={market.alice: 100 * PAY},
        payees={market.verifier_accounts[0]: 2 * PAY},
        treasury=2 * PAY,
    )


def claim(market, report, provider, fees, incentive):
    """Claim for a provider, by somebody else, and check that exactly this much reached the provider."""
    balance, held = market.payment_token.balanceOf(provider), market.payment_token.balanceOf(market.ledger)
    tx = market.ledger.claim(*market.claim_arguments(report, provider), {"from": market.stranger})
    assert tx.return_value == (fees, incentive)
    assert tx.events["Claimed"] == {
        "provider": provider,
        "epoch": report.epoch,
        "fees": fees,
        "incentive": incentive,
    }
    assert market.payment_token.balanceOf(provider) == balance + fees + incentive
    assert market.payment_token.balanceOf(market.ledger) == held - fees - incentive
    return tx


def test_refuses_before_activation(market):
    report = market.next_report([make_leaf(market.small, PAY)], charges={market.alice: 2 * PAY})
    market.submit(report)
    found = refused(market.ledger.claim, *market.claim_arguments(report, market.small), sender=market.small)
    assert found == ("NotActivated", 0)


def test_refuses_a_leaf_that_is_not_in_the_root(market):
    report = earned(market)
    leaf, epoch, proof = market.claim_arguments(report, market.small)
    forged = plain(replace(market.proof(report, market.small)[0], cumulative_fees=61 * PAY))
    assert refused(market.ledger.claim, forged, epoch, proof, sender=market.small)[:2] == ("NotInRoot", 0)
    other = market.claim_arguments(report, market.large)[0]
    assert refused(market.ledger.claim, other, epoch, [], sender=market.large)[0] == "NotInRoot"
    assert refused(market.ledger.claim, leaf, epoch, [*proof, bytes(32)], sender=market.small)[0] == "NotInRoot"


def test_a_second_claim_pays_nothing(market):
    report = earned(market)
    claim(market, report, market.small, 60 * PAY, 2 * PAY)
    found = refused(market.ledger.claim, *market.claim_arguments(report, market.small), sender=market.small)
    assert found == ("NothingToClaim", market.small.address.lower())


def test_pays_what_has_accumulated_since_and_an_older_report_nothing_more(market):
    first = earned(market)
    claim(market, first, market.small, 60 * PAY, 2 * PAY)
    leaves = [make_leaf(market.small, 70 * PAY, 3 * PAY), make_leaf(market.large, 34 * PAY)]
    second = market.settle(leaves, charges={market.alice: 20 * PAY})
    claim(market, second, market.small, 10 * PAY, PAY)
    for report in (first, second):
        found = refused(market.ledger.claim, *market.claim_arguments(report, market.small), sender=market.small)
        assert found == ("NothingToClaim", market.small.address.lower())
    claim(market, second, market.large, 34 * PAY, 0)
    assert market.ledger.claimedFees(market.small) == 70 * PAY
    assert market.ledger.claimedIncentive(market.small) == 3 * PAY
    books = market.ledger.books().dict()
    assert (books["fees"], books["incentives"]) == (0, 0)


def test_one_report_pays_the_history_of_many(market):
    earned(market)
    second = market.settle([make_leaf(market.small, 60 * PAY, 4 * PAY), make_leaf(market.large, 34 * PAY)])
    claim(market, second, market.small, 60 * PAY, 4 * PAY)


def test_refuses_to_pay_one_provider_twice_over_by_lowering_another(market):
    """A dishonest quorum moves 60 from a provider that has claimed it to another; the tokens of others stay."""
    first = earned(market)
    claim(market, first, market.small, 60 * PAY, 2 * PAY)
    robbed = [make_leaf(market.small, 0, 2 * PAY), make_leaf(market.large, 94 * PAY)]
    second = market.settle(robbed, charges={})
    found = refused(market.ledger.claim, *market.claim_arguments(second, market.large), sender=market.large)
    assert found == ("ClaimAboveFunds", 94 * PAY, 34 * PAY)
    claim(market, first, market.large, 34 * PAY, 0)
    moved = [make_leaf(market.small, 0, 0), make_leaf(market.large, 94 * PAY, 2 * PAY)]
    third = market.settle(moved)
    found = refused(market.ledger.claim, *market.claim_arguments(third, market.large), sender=market.large)
    assert found == ("ClaimAboveFunds", 60 * PAY, 0)


def test_claim_owed_pays_verifiers_and_the_treasury_once(market):
    earned(market)
    verifier = market.verifier_accounts[0]
    for payee in (verifier, market.admin):
        balance = market.payment_token.balanceOf(payee)
        tx = market.ledger.claimOwed({"from": payee})
        assert tx.return_value == 2 * PAY and tx.events["OwedClaimed"] == {"payee": payee, "amount": 2 * PAY}
        assert market.payment_token.balanceOf(payee) == balance + 2 * PAY
        found = refused(market.ledger.claimOwed, sender=payee)
        assert found == ("NothingToClaim", payee.address.lower())
    assert market.ledger.books()["owed"] == 0
    found = refused(market.ledger.claimOwed, sender=market.stranger)
    assert found == ("NothingToClaim", market.stranger.address.lower())
