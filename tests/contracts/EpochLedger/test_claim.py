"""claim: what was earned is paid once, never out of what others are due, and never above the limit."""

from dataclasses import replace

import pytest
from brownie.exceptions import VirtualMachineError

from tests.contracts.EpochClock.values import LIMITS, changed
from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf, words


def earned(market):
    return market.settle(
        [make_leaf(market.small, 60 * PAY, 2 * PAY), make_leaf(market.large, 34 * PAY)],
        charges={market.alice: 100 * PAY},
        payees={market.verifier_accounts[0]: 2 * PAY},
        treasury=2 * PAY,
    )


def refusal(market, report, provider):
    return refused(market.ledger.claim, *market.claim_arguments(report, provider), sender=provider)


def claim(market, report, provider, fees, incentive):
    """Claim for a provider, by somebody else, and check that exactly this much reached the provider."""
    balance, held = market.payment_token.balanceOf(provider), market.payment_token.balanceOf(market.ledger)
    books, through = market.ledger.books().dict(), market.ledger.claimedThrough(provider)
    claimed = market.ledger.claimedFees(provider), market.ledger.claimedIncentive(provider)
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
    assert market.ledger.books().dict() == books | {
        "fees": books["fees"] - fees,
        "incentives": books["incentives"] - incentive,
    }
    assert market.ledger.claimedFees(provider) == claimed[0] + fees
    assert market.ledger.claimedIncentive(provider) == claimed[1] + incentive
    assert market.ledger.claimedThrough(provider) == max(through, report.epoch + 1)
    return tx


# ------------------------------------------------------------------------------------------------------------- refusals


def test_refuses_before_activation(market):
    report = market.submitted([make_leaf(market.small, PAY)], charges={market.alice: 2 * PAY})
    assert refusal(market, report, market.small) == ("NotActivated", 0)
    assert refusal(market, replace(report, epoch=5), market.small) == ("NotActivated", 5)


def test_refuses_a_leaf_that_is_not_in_the_root(market):
    report = earned(market)
    epoch, leaf, proof = market.claim_arguments(report, market.small)
    forged = words(replace(market.proof(report, market.small)[0], cumulative_fees=61 * PAY))
    assert refused(market.ledger.claim, epoch, forged, proof, sender=market.small)[:2] == ("NotInRoot", 0)
    other = market.claim_arguments(report, market.large)[1]
    assert refused(market.ledger.claim, epoch, other, [], sender=market.large)[0] == "NotInRoot"
    assert refused(market.ledger.claim, epoch, leaf, [*proof, bytes(32)], sender=market.small)[0] == "NotInRoot"
    assert refused(market.ledger.claim, epoch, leaf[::-1], proof, sender=market.small)[0] == "NotInRoot"


def test_refuses_a_leaf_of_which_any_bit_is_another(market):
    """Also the bits that no leaf has: what is claimed is exactly what was published."""
    report = earned(market)
    epoch, leaf, proof = market.claim_arguments(report, market.small)
    for word in range(2):
        for bit in (0, 23, 24, 32, 95, 96, 159, 160, 255):
            changed = list(leaf)
            changed[word] = (int.from_bytes(leaf[word], "big") ^ 1 << bit).to_bytes(32, "big")
            found = refused(market.ledger.claim, epoch, changed, proof, sender=market.small)
            assert found[0] == "NotInRoot", (word, bit)


def test_refuses_an_epoch_beyond_64_bits(market):
    """Its low bits would name an epoch that is activated."""
    report = earned(market)
    data = bytearray.fromhex(market.ledger.claim.encode_input(*market.claim_arguments(report, market.small))[2:])
    data[4 + 32 - 9] = 1
    with pytest.raises(VirtualMachineError):
        market.stranger.transfer(market.ledger, 0, data="0x" + data.hex())
    claim(market, report, market.small, 60 * PAY, 2 * PAY)


def test_refuses_every_leaf_of_a_report_without_any(market):
    market.settle()
    leaf = words(make_leaf(market.small, PAY))
    assert refused(market.ledger.claim, 0, leaf, [], sender=market.small)[:2] == ("NotInRoot", 0)


