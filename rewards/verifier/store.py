"""The verifier's own append-only record of what it saw: one JSON line per measurement, a file per epoch, fsynced.

A verifier that crashes in mid-epoch reads its file again at start and goes on; nothing it saw is lost, and a torn
last line is dropped. What was attested of an epoch and which of its reports were signed lie beside it, written whole.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.blobs import FolderStore
from rewards.canonical import build, canonical_json, plain, read_json
from rewards.verifier.challenge import Pool
from rewards.verifier.probe import Verdict


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one probe came to.

    `slot` counts from the epoch's first; `ttft_ms` is None unless the first token arrived; `canary` is None unless
    judged; `prompt` is the place in the epoch's pool of a sampled request that was answered, and `answer` the answer;
    `again`: the first try had failed.
    """

    provider: str
    slot: int
    verdict: Verdict
    ttft_ms: int | None
    canary: bool | None
    prompt: int | None = None
    answer: str = ""
    again: bool = False


class MeasurementStore:
    """Append measurements of one verifier and read an epoch's back; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.blobs = FolderStore(folder / "samples")
        self._lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, epoch: int, measurement: Measurement) -> bool:
        """Write one measurement and wait until it is on disk; False, and nothing written, once the epoch is attested.

        So the measurements of an epoch always support what was attested of it.
        """
        line = json.dumps(
            {
                "provider": measurement.provider,
                "slot": measurement.slot,
                "verdict": measurement.verdict.value,
                "ttft_ms": measurement.ttft_ms,
                "canary": measurement.canary,
                "again": measurement.again,
                **(
                    {"prompt": measurement.prompt, "answer": measurement.answer}
                    if measurement.prompt is not None
                    else {}
                ),
            },
            separators=(",", ":"),
        )
        path = self._path(epoch)
        with self._lock:
            if self._attested_path(epoch).exists():
                return False
            torn = path.exists() and path.stat().st_size > 0 and not _ends_with_newline(path)
            with path.open("ab") as file:
                file.write((("\n" if torn else "") + line + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
        return True

    def attested(self, epoch: int, compose: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the document attested of an epoch; the first call composes it and puts it on disk before returning."""
        path = self._attested_path(epoch)
        with self._lock:
            if not path.exists():
                _write_whole(path, json.dumps(compose(), separators=(",", ":")).encode())
            document: dict[str, Any] = json.loads(path.read_bytes())
        return document

    def signed(self, epoch: int) -> tuple[str, ...]:
        """Return the digests of the epoch's reports that were signed, the first one first."""
        path = self._signed_path(epoch)
        return tuple(json.loads(path.read_bytes())) if path.exists() else ()

    def add_signed(self, epoch: int, digest: str) -> None:
        """Remember that a report is about to be signed; on disk when this returns."""
        with self._lock:
            known = self.signed(epoch)
            if digest not in known:
                _write_whole(self._signed_path(epoch), json.dumps([*known, digest]).encode())

    def read(self, epoch: int) -> tuple[Measurement, ...]:
        """Return an epoch's measurements in the order they were made; a line torn by a crash is left out."""
        path = self._path(epoch)
        if not path.exists():
            return ()
        found: list[Measurement] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            verdict, sampled = (
                Verdict(row["verdict"]),
                (row.get("prompt"), row.get("answer", ""), row.get("again", False)),
            )
            found.append(Measurement(row["provider"], row["slot"], verdict, row["ttft_ms"], row["canary"], *sampled))
        return tuple(found)

    def add_burst(self, epoch: int, provider: str, rate: int, expected: int) -> None:
        """Keep what one burst came to, in tokens a second; nothing once the epoch is attested."""
        with self._lock:
            if self._attested_path(epoch).exists():
                return
            with self._bursts_path(epoch).open("ab") as file:
                file.write(json.dumps([provider, rate, expected]).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def bursts(self, epoch: int) -> dict[str, list[tuple[int, int]]]:
        """Return (rate, expected) of every burst of an epoch by provider; a line torn by a crash is left out."""
        found: dict[str, list[tuple[int, int]]] = {}
        path = self._bursts_path(epoch)
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                provider, rate, expected = json.loads(line)
            except ValueError:
                continue
            found.setdefault(provider, []).append((rate, expected))
        return found

    def slow_epochs(self, epoch: int) -> dict[str, int]:
        """Return for how many epochs on end each provider was attested as slow, as of the end of this epoch."""
        path = self._attested_path(epoch)
        if not path.exists():
            return {}
        return {row["provider"]: row["slowEpochs"] for row in json.loads(path.read_bytes()).get("check_days", ())}

    def keep_pool(self, epoch: int, pool: Pool) -> None:
        """Put the pool of an epoch on disk: what is asked from it is compared with the same answers after a crash."""
        _write_whole(self._pool_path(epoch), canonical_json(plain(pool)))

    def pool(self, epoch: int) -> Pool | None:
        """Return the pool kept for an epoch, None when there is none."""
        path = self._pool_path(epoch)
        return build(Pool, read_json(path.read_bytes())) if path.exists() else None

    def _bursts_path(self, epoch: int) -> Path:
        return self._folder / f"bursts-{epoch:08d}.jsonl"

    def _pool_path(self, epoch: int) -> Path:
        return self._folder / f"pool-{epoch:08d}.json"

    def _path(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:08d}.jsonl"

    def _attested_path(self, epoch: int) -> Path:
        return self._folder / f"attested-{epoch:08d}.json"

    def _signed_path(self, epoch: int) -> Path:
        return self._folder / f"signed-{epoch:08d}.json"


def _write_whole(path: Path, content: bytes) -> None:
    """Put a file there whole or not at all, and on disk when this returns."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
