"""submit: which reports the ledger takes, and what it does with them."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from contracts.types import Charge
from tests.contracts.support import reports
from tests.contracts.support.market import PAY, VERIFIER_KEYS
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf, plain, with_totals


def ordinary(market, **parts):
    """Return a correct report: 100 charged, 94 earned, 2 to verifiers, 2 to the treasury, 2 to the SLA fund."""
    given = {
        "charges": {market.alice: 70 * PAY, market.bob: 30 * PAY},
        "payees": {v: PAY for v in market.verifier_accounts[:2]},
        "treasury": 2 * PAY,
    } | parts
    return market.next_report([make_leaf(market.small, 60 * PAY, 2 * PAY), make_leaf(market.large, 34 * PAY)], **given)


def refusal(market, report, signatures=None):
    """Return how a report is refused once its epoch has ended."""
    market.end_of(report.epoch)
    signatures = market.sign(report) if signatures is None else signatures
    return refused(market.ledger.submit, plain(report), signatures, sender=market.stranger)


# ---------------------------------------------------------------------------------------------------------------- order


def test_refuses_a_report_before_the_clock_is_opened(unopened):
    report = unopened.next_report()
    found = refused(unopened.ledger.submit, plain(report), unopened.sign(report), sender=unopened.stranger)
    assert found == ("NotOpen",)


def test_refuses_a_report_of_a_running_epoch_to_the_second(market):
    report, end = ordinary(market), market.ledger.epochEnd(0)
    market.wait_until(end - 1)
    found = refused(market.ledger.submit, plain(report), market.sign(report), sender=market.stranger)
    assert found == ("EpochRunning", 0, end, end - 1)


def test_refuses_an_epoch_out_of_order_or_twice(market):
    assert refusal(market, replace(ordinary(market), epoch=1)) == ("WrongEpoch", 1, 0)
    report = ordinary(market)
    market.submit(report)
    assert refusal(market, report) == ("WrongEpoch", 0, 1)


def test_refuses_a_report_that_follows_another_than_the_last(market):
    wrong = keccak(text="another")
    assert refusal(market, replace(ordinary(market), previous=wrong)) == ("WrongPrevious", wrong, bytes(32))
    first = ordinary(market)
    market.submit(first)
    second = replace(market.next_report(first.leaves), previous=bytes(32))
    expected = reports.struct_hash(*market.ground, first)
    assert refusal(market, second) == ("WrongPrevious", bytes(32), expected)


def test_refuses_a_report_without_evidence(market):
    assert refusal(market, replace(ordinary(market), evidence=bytes(32))) == ("ZeroEvidence",)


# ----------------------------------------------------------------------------------------------------------------- sums


def test_refuses_leaves_twice_or_out_of_order(market):
    report = ordinary(market)
    first, second = report.leaves
    found = refusal(market, replace(report, leaves=(second, first)))
    assert found == ("LeavesNotAscending", second.provider, first.provider)
    found = refusal(market, replace(report, leaves=(first, first)))
    assert found == ("LeavesNotAscending", first.provider, first.provider)


@pytest.mark.parametrize("change", [1, -1])
def test_refuses_a_wrong_sum_of_each_kind(market, change):
    report = ordinary(market, credits={(market.alice, market.large): PAY}, from_fund=PAY)
    totals = report.totals

    def found(**changes):
        return refusal(market, with_totals(report, **changes))

    fees, charged = totals.provider_fees, totals.charged
    assert found(provider_fees=fees + change) == ("WrongSum", "leaves.cumulativeFees", fees + change, fees)
    incentive = totals.incentive
    assert found(incentive=incentive + change) == (
        "WrongSum",
        "leaves.cumulativeIncentive",
        incentive + change,
        incentive,
    )
    assert found(charged=charged + change) == ("WrongSum", "charges", charged + change, charged)
    credits, verified = totals.credits, totals.verifier_fees
    assert found(credits=credits + change) == ("WrongSum", "credits", credits + change, credits)
    assert found(verifier_fees=verified + change) == ("WrongSum", "payees", verified + change, verified)


def test_refuses_totals_that_do_not_balance(market):
    report = ordinary(market)
    inflow = report.totals.charged
    found = refusal(market, with_totals(report, sla_fund_in=report.totals.sla_fund_in + 1))
    assert found == ("TotalsUnbalanced", inflow, inflow + 1)
    found = refusal(market, with_totals(report, treasury=report.totals.treasury - 1))
    assert found == ("TotalsUnbalanced", inflow, inflow - 1)


def test_refuses_a_second_report_that_takes_back_what_the_first_gave(market):
    first = ordinary(market)
    market.submit(first)
    leaves = [replace(leaf, cumulative_fees=leaf.cumulative_fees - 1) for leaf in first.leaves]
    second = reports.make_report(1, leaves, previous=reports.struct_hash(*market.ground, first))
    second = with_totals(second, provider_fees=0, sla_fund_in=0)
    assert refusal(market, second) == ("WrongSum", "leaves.cumulativeFees", 94 * PAY, 94 * PAY - 2)


# --------------------------------------------------------------------------------------------------------------- limits


def test_refuses_shares_above_those_of_the_rules(market):
    found = refusal(market, ordinary(market, treasury=2 * PAY + 1))
    assert found == ("TotalAboveLimit", "treasury", 2 * PAY + 1, 2 * PAY)
    found = refusal(market, ordinary(market, payees={market.verifier_accounts[0]: 2 * PAY + 1}))
    assert found == ("TotalAboveLimit", "verifierFees", 2 * PAY + 1, 2 * PAY)
    greedy = market.next_report([make_leaf(market.small, 94 * PAY + 1)], charges={market.alice: 100 * PAY})
    assert refusal(market, greedy) == ("TotalAboveLimit", "providerFees", 94 * PAY + 1, 94 * PAY)


def test_refuses_an_incentive_above_the_rules_or_the_fund(market):
    rules = tuple(market.ledger.rules())
    market.ledger.setRules((*rules[:4], 100 * PAY, *rules[5:]), {"from": market.admin})
    report = market.next_report([make_leaf(market.small, 0, 5 * PAY + 1)])
    assert refusal(market, report) == ("TotalAboveLimit", "incentive", 5 * PAY + 1, 5 * PAY)
    market.settle()
    report = market.next_report([make_leaf(market.small, 0, 50 * PAY + 1)])
    assert refusal(market, report) == ("TotalAboveLimit", "incentive", 50 * PAY + 1, 50 * PAY)
    market.submit(market.next_report([make_leaf(market.small, 0, 50 * PAY)]))
    assert market.ledger.incentiveFund() == 0


def test_refuses_to_take_more_from_the_sla_fund_than_waiting_reports_leave_in_it(market):
    """The fund holds 10. A waiting report takes 8; of the other 2 plus an inflow of its own a second may take all."""
    pair = (market.alice, market.small)
    first = market.next_report(credits={pair: 8 * PAY}, from_fund=8 * PAY)
    market.submit(first)
    over = market.next_report(credits={pair: 2 * PAY + 1}, from_fund=2 * PAY + 1)
    assert refusal(market, over) == ("TotalAboveLimit", "creditsFromFund", 2 * PAY + 1, 2 * PAY)
    second = market.next_report(charges={market.bob: PAY}, credits={pair: 3 * PAY}, from_fund=3 * PAY)
    market.submit(second)
    market.activate(first)
    market.activate(second)
    assert market.escrow.slaFund() == 0


def test_refuses_a_fund_part_larger_than_the_credits(market):
    report = market.next_report(credits={(market.alice, market.small): PAY}, from_fund=PAY + 1)
    assert refusal(market, report) == ("TotalAboveLimit", "creditsFromFund", PAY + 1, PAY)


# ----------------------------------------------------------------------------------------------------------- signatures


def test_refuses_a_signature_less_than_the_quorum(market):
    report = ordinary(market)
    assert refusal(market, report, market.sign(report, [0])) == ("TooFewSigners", 1, 2)
    assert refusal(market, report, []) == ("TooFewSigners", 0, 2)


def test_refuses_a_signer_who_is_no_member(market):
    report, outsider = ordinary(market), market.verifier_accounts[3]
    found = refusal(market, report, market.sign(report, [0, 3]))
    assert found == ("NotMember", outsider.address.lower())


def test_refuses_a_signer_who_has_left(market):
    report, gone = ordinary(market), market.verifier_accounts[0]
    market.verifiers.leave({"from": gone})
    market.verifiers.join("http://x", {"from": market.verifier_accounts[3]})
    found = refusal(market, report, market.sign(report, [0, 1]))
    assert found == ("NotMember", gone.address.lower())


def test_refuses_a_signer_twice(market):
    report, signer = ordinary(market), market.verifier_accounts[0].address.lower()
    found = refusal(market, report, market.sign(report, [0]) * 2)
    assert found == ("SignersNotAscending", signer, signer)


def test_refuses_signatures_for_another_chain_or_another_ledger(market):
    report, (chain_id, ledger) = ordinary(market), market.ground
    for ground in ((chain_id + 1, ledger), (chain_id, market.escrow.address)):
        signatures = reports.signatures(*ground, report, VERIFIER_KEYS[:2])
        assert refusal(market, report, signatures)[0] in ("NotMember", "SignersNotAscending")


@pytest.mark.parametrize("field", ["state", "rules", "checkpoint_hash", "evidence"])
def test_refuses_a_report_changed_after_it_was_signed(market, field):
    report = ordinary(market)
    signatures = market.sign(report)
    found = refusal(market, replace(report, **{field: keccak(text="changed")}), signatures)
    assert found[0] in ("NotMember", "SignersNotAscending")


def test_refuses_movements_changed_after_they_were_signed(market):
    report = ordinary(market)
    signatures = market.sign(report)
    one, other = report.charges
    shifted = replace(report, charges=(Charge(one.customer, one.amount - 1), Charge(other.customer, other.amount + 1)))
    assert refusal(market, shifted, signatures)[0] in ("NotMember", "SignersNotAscending")


def test_refuses_the_second_form_of_a_signature(market):
    report = ordinary(market)
    first, second = market.sign(report)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = order - int.from_bytes(first[32:64], "big")
    mirrored = first[:32] + s.to_bytes(32, "big") + bytes([55 - first[64]])
    assert refusal(market, report, [mirrored, second])[0] == "ECDSAInvalidSignatureS"
    assert refusal(market, report, [first[:64], second])[0] == "ECDSAInvalidSignatureLength"


# -------------------------------------------------------------------------------------------------------------- charges


def test_refuses_a_charge_above_the_cap(market):
    report = market.next_report([], charges={market.bob: 50 * PAY + 1})
    found = refusal(market, report)
    assert found == ("ChargeAboveCap", market.bob.address.lower(), 50 * PAY + 1, 50 * PAY)


def test_refuses_a_charge_above_the_balance(market):
    market.escrow.setCap(900 * PAY, {"from": market.bob})
    report = market.next_report([], charges={market.bob: 500 * PAY + 1})
    found = refusal(market, report)
    assert found == ("ChargeAboveBalance", market.bob.address.lower(), 500 * PAY + 1, 500 * PAY)


# --------------------------------------------------------------------------------------------------------------- effect


def test_takes_the_charges_and_keeps_everything_needed_later(market):
    report = ordinary(market)
    alice, bob = (market.escrow.customer(c)["balance"] for c in (market.alice, market.bob))
    tx = market.submit(report)
    assert market.escrow.customer(market.alice)["balance"] == alice - 70 * PAY
    assert market.escrow.customer(market.bob)["balance"] == bob - 30 * PAY
    record = market.ledger.record(0).dict()
    digest, root = reports.digest(*market.ground, report), reports.root_of(*market.ground, report)
    assert record["digest"] == "0x" + digest.hex() and record["root"] == "0x" + root.hex()
    assert record["structHash"] == "0x" + reports.struct_hash(*market.ground, report).hex()
    assert record["evidence"] == "0x" + report.evidence.hex() and record["state"] == "0x" + report.state.hex()
    assert record["rules"] == "0x" + report.rules.hex() and tuple(record["totals"].values()) == plain(report.totals)
    assert (record["submittedAt"], record["activatesAt"]) == (tx.timestamp, tx.timestamp + 4)
    assert (record["activated"], record["sumFees"], record["sumIncentive"]) == (False, 94 * PAY, 2 * PAY)
    assert (market.ledger.nextEpoch(), market.ledger.nextActivation()) == (1, 0)


def test_publishes_the_whole_report_in_events(market):
    report = ordinary(market, credits={(market.alice, market.small): PAY}, from_fund=PAY)
    tx = market.submit(report, signers=[0, 1, 2])
    submitted, signed = tx.events["ReportSubmitted"], tx.events["ReportSigned"]
    assert tuple(submitted["totals"]) == plain(report.totals)
    assert [leaf[0].lower() for leaf in submitted["leaves"]] == [leaf.provider for leaf in report.leaves]
    assert [tuple(leaf)[1:10] for leaf in submitted["leaves"]] == [plain(leaf)[1:10] for leaf in report.leaves]
    assert submitted["root"] == "0x" + reports.root_of(*market.ground, report).hex()
    assert signed["checkpointBlock"] == report.checkpoint_block
    assert signed["checkpointHash"] == "0x" + report.checkpoint_hash.hex()
    assert sorted(signed["signers"]) == sorted(a.address for a in market.verifier_accounts[:3])
    moved = tx.events["MovementsPublished"]
    assert [(c[0].lower(), c[1]) for c in moved["charges"]] == [plain(c) for c in report.charges]
    assert [(c[0].lower(), c[1].lower(), c[2]) for c in moved["credits"]] == [plain(c) for c in report.credits]
    assert [(p[0].lower(), p[1]) for p in moved["payees"]] == [plain(p) for p in report.payees]


def test_takes_an_empty_report(market):
    report = market.next_report()
    market.submit(report)
    assert market.ledger.record(0)["root"] == "0x" + "00" * 32
    assert not market.ledger.verifyLeaf(0, plain(make_leaf(market.small)), [])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_every_leaf_of_a_tree_of_any_size_verifies_and_no_other(market, count):
    leaves = [make_leaf("0x" + f"{i + 1:040x}", level=i % 9) for i in range(count)]
    report = market.next_report(leaves)
    market.submit(report)
    for leaf in report.leaves:
        proof = reports.proof_of(*market.ground, report, leaf)
        assert market.ledger.leafHash(0, plain(leaf)) == "0x" + reports.leaf_hash(*market.ground, 0, leaf).hex()
        assert market.ledger.verifyLeaf(0, plain(leaf), proof)
        assert not market.ledger.verifyLeaf(0, plain(replace(leaf, cumulative_fees=1)), proof)
        assert not market.ledger.verifyLeaf(1, plain(leaf), proof)
