"""Examine a bundle against a reading of the chain: the pure half of a replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from contracts.types import Report
from rewards.collection import uncollected
from rewards.compare import compare_inputs, compare_reports
from rewards.errors import InputsRefused
from rewards.evidence import Bundle
from rewards.gather import chain_part
from rewards.rules import code_digest
from rewards.settlement import settle
from rewards.signatures import check_signatures
from rewards.state import state_digest
from rewards.types import RULES_NUMBER, ChainView, Difference, Settlement

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to: `difference` is None when all is equal; `settlement` is ours, None when never reached."""

    epoch: int
    report: Report
    settlement: Settlement | None
    difference: Difference | None
    attempts: int

    @property
    def equal(self) -> bool:
        """Say whether the report is exactly what its evidence and the chain make it."""
        return self.difference is None


def silent(_step: str, _done: int, _all: int) -> None:
    """Report progress to nobody."""


def examine(bundle: Bundle, view: ChainView, progress: Progress = silent, processes: int = 2) -> ReplayResult:
    """Check a bundle against a reading of the chain, from facts and signatures to every field of the report. Pure."""
    report, inputs = bundle.report, bundle.inputs

    def differs(found: Difference | None, ours: Settlement | None = None) -> ReplayResult:
        return ReplayResult(report.epoch, report, ours, found, len(inputs.attempts))

    difference = (
        _compare_code(bundle)
        or compare_inputs(view.inputs, chain_part(inputs))
        or _compare_opening(bundle, view)
        or _compare_commitments(bundle, view)
        or check_signatures(inputs, processes, lambda done, all_: progress("checking signatures", done, all_))
    )
    if difference is not None:
        return differs(difference)
    progress("settling", 0, 1)
    try:
        with uncollected():
            ours = settle(inputs)
    except InputsRefused as error:
        return differs(Difference("settlement", f"refused: {error}", "a report"))
    ours = replace(ours, report=replace(ours.report, evidence=bundle.digest))
    progress("settling", 1, 1)
    return differs(compare_reports(ours.report, report), ours)


def _compare_code(bundle: Bundle) -> Difference | None:
    """Name evidence of another release before its report differs everywhere."""
    if bundle.inputs.rules_number != RULES_NUMBER or bundle.code == code_digest():
        return None
    return Difference(
        "manifest.code (settled by another release)", "0x" + code_digest().hex(), "0x" + bundle.code.hex()
    )


def _compare_opening(bundle: Bundle, view: ChainView) -> Difference | None:
    found = state_digest(bundle.inputs.opening, bundle.inputs.rules_number)
    if found == view.opening_state:
        return None
    return Difference("state.json (digest of the opening state)", "0x" + view.opening_state.hex(), "0x" + found.hex())


def _compare_commitments(bundle: Bundle, view: ChainView) -> Difference | None:
    for reveal in bundle.inputs.seeds:
        ours = view.commitments.get(reveal.verifier, bytes(32))
        if ours != reveal.committed:
            where = f"attestations.jsonl, commitment of {reveal.verifier}"
            return Difference(where, "0x" + ours.hex(), "0x" + reveal.committed.hex())
    return None
