"""What every challenge asks for: a report, its signers, its leaf, its measurement, and something left to undo."""

from dataclasses import replace

import pytest
from eth_abi import encode
from eth_utils import keccak

from tests.contracts.ChallengeCourt.attested import (
    FULL,
    Case,
    countersign,
    probe_day,
    receipt,
    sign_day,
    sign_receipt,
    signer_key,
    slashed,
    submitted,
    waiting,
    words,
)
from tests.contracts.ChallengeCourt.challenge_acts import LEVEL, bad_day, challenge, refusal
from tests.contracts.SlashingCourt.acts import NOBODY
from tests.contracts.support import reports
from tests.contracts.support.market import PAY, VERIFIER_KEYS
from tests.contracts.support.reports import plain


def rest_of(market, function):
    """Return well-formed arguments after the first three."""
    served = receipt(market.small, 3)
    other = probe_day(market.small, 0, FULL)
    return {
        "challengeSignatures": (),
        "challengeComputation": (),
        "challengeDuty": (3,),
        "challengeVoid": (3, [], []),
        "challengeEquivocation": (0, other, sign_day(market.ground, VERIFIER_KEYS[0], other)),
        "challengeServed": (
            [
                (
                    served,
                    sign_receipt(market.ground, signer_key(market.small), served),
                    *countersign(market.ground, VERIFIER_KEYS[3], served, market.alice, 3),
                )
            ],
        ),
    }[function]


MEASURED = (
    "challengeSignatures",
    "challengeComputation",
    "challengeDuty",
    "challengeVoid",
    "challengeEquivocation",
    "challengeServed",
)
ALL = (*MEASURED, "challengeLeaf", "challengeSequence")


def arguments(case, function, target=None, measured=None, proof=None):
    """Return a challenge's arguments, with some of them replaced."""
    target = target or case.target()
    if function == "challengeLeaf":
        return (target,)
    if function == "challengeSequence":
        return target, case.target()[1], []
    one = case.mine if measured is None else measured
    return (
        target,
        plain(one),
        case.proof() if proof is None else proof,
        *rest_of(case.market, function),
    )


def signers_hash(people):
    return keccak(encode(["address[]"], [list(people)]))


@pytest.mark.parametrize("function", ALL)
def test_refuses_a_report_that_does_not_exist(market, function):
    case = waiting(market, bad_day(market), LEVEL)
    assert refusal(case, function, *arguments(case, function, case.target(epoch=5))) == ("UnknownReport", 5)


@pytest.mark.parametrize("function", ALL)
def test_refuses_a_report_that_was_cancelled(market, function):
    case = waiting(market, bad_day(market), {"uptime_ppm": 5} | LEVEL)
    challenge(case, "challengeComputation", *case.arguments())
    assert refusal(case, function, *arguments(case, function)) == ("UnknownReport", 0)


@pytest.mark.parametrize("function", ALL)
def test_refuses_signers_that_did_not_sign(market, function):
    case = waiting(market, bad_day(market), LEVEL)
    right = market.signers()
    for wrong in (right[:1], right[::-1], market.signers((0, 2)), market.signers((0, 1, 2)), []):
        found = refusal(case, function, *arguments(case, function, case.target(signers=wrong)))
        assert found == ("WrongSigners", signers_hash(wrong), signers_hash(right))


@pytest.mark.parametrize("function", ALL)
def test_refuses_a_leaf_that_the_report_does_not_hold(market, function):
    case = waiting(market, bad_day(market), LEVEL)
    leaf, _ = market.proof(case.report, market.small)
    target = case.target(leaf=plain(replace(leaf, uptime_ppm=1)))
    expected = ("NotInRoot", 0, market.small.address.lower())
    assert refusal(case, function, *arguments(case, function, target)) == expected


