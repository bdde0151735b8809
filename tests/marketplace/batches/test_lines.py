"""What may stand in a batch's input file, line by line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.batches.lines import FAULTS_MOST, Checker, Splitter
from tests.marketplace.batches.shop import CHAT, MODEL, chat


def check(lines: list[Any], endpoint: str = CHAT, most: int = 100) -> Checker:
    checker = Checker(endpoint, lambda model: model.startswith("mock"), most)
    for line in lines:
        checker.take(line if isinstance(line, bytes) else json.dumps(line).encode())
    checker.end()
    return checker


def changed(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (chat(1) | fields).items() if value is not None}


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"\xff", "invalid_json_line", None),
        (b"[1]", "invalid_request", None),
        (b"null", "invalid_request", None),
        (changed(custom_id=None), "missing_required_parameter", "custom_id"),
        (changed(custom_id=7), "missing_required_parameter", "custom_id"),
        (changed(custom_id=""), "missing_required_parameter", "custom_id"),
        (changed(custom_id="x" * 513), "missing_required_parameter", "custom_id"),
        (changed(custom_id="a\0b"), "missing_required_parameter", "custom_id"),
        (changed(method=None), "invalid_method", "method"),
        (changed(method="GET"), "invalid_method", "method"),
        (changed(url=None), "url_mismatch", "url"),
        (changed(url="/v1/embeddings"), "url_mismatch", "url"),
        (changed(body=None), "missing_required_parameter", "body"),
        (changed(body=[]), "missing_required_parameter", "body"),
        (chat(1, model=None), "missing_model", "body.model"),
        (chat(1, model="gpt-4"), "model_not_found", "body.model"),
        (chat(1, messages=[]), "missing_messages", "body.messages"),
        (chat(1, max_tokens=0), "invalid_value", "body.max_tokens"),
        (chat(1, stream=True), "invalid_value", "body.stream"),
        (chat(1, extra=json.loads("[" * 300 + "]" * 300)), "invalid_request", "body"),
    ],
)
def test_a_line_that_cannot_be_served_is_named_with_its_number(line: Any, code: str, param: str | None) -> None:
    checker = check([chat(0), line, chat(2)])
    assert [(fault.line, fault.code, fault.param) for fault in checker.faults] == [(2, code, param)]
    assert checker.faults[0].message


def test_a_custom_id_that_comes_twice_is_named_where_it_comes_again() -> None:
    checker = check([chat(1), chat(2), chat(1)])
    assert [(fault.line, fault.code) for fault in checker.faults] == [(3, "duplicate_custom_id")]


def test_all_lines_name_the_model_of_the_first() -> None:
    checker = check([chat(1), chat(2, model="mock-other")])
    assert [(fault.line, fault.code) for fault in checker.faults] == [(2, "model_mismatch")]
    assert checker.model == MODEL


def test_blank_lines_count_for_numbers_and_for_nothing_else() -> None:
    checker = check([b"", b"  ", chat(1), b"\r", b"{"])
    assert checker.count == 2
    assert [fault.line for fault in checker.faults] == [5]


def test_a_file_without_requests_is_refused() -> None:
    assert [fault.code for fault in check([b"", b" "]).faults] == ["empty_file"]


def test_one_line_too_many_is_the_only_thing_said() -> None:
    checker = check([b"{", *[chat(number) for number in range(4)]], most=4)
    assert [(fault.code, fault.line) for fault in checker.faults] == [("too_many_tasks", None)]
    assert checker.stopped


def test_many_errors_are_said_to_a_bound() -> None:
    checker = check([b"{"] * 1_000, most=2_000)
    assert len(checker.faults) == FAULTS_MOST + 1
    assert checker.faults[-1].code == "more_errors" and checker.stopped


def test_embedding_inputs_are_counted_over_the_whole_batch() -> None:
    def line(number: int, inputs: Any) -> dict[str, Any]:
        return {
            "custom_id": str(number),
            "method": "POST",
            "url": "/v1/embeddings",
            "body": {"model": MODEL, "input": inputs},
        }

    full = [line(1, ["a"] * 49_998), line(2, "one"), line(3, [1, 2, 3])]
    assert check(full, "/v1/embeddings").faults == []
    over = check([*full, line(4, "one more")], "/v1/embeddings")
    assert [(fault.line, fault.code) for fault in over.faults] == [(4, "too_many_inputs")]


def test_the_request_keeps_its_meaning() -> None:
    checker = Checker(CHAT, lambda model: True)
    line = chat(1, odd={"z": 1.5, "a": ["ü", None]})
    request = checker.take(json.dumps(line).encode())
    assert request is not None and (request.line, request.custom_id) == (1, "line-1")
    assert json.loads(request.body) == line["body"]


@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=12), st.integers(1, 9))
def test_lines_come_out_as_they_went_in_however_the_file_is_cut(lines: list[bytes], size: int) -> None:
    whole = b"\n".join(lines)
    splitter, found = Splitter(), list[bytes | None]()
    for start in range(0, len(whole), size):
        found += splitter.feed(whole[start : start + size])
    found += splitter.end()
    expected = whole.split(b"\n")
    assert found == (expected if expected[-1] else expected[:-1])


@given(st.integers(1, 40), st.integers(1, 9))
def test_a_line_above_its_bound_is_never_kept_and_the_next_is_read(length: int, size: int) -> None:
    whole = b"a" * length + b"\nb\n"
    splitter, found = Splitter(most=10), list[bytes | None]()
    for start in range(0, len(whole), size):
        found += splitter.feed(whole[start : start + size])
        assert len(splitter._rest) <= 10
    assert found == [b"a" * length if length <= 10 else None, b"b"]
