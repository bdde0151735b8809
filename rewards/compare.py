"""Find the first difference between two frozen dataclasses that should say the same, and name it to the field."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from contracts.leaves import report_digest
from contracts.messages import Domain
from contracts.published import PublishedReport
from contracts.types import Report
from rewards.canonical import plain
from rewards.types import ChainInputs, Difference

# Order of a report's fields from cause to effect: amounts before the digests that cover them.
_REPORT_ORDER = (
    "epoch", "previous", "checkpoint_block", "checkpoint_hash", "rules",
    "leaves", "charges", "credits", "pools", "payees", "totals", "harms", "measurements", "state", "evidence",
)  # fmt: skip
_KEYS = ("provider", "operator", "customer", "verifier")


def compare_reports(ours: Report, theirs: Report, where: str = "report") -> Difference | None:
    """Return the first field in which two reports differ, entries of lists by their address."""
    for name in _REPORT_ORDER:
        found = compare(getattr(ours, name), getattr(theirs, name), f"{where}.{name}")
        if found is not None:
            return found
    return None


def compare_published(published: PublishedReport, theirs: Report, domain: Domain, where: str) -> Difference | None:
    """Return the first field in which a report differs from what is published of it and from what was signed.

    What is not on the chain yet is held against the signed hashes alone.
    """
    ours = published.report
    for name in _REPORT_ORDER:
        if name not in published.missing:
            found = compare(getattr(ours, name), getattr(theirs, name), f"{where}.{name}")
            if found is not None:
                return found
    return compare(published.signed, report_digest(theirs, domain), f"{where} (as signed)")


def compare_inputs(ours: ChainInputs, theirs: ChainInputs, where: str = "inputs.json") -> Difference | None:
    """Return the first fact in which the evidence (`theirs`) differs from our own reading of the chain."""
    return compare(ours, theirs, where)


def compare(ours: Any, theirs: Any, where: str) -> Difference | None:
    """Return the first difference of two values of the same type, depth first."""
    if ours == theirs:
        return None
    if dataclasses.is_dataclass(ours) and type(ours) is type(theirs):
        for one in dataclasses.fields(ours):
            found = compare(getattr(ours, one.name), getattr(theirs, one.name), f"{where}.{one.name}")
            if found is not None:
                return found
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return _compare_lists(ours, theirs, where)
    return Difference(where, _show(ours), _show(theirs))


def _compare_lists(ours: Sequence[Any], theirs: Sequence[Any], where: str) -> Difference:
    mine, others = _named(ours), _named(theirs)
    for name, value in mine.items():
        if name not in others:
            return Difference(f"{where}[{name}]", _show(value), "nothing")
        found = compare(value, others[name], f"{where}[{name}]")
        if found is not None:
            return found
    for name, value in others.items():
        if name not in mine:
            return Difference(f"{where}[{name}]", "nothing", _show(value))
    return Difference(f"{where} (order or repetition)", ", ".join(_named(ours)), ", ".join(_named(theirs)))


def _named(items: Sequence[Any]) -> dict[str, Any]:
    return {_name(item, index): item for index, item in enumerate(items)}


def _name(item: Any, index: int) -> str:
    names = [getattr(item, key) for key in _KEYS if hasattr(item, key)]
    return " ".join(names) if names else str(index)


def _show(value: Any) -> str:
    return str(plain(value))
