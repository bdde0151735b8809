"""submit: which reports the ledger takes in, in which order, and what it keeps of them."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from contracts.types import Charge, Harm
from tests.contracts.EpochClock.values import LIMITS, RULES, changed
from tests.contracts.support import reports
from tests.contracts.support.market import PAY, VERIFIER_KEYS
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf, plain, with_totals

DIGITS = "0x" + 40 * "{0}"


def ordinary(market, **parts):
    """Return a correct report: 100 charged, 94 earned, 2 to verifiers, 2 to the treasury, 2 to the SLA fund."""
    given = {
        "charges": {market.alice: 70 * PAY, market.bob: 30 * PAY},
        "payees": {v: PAY for v in market.verifier_accounts[:2]},
        "treasury": 2 * PAY,
    } | parts
    return market.next_report([make_leaf(market.small, 60 * PAY, 2 * PAY), make_leaf(market.large, 34 * PAY)], **given)


def signed(market, report):
    return reports.signed(*market.ground, report)


def refusal(market, report, signatures=None):
    """Return how a report is refused once its epoch has ended."""
    market.end_of(report.epoch)
    signatures = market.sign(report) if signatures is None else signatures
    return refused(market.ledger.submit, signed(market, report), signatures, sender=market.stranger)


# ---------------------------------------------------------------------------------------------------------------- order


def test_refuses_a_report_before_the_clock_is_opened(unopened):
    report = unopened.next_report()
    found = refused(unopened.ledger.submit, signed(unopened, report), unopened.sign(report), sender=unopened.stranger)
    assert found == ("NotOpen",)


def test_refuses_a_report_while_the_market_is_paused(market):
    market.end_of(0)
    market.pause()
    report = ordinary(market)
    assert refusal(market, report) == ("StillPaused", market.guardian.pausedUntil())
    market.guardian.unpause({"from": market.pauser})
    market.submit(report)


def test_refuses_a_report_of_a_running_epoch_to_the_second(market):
    report, end = ordinary(market), market.clock.epochEnd(0)
    market.wait_until(end - 1)
    found = refused(market.ledger.submit, signed(market, report), market.sign(report), sender=market.stranger)
    assert found == ("EpochRunning", 0, end, end - 1)


def test_refuses_an_epoch_out_of_order_or_twice(market):
    assert refusal(market, replace(ordinary(market), epoch=1)) == ("WrongEpoch", 1, 0)
    report = ordinary(market)
    market.submit(report)
    assert refusal(market, report) == ("WrongEpoch", 0, 1)


def test_refuses_a_report_that_follows_another_than_the_last(market):
    wrong = keccak(text="another")
    assert refusal(market, replace(ordinary(market), previous=wrong)) == ("WrongPrevious", wrong, bytes(32))
    first = market.submitted([make_leaf(market.small, PAY)], charges={market.alice: 2 * PAY})
    second = replace(market.next_report(first.leaves), previous=bytes(32))
    expected = reports.struct_hash(*market.ground, first)
    assert refusal(market, second) == ("WrongPrevious", bytes(32), expected)


def test_refuses_a_report_before_the_one_before_is_complete(market):
    first = ordinary(market)
    market.submit(first)
    second = market.next_report(first.leaves)
    assert refusal(market, second) == ("Incomplete", 0)
    market.ledger.publishLeaves(*reports.leaves_arguments(*market.ground, first), {"from": market.stranger})
    assert refusal(market, second) == ("Incomplete", 0)
    market.ledger.takeCharges(*reports.charges_arguments(first), {"from": market.stranger})
    market.submit(second)


def test_refuses_the_65th_report_that_waits(market):
    market.wait_until(market.clock.epochEnd(64))
    for _ in range(64):
        last = market.next_report()
        market.ledger.submit(signed(market, last), market.sign(last), {"from": market.stranger})
        market.last_report = last
    report = market.next_report()
    assert refusal(market, report) == ("TooManyWaiting", 64, 64)
    empty = reports.make_report(0)
    market.wait_until(market.ledger.record(0)["activatesAt"])
    market.ledger.activate(*market.activation(empty), {"from": market.stranger})
    market.submit(report)
    assert (market.ledger.nextEpoch(), market.ledger.nextActivation()) == (65, 1)


def test_refuses_a_report_without_evidence(market):
    assert refusal(market, replace(ordinary(market), evidence=bytes(32))) == ("ZeroEvidence",)


def test_refuses_harms_twice_or_out_of_order(market):
    one, other = (Harm(DIGITS.format(digit), keccak(text=digit)) for digit in "12")
    found = refusal(market, replace(ordinary(market), harms=(other, one)))
    assert found == ("HarmsNotAscending", other.provider, one.provider)
    found = refusal(market, replace(ordinary(market), harms=(one, one)))
    assert found == ("HarmsNotAscending", one.provider, one.provider)


def test_refuses_a_root_over_no_leaves(market):
    report = market.next_report()
    wrong = list(signed(market, report))
    wrong[8] = reports.leaf_hash(*market.ground, 0, make_leaf(market.small, PAY))
    signatures = reports.signatures_of(*market.ground, tuple(wrong), VERIFIER_KEYS[:2])
    market.end_of(0)
    found = refused(market.ledger.submit, tuple(wrong), signatures, sender=market.stranger)
    assert found == ("WrongChunkHash", wrong[8], bytes(32))


def test_refuses_a_report_without_leaves_once_something_was_earned(market):
    market.submitted([make_leaf(market.small, PAY)], charges={market.alice: 2 * PAY})
    report = with_totals(market.next_report(), provider_fees=0, sla_fund_in=0)
    assert refusal(market, report) == ("WrongSum", "leaves.cumulativeFees", PAY, 0)


# --------------------------------------------------------------------------------------------------------------- totals


def test_refuses_totals_that_do_not_balance(market):
    report = ordinary(market)
    inflow = report.totals.charged
    found = refusal(market, with_totals(report, sla_fund_in=report.totals.sla_fund_in + 1))
    assert found == ("TotalsUnbalanced", inflow, inflow + 1)
    found = refusal(market, with_totals(report, treasury=report.totals.treasury - 1))
    assert found == ("TotalsUnbalanced", inflow, inflow - 1)


def test_refuses_shares_above_those_of_the_rules(market):
    found = refusal(market, ordinary(market, treasury=2 * PAY + 1))
    assert found == ("TotalAboveLimit", "treasury", 2 * PAY + 1, 2 * PAY)
    found = refusal(market, ordinary(market, payees={market.verifier_accounts[0]: 2 * PAY + 1}))
    assert found == ("TotalAboveLimit", "verifierFees", 2 * PAY + 1, 2 * PAY)
    greedy = market.next_report([make_leaf(market.small, 94 * PAY + 1)], charges={market.alice: 100 * PAY})
    assert refusal(market, greedy) == ("TotalAboveLimit", "providerFees", 94 * PAY + 1, 94 * PAY)


def test_refuses_charges_above_the_limit_that_holds_now(market):
    market.clock.setLimits(changed(LIMITS, 0, 100 * PAY - 1), {"from": market.admin})
    assert refusal(market, ordinary(market)) == ("TotalAboveLimit", "charged", 100 * PAY, 100 * PAY - 1)
    market.clock.setLimits(changed(LIMITS, 0, 100 * PAY), {"from": market.admin})
    market.submit(ordinary(market))


def test_refuses_growth_above_the_limit_over_the_report_before_or_the_floor(market):
    """Floor 10, at most threefold: 30 after nothing, 90 after 30."""
    market.clock.setLimits((10**15, 10 * PAY, 10**15, 3_000_000, 1_000_000), {"from": market.admin})
    found = refusal(market, market.next_report(charges={market.alice: 30 * PAY + 1}))
    assert found == ("TotalAboveLimit", "growth", 30 * PAY + 1, 30 * PAY)
    market.submitted(charges={market.alice: 30 * PAY})
    found = refusal(market, market.next_report(charges={market.alice: 90 * PAY + 1}))
    assert found == ("TotalAboveLimit", "growth", 90 * PAY + 1, 90 * PAY)
    market.submitted(charges={market.alice: 90 * PAY})


def test_refuses_incentive_and_pools_together_above_the_rules_or_the_fund(market):
    market.clock.setRules(changed(RULES, 4, 100 * PAY), {"from": market.admin})
    report = market.next_report([make_leaf(market.small, 0, 3 * PAY)], pools={market.small: 2 * PAY + 1})
    assert refusal(market, report) == ("TotalAboveLimit", "incentive", 5 * PAY + 1, 5 * PAY)
    market.settle()
    report = market.next_report([make_leaf(market.small, 0, 49 * PAY)], pools={market.small: PAY + 1})
    assert refusal(market, report) == ("TotalAboveLimit", "incentive", 50 * PAY + 1, 50 * PAY)
    market.submit(market.next_report([make_leaf(market.small, 0, 49 * PAY)], pools={market.small: PAY}))
    assert market.ledger.incentiveFund() == 0


def test_refuses_to_take_more_from_the_sla_fund_than_waiting_reports_leave_in_it(market):
    """The fund holds 10. A waiting report takes 8; of the other 2 plus an inflow of its own a second may take all."""
    pair = (market.alice, market.small)
    first = market.submitted(credits={pair: 8 * PAY}, from_fund=8 * PAY)
    over = market.next_report(credits={pair: 2 * PAY + 1}, from_fund=2 * PAY + 1)
    assert refusal(market, over) == ("TotalAboveLimit", "creditsFromFund", 2 * PAY + 1, 2 * PAY)
    second = market.submitted(charges={market.bob: PAY}, credits={pair: 3 * PAY}, from_fund=3 * PAY)
    market.activate(first)
    market.activate(second)
    assert market.escrow.slaFund() == 0


def test_counts_what_waiting_reports_bring_to_the_sla_fund(market):
    first = market.submitted(charges={market.alice: 5 * PAY})
    pair = (market.alice, market.small)
    over = market.next_report(credits={pair: 15 * PAY + 1}, from_fund=15 * PAY + 1)
    assert refusal(market, over) == ("TotalAboveLimit", "creditsFromFund", 15 * PAY + 1, 15 * PAY)
    second = market.submitted(credits={pair: 15 * PAY}, from_fund=15 * PAY)
    market.activate(first)
    market.activate(second)
    assert market.escrow.slaFund() == 0


def test_refuses_a_fund_part_larger_than_the_credits(market):
    report = market.next_report(credits={(market.alice, market.small): PAY}, from_fund=PAY + 1)
    assert refusal(market, report) == ("TotalAboveLimit", "creditsFromFund", PAY + 1, PAY)


def test_refuses_credits_that_no_slot_holds(market):
    huge = 2**96
    report = market.next_report(credits={(market.alice, market.small): huge}, from_fund=huge)
    assert refusal(market, report) == ("TotalAboveLimit", "credits", huge, huge - 1)


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


@pytest.mark.parametrize(
    "changes",
    [
        {"state": keccak(text="changed")},
        {"rules": keccak(text="changed")},
        {"evidence": keccak(text="changed")},
        {"checkpoint_block": 18},
        {"checkpoint_hash": keccak(text="changed")},
        {"measurements": keccak(text="changed")},
        {"harms": (Harm(DIGITS.format("1"), keccak(text="harm")),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_refuses_a_report_changed_after_it_was_signed(market, changes):
    report = ordinary(market)
    found = refusal(market, replace(report, **changes), market.sign(report))
    assert found[0] in ("NotMember", "SignersNotAscending")


def test_refuses_leaves_or_movements_changed_after_they_were_signed(market):
    report = ordinary(market)
    one, other = report.charges
    shifted = replace(report, charges=(Charge(one.customer, one.amount - 1), Charge(other.customer, other.amount + 1)))
    first, second = report.leaves
    raised = replace(report, leaves=(replace(first, score_ppm=1), second))
    for altered in (shifted, raised, replace(report, payees=()), replace(report, leaves=(first,))):
        assert refusal(market, altered, market.sign(report))[0] in ("NotMember", "SignersNotAscending")


def test_refuses_the_second_form_of_a_signature_and_what_is_none(market):
    report = ordinary(market)
    first, second = market.sign(report)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = order - int.from_bytes(first[32:64], "big")
    mirrored = first[:32] + s.to_bytes(32, "big") + bytes([55 - first[64]])
    for bad in (mirrored, first[:64], first + b"\0", b"", bytes(65)):
        assert refusal(market, report, [bad, second]) == ("ECDSAInvalidSignature",)


# --------------------------------------------------------------------------------------------------------------- effect


def test_reserves_incentive_and_pools_and_keeps_everything_needed_later(market):
    harm = {market.small: keccak(text="pages")}
    credits = {(market.alice, market.small): 3 * PAY}
    report = ordinary(market, pools={market.small: PAY}, harms=harm, credits=credits, from_fund=2 * PAY)
    report = replace(report, measurements=keccak(text="measured"), leaves=report.leaves)
    report = with_totals(report, provider_fees=93 * PAY, sla_fund_in=report.totals.sla_fund_in + PAY)
    tx = market.submit(report)
    record = market.ledger.record(0).dict()
    assert record["digest"] == "0x" + reports.digest(*market.ground, report).hex()
    assert record["structHash"] == "0x" + reports.struct_hash(*market.ground, report).hex()
    assert record["root"] == "0x" + reports.root_of(*market.ground, report).hex()
    assert record["movements"] == "0x" + reports.movements_hash(report).hex()
    assert record["measurements"] == "0x" + report.measurements.hex()
    assert tuple(record["totals"].values()) == plain(report.totals)
    assert record["signers"] == "0x" + reports.signers_hash(market.signers()).hex()
    assert (record["leafCount"], record["submittedAt"]) == (2, tx.timestamp)
    assert (record["completedAt"], record["activatesAt"], record["activated"]) == (0, 0, False)
    assert (record["sumFees"], record["sumIncentive"]) == (93 * PAY, 2 * PAY)
    assert market.ledger.progress(0) == (0, 0, 0, 0)
    assert (market.ledger.nextEpoch(), market.ledger.nextActivation()) == (1, 0)
    assert market.ledger.harmedRoot(0, market.small) == "0x" + harm[market.small].hex()
    assert market.ledger.harmedRoot(0, market.large) == "0x" + bytes(32).hex()


def test_publishes_everything_that_was_signed_in_events(market):
    harm = {market.small: keccak(text="pages")}
    report = ordinary(market, harms=harm, credits={(market.alice, market.small): PAY}, from_fund=PAY)
    tx = market.submit(report, signers=[0, 1, 2])
    submitted, told = tx.events["ReportSubmitted"], tx.events["ReportSigned"]
    assert (submitted["epoch"], submitted["leafCount"]) == (0, 2)
    assert submitted["digest"] == "0x" + reports.digest(*market.ground, report).hex()
    assert submitted["root"] == "0x" + reports.root_of(*market.ground, report).hex()
    assert submitted["movements"] == "0x" + reports.movements_hash(report).hex()
    for name in ("evidence", "state", "rules", "measurements"):
        assert submitted[name] == "0x" + getattr(report, name).hex(), name
    assert tuple(submitted["totals"]) == plain(report.totals)
    assert [tuple(harm) for harm in submitted["harms"]] == [(market.small, "0x" + harm[market.small].hex())]
    assert told["structHash"] == "0x" + reports.struct_hash(*market.ground, report).hex()
    assert told["previous"] == "0x" + report.previous.hex()
    assert told["checkpointBlock"] == report.checkpoint_block
    assert told["checkpointHash"] == "0x" + report.checkpoint_hash.hex()
    assert list(told["signers"]) == market.signers([0, 1, 2])
    assert "ReportCompleted" not in tx.events


def test_an_empty_report_is_complete_at_once(market):
    tx = market.submit(market.next_report())
    record = market.ledger.record(0)
    assert record["root"] == "0x" + bytes(32).hex() and record["completedAt"] == tx.timestamp
    assert tx.events["ReportCompleted"] == {"epoch": 0, "activatesAt": tx.timestamp + 4}
    assert not market.ledger.verifyLeaf(0, plain(make_leaf(market.small)), [])


def test_tells_nothing_of_an_epoch_without_a_report(market):
    record = market.ledger.record(7)
    assert not any(record["totals"])
    others = [value for name, value in record.dict().items() if name != "totals"]
    assert all(value == "0x" + bytes(32).hex() for value in others[:6]) and not any(others[6:])
    assert market.ledger.progress(7) == (0, 0, 0, 0)
    assert not market.ledger.verifyLeaf(7, plain(make_leaf(market.small)), [])
