"""Tokens with hooks: whoever is called in the middle of a transfer gets a refusal from every contract that is at work.

Each act below moves tokens. While it does, an intruder that takes part in every role attempts everything that moves
tokens and is open to anybody, before and after each transfer. What was reached is read from the transaction's trace, so
no function of any contract can be forgotten: the last test compares with the compiled interfaces.
"""

from __future__ import annotations

import pytest
from eth_utils import keccak

from tests.contracts.reentrancy.stage import FAR, REFUSAL, Stage, instance_of
from tests.contracts.support import reports, statements
from tests.contracts.support.market import PAY, STAKE, VERIFIER_KEYS

ANY_SIGNATURE = (FAR, 27, b"\x01" * 32, b"\x01" * 32)


@pytest.fixture
def stage(market, built):
    """Give a test the intruder, with all of its money in place."""
    return Stage(market, built)


def anybody(stage):
    return {"from": stage.market.stranger}


# ----------------------------------------------------------------------------------------------------------- the acts


def deposit(stage):
    yield lambda: stage.act(stage.market.escrow.deposit, stage.it, 5)


def deposit_with_permit(stage):
    yield lambda: stage.act(stage.market.escrow.depositWithPermit, stage.it, 5, *ANY_SIGNATURE)


def withdraw_from_escrow(stage):
    stage.act(stage.market.escrow.requestWithdrawal, 300 * PAY)
    stage.market.wait(130)
    yield lambda: stage.act(stage.market.escrow.withdraw)


def fund_sla(stage):
    yield lambda: stage.act(stage.market.escrow.fundSla, 5)


def fund_sla_stake(stage):
    yield lambda: stage.act(stage.market.escrow.fundSlaStake, 5)


def burn_sla_stake(stage):
    stage.act(stage.market.escrow.fundSlaStake, 5)
    yield lambda: stage.act(stage.market.escrow.burnSlaStake)


def stake(stage):
    yield lambda: stage.act(stage.market.staking.stake, 5)


def stake_for(stage):
    yield lambda: stage.act(stage.market.staking.stakeFor, stage.it, 5)


def withdraw_stake(stage):
    stage.act(stage.market.staking.unbond, 100 * STAKE, stage.market.risk(stage.it))
    stage.market.wait(120)
    yield lambda: stage.act(stage.market.staking.withdraw)


def delegate(stage):
    yield lambda: stage.act(stage.market.delegation.delegate, stage.market.small, STAKE)


def withdraw_delegated(stage):
    shares = stage.market.delegation.position(stage.market.small, stage.it)["shares"]
    stage.act(stage.market.delegation.undelegate, stage.market.small, shares)
    stage.market.wait(140)
    yield lambda: stage.act(stage.market.delegation.withdraw, stage.market.small)


def join(stage):
    yield lambda: stage.market.gateways.join("http://fresh", {"from": stage.market.fresh})


def withdraw_bond(stage):
    stage.act(stage.market.gateways.leave)
    stage.market.wait(120)
    yield lambda: stage.act(stage.market.gateways.withdraw)


def fund_incentives(stage):
    yield lambda: stage.act(stage.market.ledger.fundIncentives, 5)


def a_report(stage):
    """All steps of a report, and all that is claimed from it afterwards."""
    market, ledger, report = stage.market, stage.market.ledger, stage.report()
    market.submit(report)
    for number, packed in enumerate(reports.packed(report)):
        roots = reports.chunk_roots(*market.ground, report)
        ledger.publishLeaves(report.epoch, roots, number, packed, anybody(stage))
    movements = reports.movements(report)
    charges, credits, pools = ([reports.plain(x) for x in y] for y in (report.charges, report.credits, report.pools))
    yield lambda: ledger.takeCharges(report.epoch, movements, 0, charges, anybody(stage))
    market.wait_until(ledger.record(report.epoch)["activatesAt"])
    yield lambda: ledger.activate(*market.activation(report), anybody(stage))
    yield lambda: ledger.pushCredits(report.epoch, movements, 0, credits, anybody(stage))
    yield lambda: ledger.pushPools(report.epoch, movements, 0, pools, anybody(stage))
    # before the others: in the middle of those the intruder gets what is its own of a contract that is not at work
    yield lambda: stage.act(market.delegation.claimRewards, market.small)
    yield lambda: stage.act(ledger.claim, *market.claim_arguments(report, stage.it))
    yield lambda: ledger.claimOwed({"from": market.admin})


