"""Print what the chain's events say of everybody's money: reports, claims, credits, slashes, challenges, refunds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from marketplace.cli.output import print_table, whole

if TYPE_CHECKING:
    from contracts.history import History

Written = Callable[[int], str]


def print_history(found: History, block: int, payment_decimals: int, stake_decimals: int) -> None:
    """Print every table; those of what rarely happens only when it did."""

    def paid(amount: int) -> str:
        return whole(amount, payment_decimals)

    def staked(amount: int) -> str:
        return whole(amount, stake_decimals)

    _print_reports(found, block, paid)
    print_table(
        "Claims of providers",
        ("provider", "epoch", "fees", "incentive"),
        [(c.provider, c.epoch, paid(c.fees), paid(c.incentive)) for c in found.claims],
        numbers=("fees", "incentive"),
    )
    print_table(
        "Claims of verifiers and treasury",
        ("payee", "amount"),
        [(c.payee, paid(c.amount)) for c in found.owed_claims],
        numbers=("amount",),
    )
    if found.pools:
        print_table(
            "To delegators",
            ("epoch", "provider", "amount"),
            [(event.epoch, pool.provider, paid(pool.amount)) for event in found.pools for pool in event.pools],
            numbers=("amount",),
        )
    print_table(
        "Service-level credits",
        ("customer", "provider", "amount"),
        [(c.customer, c.provider, paid(c.amount)) for c in found.credits],
        numbers=("amount",),
    )
    _print_slashes(found, staked)
    _print_undone(found, paid, staked)


def _print_reports(found: History, block: int, paid: Written) -> None:
    columns = ("charged", "to providers", "verifiers", "treasury", "SLA fund", "credits", "incentive", "delegators")
    rows = []
    for published in found.reports:
        totals = published.report.totals
        amounts = (
            totals.charged,
            totals.provider_fees,
            totals.verifier_fees,
            totals.treasury,
            totals.sla_fund_in,
            totals.credits,
            totals.incentive,
            totals.pools,
        )
        record = published.record
        state = "active" if record.activated else "complete" if record.completed_at else "incomplete"
        rows.append((published.report.epoch, state, record.leaf_count, *map(paid, amounts)))
    print_table(f"Epoch reports up to block {block}", ("epoch", "state", "providers", *columns), rows, numbers=columns)


def _print_slashes(found: History, staked: Written) -> None:
    stages: dict[int, str] = {one.id: "open" for one in found.proposals}
    stages |= {one.id: "contested" for one in found.contests}
    stages |= {one.id: "upheld" if one.upheld else "not upheld" for one in found.rulings}
    stages |= {one.id: "cancelled" for one in found.dropped}
    stages |= {one.id: "executed" for one in found.slashes}
    print_table(
        "Slashes proposed",
        ("id", "provider", "epoch", "code", "asked", "proposer", "stage"),
        [(p.id, p.provider, p.epoch, p.code, staked(p.amount), p.proposer, stages[p.id]) for p in found.proposals],
        numbers=("id", "epoch", "code", "asked"),
    )
    print_table(
        "Slashes executed",
        ("provider", "taken", "to the harmed", "to the prover", "to the SLA fund", "burned"),
        [
            (s.provider, *map(staked, (s.taken, s.to_harmed, s.to_prover, s.to_sla_fund, s.burned)))
            for s in found.slashes
        ],
        numbers=("taken", "to the harmed", "to the prover", "to the SLA fund", "burned"),
    )
    print_table(
        "Compensation from slashes",
        ("customer", "amount"),
        [(c.customer, staked(c.amount)) for c in found.compensations],
        numbers=("amount",),
    )


def _print_undone(found: History, paid: Written, staked: Written) -> None:
    if found.cancellations:
        print_table(
            "Reports cancelled",
            ("epoch", "digest", "by", "to be returned"),
            [(c.epoch, "0x" + c.digest.hex(), c.by, paid(c.to_refund)) for c in found.cancellations],
            numbers=("to be returned",),
        )
    if found.returned:
        print_table(
            "Charges returned",
            ("customer", "epoch", "amount"),
            [(c.customer, c.epoch, paid(c.amount)) for c in found.returned],
            numbers=("amount",),
        )
    if found.challenges:
        print_table(
            "Challenges sustained",
            ("epoch", "provider", "ground", "challenger", "slash"),
            [(c.epoch, c.provider, c.ground, c.challenger, c.slash_id or "the report") for c in found.challenges],
        )
    if found.verifier_slashes:
        print_table(
            "Verifiers slashed",
            ("verifier", "epoch", "taken"),
            [(v.verifier, v.epoch, staked(v.taken)) for v in found.verifier_slashes],
            numbers=("taken",),
        )
