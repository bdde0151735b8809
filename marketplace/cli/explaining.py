"""Say how an epoch's amounts of one provider (or customer) came about, line by line, each with its rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.signing import normal_address
from marketplace.cli.output import fail, note, print_line, print_table

if TYPE_CHECKING:
    from contracts.types import Leaf
    from rewards.replay import ReplayResult
    from rewards.types import Line

PAGE = "docs/protocol.md, section "
SECTIONS = {
    "uptime": "5, step 1",
    "not measured:": "5, step 1",
    "latency": "5, step 1",
    "success": "5, step 1",
    "verification": "5, step 1",
    "honest model": "5, step 6",
    "hardware": "5, step 6",
    "special-casing": "5, step 1",
    "score": "6",
    "rating": "6",
    "fees": "5, step 3",
    "charge": "5, step 3",
    "credit": "5, step 4 and 5.9",
    "incentive": "5, step 5",
    "delegators'": "5, step 5",
    "penalty": "5, step 6",
    "receipts": "5.10",
}
"""Where each rule stands, by the words that its line begins with."""


def section_of(rule: str) -> str:
    """Return where a rule stands; every rule of `settle` has its place."""
    return PAGE + next(place for begins, place in SECTIONS.items() if rule.startswith(begins))


def explained(result: ReplayResult, address: str) -> dict[str, Any]:
    """Return what a replay says of a provider or customer: its lines, its leaf in the report, whether all is equal.

    Fails with a sentence for somebody of whom the epoch says nothing, and for a replay that did not reach settlement.
    """
    subject = normal_address(address)
    if result.settlement is None:
        difference = result.difference
        fail(f"epoch {result.epoch} cannot be recomputed: {difference}", "replay it to see what is wrong with it")
    lines = [line for line in result.settlement.lines if line.subject == subject]
    if not lines:
        fail(f"epoch {result.epoch} says nothing of {subject}", "name a provider that is listed, or a customer of it")
    leaf = next((one for one in result.report.leaves if one.provider == subject), None)
    return {
        "epoch": result.epoch,
        "subject": subject,
        "equal": result.equal,
        "lines": [_row(line) for line in lines],
        "leaf": leaf,
        "missing": ["0x" + one.job.hex() for one in result.settlement.missing if one.provider == subject],
    }


def show(found: dict[str, Any]) -> None:
    """Print what `explained` found, inputs before what follows from them."""
    rows = [
        (line["rule"], ", ".join(f"{name} {value:,}" for name, value in line["numbers"].items()), line["where"])
        for line in found["lines"]
    ]
    print_table(f"Epoch {found['epoch']}, {found['subject']}", ["rule", "numbers", "stands in"], rows)
    leaf: Leaf | None = found["leaf"]
    if leaf is not None:
        print_line(
            f"leaf: {leaf.cumulative_fees:,} units of fees and {leaf.cumulative_incentive:,} of incentive so far, "
            f"score {leaf.score_ppm:,} ppm, {leaf.strikes} strikes, slash level {leaf.slash_level}"
        )
    for job in found["missing"]:
        print_line(f"missing: a receipt of this provider names job {job}, which no evidence has", "bold red")
    if not found["equal"]:
        note("The report on the chain differs from these numbers: `bonded auditor replay` names where.")


def _row(line: Line) -> dict[str, Any]:
    return {"rule": line.rule, "numbers": dict(line.numbers), "where": section_of(line.rule)}
