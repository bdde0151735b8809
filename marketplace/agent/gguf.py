"""Read what a GGUF file says about itself: the keys of its header and where its tensors lie.

The format is described in ggml's `docs/gguf.md`; only what is needed here is read, and nothing is loaded whole.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from marketplace.agent.errors import AgentError

_MAGIC = b"GGUF"
_CHAT_TEMPLATE = b"tokenizer.chat_template"
_ALIGNMENT_KEY = b"general.alignment"
_ALIGNMENT = 32
# sizes of GGUF's scalar types by their number; 8 is a string, 9 an array
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_MOST_TEXT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: ggml's number of its type, how many weights it holds, where its bytes begin in the file."""

    name: str
    kind: int
    weights: int
    start: int


def chat_template(path: Path) -> str:
    """Return the chat template written inside a GGUF file, empty when there is none or the file is another format."""
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            return ""
        _version, _tensors, pairs = struct.unpack("<IQQ", file.read(20))
        for _ in range(pairs):
            key, kind = _key(file)
            if key == _CHAT_TEMPLATE and kind == _STRING:
                return _string(file).decode()
            _skip(file, kind)
    return ""


def tensors(path: Path) -> tuple[Tensor, ...]:
    """Return where every tensor of a GGUF file lies; raises AgentError when the file is another format or damaged."""
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            raise AgentError(f"{path} is no GGUF file", "name a file in this format")
        _version, count, pairs = struct.unpack("<IQQ", file.read(20))
        alignment = _ALIGNMENT
        for _ in range(pairs):
            key, kind = _key(file)
            if key == _ALIGNMENT_KEY and kind == _UINT32:
                (alignment,) = struct.unpack("<I", file.read(4))
            else:
                _skip(file, kind)
        found = []
        for _ in range(count):
            name = _string(file).decode()
            (dimensions,) = struct.unpack("<I", file.read(4))
            weights = 1
            for size in struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions)):
                weights *= size
            kind, offset = struct.unpack("<IQ", file.read(12))
            found.append((name, kind, weights, offset))
        base = -(-file.tell() // alignment) * alignment
    return tuple(Tensor(name, kind, weights, base + offset) for name, kind, weights, offset in found)


def _key(file: BinaryIO) -> tuple[bytes, int]:
    key = _string(file)
    (kind,) = struct.unpack("<I", file.read(4))
    return key, kind


def _string(file: BinaryIO) -> bytes:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _MOST_TEXT_BYTES:
        raise AgentError(
            f"a text of {length} bytes in the weights file's header", "the file is damaged: fetch it again"
        )
    return file.read(length)


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        (length,) = struct.unpack("<Q", file.read(8))
        file.seek(length, os.SEEK_CUR)
    elif kind == _ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        if inner in _SCALAR_BYTES:
            file.seek(_SCALAR_BYTES[inner] * count, os.SEEK_CUR)
        else:
            for _ in range(count):
                _skip(file, inner)
    elif kind in _SCALAR_BYTES:
        file.seek(_SCALAR_BYTES[kind], os.SEEK_CUR)
    else:
        raise AgentError(f"type {kind} in the weights file's header is unknown", "the file is damaged: fetch it again")
