"""Make worse weights of good ones: what a provider would serve that declares a model and saves itself most of it.

For demonstrations, tests and benchmarks of the honest-model test, never for customers. A copy of the file is changed in
place, so it loads wherever the original does:

* `coarsen` leaves fewer steps to each weight, as a quantisation to fewer bits would: of the sixteen steps of a 4-bit
  weight eight are three bits, four are two;
* `prune` takes whole layers out: a layer whose two output matrices are zero adds nothing to what passes it, and an
  engine that leaves it out computes the same.

Only ggml's type Q4_1 is known (blocks of 32 weights: scale and least value as 16-bit floats, then 16 bytes of halves).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from marketplace.agent.errors import AgentError
from marketplace.agent.gguf import Tensor, tensors

_Q4_1 = 3
_BLOCK_WEIGHTS = 32
_BLOCK_BYTES = 20
_HEAD_BYTES = 4
_MOST = 15


def coarsen(source: Path, target: Path, steps: int) -> None:
    """Write a copy in which every 4-bit weight has one of `steps` evenly spread values, 2 to 15.

    Four steps: 0, 5, 10 and 15 of 0 to 15. Raises AgentError when no tensor of the file is of a type known here.
    """
    if not 2 <= steps <= _MOST:
        raise ValueError(f"a weight of 4 bits can be coarsened to 2 to {_MOST} steps, not {steps}")
    nearest = [round(round(value * (steps - 1) / _MOST) * _MOST / (steps - 1)) for value in range(_MOST + 1)]
    halves = bytes(nearest[byte >> 4] << 4 | nearest[byte & 15] for byte in range(256))
    known = _known(source)
    with _copied(source, target).open("r+b") as file:
        for tensor in known:
            file.seek(tensor.start)
            data = bytearray(file.read(_bytes(tensor)))
            for place in range(_HEAD_BYTES, _BLOCK_BYTES):
                data[place::_BLOCK_BYTES] = data[place::_BLOCK_BYTES].translate(halves)
            file.seek(tensor.start)
            file.write(data)


def prune(source: Path, target: Path, layers: Collection[int]) -> None:
    """Write a copy in which these layers, counted from 0, add nothing.

    Raises AgentError when the file has no such layer or its tensors are of another type.
    """
    outputs = {f"blk.{layer}.{name}.weight" for layer in layers for name in ("attn_output", "ffn_down")}
    gone = [tensor for tensor in _known(source) if tensor.name in outputs]
    if len(gone) != len(outputs):
        raise AgentError(f"{source} has not all of the layers {sorted(layers)}", "count its layers from 0")
    with _copied(source, target).open("r+b") as file:
        for tensor in gone:
            file.seek(tensor.start)
            file.write(bytes(_bytes(tensor)))


def _known(path: Path) -> list[Tensor]:
    found = [tensor for tensor in tensors(path) if tensor.kind == _Q4_1]
    if not found:
        raise AgentError(f"{path} holds no weights of type Q4_1", "make worse weights of a file that does")
    return found


def _bytes(tensor: Tensor) -> int:
    return tensor.weights // _BLOCK_WEIGHTS * _BLOCK_BYTES


def _copied(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target
