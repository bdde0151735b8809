"""A bundle held against the chain: whatever was altered is named, with both values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.types import Charge, Leaf, Window
from rewards.blobs import FolderStore
from rewards.compare import compare, compare_reports
from rewards.evidence import Bundle, read_bundle, write_bundle
from rewards.examine import examine
from rewards.gather import chain_part
from rewards.settlement import settle
from rewards.state import state_digest
from rewards.testing import Network
from rewards.types import ChainView, EpochInputs


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    net = Network(providers=5, slots=120)
    dead, backed = net.provider_names[:2]
    net.change(backed, delegated=10**18, commission_ppm=50_000)
    opening = settle(net.inputs(attempts=net.attempts(0, 30))).closing
    inputs = net.inputs(
        1,
        attempts=net.attempts(1, 30, most_atto=10**15),
        probe_days=net.probe_days(1, {dead: range(120)}),
        opening=replace(opening, report=b"\x05" * 32),
    )
    store = FolderStore(tmp_path_factory.mktemp("evidence"))
    return read_bundle(store, write_bundle(store, inputs, settle(inputs).report).evidence)


@pytest.fixture(scope="module")
def view(bundle: Bundle) -> ChainView:
    inputs = bundle.inputs
    commitments = {reveal.verifier: reveal.committed for reveal in inputs.seeds}
    return ChainView(chain_part(inputs), commitments, state_digest(inputs.opening))


def _with_inputs(bundle: Bundle, **changes: object) -> Bundle:
    return replace(bundle, inputs=replace(bundle.inputs, **changes))


def _with_leaf(bundle: Bundle, index: int, **changes: int) -> Bundle:
    leaves = list(bundle.report.leaves)
    leaves[index] = replace(leaves[index], **changes)
    return replace(bundle, report=replace(bundle.report, leaves=tuple(leaves)))


def test_an_honest_bundle_is_equal_and_progress_is_told(bundle: Bundle, view: ChainView) -> None:
    steps: list[str] = []
    result = examine(bundle, view, lambda step, done, all_: steps.append(step))
    assert result.difference is None and result.equal and result.attempts == 30
    assert result.settlement is not None and result.settlement.report == bundle.report
    assert list(dict.fromkeys(steps)) == ["checking signatures", "settling"]


@pytest.mark.parametrize("name", [field for field in Leaf.__slots__ if field not in ("provider", "measured")])
def test_one_leaf_off_by_one_is_named_with_both_values(bundle: Bundle, view: ChainView, name: str) -> None:
    truth = getattr(bundle.report.leaves[2], name)
    result = examine(_with_leaf(bundle, 2, **{name: truth + 1}), view)
    assert result.difference is not None and not result.equal
    assert result.difference.where == f"report.leaves[{bundle.report.leaves[2].provider}].{name}"
    assert (result.difference.ours, result.difference.theirs) == (str(truth), str(truth + 1))
    assert result.settlement is not None


def test_a_leaf_that_denies_its_measurement_is_named(bundle: Bundle, view: ChainView) -> None:
    assert bundle.report.leaves[2].measured
    result = examine(_with_leaf(bundle, 2, measured=False), view)
    assert result.difference is not None
    assert result.difference.where == f"report.leaves[{bundle.report.leaves[2].provider}].measured"


def test_a_missing_an_added_and_a_swapped_leaf_are_named(bundle: Bundle, view: ChainView) -> None:
    leaves = bundle.report.leaves
    for changed, where in (
        (leaves[1:], f"report.leaves[{leaves[0].provider}]"),
        ((*leaves, replace(leaves[0], provider="0x" + "f" * 40)), f"report.leaves[0x{'f' * 40}]"),
        ((leaves[1], leaves[0], *leaves[2:]), "report.leaves (order or repetition)"),
    ):
        result = examine(replace(bundle, report=replace(bundle.report, leaves=changed)), view)
        assert result.difference is not None and result.difference.where == where


def test_every_other_field_of_the_report_is_compared(bundle: Bundle, view: ChainView) -> None:
    report = bundle.report
    stranger = "0x" + "f" * 40
    changes = {
        "epoch": 2,
        "previous": bytes(32),
        "evidence": bytes(32),
        "state": bytes(32),
        "rules": bytes(32),
        "checkpoint_block": 1,
        "checkpoint_hash": bytes(32),
        "totals": replace(report.totals, treasury=report.totals.treasury + 1),
        "charges": (*report.charges, Charge(stranger, 1)),
        "credits": report.credits[1:],
        "payees": report.payees[:-1],
        "pools": report.pools[1:],
        "harms": report.harms[1:],
        "measurements": bytes(32),
    }
    for name, value in changes.items():
        result = examine(replace(bundle, report=replace(report, **{name: value})), view)  # type: ignore[arg-type]
        assert result.difference is not None and result.difference.where.startswith(f"report.{name}"), name
    assert set(changes) | {"leaves"} == set(report.__slots__)


def test_a_credit_off_by_a_unit_names_customer_and_provider(bundle: Bundle, view: ChainView) -> None:
    credits = bundle.report.credits
    off = (replace(credits[0], amount=credits[0].amount + 1), *credits[1:])
    result = examine(replace(bundle, report=replace(bundle.report, credits=off)), view)
    assert result.difference is not None
    assert result.difference.where == f"report.credits[{credits[0].provider} {credits[0].customer}].amount"


def test_roots_that_commit_to_something_else_are_named(bundle: Bundle, view: ChainView) -> None:
    harms = bundle.report.harms
    assert harms
    for changes, where in (
        ({"measurements": b"\x01" * 32}, "report.measurements"),
        ({"harms": (replace(harms[0], root=b"\x01" * 32), *harms[1:])}, f"report.harms[{harms[0].provider}].root"),
        ({"harms": ()}, f"report.harms[{harms[0].provider}]"),
        ({"pools": ()}, f"report.pools[{bundle.report.pools[0].provider}]"),
    ):
        result = examine(replace(bundle, report=replace(bundle.report, **changes)), view)
        assert result.difference is not None and result.difference.where == where


def _stake(inputs: EpochInputs) -> dict[str, object]:
    first = inputs.providers[0]
    return {"providers": (replace(first, stake=first.stake + 1), *inputs.providers[1:])}


def test_evidence_that_does_not_say_what_the_chain_says_is_named(bundle: Bundle, view: ChainView) -> None:
    inputs = bundle.inputs
    provider = inputs.providers[0].provider
    for changes, where in (
        (_stake(inputs), f"inputs.json.providers[{provider}].stake"),
        ({"quorum": 1}, "inputs.json.quorum"),
        ({"rules": replace(inputs.rules, provider_ppm=1)}, "inputs.json.rules.provider_ppm"),
        ({"verifiers": inputs.verifiers[1:]}, f"inputs.json.verifiers[{inputs.verifiers[0].operator}]"),
        ({"maintenance": ((provider, (Window(0, 1),)),)}, "inputs.json.maintenance[0]"),
        ({"checkpoint": replace(inputs.checkpoint, time=1)}, "inputs.json.checkpoint.time"),
        ({"opening": replace(inputs.opening, report=bytes(32))}, "inputs.json.previous"),
    ):
        result = examine(_with_inputs(bundle, **changes), view)
        assert result.difference is not None and result.difference.where == where
        assert result.settlement is None


def test_an_opening_state_that_the_report_before_did_not_close_with_is_named(bundle: Bundle, view: ChainView) -> None:
    richer = replace(bundle.inputs.opening, sla_fund=bundle.inputs.opening.sla_fund + 1)
    result = examine(_with_inputs(bundle, opening=richer), view)
    assert result.difference is not None and result.difference.where.startswith("state.json")
    assert result.difference.ours == "0x" + view.opening_state.hex()


def test_a_commitment_that_is_not_on_the_chain_is_named(bundle: Bundle, view: ChainView) -> None:
    seeds = bundle.inputs.seeds
    forged = (replace(seeds[0], committed=bytes(32)), *seeds[1:])
    result = examine(_with_inputs(bundle, seeds=forged), view)
    assert result.difference is not None
    assert result.difference.where == f"attestations.jsonl, commitment of {seeds[0].verifier}"


def test_a_wrong_signature_stops_before_the_settlement(bundle: Bundle, view: ChainView) -> None:
    one = bundle.inputs.attempts[4]
    forged = replace(one, gateway_signature=one.gateway_signature[:-1] + bytes([55 - one.gateway_signature[-1]]))
    attempts = (*bundle.inputs.attempts[:4], forged, *bundle.inputs.attempts[5:])
    result = examine(_with_inputs(bundle, attempts=attempts), view)
    assert result.difference is not None and result.settlement is None
    assert result.difference.where == "attempts.jsonl, line 5, gateway_signature"


def test_inputs_that_cannot_be_settled_are_a_difference(bundle: Bundle, view: ChainView) -> None:
    attempts = tuple(reversed(bundle.inputs.attempts))
    result = examine(_with_inputs(bundle, attempts=attempts), view)
    assert result.difference is not None and result.difference.where == "settlement"
    assert "refused: attempts" in result.difference.ours


def test_an_attempt_left_out_changes_the_report(bundle: Bundle, view: ChainView) -> None:
    result = examine(_with_inputs(bundle, attempts=bundle.inputs.attempts[1:]), view)
    assert result.difference is not None and result.difference.where.startswith("report.leaves[")


def test_equal_values_differ_in_nothing(bundle: Bundle) -> None:
    assert compare_reports(bundle.report, bundle.report) is None
    assert compare(1, 1, "x") is None
    found = compare((1, 2), (1, 3), "x")
    assert found is not None and str(found) == "x[1]: ours 2, theirs 3"