def refund(stage):
    market, report = stage.market, stage.report()
    market.submit(report)
    charges = [reports.plain(charge) for charge in report.charges]
    movements = reports.movements(report)
    market.ledger.takeCharges(report.epoch, movements, 0, charges, anybody(stage))
    market.wait(5)
    digest = market.ledger.record(report.epoch)["digest"]
    market.ledger.cancel(report.epoch, anybody(stage))
    yield lambda: market.ledger.refund(digest, movements, 0, charges, anybody(stage))


def settled(stage):
    """Settle a report after which small can be slashed; returns it."""
    report = stage.report()
    stage.market.submit(report)
    stage.market.complete(report)
    stage.market.activate(report)
    stage.market.push(report)
    return report


def proposed(stage):
    """Propose the slash of small; returns the report and the slash's id."""
    report = settled(stage)
    return report, stage.market.propose(report, stage.market.small)


def contested(stage):
    report, number = proposed(stage)
    stage.market.court.contest(number, b"\x01" * 32, {"from": stage.market.fresh})
    return report, number


def propose(stage):
    report = settled(stage)
    yield lambda: stage.act(stage.market.court.propose, *stage.market.slash_arguments(report, stage.market.small))


def contest(stage):
    _, number = proposed(stage)
    yield lambda: stage.act(stage.market.court.contest, number, b"\x01" * 32)


def rule_upheld(stage):
    _, number = contested(stage)
    yield lambda: stage.market.court.rule(number, True, [], {"from": stage.market.admin})


def rule_rejected(stage):
    _, number = contested(stage)
    yield lambda: stage.market.court.rule(number, False, stage.market.signers(), {"from": stage.market.admin})


def lapse(stage):
    _, number = contested(stage)
    stage.market.wait(6)
    yield lambda: stage.act(stage.market.court.lapse, number)


def execute_and_compensate(stage):
    market = stage.market
    _, number = proposed(stage)
    market.wait(6)
    yield lambda: market.court.execute(number, anybody(stage))
    pages = stage.pages()
    yield lambda: market.court.compensate(number, pages[0], reports.page_proof(pages, 0), anybody(stage))
    yield lambda: stage.act(market.escrow.withdrawCompensation)


def execute_on_delegated_stake(stage):
    market = stage.market
    market.staking.unbond(300 * STAKE, market.risk(market.small), {"from": market.small})
    market.wait(120)
    market.staking.withdraw({"from": market.small})
    _, number = proposed(stage)
    market.wait(6)
    yield lambda: market.court.execute(number, anybody(stage))


def prove_receipts(stage):
    market = stage.market
    key = keccak(text=f"signer of {market.small.address}")
    shown = [statements.receipt(market.small, 0, output_tokens=n) for n in (7, 8)]
    proofs = [part for one in shown for part in (one, statements.sign(key, market.ledger.address, "Receipt", one))]
    yield lambda: stage.act(market.court.proveReceipts, *proofs)


def prove_probe_days(stage):
    market = stage.market
    shown = [statements.probe_day(market.small, 0, histogram=n) for n in (0, 1)]
    at = market.ledger.address
    proofs = [part for one in shown for part in (one, statements.sign(VERIFIER_KEYS[0], at, "ProbeDay", one))]
    yield lambda: stage.act(market.court.proveProbeDays, *proofs)


def challenge_a_leaf(stage):
    report, _ = proposed(stage)
    yield lambda: stage.act(stage.market.challenges.challengeLeaf, stage.market.target(report, stage.market.small))


