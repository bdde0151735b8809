"""Canonical JSON and the exact round trip of everything that is written in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import Status
from rewards.attempt_lines import read_lines, write_line
from rewards.canonical import Unreadable, build, canonical_json, plain, read_json
from rewards.settlement import settle
from rewards.state import GENESIS, read_state, state_bytes, state_digest
from rewards.testing import Network
from rewards.types import Attempt, EpochInputs

scalars = st.integers(-(2**200), 2**200) | st.text(max_size=20) | st.booleans() | st.none()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner))


@given(values)
def test_canonical_json_is_sorted_tight_and_comes_back(value: object) -> None:
    data = canonical_json(value)
    assert read_json(data) == value
    assert data == canonical_json(json.loads(data))


def test_canonical_json_of_a_known_value() -> None:
    assert canonical_json({"b": [1, 2**70], "a": "ü"}) == '{"a":"ü","b":[1,1180591620717411303424]}'.encode()


@pytest.mark.parametrize("value", [1.5, {"a": [float("nan")]}, {1: 2}, {"a": b"x"}])
def test_floats_bytes_and_odd_keys_have_no_canonical_form(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize(
    "text", ["1.5", "[1e3]", "NaN", "-Infinity", '{"a":1,"a":2}', "{", "", "[" * 100_000, "9" * 5_000]
)
def test_what_is_no_plain_json_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        read_json(text)


@dataclass(frozen=True)
class _Inner:
    flag: bool
    digest: bytes


@dataclass(frozen=True)
class _Outer:
    name: str
    pair: tuple[int, int]
    items: tuple[_Inner, ...]


_GOOD = {"name": "x", "pair": [1, 2], "items": [{"flag": True, "digest": "0x00ff"}]}


def test_a_dataclass_comes_back_as_itself() -> None:
    value = _Outer("x", (1, 2), (_Inner(True, b"\x00\xff"),))
    assert plain(value) == _GOOD and build(_Outer, _GOOD) == value


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": 1}, "name is not a string"),
        ({"pair": [1]}, "pair has 1 entries instead of 2"),
        ({"pair": [1, True]}, r"pair\[1\] is not an integer"),
        ({"items": {}}, "items is not a list"),
        ({"items": [{"flag": 1, "digest": "0x"}]}, r"items\[0\].flag is not true or false"),
        ({"items": [{"flag": True, "digest": "00"}]}, r"items\[0\].digest is not 0x"),
        ({"items": [{"flag": True, "digest": "0xAB"}]}, r"items\[0\].digest is not written in lower-case"),
        ({"items": [{"flag": True}]}, r"items\[0\] lacks \['digest'\]"),
        ({"more": 1}, r"has \['more'\] too many"),
        ({"items": [7]}, r"items\[0\] is not an object"),
    ],
)
def test_a_field_in_the_wrong_form_is_named_by_its_path(change: dict[str, object], path: str) -> None:
    with pytest.raises(Unreadable, match=path):
        build(_Outer, _GOOD | change)


@pytest.fixture(scope="module")
def inputs() -> EpochInputs:
    net = Network()
    failed = net.attempt(
        net.provider_names[0], net.customer_names[0], 3, job=b"\xff" * 32, status=Status.TIMEOUT, signed=False
    )
    return net.inputs(
        attempts=[*net.attempts(0, 20), failed], maintenance={net.provider_names[1]: [net.window(0, 3, 5)]}
    )


def test_a_state_comes_back_and_its_digest_does_not_cover_the_report(inputs: EpochInputs) -> None:
    closing = settle(inputs).closing
    known = replace(closing, report=b"\x07" * 32)
    assert read_state(state_bytes(closing), b"\x07" * 32) == known
    assert state_digest(known) == state_digest(closing) != state_digest(GENESIS)


def test_a_line_of_an_attempt_is_its_canonical_json(inputs: EpochInputs) -> None:
    for one in inputs.attempts:
        assert write_line(one).encode() == canonical_json(plain(one)) + b"\n"


def test_lines_come_back_as_the_attempts_they_were(inputs: EpochInputs) -> None:
    assert tuple(read_lines(write_line(one) for one in inputs.attempts)) == inputs.attempts


def test_other_forms_of_the_same_json_read_the_same(inputs: EpochInputs) -> None:
    one = inputs.attempts[0]
    assert next(read_lines([json.dumps(plain(one), indent=1)])) == one


@given(st.data())
def test_large_and_small_numbers_survive_a_line(data: st.DataObject) -> None:
    net = Network(providers=1, customers=1)
    one = net.attempt(net.provider_names[0], net.customer_names[0], 1, job=b"\x01" * 32)
    receipt = replace(
        one.receipt,
        charge_atto=data.draw(st.integers(0, 2**128 - 1)),
        input_tokens=data.draw(st.integers(0, 2**32 - 1)),
        slot=data.draw(st.integers(0, 2**64 - 1)),
        status=data.draw(st.integers(0, 255)),
    )
    changed = replace(one, receipt=receipt)
    assert next(read_lines([write_line(changed)])) == changed


def _broken(one: Attempt) -> list[str]:
    line = write_line(one)
    return [
        line.replace('"attempt":0', '"attempt":00'),
        line.replace('"attempt":0', '"attempt":4294967296'),
        line.replace('"attempt":0', '"attempt":-1'),
        line.replace('"attempt":0,', ""),
        line.replace(one.gateway, one.gateway[:-1]).replace('"job":"0x', '"job":"0xg'),
        line[:-10],
        "",
        "[]",
    ]


@pytest.mark.parametrize("case", range(8))
def test_a_line_that_is_no_attempt_is_unreadable(inputs: EpochInputs, case: int) -> None:
    with pytest.raises(Unreadable):
        list(read_lines([_broken(inputs.attempts[0])[case]]))