def test_refuses_an_inner_node_as_a_leaf(market):
    """A tree of three: its root is the pair of an inner node and a leaf. No leaf hashes to the inner node."""
    leaves = [make_leaf(f"0x{i + 1:040x}", 0, PAY) for i in range(3)]
    report = market.settle(leaves)
    leaf = words(report.leaves[0])
    _, _, proof = market.claim_arguments(report, report.leaves[2].provider)
    assert len(proof) == 1
    assert refused(market.ledger.claim, 0, leaf, proof, sender=market.small)[0] == "NotInRoot"


def test_refuses_the_leaf_of_another_epoch(market):
    first = earned(market)
    second = market.settle(first.leaves)
    _, leaf, proof = market.claim_arguments(first, market.small)
    found = refused(market.ledger.claim, second.epoch, leaf, proof, sender=market.small)
    assert found[:2] == ("NotInRoot", 1)


def test_a_second_claim_pays_nothing(market):
    report = earned(market)
    claim(market, report, market.small, 60 * PAY, 2 * PAY)
    assert refusal(market, report, market.small) == ("NothingToClaim", market.small.address.lower())


# --------------------------------------------------------------------------------------------------------------- limits


def test_refuses_more_than_the_limit_for_the_epochs_since_the_last_claim(market):
    """At most 10 per epoch: 30.000001 wait for four epochs, 30 for three."""
    market.clock.setLimits(changed(LIMITS, 2, 10 * PAY), {"from": market.admin})
    leaves = [make_leaf(market.small, 30 * PAY), make_leaf(market.large, 30 * PAY + 1)]
    reports = [market.settle(leaves, charges={market.alice: 70 * PAY})]
    for epochs in (1, 2):
        assert refusal(market, reports[-1], market.small) == ("ClaimAboveLimit", 30 * PAY, epochs * 10 * PAY)
        reports.append(market.settle(leaves))
    claim(market, reports[2], market.small, 30 * PAY, 0)
    assert refusal(market, reports[2], market.large) == ("ClaimAboveLimit", 30 * PAY + 1, 30 * PAY)
    reports.append(market.settle(leaves))
    claim(market, reports[3], market.large, 30 * PAY + 1, 0)


def test_counts_the_epochs_of_the_limit_from_the_last_claim_and_never_below_none(market):
    market.clock.setLimits(changed(LIMITS, 2, 10 * PAY), {"from": market.admin})
    first = market.settle([make_leaf(market.small, 10 * PAY)], charges={market.alice: 40 * PAY})
    claim(market, first, market.small, 10 * PAY, 0)
    second = market.settle([make_leaf(market.small, 20 * PAY + 1)], charges={market.alice: 40 * PAY})
    assert refusal(market, second, market.small) == ("ClaimAboveLimit", 10 * PAY + 1, 10 * PAY)
    third = market.settle(second.leaves)
    claim(market, third, market.small, 10 * PAY + 1, 0)
    # a dishonest quorum lowers it and raises it again, so that an older report promises more than was claimed
    fourth = market.settle([make_leaf(market.small, 20 * PAY + 1, PAY)])
    claim(market, fourth, market.small, 0, PAY)
    assert refusal(market, third, market.small) == ("NothingToClaim", market.small.address.lower())


def test_an_older_report_than_the_last_claimed_pays_nothing_more_under_any_limit(market):
    """A dishonest quorum lowers a provider after a high leaf; having claimed the low one it may not go back."""
    high = market.settle([make_leaf(market.small, 20 * PAY)], charges={market.alice: 30 * PAY})
    low = market.settle([make_leaf(market.small, 5 * PAY), make_leaf(market.large, 15 * PAY)])
    claim(market, low, market.small, 5 * PAY, 0)
    assert refusal(market, high, market.small) == ("ClaimAboveLimit", 15 * PAY, 0)