@pytest.mark.parametrize("function", MEASURED)
@pytest.mark.parametrize("wrong", ["duty", "served", "void", "days", "fewer days", "proof"])
def test_refuses_what_was_not_measured(market, function, wrong):
    case = waiting(market, bad_day(market), LEVEL, bad_day(market, market.large))
    one, proof = case.mine, None
    if wrong == "proof":
        proof = [keccak(text="beside")]
    elif wrong == "fewer days":
        one = replace(one, days=one.days[:1])
    elif wrong == "days":
        one = replace(one, days=(replace(one.days[0], histogram=1), one.days[1]))
    else:
        one = replace(one, **{wrong: words(7)})
    found = refusal(case, function, *arguments(case, function, measured=one, proof=proof or case.proof()))
    assert found == ("NotMeasured", 0, market.small.address.lower())


@pytest.mark.parametrize("function", MEASURED)
def test_refuses_what_was_measured_of_somebody_else(market, function):
    case = waiting(market, bad_day(market), LEVEL, bad_day(market, market.large))
    other = case.about(market.large)
    found = refusal(case, function, *arguments(case, function, measured=other.mine, proof=other.proof()))
    assert found == ("NotMeasured", 0, market.small.address.lower())


def test_refuses_an_inner_node_of_the_tree_as_a_measured_leaf(market):
    """Leaves are hashed twice, so the hash of two hashes is no leaf; and a leaf of one chain is none of another."""
    case = waiting(market, bad_day(market), LEVEL, bad_day(market, market.large))
    own = str(market.challenges.measuredHash(0, plain(case.mine)))
    assert own == "0x" + reports.measured_hash(*market.ground, 0, case.mine).hex()
    chain_id, ledger = market.ground
    others = [(chain_id + 1, ledger, 0), (chain_id, market.court.address, 0), (chain_id, ledger, 1)]
    assert len({own} | {"0x" + reports.measured_hash(*ground, case.mine).hex() for ground in others}) == 4


@pytest.mark.parametrize("function", [name for name in MEASURED if name != "challengeServed"])
@pytest.mark.parametrize("state", ["no slash", "executed", "cancelled"])
def test_refuses_where_nothing_can_be_undone_any_more(market, as_challenges, function, state):
    case = faulty(market, function)
    market.activate(case.report)
    if state != "no slash":
        slash_id = market.propose(case.report, market.small, proposer=market.fresh)
        if state == "executed":
            market.execute(slash_id)
        else:
            market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    found = refusal(case, function, *case.arguments(), *faulty_rest(market, function))
    assert found == ("NothingToUndo", 0, market.small.address.lower())


def faulty(market, function):
    """Let a report wait that has the fault which a function is for."""
    if function == "challengeSignatures":
        one = bad_day(market)
        one = replace(one, days=(replace(one.days[0], signature=bytes(65)), one.days[1]))
        return waiting(market, one, LEVEL)
    if function == "challengeComputation":
        return waiting(market, bad_day(market), {"uptime_ppm": 5} | LEVEL)
    if function == "challengeDuty":
        now = market.now()
        market.staking.declareMaintenance(now + 12, now + 30, {"from": market.small})
        return waiting(market, bad_day(market), LEVEL)
    return waiting(market, bad_day(market), LEVEL)


def faulty_rest(market, function):
    """Return the arguments after the first three that show the fault."""
    if function == "challengeDuty":
        return (20,)
    if function == "challengeVoid":
        one = bad_day(market)
        return 3, [plain(one)], [[]]
    if function == "challengeEquivocation":
        other = probe_day(market.small, 0, FULL)
        first = min((0, 1), key=lambda i: int(market.verifier_accounts[i].address, 16))
        return 0, other, sign_day(market.ground, VERIFIER_KEYS[first], other)
    return ()


@pytest.mark.parametrize("function", [name for name in MEASURED if name != "challengeServed"])
def test_the_same_fault_is_sustained_where_there_is_something_to_undo(market, function):
    """So that the refusals above are about nothing but what is left to undo."""
    case = faulty(market, function)
    tx = challenge(case, function, *case.arguments(), *faulty_rest(market, function))
    assert tx.events["ChallengeSustained"]["slashId"] == 0


