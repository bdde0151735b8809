"""Write the records of `contracts.types` and signed messages as the tuples that the ABI takes. No web3 here."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from contracts import leaves
from contracts.messages import Domain, Message
from contracts.types import (
    ChallengeTarget,
    Charge,
    Credit,
    FeesAtRisk,
    HarmPage,
    Leaf,
    MeasuredLeaf,
    Movements,
    Payee,
    Pool,
    Report,
    Totals,
)

_leaf_values = attrgetter(*Leaf.__dataclass_fields__)
_total_values = attrgetter(*Totals.__dataclass_fields__)
NO_LEAF = Leaf("0x" + "00" * 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, False)
"""What stands for a leaf where there is none."""


def leaf_values(leaf: Leaf) -> tuple[Any, ...]:
    """Return a leaf as the ABI's tuple."""
    return tuple(_leaf_values(leaf))


def report_values(report: Report, domain: Domain) -> tuple[Any, ...]:
    """Return the signed part of a report as the ABI's tuple."""
    return (
        report.epoch,
        report.previous,
        report.evidence,
        report.state,
        report.rules,
        report.checkpoint_block,
        report.checkpoint_hash,
        tuple(_total_values(report.totals)),
        leaves.root(leaves.leaf_hashes(domain.chain_id, domain.epoch_ledger, report)),
        len(report.leaves),
        report.measurements,
        leaves.movements_hash(leaves.movements(report)),
        [(one.provider, one.root) for one in report.harms],
    )


def movements_values(moved: Movements) -> tuple[Any, ...]:
    """Return the hashes of what a report moves as the ABI's tuple."""
    return (list(moved.charges), list(moved.credits), list(moved.pools), moved.payees)


def charge_values(charges: Iterable[Charge]) -> list[tuple[str, int]]:
    """Return charges as the ABI's array."""
    return [(one.customer, one.amount) for one in charges]


def credit_values(credits: Iterable[Credit]) -> list[tuple[str, str, int]]:
    """Return credits as the ABI's array."""
    return [(one.customer, one.provider, one.amount) for one in credits]


def pool_values(pools: Iterable[Pool]) -> list[tuple[str, int]]:
    """Return delegators' rewards as the ABI's array."""
    return [(one.provider, one.amount) for one in pools]


def payee_values(payees: Iterable[Payee]) -> list[tuple[str, int]]:
    """Return verifiers' shares as the ABI's array."""
    return [(one.verifier, one.amount) for one in payees]


def risk_values(risk: FeesAtRisk) -> tuple[Any, ...]:
    """Return what shows fees at risk as the ABI's tuple; a leaf that is not there is all zero."""
    return (
        leaf_values(risk.newest or NO_LEAF),
        list(risk.newest_proof),
        risk.closed_epoch,
        leaf_values(risk.closed or NO_LEAF),
        list(risk.closed_proof),
    )


def page_values(page: HarmPage) -> tuple[Any, ...]:
    """Return a page of the harmed as the ABI's tuple."""
    return (page.index, page.pages, page.total_weight, list(page.customers), list(page.weights))


def target_values(target: ChallengeTarget) -> tuple[Any, ...]:
    """Return what is challenged as the ABI's tuple."""
    return (target.epoch, leaf_values(target.leaf), list(target.proof), list(target.signers))


def measured_values(leaf: MeasuredLeaf) -> tuple[Any, ...]:
    """Return a measured leaf as the ABI's tuple."""
    days = [(day.verifier, day.up, day.histogram, day.signature) for day in leaf.days]
    return (leaf.provider, leaf.duty, leaf.served, leaf.void, days)


def message_values(message: Message) -> tuple[Any, ...]:
    """Return a signed message as the ABI's tuple: its fields in the order of its EIP-712 type."""
    return tuple(getattr(message, name) for name in message.attributes())
