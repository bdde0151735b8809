"""Keep a log of the scheduler's decisions and refusals, in the background, in files that rotate; find, read, replay it.

The request path appends to a list. Under load the log is a sample: what does not fit between two writes is counted
and left out. Each line is an entry of `scheduler.log`, from which the decision can be computed again.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

from scheduler.decision import Decision, Refusal
from scheduler.errors import BadLogEntry
from scheduler.log import entry, read_refusal, refusal_entry, replay

_AT_ONCE = 200
_FILE_BYTES = 32 * 1024 * 1024
_FILES = 4
_TAIL_BYTES = 1 << 20


class DecisionLog:
    """The log in one folder: `decisions.jsonl` is being written, `decisions.1.jsonl` is the one before, and so on."""

    def __init__(self, folder: Path, file_bytes: int = _FILE_BYTES, files: int = _FILES) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._files = files
        self._waiting: deque[Decision | Refusal] = deque()
        self._left_out = 0
        self._reading = asyncio.Lock()
        self._file_lock = threading.Lock()

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
        with self._file_lock:
            return self._write()

    def _write(self) -> int:
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

    async def find(self, job: str) -> Decision | Refusal | None:
        """Return what was decided last about a job (hex digits), None if the log does not have it (any more).

        One reader at a time, in a thread: strangers may ask.
        """
        async with self._reading:
            return next((found for found in self._noted() if found.job == job), None) or await asyncio.to_thread(
                self._find, job.encode()
            )

    async def newest(self, most: int) -> list[Decision | Refusal]:
        """Return the newest outcomes, newest first: those that wait to be written, then the end of the file."""
        async with self._reading:
            found = self._noted()
            return found[:most] + await asyncio.to_thread(self._tail, most - len(found))

    def _noted(self) -> list[Decision | Refusal]:
        return list(self._waiting)[::-1]

    def _find(self, job: bytes) -> Decision | Refusal | None:
        mark = b'"job":"%b"' % job
        with self._file_lock:
            for number in range(self._files):
                found = [line for line in _lines(self._path(number)) if mark in line]
                if found:
                    return read(orjson.loads(found[-1]))
        return None

    def _tail(self, most: int) -> list[Decision | Refusal]:
        path = self._path(0)
        if most <= 0 or not path.exists():
            return []
        with self._file_lock, path.open("rb") as file:
            start = max(0, path.stat().st_size - _TAIL_BYTES)
            file.seek(start)
            whole = file.read().split(b"\n")[1 if start else 0 : -1]
        outcomes: list[Decision | Refusal] = []
        for line in reversed(whole):
            logged = orjson.loads(line)
            if len(outcomes) < most and "left_out" not in logged:
                outcomes.append(read(logged))
        return outcomes

    def _rotate(self) -> None:
        self._path(self._files - 1).unlink(missing_ok=True)
        for number in range(self._files - 2, -1, -1):
            if self._path(number).exists():
                self._path(number).rename(self._path(number + 1))

    def _path(self, number: int) -> Path:
        return self._folder / (f"decisions.{number}.jsonl" if number else "decisions.jsonl")


def read(logged: dict[str, Any]) -> Decision | Refusal:
    """Read an entry; raises BadLogEntry."""
    return read_refusal(logged) if "refused" in logged else replay(logged)


@dataclass(slots=True)
class Replayed:
    """What replaying a log came to. `wrong` names file, line and reason of whatever is not as it was written."""

    equal: int = 0
    refusals: int = 0
    left_out: int = 0
    wrong: list[str] = field(default_factory=list)


def replay_folder(folder: Path) -> Replayed:
    """Decide every logged decision again with this code and compare it, bit by bit, with what was written.

    Refusals are counted and read, not computed again. Raises FileNotFoundError when there is no log.
    """
    result, paths = Replayed(), sorted(folder.glob("decisions*.jsonl"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no decision log")
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            reason = _replay_line(line, result)
            if reason:
                result.wrong.append(f"{path.name}, line {number}: {reason}")
    return result


def _replay_line(line: bytes, result: Replayed) -> str:
    """Count one line; returns why it is not what its numbers say, "" if it is."""
    try:
        logged = orjson.loads(line)
        if "left_out" in logged:
            result.left_out += logged["left_out"]
            return ""
        outcome = read(logged)
    except (BadLogEntry, orjson.JSONDecodeError, TypeError) as error:
        return str(error)
    if _line(outcome) != logged:
        return "what was written is more, or other, than what follows from its numbers"
    if isinstance(outcome, Refusal):
        result.refusals += 1
    else:
        result.equal += 1
    return ""


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a file; one that was cut off by the end of a process is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1]


def _line(outcome: Decision | Refusal) -> dict[str, Any]:
    return entry(outcome) if isinstance(outcome, Decision) else refusal_entry(outcome)
