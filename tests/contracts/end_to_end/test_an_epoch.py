"""One epoch from stake to slash, with every token accounted for."""

from tests.contracts.support.market import BURN_ADDRESS, CPU, PAY, STAKE
from tests.contracts.support.reports import harm_pages, harm_root, make_leaf, page_proof


def test_stake_deposit_serve_report_activate_claim_and_slash(market):
    """A customer pays 80 for work of two providers. The worse was up 40 % of the time: its customer gets all it paid
    to it back, and half of a slash of 4 % of the required stake. A delegator shares in the incentive of the better."""
    customer, good, bad = market.fresh, market.small, market.stranger

    # stake
    market.register(bad, CPU, 1)
    market.staking.stake(200 * STAKE, {"from": bad})
    assert market.staking.isActive(good) and market.staking.isActive(bad)
    market.delegation.delegate(good, 250 * STAKE, {"from": market.dora})

    # deposit and cap
    market.escrow.deposit(customer, 100 * PAY, {"from": customer})
    market.escrow.setCap(80 * PAY, {"from": customer})

    # the report: 60 went to the good provider, 20 to the bad one
    pages = harm_pages({customer: 20 * PAY})
    down = make_leaf(bad, level=4, uptime_ppm=400_000, ttft_p95_bucket=15, score_ppm=500_000, strikes=1)
    report = market.next_report(
        [make_leaf(good, 564 * PAY // 10, 2 * PAY), down],
        charges={customer: 80 * PAY},
        credits={(customer, bad): 20 * PAY},
        payees={verifier: 8 * PAY // 10 for verifier in market.verifier_accounts[:2]},
        pools={good: PAY},
        harms={bad: harm_root(pages)},
        treasury=16 * PAY // 10,
        from_fund=12 * PAY // 10,
    )
    assert report.totals.sla_fund_in == 16 * PAY // 10, (
        "its share of the charges; the bad provider's fees pay the credit"
    )
    market.submit(report)
    assert market.escrow.customer(customer)["balance"] == 100 * PAY, "the signed part alone moves nobody's money"
    market.complete(report)
    assert market.escrow.customer(customer)["balance"] == 20 * PAY

    # activation opens the claims; credits and delegators' rewards are pushed
    market.activate(report)
    market.push(report)
    assert market.escrow.customer(customer)["balance"] == 40 * PAY

    # the good provider is paid, its delegator too, the bad one has nothing to claim
    balance = market.payment_token.balanceOf(good)
    market.ledger.claim(*market.claim_arguments(report, good), {"from": good})
    assert market.payment_token.balanceOf(good) == balance + 564 * PAY // 10 + 2 * PAY
    balance = market.payment_token.balanceOf(market.dora)
    market.delegation.claimRewards(good, {"from": market.dora})
    assert market.payment_token.balanceOf(market.dora) == balance + PAY
    for payee in (*market.verifier_accounts[:2], market.admin):
        market.ledger.claimOwed({"from": payee})
    assert sum(market.ledger.books()) == market.ledger.incentiveFund() == 47 * PAY

    # the slash: 4 % of 200 is 8: 4 to the customer, 2.4 burned, 1.6 to the fund; the proposer has its bond back
    burned, bond = market.stake_token.balanceOf(BURN_ADDRESS), market.stake_token.balanceOf(good)
    slash = market.propose(report, bad, proposer=good)
    market.execute(slash)
    market.court.compensate(slash, pages[0], page_proof(pages, 0), {"from": good})
    assert market.stake_token.balanceOf(good) == bond
    assert market.staking.provider(bad)["stake"] == 192 * STAKE and not market.staking.isActive(bad)
    assert market.stake_token.balanceOf(BURN_ADDRESS) == burned + 24 * STAKE // 10
    assert market.escrow.stakeSlaFund() == 16 * STAKE // 10
    wealth = market.stake_token.balanceOf(customer)
    market.escrow.withdrawCompensation({"from": customer})
    assert market.stake_token.balanceOf(customer) == wealth + 4 * STAKE

    # everybody leaves with what is theirs
    market.escrow.requestWithdrawal(40 * PAY, {"from": customer})
    market.staking.unbond(192 * STAKE, market.risk(bad, report), {"from": bad})
    market.delegation.undelegate(good, 250 * STAKE, {"from": market.dora})
    market.wait(140)
    money, stake = market.payment_token.balanceOf(customer), market.stake_token.balanceOf(bad)
    delegated = market.stake_token.balanceOf(market.dora)
    market.escrow.withdraw({"from": customer})
    market.staking.withdraw({"from": bad})
    market.delegation.withdraw(good, {"from": market.dora})
    assert market.payment_token.balanceOf(customer) == money + 40 * PAY
    assert market.stake_token.balanceOf(bad) == stake + 192 * STAKE
    assert market.stake_token.balanceOf(market.dora) == delegated + 250 * STAKE
