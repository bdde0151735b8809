"""Write a table as Apache Parquet: one row group, plain values, no compression; a file that every reader understands.

The usual library is forty megabytes of C++ for what are a few pages here. Format: the Parquet specification, version 1
of data pages, with metadata in Thrift's compact protocol. All columns are optional; text is UTF-8.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import Any

_MAGIC = b"PAR1"
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12  # types of Thrift's compact protocol
_OPTIONAL, _UTF8, _PLAIN, _RLE, _UNCOMPRESSED, _DATA_PAGE = 1, 0, 0, 3, 0, 0


class Kind(IntEnum):
    """Parquet's physical types, as far as they are used."""

    BOOLEAN = 0
    INT64 = 2
    TEXT = 6


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its kind, and a value or None for each row."""

    name: str
    kind: Kind
    values: Sequence[Any]


def parquet(columns: Sequence[Column], rows: int) -> bytes:
    """Return the bytes of a file; every column has `rows` values."""
    out = bytearray(_MAGIC)
    chunks = []
    for column in columns:
        assert len(column.values) == rows, f"{column.name} has {len(column.values)} values for {rows} rows"
        at, page = len(out), _page(column)
        out += page
        chunks.append(_struct((2, _I64, at), (3, _STRUCT, _chunk(column, at, len(page)))))
    group = _struct((1, _LIST, (_STRUCT, chunks)), (2, _I64, len(out) - len(_MAGIC)), (3, _I64, rows))
    schema = [_struct((4, _BINARY, b"table"), (5, _I32, len(columns))), *map(_element, columns)]
    footer = _struct(
        (1, _I32, 1),
        (2, _LIST, (_STRUCT, schema)),
        (3, _I64, rows),
        (4, _LIST, (_STRUCT, [group])),
        (6, _BINARY, b"bonded"),
    )
    return bytes(out) + footer + struct.pack("<I", len(footer)) + _MAGIC


def _page(column: Column) -> bytes:
    levels = b"".join(
        _varint(len(list(run)) << 1) + bytes([present])
        for present, run in groupby(value is not None for value in column.values)
    )
    body = struct.pack("<I", len(levels)) + levels + _plain(column)
    data = _struct((1, _I32, len(column.values)), (2, _I32, _PLAIN), (3, _I32, _RLE), (4, _I32, _RLE))
    header = _struct((1, _I32, _DATA_PAGE), (2, _I32, len(body)), (3, _I32, len(body)), (5, _STRUCT, data))
    return header + body


def _plain(column: Column) -> bytes:
    there = [value for value in column.values if value is not None]
    if column.kind is Kind.INT64:
        return struct.pack(f"<{len(there)}q", *there)
    if column.kind is Kind.BOOLEAN:
        bits = sum(bool(value) << at for at, value in enumerate(there))
        return bits.to_bytes((len(there) + 7) // 8, "little")
    raw = [str(value).encode() for value in there]
    return b"".join(struct.pack("<I", len(one)) + one for one in raw)


def _element(column: Column) -> bytes:
    utf8 = [(6, _I32, _UTF8)] if column.kind is Kind.TEXT else []
    return _struct((1, _I32, column.kind), (3, _I32, _OPTIONAL), (4, _BINARY, column.name.encode()), *utf8)


def _chunk(column: Column, at: int, size: int) -> bytes:
    return _struct(
        (1, _I32, column.kind),
        (2, _LIST, (_I32, [_zigzag(_PLAIN), _zigzag(_RLE)])),
        (3, _LIST, (_BINARY, [_text(column.name.encode())])),
        (4, _I32, _UNCOMPRESSED),
        (5, _I64, len(column.values)),
        (6, _I64, size),
        (7, _I64, size),
        (9, _I64, at),
    )


def _struct(*fields: tuple[int, int, Any]) -> bytes:
    """Return a Thrift struct of (number, type, value) in ascending order of numbers."""
    out, before = bytearray(), 0
    for number, kind, value in fields:
        out.append((number - before) << 4 | kind)
        before = number
        if kind in (_I32, _I64):
            out += _zigzag(value)
        elif kind == _BINARY:
            out += _text(value)
        elif kind == _STRUCT:
            out += value
        else:
            inner, items = value
            out += bytes([len(items) << 4 | inner]) if len(items) < 15 else bytes([0xF0 | inner]) + _varint(len(items))
            out += b"".join(items)
    return bytes(out) + b"\0"


def _text(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
