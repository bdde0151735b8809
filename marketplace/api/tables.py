"""Turn rows of views into files for other programs: CSV and Parquet, with the amounts as exact decimal strings."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from marketplace.api.parquet import Column, Kind, parquet
from marketplace.api.views import wire

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(kind: type[Any], rows: Sequence[Any]) -> bytes:
    """Return rows of a dataclass as CSV with a head.

    Text that a spreadsheet would take for a formula is led by an apostrophe: what providers registered is hostile.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in fields(kind)]
    writer.writerow(names)
    for row in rows:
        cells = wire(row)
        writer.writerow([_cell(cells[name]) for name in names])
    return out.getvalue().encode()


def as_parquet(kind: type[Any], rows: Sequence[Any]) -> bytes:
    """Return rows of a dataclass as Parquet: counts and times as 64-bit integers, everything else as text."""
    cells = [wire(row) for row in rows]
    hints = get_type_hints(kind)
    columns = []
    for field in fields(kind):
        column = _kind(field.name, hints[field.name])
        values = [cell[field.name] for cell in cells]
        columns.append(Column(field.name, column, values if column is not Kind.TEXT else [_text(v) for v in values]))
    return parquet(columns, len(cells))


def _kind(name: str, hint: Any) -> Kind:
    if hint is bool:
        return Kind.BOOLEAN
    whole = hint in (int, int | None) and not name.endswith(("_units", "_atto"))
    return Kind.INT64 if whole else Kind.TEXT


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cell(value: Any) -> Any:
    text = _text(value)
    if text is None:
        return ""
    harmless = isinstance(value, (int, bool)) or not text.startswith(_FORMULA)
    return text if harmless else "'" + text
