"""Worse weights are copies of the same form, changed where they should be and nowhere else."""

import struct
from pathlib import Path

import pytest

from marketplace.agent.errors import AgentError
from marketplace.agent.gguf import tensors
from marketplace.agent.worse_weights import coarsen, prune

Q4_1, F32 = 3, 0
BLOCK = struct.pack("<ee", 0.5, -1.0) + bytes(range(0, 256, 16))


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(folder: Path, kind: int = Q4_1) -> Path:
    """Write a file of two layers with two matrices of one block each, and a vector of another type."""
    names = [f"blk.{layer}.{name}.weight" for layer in (0, 1) for name in ("attn_output", "ffn_down")]
    header = b"GGUF" + struct.pack("<IQQ", 3, len(names) + 1, 2)
    header += text("general.name") + struct.pack("<I", 8) + text("small")
    header += text("general.alignment") + struct.pack("<II", 4, 64)
    for index, name in enumerate(names):
        header += text(name) + struct.pack("<IQIQ", 1, 32, kind, 64 * index)
    header += text("norm.weight") + struct.pack("<IQIQ", 1, 5, F32, 64 * len(names))
    data = b"".join(BLOCK.ljust(64, b"\0") for _ in names) + bytes(range(20))
    path = folder / "small.gguf"
    path.write_bytes(header + bytes(-len(header) % 64) + data)
    return path


def block(path: Path, index: int) -> bytes:
    start = tensors(path)[index].start
    return path.read_bytes()[start : start + len(BLOCK)]


def test_tensors_are_found_where_the_header_and_its_alignment_say(tmp_path: Path):
    found = tensors(gguf(tmp_path))
    assert [(one.name, one.kind, one.weights) for one in found][::4] == [
        ("blk.0.attn_output.weight", Q4_1, 32),
        ("norm.weight", F32, 5),
    ]
    assert block(gguf(tmp_path), 3) == BLOCK


def test_a_file_of_another_format_is_refused(tmp_path: Path):
    other = tmp_path / "other"
    other.write_bytes(b"PK\x03\x04")
    with pytest.raises(AgentError, match="no GGUF file"):
        tensors(other)


def test_coarse_weights_have_as_many_values_as_asked_for_and_keep_scale_and_offset(tmp_path: Path):
    source, target = gguf(tmp_path), tmp_path / "coarse.gguf"
    coarsen(source, target, 4)
    changed = block(target, 2)
    assert changed[:4] == BLOCK[:4]
    assert {half for byte in changed[4:] for half in (byte & 15, byte >> 4)} == {0, 5, 10, 15}
    assert max(abs((new >> 4) - (old >> 4)) for new, old in zip(changed[4:], BLOCK[4:], strict=True)) == 2
    assert target.read_bytes()[-20:] == source.read_bytes()[-20:]
    assert len(target.read_bytes()) == len(source.read_bytes())


def test_a_pruned_layer_adds_nothing_and_the_others_are_as_they_were(tmp_path: Path):
    source, target = gguf(tmp_path), tmp_path / "pruned.gguf"
    prune(source, target, [1])
    assert [block(target, index) for index in range(4)] == [BLOCK, BLOCK, bytes(20), bytes(20)]


def test_what_cannot_be_made_worse_is_refused_in_words(tmp_path: Path):
    source, target = gguf(tmp_path), tmp_path / "worse.gguf"
    with pytest.raises(ValueError, match="2 to 15 steps, not 1"):
        coarsen(source, target, 1)
    with pytest.raises(AgentError, match=r"not all of the layers \[0, 2\]"):
        prune(source, target, [0, 2])
    with pytest.raises(AgentError, match="no weights of type Q4_1"):
        coarsen(gguf(tmp_path, kind=8), target, 4)
    assert not target.exists()
