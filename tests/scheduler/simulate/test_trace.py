"""Traces: both forms of time, prefix blocks, slices, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.simulate.trace import Arrival, BadTrace, cut, hurry, rate_per_s, read_blocks, read_trace


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


def test_seconds_and_milliseconds_are_read(tmp_path: Path) -> None:
    rows = read_trace(written(tmp_path, "t_s,input_tokens,output_tokens\n2.5,10,3\n1.0,20,0\n"))
    assert rows == [Arrival(0, 0.0, 20, 1), Arrival(1, 1_500.0, 10, 3)], "in order, from 0, never without an answer"
    rows = read_trace(written(tmp_path, "t_ms,input_tokens,output_tokens,block_ids_512\n7,1600,3,0-1 42\n"))
    assert rows == [Arrival(0, 0.0, 1_600, 3, (0, 1, 42))]


def test_ranges_of_blocks_are_written_out() -> None:
    assert read_blocks("0-3 9 12-12") == (0, 1, 2, 3, 9, 12)
    assert read_blocks("") == ()


@pytest.mark.parametrize(
    "text",
    ["time,input_tokens,output_tokens\n1,2,3\n", "t_s,input_tokens\n1,2\n", "t_s,input_tokens,output_tokens\n1,x,3\n"],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadTrace):
        read_trace(written(tmp_path, text))


def test_a_slice_keeps_its_gaps_and_begins_earlier_rather_than_end_short() -> None:
    trace = [Arrival(n, 10.0 * n * n, 5, 5) for n in range(10)]
    assert [row.at_ms for row in cut(trace, 2, 3)] == [0.0, 50.0, 120.0]
    assert [row.at_ms for row in cut(trace, 9, 3)] == [0.0, 150.0, 320.0]
    assert [row.number for row in cut(trace, 2, 3)] == [0, 1, 2]


def test_hurrying_divides_time_and_nothing_else() -> None:
    trace = [Arrival(n, 100.0 * n, 5, 5) for n in range(11)]
    assert rate_per_s(trace) == 10.0
    assert rate_per_s(hurry(trace, 4.0)) == 40.0
