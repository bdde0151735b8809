"""What the acts of an epoch cost: printed as a table, held below the goals, and compared with what is committed.

`BONDED_WRITE_GAS=1 ./scripts/brownie test tests/contracts/gas -s` writes `snapshot.json` anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_utils import keccak

from contracts.types import Leaf, Report
from tests.contracts.EpochLedger.crowd import gather
from tests.contracts.support import reports
from tests.contracts.support.market import PAY, STAKE, Market

SNAPSHOT = Path(__file__).with_name("snapshot.json")
TOLERANCE_PPM = 10_000
MOST = {
    "report of 500 providers, per provider": 2_500,
    "claim, later, of 100 providers": 60_000,
    "charge, per customer of 1,000": 12_000,
    "stake": 120_000,
}


def address(number: int) -> str:
    """Return an address without zero bytes, ascending with its number: calldata is cheaper where it is zero."""
    return f"0x{number + 0x11111111:08x}" + "5a" * 16


def busy_leaves(count: int, epoch: int) -> list[Leaf]:
    """Return leaves in which every field is in use, and which earned a little more in every epoch."""
    return [
        Leaf(
            provider=address(number),
            cumulative_fees=(epoch + 1) * 111_111,
            cumulative_incentive=(epoch + 1) * 2_222,
            uptime_ppm=987_654,
            success_ppm=998_877,
            verification_ppm=912_345,
            score_ppm=956_789,
            ttft_p95_bucket=9,
            strikes=2,
            standing=1,
            slash_level=1,
            measured=True,
        )
        for number in range(count)
    ]


def handing_in(market: Market, report: Report) -> list[str]:
    """Return the calls by which a report is handed in and completed, for one `multicall`."""
    ledger = market.ledger
    calls = [ledger.submit.encode_input(reports.signed(*market.ground, report), market.sign(report))]
    for number in range(len(reports.packed(report))):
        calls.append(ledger.publishLeaves.encode_input(*reports.leaves_arguments(*market.ground, report, number)))
    for number in range(len(reports.chunks(report.charges))):
        calls.append(ledger.takeCharges.encode_input(*reports.charges_arguments(report, number)))
    return calls


def hand_in(market: Market, leaves: list[Leaf], **parts: Any) -> tuple[Report, int]:
    """Hand in the next report in one transaction; returns it with the gas."""
    report = replace(market.next_report(leaves, **parts), measurements=keccak(text="measured"))
    market.end_of(report.epoch)
    tx = market.ledger.multicall(handing_in(market, report), {"from": market.stranger})
    assert market.ledger.record(report.epoch)["completedAt"] == tx.timestamp
    market.last_report = report
    return report, int(tx.gas_used)


@pytest.fixture(scope="module")
def gas() -> Iterator[dict[str, int]]:
    """Collect gas by the name of the act; at the end print it, and write the snapshot if asked to."""
    used: dict[str, int] = {}
    yield used
    print("\n\n" + "\n".join(f"    {name:<44}{amount:>11,} gas" for name, amount in used.items()))
    if os.environ.get("BONDED_WRITE_GAS"):
        SNAPSHOT.write_text(json.dumps(used, indent=2) + "\n")


@pytest.mark.parametrize("count", [10, 100, 500])
def test_a_report_costs_little_per_provider(market: Market, gas: dict[str, int], count: int) -> None:
    """Measured is a whole report in one transaction: signatures, all leaves, 21,000 and calldata included."""
    leaves = busy_leaves(count, 0)
    first, _ = hand_in(market, leaves, charges={market.alice: 100 * PAY})
    market.activate(first)
    # everything that was earned in this epoch is incentive: the charges have a line of their own
    later = [replace(leaf, cumulative_incentive=4_444) for leaf in leaves]
    _, used = hand_in(market, later)
    gas[f"report of {count} providers, per provider"] = used // count


def test_claims_are_cheap(market: Market, gas: dict[str, int]) -> None:
    for epoch in range(2):
        report, _ = hand_in(market, busy_leaves(100, epoch), charges={market.alice: 50 * PAY})
        market.activate(report)
        tx = market.ledger.claim(*market.claim_arguments(report, address(40)), {"from": market.stranger})
        gas["claim, later, of 100 providers" if epoch else "claim, first, of 100 providers"] = tx.gas_used


def test_charges_credits_and_refunds_are_cheap_in_a_batch(
    market: Market, built: Any, gas: dict[str, int], as_challenges: Any
) -> None:
    """A thousand customers in two chunks, one transaction each, as a whole within a block."""
    people = gather(market, built, 1000)

    def take(report: Report) -> int:
        """Return the gas of taking all charges of a report."""
        market.submit(report)
        return sum(
            market.ledger.takeCharges(*reports.charges_arguments(report, number), {"from": market.stranger}).gas_used
            for number in range(2)
        )

    report = market.next_report(charges={who: PAY // 4 + i for i, who in enumerate(people)})
    whole = take(report)
    gas["charge, per customer of 1,000"] = whole // 1000
    assert whole <= 30_000_000, "a block of any chain in use"
    gas["cancel"] = market.ledger.cancel(0, {"from": as_challenges}).gas_used
    refunded = 0
    for number in range(2):
        arguments = reports.refund_arguments(*market.ground, report, number)
        refunded += market.ledger.refund(*arguments, {"from": market.stranger}).gas_used
    gas["refund, per customer of 1,000"] = refunded // 1000
    market.last_report = None
    credits = {(who, market.small): 1 + i for i, who in enumerate(people[:500])}
    report = market.submitted(credits=credits, from_fund=sum(credits.values()))
    market.activate(report)
    tx = market.ledger.pushCredits(*reports.credits_arguments(report), {"from": market.stranger})
    gas["credit, per customer of 500"] = tx.gas_used // 500


def test_the_other_acts_of_an_epoch(market: Market, gas: dict[str, int]) -> None:
    gas["stake"] = market.staking.stake(STAKE, {"from": market.small}).gas_used
    gas["unbond"] = market.staking.unbond(STAKE, market.risk(market.small), {"from": market.small}).gas_used
    gas["deposit"] = market.escrow.deposit(market.alice, PAY, {"from": market.alice}).gas_used
    gas["delegate"] = market.delegation.delegate(market.small, STAKE, {"from": market.dora}).gas_used
    parts = {
        "charges": {market.alice: 100 * PAY},
        "payees": {who: PAY // 2 for who in market.verifier_accounts[:3]},
        "pools": {market.small: PAY},
        "treasury": 2 * PAY,
    }
    for epoch in range(2):
        report, used = hand_in(market, busy_leaves(3, epoch), **parts)
        gas["report of 3 providers and 1 customer"] = used
        gas["activate"] = market.activate(report).gas_used
        tx = market.ledger.pushPools(*reports.pools_arguments(report), {"from": market.stranger})
        gas["pool"] = tx.gas_used
    gas["claimOwed"] = market.ledger.claimOwed({"from": market.verifier_accounts[0]}).gas_used


def test_nothing_exceeds_its_goal_and_everything_is_as_committed(gas: dict[str, int]) -> None:
    if os.environ.get("BONDED_WRITE_GAS"):
        pytest.skip("the snapshot is being written")
    committed = json.loads(SNAPSHOT.read_text())
    assert gas.keys() == committed.keys()
    assert {name: gas[name] for name, most in MOST.items() if gas[name] > most} == {}
    far = {
        name: (used, committed[name])
        for name, used in gas.items()
        if abs(used - committed[name]) * 1_000_000 > TOLERANCE_PPM * committed[name]
    }
    assert far == {}
