"""The verifier's own append-only record of what it saw: one JSON line per measurement, a file per epoch, fsynced.

A verifier that crashes in mid-epoch reads its file again at start and goes on; nothing it saw is lost, and a torn
last line is dropped.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from rewards.verifier.probe import Verdict


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one probe came to.

    `slot` counts from the epoch's first; `ttft_ms` is None unless the first token arrived; `canary` is None unless
    judged.
    """

    provider: str
    slot: int
    verdict: Verdict
    ttft_ms: int | None
    canary: bool | None


class MeasurementStore:
    """Append measurements of one verifier and read an epoch's back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, epoch: int, measurement: Measurement) -> None:
        """Write one measurement and wait until it is on disk."""
        line = json.dumps(
            {
                "provider": measurement.provider,
                "slot": measurement.slot,
                "verdict": measurement.verdict.value,
                "ttft_ms": measurement.ttft_ms,
                "canary": measurement.canary,
            },
            separators=(",", ":"),
        )
        path = self._path(epoch)
        torn = path.exists() and path.stat().st_size > 0 and not _ends_with_newline(path)
        with path.open("ab") as file:
            file.write((("\n" if torn else "") + line + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

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
            found.append(
                Measurement(row["provider"], row["slot"], Verdict(row["verdict"]), row["ttft_ms"], row["canary"])
            )
        return tuple(found)

    def _path(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:08d}.jsonl"


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
