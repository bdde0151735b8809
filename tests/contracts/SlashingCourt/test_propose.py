"""propose: which leaves open a slash, and of what size."""

from dataclasses import replace

import pytest

from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.refusals import deployment_refused, refused
from tests.contracts.support.reports import harmed_digest, make_leaf, plain

DAY = 24 * 3600
REQUIRED = 200 * STAKE


def settled(market, level, harmed=b"\x00" * 32):
    return market.settle([make_leaf(market.small, level=level, harmed=harmed), make_leaf(market.large)])


def refusal(market, *arguments):
    return refused(market.court.propose, *arguments, sender=market.stranger)


def propose(market, report, customers=(), weights=()):
    arguments = market.slash_arguments(report, market.small, customers, weights)
    return market.court.propose(*arguments, {"from": market.stranger})


def test_refuses_a_report_that_is_not_activated(market):
    report = market.next_report([make_leaf(market.small, level=4)])
    market.submit(report)
    assert refusal(market, *market.slash_arguments(report, market.small)) == ("NotActivated", 0)


def test_refuses_a_leaf_not_in_root(market):
    report = settled(market, 2)
    epoch, _, proof, customers, weights = market.slash_arguments(report, market.small)
    worse = plain(replace(market.proof(report, market.small)[0], slash_level=6))
    found = refusal(market, epoch, worse, proof, customers, weights)
    assert found == ("NotInRoot", 0, market.small.address.lower())


@pytest.mark.parametrize("level", [0, 1])
def test_refuses_levels_that_cost_no_stake(market, level):
    report = settled(market, level)
    assert refusal(market, *market.slash_arguments(report, market.small)) == ("NothingToSlash", level, 2)


def test_refuses_a_level_that_does_not_exist(market):
    report = settled(market, 9)
    assert refusal(market, *market.slash_arguments(report, market.small)) == ("UnknownLevel", 9, 8)


def test_refuses_a_second_for_the_same_provider_and_epoch(market):
    report = settled(market, 3)
    propose(market, report)
    assert refusal(market, *market.slash_arguments(report, market.small)) == ("AlreadyProposed", 1)


def test_refuses_customers_that_the_leaf_does_not_name(market):
    people, weights = [market.alice, market.bob], [3, 1]
    digest = harmed_digest(people, weights)
    report = settled(market, 3, digest)
    found = refusal(market, *market.slash_arguments(report, market.small, [market.stranger], [1]))
    assert found == ("WrongHarmed", harmed_digest([market.stranger], [1]), digest)
    found = refusal(market, *market.slash_arguments(report, market.small, people, [1, 3]))
    assert found == ("WrongHarmed", harmed_digest(people, [1, 3]), digest)
    assert refusal(market, *market.slash_arguments(report, market.small)) == ("WrongHarmed", bytes(32), digest)
    found = refusal(market, *market.slash_arguments(report, market.small, people, [1]))
    assert found == ("LengthMismatch", 2, 1)


def test_refuses_customers_where_the_leaf_names_nobody(market):
    report = settled(market, 3)
    found = refusal(market, *market.slash_arguments(report, market.small, [market.stranger], [1]))
    assert found == ("WrongHarmed", harmed_digest([market.stranger], [1]), bytes(32))


def test_refuses_after_the_statute_and_not_a_second_before(market):
    report = settled(market, 3)
    deadline = market.ledger.record(0)["activatesAt"] + 28 * DAY
    market.wait_until(deadline)
    assert market.court.propose.call(*market.slash_arguments(report, market.small), {"from": market.stranger}) == 1
    market.wait_until(deadline + 1)
    found = refusal(market, *market.slash_arguments(report, market.small))
    assert found == ("OutOfStatute", deadline, deadline + 1)