def test_honest_reports_withstand_every_ground(market):
    """A provider that was really down most of the time, before and after its slash was opened."""
    case = slashed(market, bad_day(market), LEVEL, bad_day(market, market.large, downs={0: 0, 1: 0}))
    grounds = {"challengeSignatures": 1, "challengeComputation": 2, "challengeDuty": 3, "challengeVoid": 4}
    for function, ground in grounds.items():
        assert refusal(case, function, *arguments(case, function)) == ("NoFault", ground)
    assert refusal(case, "challengeLeaf", case.target()) == ("NoFault", 6)
    own = probe_day(market.small, 0, FULL & ~((1 << 40) - 1))
    signature = sign_day(market.ground, VERIFIER_KEYS[0], own)
    for index in (0, 1):
        found = refusal(case, "challengeEquivocation", *case.arguments(), index, own, signature)
        assert found == ("NoFault", 5), "the day itself contradicts nobody"


def test_several_wrong_leaves_of_one_report_cost_its_signers_once(market):
    """Each slash is cancelled, the second challenge takes nothing more."""
    lies = {"uptime_ppm": 5} | LEVEL
    leaves = sorted((bad_day(market), bad_day(market, market.large)), key=lambda one: one.provider)
    report = submitted(market, leaves, {market.small: lies, market.large: lies})
    market.activate(report)
    bonds = market.verifiers.totalBonds()
    for provider in (market.small, market.large):
        slash_id = market.propose(report, provider, proposer=market.fresh)
        case = Case(market, report, leaves, provider, slash_id)
        challenge(case, "challengeComputation", *case.arguments())
        assert market.court.slash(slash_id)["stage"] == 5
    assert bonds - market.verifiers.totalBonds() == bonds * 2 // 3 // 10


def test_is_possible_while_the_market_is_paused(market):
    case = waiting(market, bad_day(market), {"uptime_ppm": 5} | LEVEL)
    market.pause()
    challenge(case, "challengeComputation", *case.arguments())


@pytest.mark.parametrize("at", ["contested", "upheld", "queued"])
def test_reaches_a_slash_wherever_it_stands_before_it_is_carried_out(market, at):
    lies = {"uptime_ppm": 5, "slash_level": 6 if at == "queued" else 4}
    one = bad_day(market, market.large if at == "queued" else market.small)
    case = slashed(market, one, lies)
    assert market.court.slash(case.slash_id)["queued"] == (at == "queued")
    if at != "queued":
        market.court.contest(case.slash_id, bytes(32), {"from": market.alice})
    if at == "upheld":
        market.court.rule(case.slash_id, True, [], {"from": market.admin})
    challenge(case, "challengeComputation", *case.arguments())
    assert market.court.slash(case.slash_id)["stage"] == 5 and market.court.totalBonds() == 0


def test_a_cancelled_report_takes_those_behind_it_along_and_its_charges_go_back(market):
    """Two reports wait; the first is wrong. Both are made anew, and what both charged returns to the customers."""
    before = market.escrow.customer(market.alice)["balance"]
    one = bad_day(market)
    said = reports.make_leaf(market.small, uptime_ppm=5, level=4)
    first = market.submitted([said], measured=[one], charges={market.alice: 10 * PAY})
    second = market.submitted([said], charges={market.alice: 7 * PAY})
    case = Case(market, first, [one], market.small)
    challenge(case, "challengeComputation", *case.arguments())
    assert market.ledger.nextEpoch() == 0 and market.ledger.refundsDue() == 17 * PAY
    for report in (first, second):
        digest = reports.digest(*market.ground, report)
        chunk = [plain(charge) for charge in report.charges]
        market.ledger.refund(digest, reports.movements(report), 0, chunk, {"from": market.stranger})
    assert market.ledger.refundsDue() == 0 and market.escrow.customer(market.alice)["balance"] == before


def test_tells_its_links(market):
    challenges = market.challenges
    assert challenges.epochLedger() == market.ledger and challenges.clock() == market.clock
    assert challenges.staking() == market.staking and challenges.slashingCourt() == market.court
    assert challenges.verifiers() == market.verifiers and challenges.gateways() == market.gateways
    assert challenges.address != NOBODY
