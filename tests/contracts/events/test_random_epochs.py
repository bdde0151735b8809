"""Random epochs: whatever reports, slashes and exits bring, storage is what the events say."""

import random

import pytest
from brownie.exceptions import VirtualMachineError

from tests.contracts.support import reports
from tests.contracts.support.act import tried
from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.rebuilt_judgement import agree
from tests.contracts.support.reports import make_leaf


@pytest.mark.parametrize("seed", [4, 5])
def test_after_random_epochs_storage_is_what_the_events_say(market, seed):
    """Epochs of random reports, stakes, exits, caps, slashes and contests."""
    rng, m = random.Random(seed), market
    m.delegation.delegate(m.small, 200 * STAKE, {"from": m.dora})
    fees = dict.fromkeys((m.small, m.large), 0)
    for epoch in range(4):
        for _ in range(12):
            small_act(rng, m)
        charges = {m.alice: rng.randint(1, 20 * PAY), m.bob: rng.randint(1, 20 * PAY)}
        total = sum(charges.values())
        for provider in fees:
            fees[provider] += total * rng.randint(0, 40) // 100
        pages = reports.harm_pages({m.alice: rng.randint(1, 9), m.bob: rng.randint(1, 9)}, size=rng.choice((1, 2)))
        levels = [rng.choice((0, 2, 3, 4)), rng.choice((0, 0, 5))]
        leaves = [make_leaf(p, fees[p], (epoch + 1) * PAY, level=v) for p, v in zip(fees, levels, strict=True)]
        harms = {m.small: reports.harm_root(pages)} if levels[0] else {}
        pools = {m.small: rng.randint(1, PAY)}
        try:
            report = m.settle(leaves, charges=charges, pools=pools, harms=harms, treasury=total // 100)
        except VirtualMachineError as refused:
            assert "ChargeAbove" in str(refused) or "TotalAboveLimit" in str(refused)
            break
        judged(rng, m, report, levels[0], pages)
        agree(m)
        for provider in fees:
            tried(m.ledger.claim, *m.claim_arguments(report, provider), m.stranger)
    agree(m)


def small_act(rng, m):
    """Do something that anybody might do at any time, by a random amount."""
    provider, customer = rng.choice((m.small, m.large)), rng.choice((m.alice, m.bob))
    delegator, amount = rng.choice((m.dora, m.egon)), rng.randint(1, 40 * STAKE)
    who, function, *arguments = rng.choice(
        (
            (provider, m.staking.stake, amount),
            (provider, m.staking.unbond, amount, m.risk(provider)),
            (provider, m.staking.rebond, amount),
            (provider, m.staking.withdraw),
            (provider, m.delegation.setCommission, rng.randint(0, 10**6)),
            (delegator, m.delegation.delegate, provider, amount),
            (delegator, m.delegation.undelegate, provider, amount),
            (delegator, m.delegation.withdraw, provider),
            (delegator, m.delegation.claimRewards, provider),
            (customer, m.escrow.deposit, customer, rng.randint(1, 50 * PAY)),
            (customer, m.escrow.setCap, rng.randint(20 * PAY, 90 * PAY)),
            (customer, m.escrow.requestWithdrawal, rng.randint(1, 9 * PAY)),
            (customer, m.escrow.cancelWithdrawal),
            (customer, m.escrow.withdraw),
        )
    )
    tried(function, *arguments, who)


def judged(rng, m, report, level, pages):
    """Take the slash of a report one of its ways."""
    if level == 0 or not tried(m.court.propose, *m.slash_arguments(report, m.small), m.stranger):
        return
    number = m.court.slashCount()
    way = rng.choice(("executed", "upheld", "overturned", "silent"))
    if way != "executed" and tried(m.court.contest, number, b"\x01" * 32, m.egon):
        if way == "silent":
            m.wait(m.court.arbitrationSeconds())
            tried(m.court.lapse, number, m.stranger)
        else:
            tried(m.court.rule, number, way == "upheld", [], m.arbitrator)
    m.wait_until(m.court.slash(number)["executableAt"])
    if tried(m.court.execute, number, m.stranger):
        for index, page in enumerate(pages):
            m.court.compensate(number, page, reports.page_proof(pages, index), {"from": m.stranger})
