"""One epoch from stake to slash, with every token accounted for."""

from contracts.types import Leaf
from tests.contracts.support.market import BURN_ADDRESS, CPU, PAY, STAKE
from tests.contracts.support.reports import PPM, harmed_digest, make_leaf


def test_stake_deposit_serve_report_activate_claim_and_slash(market):
    """A customer pays 80 for work of two providers. The worse was up 40 % of the time: its customer gets all it paid
    to it back, and half of a slash of 4 % of the required stake."""
    customer, good, bad = market.fresh, market.small, market.stranger

    # stake
    market.register(bad, CPU, 1)
    market.staking.stake(200 * STAKE, {"from": bad})
    assert market.staking.isActive(good) and market.staking.isActive(bad)

    # deposit and cap
    market.escrow.deposit(customer, 100 * PAY, {"from": customer})
    market.escrow.setCap(80 * PAY, {"from": customer})

    # the report: 60 went to the good provider, 20 to the bad one
    weights = [20 * PAY]
    down = Leaf(bad.address.lower(), 0, 0, 400_000, 15, 900_000, PPM, 500_000, 1, 4, harmed_digest([customer], weights))
    report = market.next_report(
        [make_leaf(good, 564 * PAY // 10, 3 * PAY), down],
        charges={customer: 80 * PAY},
        credits={(customer, bad): 20 * PAY},
        payees={verifier: 8 * PAY // 10 for verifier in market.verifier_accounts[:2]},
        treasury=16 * PAY // 10,
        from_fund=12 * PAY // 10,
    )
    assert report.totals.sla_fund_in == 16 * PAY // 10, (
        "its share of the charges; the bad provider's fees pay the credit"
    )
    market.submit(report)
    assert market.escrow.customer(customer)["balance"] == 20 * PAY

    # activation pushes the credit
    market.activate(report)
    assert market.escrow.customer(customer)["balance"] == 40 * PAY

    # the good provider is paid, the bad one has nothing to claim
    balance = market.payment_token.balanceOf(good)
    market.ledger.claim(*market.claim_arguments(report, good), {"from": good})
    assert market.payment_token.balanceOf(good) == balance + 564 * PAY // 10 + 3 * PAY
    for payee in (*market.verifier_accounts[:2], market.admin):
        market.ledger.claimOwed({"from": payee})
    assert sum(market.ledger.books()) == market.ledger.incentiveFund() == 47 * PAY

    # the slash: 4 % of 200 is 8: 4 to the customer, 2.4 burned, 1.6 to the fund
    burned = market.stake_token.balanceOf(BURN_ADDRESS)
    market.court.propose(*market.slash_arguments(report, bad, [customer], weights), {"from": good})
    market.wait(7)
    market.court.execute(1, [customer.address], weights, {"from": good})
    assert market.staking.provider(bad)["stake"] == 192 * STAKE and not market.staking.isActive(bad)
    assert market.stake_token.balanceOf(BURN_ADDRESS) == burned + 24 * STAKE // 10
    assert market.escrow.stakeSlaFund() == 16 * STAKE // 10
    wealth = market.stake_token.balanceOf(customer)
    market.escrow.withdrawCompensation({"from": customer})
    assert market.stake_token.balanceOf(customer) == wealth + 4 * STAKE

    # everybody leaves with what is theirs
    market.escrow.requestWithdrawal(40 * PAY, {"from": customer})
    market.staking.unbond(192 * STAKE, {"from": bad})
    market.wait(131)
    money, stake = market.payment_token.balanceOf(customer), market.stake_token.balanceOf(bad)
    market.escrow.withdraw({"from": customer})
    market.staking.withdraw({"from": bad})
    assert market.payment_token.balanceOf(customer) == money + 40 * PAY
    assert market.stake_token.balanceOf(bad) == stake + 192 * STAKE
