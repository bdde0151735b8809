"""Weights files: where they lie and what their digest is.

The weights digest of an offer is the SHA-256 of the weights file. Hashing a large file takes seconds, so the digest
is remembered beside the provider's state, together with the file's size and modification time, and computed anew
when either differs.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.util import find_spec
from pathlib import Path

from marketplace.agent.errors import AgentError

_PACKAGE = "package:"


def find_weights(weights: str, folder: Path) -> Path:
    """Return the file that `weights` names.

    A path relative to `folder`, or `package:<import name>` for the GGUF inside a package.
    """
    if not weights.startswith(_PACKAGE):
        path = (folder / weights).resolve()
        if not path.is_file():
            raise AgentError(f"there is no weights file {path}", "correct `weights` in the provider file")
        return path
    name = weights.removeprefix(_PACKAGE)
    # the specification is enough: importing a model's package may pull in programs that are not installed
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise AgentError(f"the package {name} is not installed", f"install the package that carries {name}")
    files = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    if len(files) != 1:
        raise AgentError(
            f"the package {name} carries {len(files)} GGUF files, one is needed", "name the file by its path"
        )
    return files[0]


def weights_digest(path: Path, state_folder: Path) -> bytes:
    """Return the SHA-256 of a weights file, remembered in `state_folder/weights.json`."""
    status = path.stat()
    mark = [str(path), status.st_size, status.st_mtime_ns]
    memory = state_folder / "weights.json"
    try:
        known = {tuple(entry["file"]): entry["sha256"] for entry in json.loads(memory.read_text())}
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    if tuple(mark) in known:
        return bytes.fromhex(known[tuple(mark)])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    known = {key: value for key, value in known.items() if key[0] != str(path)} | {tuple(mark): digest.hex()}
    state_folder.mkdir(parents=True, exist_ok=True)
    partial = memory.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps([{"file": list(key), "sha256": value} for key, value in known.items()]))
    partial.replace(memory)
    return digest
