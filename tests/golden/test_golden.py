"""A committed epoch must settle to the same root for ever; a difference here is a change of the rules of money."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from rewards.blobs import FolderStore
from rewards.evidence import Bundle, read_bundle
from rewards.settlement import settle
from rewards.signatures import check_signatures

HERE = Path(__file__).parent


def _regenerate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_regenerate", HERE / "regenerate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    value: dict[str, str] = json.loads((HERE / "epoch-3.json").read_text())
    return value


@pytest.fixture(scope="module")
def bundle(expected: dict[str, str]) -> Bundle:
    return read_bundle(FolderStore(HERE / "epoch-3"), bytes.fromhex(expected["evidence"][2:]))


def test_the_golden_epoch_settles_to_the_committed_root(bundle: Bundle, expected: dict[str, str]) -> None:
    words = _regenerate().words(settle(bundle.inputs).report)
    assert words == {name: value for name, value in expected.items() if name != "evidence"}


def test_the_golden_report_is_reproduced_field_by_field(bundle: Bundle) -> None:
    ours = settle(bundle.inputs).report
    assert replace(ours, evidence=bundle.digest, rules=bundle.report.rules) == bundle.report


def test_the_golden_evidence_is_signed_throughout(bundle: Bundle) -> None:
    assert check_signatures(bundle.inputs) is None


def test_the_golden_inputs_still_build_from_names_and_seeds(bundle: Bundle) -> None:
    assert _regenerate().golden_inputs() == bundle.inputs


def test_the_golden_epoch_has_something_of_everything(bundle: Bundle) -> None:
    report = bundle.report
    assert {0, 1, 3, 5} <= {leaf.slash_level for leaf in report.leaves}
    totals = report.totals
    assert min(totals.charged, totals.credits, totals.credits_from_fund, totals.treasury, totals.verifier_fees) > 0
    assert totals.incentive > 0 and len(report.payees) == 3
    assert {leaf.verification_ppm for leaf in report.leaves} == {10**6, 833_333}
    assert sum(leaf.strikes for leaf in report.leaves) >= 3
    assert {leaf.standing for leaf in report.leaves} == {0, 1, 2}
    assert {leaf.measured for leaf in report.leaves} == {True, False}
    assert len(report.harms) >= 2 and 0 < totals.pools < totals.incentive
    inputs = bundle.inputs
    assert any(one.commission_ppm == 10**6 and one.delegated for one in inputs.providers)
    assert any(one.delegated > 16 * one.stake > 0 for one in inputs.providers)
    assert inputs.maintenance and inputs.opening.carries and inputs.opening.sla_fund
    settled = settle(inputs)
    assert any(any(leaf.void) for leaf in settled.measured) and any(any(leaf.served) for leaf in settled.measured)
    assert [one.provider for one in settled.harmed] == [one.provider for one in report.harms]
