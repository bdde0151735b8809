"""Canonical JSON, and frozen dataclasses written in it and read back exactly.

Keys sorted, no white space, UTF-8 unescaped, integers only. A dataclass is an object with its field names, bytes are
`0x…`, a tuple is a list, a signed message takes its wire form (EIP-712 names). Reading is strict: a missing, unknown
or misplaced field is named by its path.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from contracts.errors import ContractsError
from contracts.messages import Message
from rewards.errors import RewardsError

T = TypeVar("T")
Reader = Callable[[Any, str], Any]


class Unreadable(RewardsError):
    """A JSON value does not have the form its place demands: the path names the field."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path or 'the value'} {why}")
        self.path, self.why = path, why


def canonical_json(value: Any) -> bytes:
    """Return the canonical JSON of plain values; floats are refused with TypeError."""
    _no_floats(value)
    return _ENCODER.encode(value).encode()


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def read_json(data: bytes | str) -> Any:
    """Parse JSON that holds no floats and no key twice in one object; raises Unreadable."""
    try:
        return json.loads(data, parse_float=_refuse_number, parse_constant=_refuse_number, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Unreadable("", f"is not JSON: {error}") from error


def plain(value: Any) -> Any:
    """Return a dataclass, tuple, bytes, string or integer as plain JSON values."""
    kind = type(value)
    if kind is str or kind is int or kind is bool:
        return value
    if kind is bytes:
        return "0x" + value.hex()
    if kind is tuple or kind is list:
        return [plain(item) for item in value]
    if kind is dict:
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Message):
        return value.to_json()
    if dataclasses.is_dataclass(kind):
        return {name: plain(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{kind.__name__} has no canonical form")


def build(kind: type[T], value: Any, path: str = "") -> T:
    """Read `plain(x)` back as an instance of `kind`; raises Unreadable naming the path."""
    reader: Reader = _reader(kind)  # type: ignore[arg-type]
    result: T = reader(value, path)
    return result


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in dataclasses.fields(kind))


@cache
def _reader(kind: Any) -> Reader:
    """Compose the reader of a type once: leaves check their JSON type, the rest recurses."""
    if kind is bool:
        return _exactly(bool, "true or false")
    if kind is int:
        return _read_int
    if kind is str:
        return _exactly(str, "a string")
    if kind is bytes:
        return _read_bytes
    if get_origin(kind) is tuple:
        return _tuple_reader(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Message):
        return _message_reader(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    raise TypeError(f"{kind} has no canonical form")


def _dataclass_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    readers = {name: _reader(hints[name]) for name in _names(kind)}

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Unreadable(path, "is not an object")
        if value.keys() != readers.keys():
            missing, extra = sorted(readers.keys() - value.keys()), sorted(value.keys() - readers.keys())
            raise Unreadable(path, f"lacks {missing} and has {extra} too many" if extra else f"lacks {missing}")
        return kind(
            **{name: reader(value[name], f"{path}.{name}" if path else name) for name, reader in readers.items()}
        )

    return read


def _message_reader(kind: type[Message]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Unreadable(path, "is not an object")
        try:
            return kind.from_json(value)
        except ContractsError as error:
            raise Unreadable(path, f"cannot be read: {error}") from error

    return read


def _tuple_reader(args: tuple[Any, ...]) -> Reader:
    endless = len(args) == 2 and args[1] is Ellipsis
    readers = tuple(_reader(arg) for arg in (args[:1] if endless else args))

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise Unreadable(path, "is not a list")
        if not endless and len(value) != len(readers):
            raise Unreadable(path, f"has {len(value)} entries instead of {len(readers)}")
        return tuple(readers[0 if endless else index](item, f"{path}[{index}]") for index, item in enumerate(value))

    return read


def _exactly(kind: type, words: str) -> Reader:
    def read(value: Any, path: str) -> Any:
        if type(value) is not kind:
            raise Unreadable(path, f"is not {words}")
        return value

    return read


def _read_int(value: Any, path: str) -> int:
    if type(value) is not int:
        raise Unreadable(path, "is not an integer")
    return value


def _read_bytes(value: Any, path: str) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise Unreadable(path, "is not 0x followed by hexadecimal digits")
    try:
        result = bytes.fromhex(value[2:])
    except ValueError:
        raise Unreadable(path, "is not 0x followed by hexadecimal digits") from None
    if value[2:] != result.hex():
        raise Unreadable(path, "is not written in lower-case hexadecimal digits")
    return result


def _refuse_number(text: str) -> Any:
    raise ValueError(f"{text} is not an integer")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _no_floats(value: Any) -> None:
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError("keys are strings")
            _no_floats(item)
    elif kind is list or kind is tuple:
        for item in value:
            _no_floats(item)
    elif not isinstance(value, (str, int, types.NoneType)):
        raise TypeError(f"{kind.__name__} has no canonical form")
