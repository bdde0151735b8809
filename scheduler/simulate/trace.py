"""Read traces of real traffic and cut slices of them.

A trace is a CSV file with a header: `t_s` or `t_ms`, `input_tokens`, `output_tokens`, and where known `block_ids_512`,
the prefix blocks of 512 tokens as numbers and ranges ("0-13 42" are 0 to 13 and 42). Arrivals are never invented: a
slice is a run of rows, its rate is scaled by dividing time alone, and whoever reports on it says the factor.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scheduler.errors import SchedulerError

BLOCK_TOKENS = 512
_TIMES_MS = {"t_s": 1_000.0, "t_ms": 1.0}


class BadTrace(SchedulerError):
    """The trace cannot be read; it needs the columns t_s or t_ms, input_tokens and output_tokens, all numbers."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of a trace. `blocks` are its whole prefix blocks, empty where the trace does not say; equal numbers
    mean equal prompts up to and including that block."""

    number: int
    at_ms: float
    input_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


def read_trace(path: Path) -> list[Arrival]:
    """Return a trace's requests in order of arrival, the first at time 0; raises `BadTrace`."""
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        column = next((name for name in _TIMES_MS if name in (rows.fieldnames or ())), None)
        if column is None:
            raise BadTrace(f"{path.name} has neither a column t_s nor t_ms")
        try:
            found = sorted(
                (
                    float(row[column]) * _TIMES_MS[column],
                    max(1, int(row["input_tokens"])),
                    max(1, int(row["output_tokens"])),
                    read_blocks(row.get("block_ids_512") or ""),
                )
                for row in rows
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadTrace(f"{path.name}, line {rows.line_num}: {error!r}") from error
    return renumber(Arrival(0, at_ms, tokens, out, blocks) for at_ms, tokens, out, blocks in found)


def read_blocks(text: str) -> tuple[int, ...]:
    """Return the numbers of a list of numbers and ranges; raises ValueError."""
    blocks: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        blocks.extend(range(int(first), int(last or first) + 1))
    return tuple(blocks)


def renumber(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Number arrivals from 0 and let the first come at time 0; they must be in order."""
    rows = list(arrivals)
    start_ms = rows[0].at_ms if rows else 0.0
    return [replace(row, number=number, at_ms=row.at_ms - start_ms) for number, row in enumerate(rows)]


def cut(trace: Sequence[Arrival], first: int, count: int) -> list[Arrival]:
    """Return `count` consecutive requests from `first` on; what would run over the end begins earlier."""
    first = max(0, min(first, len(trace) - count))
    return renumber(trace[first : first + count])


def rate_per_s(arrivals: Sequence[Arrival]) -> float:
    """Return the mean rate of arrivals."""
    span_ms = arrivals[-1].at_ms - arrivals[0].at_ms
    return 1e3 * (len(arrivals) - 1) / span_ms if span_ms else 0.0


def hurry(arrivals: Sequence[Arrival], factor: float) -> list[Arrival]:
    """Divide time by `factor`; gaps keep their proportions."""
    return [replace(row, at_ms=row.at_ms / factor) for row in arrivals]
