"""Keep a log of the scheduler's decisions and refusals, in the background, in files that rotate.

The request path appends to a list. Under load the log is a sample: what does not fit between two writes is counted
and left out. Each line is an entry of `scheduler.log`, from which the decision can be computed again.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from pathlib import Path
from typing import Any

import orjson
import structlog

from scheduler.decision import Decision, Refusal
from scheduler.log import entry

_AT_ONCE = 200
_FILE_BYTES = 32 * 1024 * 1024
_FILES = 4


class DecisionLog:
    """The log in one folder: `decisions.jsonl` is being written, `decisions.1.jsonl` is the one before, and so on."""

    def __init__(self, folder: Path, file_bytes: int = _FILE_BYTES, files: int = _FILES) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._files = files
        self._waiting: deque[Decision | Refusal] = deque()
        self._left_out = 0

    def note(self, outcome: Decision | Refusal) -> None:
        """Take a decision or a refusal; never waits."""
        if len(self._waiting) < _AT_ONCE:
            self._waiting.append(outcome)
        else:
            self._left_out += 1

    async def run(self, every_s: float = 0.5) -> None:
        """Write what was noted, again and again, until cancelled. A full disk costs the log, not the service."""
        log = structlog.get_logger("decisions")
        while True:
            await asyncio.sleep(every_s)
            try:
                await asyncio.to_thread(self.flush)
            except OSError as error:
                log.warning("decision log not written", error=str(error))

    def flush(self) -> int:
        """Write what was noted; returns how many lines."""
        lines = []
        while self._waiting:
            lines.append(orjson.dumps(_line(self._waiting.popleft())))
        if self._left_out:
            lines.append(orjson.dumps({"left_out": self._left_out}))
            self._left_out = 0
        if not lines:
            return 0
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(0)
        if path.exists() and path.stat().st_size > self._file_bytes:
            self._rotate()
        with path.open("ab") as file:
            file.write(b"\n".join(lines) + b"\n")
        return len(lines)

    def _rotate(self) -> None:
        self._path(self._files - 1).unlink(missing_ok=True)
        for number in range(self._files - 2, -1, -1):
            if self._path(number).exists():
                self._path(number).rename(self._path(number + 1))

    def _path(self, number: int) -> Path:
        return self._folder / (f"decisions.{number}.jsonl" if number else "decisions.jsonl")


def _line(outcome: Decision | Refusal) -> dict[str, Any]:
    return entry(outcome) if isinstance(outcome, Decision) else {"refusal": dataclasses.asdict(outcome)}