def test_a_limit_that_was_raised_counts_at_once_and_one_that_was_lowered_from_the_next_activation(market):
    market.clock.setLimits(changed(LIMITS, 2, 10 * PAY), {"from": market.admin})
    leaves = [make_leaf(market.small, 20 * PAY), make_leaf(market.large, 8 * PAY)]
    first = market.settle(leaves, charges={market.alice: 40 * PAY})
    assert refusal(market, first, market.small) == ("ClaimAboveLimit", 20 * PAY, 10 * PAY)
    market.clock.setLimits(changed(LIMITS, 2, 20 * PAY), {"from": market.admin})
    claim(market, first, market.small, 20 * PAY, 0)
    market.clock.setLimits(changed(LIMITS, 2, 4 * PAY - 1), {"from": market.admin})
    second = market.settle(leaves)
    assert refusal(market, second, market.large) == ("ClaimAboveLimit", 8 * PAY, 2 * (4 * PAY - 1))
    third = market.settle(leaves)
    claim(market, third, market.large, 8 * PAY, 0)


@pytest.mark.parametrize("amount", [1, 2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("limit", [1, 3, 4, 8])
def test_the_limit_is_exact_whatever_power_of_two_is_remembered(market, amount, limit):
    market.clock.setLimits(changed(LIMITS, 2, limit), {"from": market.admin})
    report = market.settle([make_leaf(market.small, amount)], charges={market.alice: PAY})
    if amount > limit:
        assert refusal(market, report, market.small) == ("ClaimAboveLimit", amount, limit)
    else:
        claim(market, report, market.small, amount, 0)


# ------------------------------------------------------------------------------------------------------ what others own


def test_refuses_to_pay_one_provider_twice_over_by_lowering_another(market):
    """A dishonest quorum moves 60 from a provider that has claimed it to another; the tokens of others stay."""
    first = earned(market)
    claim(market, first, market.small, 60 * PAY, 2 * PAY)
    second = market.settle([make_leaf(market.small, 0, 2 * PAY), make_leaf(market.large, 94 * PAY)])
    assert refusal(market, second, market.large) == ("ClaimAboveFunds", 94 * PAY, 34 * PAY)
    claim(market, first, market.large, 34 * PAY, 0)
    third = market.settle([make_leaf(market.small, 0, 0), make_leaf(market.large, 94 * PAY, 2 * PAY)])
    assert refusal(market, third, market.large) == ("ClaimAboveFunds", 60 * PAY, 0)


def test_incentives_are_never_paid_out_of_fees(market):
    first = market.settle([make_leaf(market.small, 60 * PAY, 2 * PAY)], charges={market.alice: 100 * PAY})
    claim(market, first, market.small, 60 * PAY, 2 * PAY)
    second = market.settle(
        [make_leaf(market.small, 60 * PAY, 0), make_leaf(market.large, 30 * PAY, 2 * PAY)],
        charges={market.alice: 50 * PAY},
    )
    assert refusal(market, second, market.large) == ("ClaimAboveFunds", 2 * PAY, 0)


# -------------------------------------------------------------------------------------------------------------- payment


def test_pays_what_has_accumulated_since_and_an_older_report_nothing_more(market):
    first = earned(market)
    claim(market, first, market.small, 60 * PAY, 2 * PAY)
    leaves = [make_leaf(market.small, 70 * PAY, 3 * PAY), make_leaf(market.large, 34 * PAY)]
    second = market.settle(leaves, charges={market.alice: 20 * PAY})
    claim(market, second, market.small, 10 * PAY, PAY)
    for report in (first, second):
        assert refusal(market, report, market.small) == ("NothingToClaim", market.small.address.lower())
    claim(market, second, market.large, 34 * PAY, 0)
    assert market.ledger.claimedFees(market.small) == 70 * PAY
    assert market.ledger.claimedIncentive(market.small) == 3 * PAY
    books = market.ledger.books().dict()
    assert (books["fees"], books["incentives"]) == (0, 0)


def test_one_report_pays_the_history_of_many_and_an_older_one_a_part_of_it(market):
    first = earned(market)
    second = market.settle([make_leaf(market.small, 60 * PAY, 4 * PAY), make_leaf(market.large, 34 * PAY)])
    claim(market, first, market.small, 60 * PAY, 2 * PAY)
    claim(market, second, market.small, 0, 2 * PAY)
    claim(market, second, market.large, 34 * PAY, 0)


def test_pays_while_the_market_is_paused(market):
    report = earned(market)
    market.pause()
    claim(market, report, market.large, 34 * PAY, 0)
