"""The committed ABIs and what Python makes of them: no event, field or struct is forgotten or in another order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from contracts import challenges, leaves, messages, types, views
from contracts.abi import DEPLOYED, artifact
from contracts.abi_values import report_values
from contracts.codec import function
from contracts.deployment import Deployment
from contracts.errors import BadArgument, BadDeployment, ContractRefused, RpcRefused
from contracts.events import event_classes, field_name, field_names, topic_of
from contracts.revert import decode_revert, refusal

from . import strategies

# events of the libraries, which move nothing that we keep books of
_NOT_OURS = {"EIP712DomainChanged", "AuthorityUpdated"}
_GOVERNANCE = {"Authority", "Timelock"}
_STRUCTS = {
    ("ProviderStaking", "provider"): (views.ProviderView, "provider"),
    ("ProviderStaking", "unbonds"): (views.UnbondView, None),
    ("ProviderStaking", "maintenance"): (types.Window, None),
    ("Delegation", "pool"): (views.PoolView, "provider"),
    ("Delegation", "position"): (views.PositionView, None),
    ("JobEscrow", "customer"): (views.CustomerView, "customer"),
    ("Verifiers", "member"): (views.MemberView, "operator"),
    ("EpochLedger", "record"): (views.EpochRecord, None),
    ("EpochLedger", "progress"): (views.ReportProgress, None),
    ("EpochLedger", "books"): (views.LedgerBooks, None),
    ("EpochClock", "rules"): (types.RulesRecord, None),
    ("EpochClock", "limits"): (types.LimitsRecord, None),
    ("SlashingCourt", "slash"): (views.SlashView, "id"),
}
_LISTED = {
    "Leaf": types.Leaf,
    "Totals": types.Totals,
    "Harm": types.Harm,
    "Charge": types.Charge,
    "Credit": types.Credit,
    "Pool": types.Pool,
    "Payee": types.Payee,
    "Movements": types.Movements,
    "Page": types.HarmPage,
    "Day": types.MeasuredDay,
    "Measured": types.MeasuredLeaf,
    "Target": types.ChallengeTarget,
    "FeesAtRisk": types.FeesAtRisk,
    "Receipt": messages.Receipt,
    "ProbeDay": messages.ProbeDay,
    "Countersignature": messages.Countersignature,
    "Served": challenges.Served,
}
_OTHER_NAMES = {("Measured", "days_"): "days", ("Target", "leaf_proof"): "proof"}


def test_every_event_of_every_contract_has_a_class() -> None:
    known = {(kind.CONTRACT, kind.NAME or kind.__name__) for kind in event_classes()}
    emitted = {(artifact(name).name, one["name"]) for name in DEPLOYED for one in artifact(name).entries("event")}
    assert known == {one for one in emitted if one[0] not in _GOVERNANCE and one[1] not in _NOT_OURS}
    assert len({(kind.CONTRACT, topic_of(kind)) for kind in event_classes()}) == len(event_classes())


@pytest.mark.parametrize("kind", event_classes(), ids=lambda kind: kind.__name__)
def test_an_event_class_has_the_fields_of_its_event(kind: Any) -> None:
    entry = artifact(kind.CONTRACT).entry("event", kind.NAME or kind.__name__)
    assert sorted(field_names(kind)) == sorted(field_name(one["name"]) for one in entry["inputs"])


@pytest.mark.parametrize("where", _STRUCTS, ids=".".join)
def test_a_view_class_has_the_fields_of_its_struct_in_its_order(where: tuple[str, str]) -> None:
    kind, key = _STRUCTS[where]
    components = artifact(where[0]).entry("function", where[1])["outputs"][0]["components"]
    # the contract counts seconds in names where Python says _s
    found = [field_name(one["name"]) for one in components]
    assert [one.name for one in fields(kind) if one.name != key] == found


def _structs() -> dict[str, list[str]]:
    """Return every struct that a function takes, with its members in order."""
    found: dict[str, list[str]] = {}

    def walk(parameter: Mapping[str, Any]) -> None:
        if not str(parameter["type"]).startswith("tuple"):
            return
        name = str(parameter["internalType"]).split(".")[-1].partition("[")[0]
        found[name] = [field_name(one["name"]) for one in parameter["components"]]
        for one in parameter["components"]:
            walk(one)

    for contract in ("EpochLedger", "ProviderStaking", "Delegation", "JobEscrow", "SlashingCourt", "ChallengeCourt"):
        for function_ in artifact(contract).entries("function"):
            for parameter in function_["inputs"]:
                walk(parameter)
    return found


@pytest.mark.parametrize("name", sorted(_LISTED))
def test_what_functions_take_is_in_the_contracts_order(name: str) -> None:
    kind = _LISTED[name]
    expected = [_OTHER_NAMES.get((name, one), one) for one in _structs()[name]]
    found = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    assert found == expected


def test_no_struct_that_a_function_takes_is_forgotten() -> None:
    # the signed part of a report is written by hand, from the lists it names by hash
    assert set(_structs()) == {*_LISTED, "Report"}


@given(strategies.reports)
def test_the_signed_part_of_a_report_is_in_the_contracts_order(report: types.Report) -> None:
    domain = messages.Domain(31337, "0x" + "5f" * 20)
    members = _structs()["Report"]
    values = dict(zip(members, report_values(report, domain), strict=True))
    message = leaves.report_digest(report, domain)
    for name in members:
        if name in ("totals", "harms"):
            continue
        assert values[name] == getattr(message, name), name
    assert values["totals"] == astuple(report.totals)
    assert values["harms"] == [astuple(one) for one in report.harms]
    assert message.attributes() == tuple(members)


def test_an_unknown_contract_or_function_is_named() -> None:
    with pytest.raises(BadDeployment, match="no artifact of a contract Nothing"):
        artifact("Nothing")
    with pytest.raises(KeyError, match="JobEscrow has no function fly"):
        function("JobEscrow", "fly")


@pytest.mark.parametrize("values", [[], ["0x12", 1], ["0x" + "11" * 20, -1], ["0x" + "11" * 20, 2**256], ["x", 1, 2]])
def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(values: list[Any]) -> None:
    with pytest.raises(BadArgument, match="deposit"):
        function("JobEscrow", "deposit").encode(values)


# ------------------------------------------------------------------------------------------------------------ reverts


def _data(contract: str, name: str, *values: Any) -> bytes:
    from contracts.abi import signature
    from contracts.codec import Words
    from contracts.signing import keccak

    entry = artifact(contract).entry("error", name)
    return keccak(signature(entry).encode())[:4] + Words(entry["inputs"]).encode(values)


@pytest.mark.parametrize("shape", ["plain", "words", "object", "nested"])
def test_a_typed_error_is_read_in_every_shape_nodes_give_it(shape: str) -> None:
    raw = "0x" + _data("JobEscrow", "ChargeAboveCap", "0x" + "ab" * 20, 7, 5).hex()
    data = {"plain": raw, "words": f"Reverted {raw}", "object": {"data": raw}, "nested": {"data": {"result": raw}}}[
        shape
    ]
    found = refusal(RpcRefused("eth_call", 3, "execution reverted", data), "EpochLedger", "EpochLedger.submit")
    assert found is not None and found.error_name == "ChargeAboveCap"
    assert found.arguments == {"customer": "0x" + "ab" * 20, "amount": 7, "cap": 5}
    told = f"EpochLedger.submit is refused: ChargeAboveCap(customer=0x{'ab' * 20}, amount=7, cap=5)"
    assert str(found) == told


def test_untyped_and_unknown_reverts_are_told_apart() -> None:
    text = (32).to_bytes(32) + (2).to_bytes(32) + b"no".ljust(32, b"\x00")
    assert decode_revert("JobEscrow", bytes.fromhex("08c379a0") + text).arguments == {"message": "no"}
    panic = decode_revert("JobEscrow", bytes.fromhex("4e487b71") + (17).to_bytes(32))
    assert (panic.error_name, panic.arguments) == ("Panic", {"code": 17})
    assert decode_revert("JobEscrow", b"\x01\x02\x03\x04rest").error_name == "0x01020304"
    assert str(decode_revert("JobEscrow", b"")) == "JobEscrow refuses: no reason given"
    assert decode_revert("JobEscrow", _data("JobEscrow", "NotCourt", "0x" + "ab" * 20)[:-1]).error_name.startswith("0x")


@pytest.mark.parametrize(
    "error",
    [
        RpcRefused("eth_call", -32000, "insufficient funds for gas"),
        RpcRefused("eth_call", -32601, "Method not found", "nothing hexadecimal"),
        RpcRefused("eth_call", -32001, "Resource not found", {"block": 1}),
    ],
)
def test_a_nodes_own_refusal_is_no_revert(error: RpcRefused) -> None:
    assert refusal(error, "JobEscrow") is None


def test_a_revert_without_data_is_one_nevertheless() -> None:
    for error in (
        RpcRefused("eth_call", 3, "execution reverted"),
        RpcRefused("eth_call", -32000, "execution reverted"),
    ):
        found = refusal(error, "JobEscrow")
        assert isinstance(found, ContractRefused) and found.error_name == ""


# -------------------------------------------------------------------------------------------------------- deployments


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"chain_id":1,"block":0}',
        '{"chain_id":"x","block":0,"contracts":{}}',
        '{"chain_id":1,"block":0,"contracts":{"A":"0x1"}}',
    ],
)
def test_a_file_that_is_no_deployment_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(BadDeployment, match="is no deployment file"):
        Deployment.read(path)


def test_says_what_to_do_where_a_deployment_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadDeployment, match="deploy first"):
        Deployment.read(tmp_path / "nowhere.json")
    with pytest.raises(BadDeployment, match="no deployment on chain 987654321"):
        Deployment.for_chain(987654321)
    with pytest.raises(BadDeployment, match="give a deployment file"):
        Deployment.find(None, None)
    with pytest.raises(BadDeployment, match="has no JobEscrow"):
        Deployment.bare(5).address("JobEscrow")


def test_a_deployment_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Deployment(31337, 4, {"JobEscrow": "0x" + "ab" * 20, "EpochLedger": "0x" + "cd" * 20}, {"a": {"b": 1}})
    path = tmp_path / "d.json"
    made.write(path)
    assert Deployment.read(path) == made == Deployment.find(path, None)
    assert made.name_of("0x" + "AB" * 20) == "JobEscrow" and made.name_of("0x" + "00" * 20) is None
    raw = json.loads(path.read_text())
    raw["contracts"]["JobEscrow"] = "0x" + "AB" * 20
    path.write_text(json.dumps(raw))
    assert Deployment.read(path).address("JobEscrow") == "0x" + "ab" * 20
    assert (made.domain().chain_id, made.domain().epoch_ledger) == (31337, "0x" + "cd" * 20)
