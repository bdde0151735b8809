"""Charts as numbers: what the templates draw as SVG, so that no script and no style has to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

TALL = 1_000
_LEAST = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label, its place from the left, its height out of `TALL`, and the value that it stands for."""

    label: str
    at: int
    height: int
    value: int


def bars(values: Mapping[str, int]) -> tuple[Bar, ...]:
    """Return a bar for each value in order, the largest `TALL` high; a value above zero can always be seen."""
    most = max(values.values(), default=0)
    return tuple(
        Bar(label, at, max(_LEAST, value * TALL // most) if value else 0, value)
        for at, (label, value) in enumerate(values.items())
    )


def runs(states: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Return (state, first, length) of each run of equal states: a strip of a thousand slots is a few rectangles."""
    found, at = [], 0
    for state, group in groupby(states):
        length = len(list(group))
        found.append((state, at, length))
        at += length
    return tuple(found)
