"""A committed epoch must settle to the same root for ever; a difference here is a change of the rules of money.

One folder per number of the rules: the last can be built anew from names and seeds (`regenerate`), earlier ones cannot.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from contracts.messages import ServiceClass
from rewards.blobs import FolderStore
from rewards.evidence import Bundle, read_bundle
from rewards.rules import code_digest
from rewards.settlement import settle
from rewards.signatures import check_signatures
from rewards.types import RULES_NUMBER

HERE = Path(__file__).parent
NUMBERS = sorted(int(path.stem.removeprefix("rules-")) for path in HERE.glob("rules-*.json"))


def _regenerate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_regenerate", HERE / "regenerate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=NUMBERS)
def number(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def expected(number: int) -> dict[str, str]:
    value: dict[str, str] = json.loads((HERE / f"rules-{number}.json").read_text())
    return value


@pytest.fixture(scope="module")
def bundle(number: int, expected: dict[str, str]) -> Bundle:
    return read_bundle(FolderStore(HERE / f"rules-{number}"), bytes.fromhex(expected["evidence"][2:]))


@pytest.fixture(scope="module")
def newest() -> Bundle:
    expected = json.loads((HERE / f"rules-{RULES_NUMBER}.json").read_text())
    return read_bundle(FolderStore(HERE / f"rules-{RULES_NUMBER}"), bytes.fromhex(expected["evidence"][2:]))


def test_there_is_a_golden_epoch_of_every_number_of_the_rules() -> None:
    assert list(range(2, RULES_NUMBER + 1)) == NUMBERS


def test_the_golden_epoch_settles_to_the_committed_root(bundle: Bundle, expected: dict[str, str]) -> None:
    words = _regenerate().words(settle(bundle.inputs).report, bundle.inputs.rules_number)
    assert words == {name: value for name, value in expected.items() if name != "evidence"}


def test_the_golden_report_is_reproduced_field_by_field(bundle: Bundle, number: int) -> None:
    ours = settle(bundle.inputs).report
    assert bundle.inputs.rules_number == number
    assert replace(ours, evidence=bundle.digest, rules=bundle.report.rules) == bundle.report


def test_the_golden_evidence_is_signed_throughout(bundle: Bundle) -> None:
    assert check_signatures(bundle.inputs) is None


def test_evidence_names_the_code_that_settled_it(newest: Bundle) -> None:
    assert len(newest.code) == len(code_digest()) == 32


def test_the_golden_inputs_still_build_from_names_and_seeds(newest: Bundle) -> None:
    assert _regenerate().golden_inputs() == newest.inputs


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


def test_the_newest_golden_epoch_has_classes_scarcity_tenure_and_a_missing_receipt(newest: Bundle) -> None:
    inputs, settled = newest.inputs, settle(newest.inputs)
    paid = {one.countersignature.service_class for one in inputs.attempts if one.receipt.charge_atto}
    assert paid == set(ServiceClass)
    assert len({one.ppm for one in settled.closing.scarcity}) == 2 and inputs.opening.scarcity
    assert len({one.clean_epochs for one in inputs.opening.providers}) > 1
    assert inputs.opening.critical and settled.closing.critical
    assert len(settled.missing) == 1 and any(one.awaited for one in settled.closing.providers)