ACTS = {
    deposit: {"JobEscrow.deposit"},
    deposit_with_permit: {"JobEscrow.depositWithPermit"},
    withdraw_from_escrow: {"JobEscrow.withdraw"},
    fund_sla: {"JobEscrow.fundSla"},
    fund_sla_stake: {"JobEscrow.fundSlaStake"},
    burn_sla_stake: {"JobEscrow.burnSlaStake"},
    stake: {"ProviderStaking.stake"},
    stake_for: {"ProviderStaking.stakeFor"},
    withdraw_stake: {"ProviderStaking.withdraw"},
    delegate: {"Delegation.delegate"},
    withdraw_delegated: {"Delegation.withdraw"},
    join: {"BondedOperators.join"},
    withdraw_bond: {"BondedOperators.withdraw"},
    fund_incentives: {"EpochLedger.fundIncentives"},
    a_report: {
        *("EpochLedger.takeCharges", "JobEscrow.charge", "EpochLedger.activate", "JobEscrow.settleFund"),
        *("EpochLedger.pushCredits", "JobEscrow.credit", "EpochLedger.pushPools", "Delegation.reward"),
        *("EpochLedger.claim", "EpochLedger.claimOwed", "Delegation.claimRewards"),
    },
    refund: {"EpochLedger.refund", "JobEscrow.returnCharges"},
    propose: {"SlashingCourt.propose"},
    contest: {"SlashingCourt.contest"},
    rule_upheld: {"SlashingCourt.rule"},
    rule_rejected: {"SlashingCourt.rule", "BondedOperators.slash", "JobEscrow.fundSlaStake"},
    lapse: {"SlashingCourt.lapse"},
    execute_and_compensate: {
        *("SlashingCourt.execute", "ProviderStaking.slash", "JobEscrow.fundSlaStake"),
        *("SlashingCourt.compensate", "JobEscrow.compensate", "JobEscrow.withdrawCompensation"),
    },
    execute_on_delegated_stake: {
        *("SlashingCourt.execute", "ProviderStaking.slash", "Delegation.slash", "JobEscrow.fundSlaStake"),
    },
    prove_receipts: {"SlashingCourt.proveReceipts", "ProviderStaking.slash", "JobEscrow.fundSlaStake"},
    prove_probe_days: {"SlashingCourt.proveProbeDays", "BondedOperators.slash", "JobEscrow.fundSlaStake"},
    challenge_a_leaf: {
        *("ChallengeCourt.challengeLeaf", "SlashingCourt.cancel", "SlashingCourt.punish"),
        *("BondedOperators.slash", "JobEscrow.fundSlaStake"),
    },
}


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_every_contract_at_work_refuses_a_second_entry(stage, act):
    reached = set()
    for transaction in act(stage):
        trace = stage.strike(transaction)
        at_work = [(name, answer) for at_work, name, answer in trace.attempts if at_work]
        assert {answer for _, answer in at_work} == {REFUSAL}, f"{act.__name__}: {at_work}"
        keepers = {each.split(".")[0] for each in trace.reached} - {"ChallengeCourt"}
        assert {name for name, _ in at_work} == keepers, "somebody at work was not tried"
        reached |= {instance_of(each) for each in trace.reached}
    assert reached == ACTS[act]


# functions in which no token moves; the challenges all end in one function, which `challenge_a_leaf` goes through
QUIET = {
    "EpochLedger": {"submit", "publishLeaves", "cancel", "multicall"},
    "ProviderStaking": {
        *("register", "update", "unbond", "rebond", "unjail"),
        *("declareMaintenance", "cancelMaintenance", "measureHardware"),
    },
    "Delegation": {"undelegate", "setCommission", "mature"},
    "JobEscrow": {"setCap", "setCapBySession", "setSession", "requestWithdrawal", "cancelWithdrawal"},
    "BondedOperators": {"setEndpoint", "leave", "commitSeed", "commitDays"},
    "SlashingCourt": {"release", "setAuthority"},
    "ChallengeCourt": {
        *("challengeSignatures", "challengeComputation", "challengeDuty", "challengeVoid"),
        *("challengeEquivocation", "challengeSequence", "challengeServed"),
    },
    "EpochClock": {"open", "setRules", "setLimits", "setAuthority"},
    "Guardian": {"pause", "unpause", "setAuthority"},
}


def test_no_function_that_moves_tokens_is_left_out(built):
    for name, quiet in QUIET.items():
        changing = {
            entry["name"]
            for entry in built[name].abi
            if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
        }
        tried = {each.split(".")[1] for reached in ACTS.values() for each in reached if each.startswith(f"{name}.")}
        assert changing == tried | quiet and not tried & quiet, name