@pytest.mark.parametrize(("level", "percent"), [(2, 1), (3, 2), (4, 4), (5, 10), (6, 20), (7, 10), (8, 10)])
def test_sizes_are_those_of_the_matrix(market, level, percent):
    report = settled(market, level)
    tx = propose(market, report)
    assert market.court.levelPpm(level) == percent * 10_000
    assert tx.return_value == 1 == market.court.slashCount() == market.court.slashOf(market.small, 0)
    assert dict(tx.events["SlashProposed"]) == {
        "id": 1,
        "provider": market.small,
        "epoch": 0,
        "level": level,
        "amount": REQUIRED * percent // 100,
        "executableAt": tx.timestamp + 6,
    }
    assert "SlashCut" not in tx.events
    slash = market.court.slash(1).dict()
    assert (slash["provider"], slash["epoch"], slash["level"]) == (market.small, 0, level)
    assert (slash["proposedAt"], slash["executableAt"]) == (tx.timestamp, tx.timestamp + 6)
    assert (slash["amount"], slash["taken"], slash["executedAt"]) == (REQUIRED * percent // 100, 0, 0)


def test_levels_below_two_have_no_size(market):
    assert [market.court.levelPpm(level) for level in (0, 1)] == [0, 0]
    assert refused(market.court.levelPpm, 9, sender=market.stranger) == ("UnknownLevel", 9, 8)


def test_cuts_availability_slashes_at_ten_percent_in_thirty_days(market):
    """4 + 4 + 4: the third is cut to 2, a fourth to nothing; an outage beside them is not. After 30 days all is new."""
    amounts, cuts, first = [], [], None
    for level in (4, 4, 4, 2, 5):
        tx = propose(market, settled(market, level))
        first = tx if first is None else first
        amounts.append(tx.events["SlashProposed"]["amount"] * 100 // REQUIRED)
        cuts += [(cut["full"], cut["amount"]) for cut in tx.events["SlashCut"]] if "SlashCut" in tx.events else []
    assert amounts == [4, 4, 2, 0, 10]
    percent = REQUIRED // 100
    assert cuts == [(4 * percent, 2 * percent), (percent, 0)]
    assert market.court.availabilityLeftPpm(market.small) == 0
    assert market.court.availabilityLeftPpm(market.large) == 100_000, "a window of its own"
    market.wait_until(first.timestamp + 30 * DAY - 1)
    assert market.court.availabilityLeftPpm(market.small) == 0
    market.wait_until(first.timestamp + 30 * DAY)
    assert market.court.availabilityLeftPpm(market.small) == 40_000
    market.wait(300)
    assert market.court.availabilityLeftPpm(market.small) == 100_000


def test_refuses_to_be_deployed_beside_contracts_that_obey_another_court(market, built):
    links = (market.stake_token, market.staking, market.escrow, market.ledger)
    found = deployment_refused(built.SlashingCourt, *links, (6,), sender=market.stranger)
    assert found[:3] == ("WrongLink", "staking.court", market.court.address.lower())


def test_refuses_to_be_deployed_with_a_window_longer_than_stake_can_be_reached(market, built, deploy_script):
    from brownie import web3

    nonce = web3.eth.get_transaction_count(market.admin.address)
    ledger, staking, escrow, court = (deploy_script.created_address(market.admin.address, nonce + i) for i in range(4))
    stake, pay, sender = market.stake_token, market.payment_token, {"from": market.admin}
    rules = tuple(market.ledger.rules())
    others = (escrow, market.verifiers, market.admin, market.authority)
    assert built.EpochLedger.deploy(pay, *others, (1, 60, 4, 0), rules, sender) == ledger
    assert built.ProviderStaking.deploy(stake, ledger, court, (70, 1), sender) == staking
    assert built.JobEscrow.deploy(pay, stake, ledger, court, (130,), sender) == escrow
    found = deployment_refused(built.SlashingCourt, stake, staking, escrow, ledger, (7,), sender=market.admin)
    assert found == ("OutOfBounds", "unbondingSeconds", 70, 71, 2**64 - 1)
    assert built.SlashingCourt.deploy(stake, staking, escrow, ledger, (6,), sender) == court


def test_a_slash_needs_no_claimed_fees_and_leaves_claims_alone(market):
    report = market.settle([make_leaf(market.small, 9 * PAY, level=4)], charges={market.alice: 10 * PAY})
    propose(market, report)
    balance = market.payment_token.balanceOf(market.small)
    market.ledger.claim(*market.claim_arguments(report, market.small), {"from": market.small})
    assert market.payment_token.balanceOf(market.small) == balance + 9 * PAY
