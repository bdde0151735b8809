"""The gateway's journal: what happened to money, written to a local file before the answer goes out.

Lines are appended with one `write` each, so a killed process loses nothing it answered for; a background task fsyncs
in groups, so a machine that loses power loses at most the last fraction of a second. The drainer seals the open
segment, copies its lines into PostgreSQL in one transaction and deletes it. Lines may be applied any number of times:
each is keyed by job and attempt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from marketplace.errors import BondedError


class JournalDamaged(BondedError):
    """A journal segment has a line that cannot be read before its end: restore it from a backup, do not delete it."""


class JournalLocked(BondedError):
    """Another gateway process writes this journal: give each its own data folder."""


class JournalFull(BondedError):
    """The journal cannot be written: make room in the data folder and ask again; nothing was changed."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"the journal in {folder} cannot be written ({error}): make room in the data folder, ask again"
        )


class Kind(StrEnum):
    """What a line says."""

    HOLD = "hold"
    POST = "post"
    VOID = "void"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    `amount` is the hold's or the charge's atto; `attempt` the attempt's canonical line, empty for others.
    """

    kind: Kind
    job: bytes
    customer: str = ""
    amount: int = 0
    attempt: str = ""

    def encode(self) -> bytes:
        """Return the line as written, newline included."""
        row = {"k": self.kind.value, "job": self.job.hex()}
        if self.customer:
            row["customer"] = self.customer
        if self.amount:
            row["atto"] = str(self.amount)
        if self.attempt:
            row["attempt"] = self.attempt
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> Line:
        """Read a line; raises ValueError."""
        row = json.loads(raw)
        return cls(
            Kind(row["k"]),
            bytes.fromhex(row["job"]),
            row.get("customer", ""),
            int(row.get("atto", "0")),
            row.get("attempt", ""),
        )


class Journal:
    """Segments `journal-<number>.jsonl` in a folder; the highest number is open, all others wait to be drained."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = _lock(folder / "lock")
        numbers = [number for number, _ in self._segments()]
        self._number = (numbers[-1] if numbers else 0) + 1
        self._file = self._open(self._number)
        self._length = 0
        # whether a part of a line may stand behind `_length`
        self._torn = False
        # descriptors of segments that were turned away from and are not forced to disk yet
        self._turned: list[int] = []

    def append(self, line: Line) -> None:
        """Write a line to the operating system before returning; raises JournalFull and leaves no part of it."""
        data = line.encode()
        try:
            self._mend()
            self._torn = True
            rest = data
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            # where the part cannot be cut off either, the next line tries that first
            with suppress(OSError):
                self._mend()
            raise JournalFull(self._folder, error) from error
        self._torn = False
        self._length += len(data)

    def turn(self) -> None:
        """Open the next segment, if anything was written to this one; raises JournalFull and keeps this one."""
        if not self._length:
            return
        try:
            following = self._open(self._number + 1)
        except OSError as error:
            raise JournalFull(self._folder, error) from error
        self._turned.append(self._file)
        self._number += 1
        self._file = following
        self._length = 0
        self._torn = False

    def settle(self) -> None:
        """Force the segments that were turned away from to disk; may wait for it, so it belongs in a thread."""
        while self._turned:
            file = self._turned.pop()
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def seal(self) -> None:
        """Turn to the next segment and force the one before to disk."""
        self.turn()
        self.settle()

    def sealed(self) -> Iterator[tuple[Path, list[Line]]]:
        """Yield the segments that wait to be drained, oldest first, with their lines."""
        for number, path in self._segments():
            if number != self._number:
                yield path, _read(path)

    def drop(self, path: Path) -> None:
        """Delete a segment that is in the database."""
        path.unlink()

    def close(self) -> None:
        """Force everything to disk and let go; an empty open segment is removed."""
        self._turned.append(self._file)
        self.settle()
        if not self._length:
            self._path(self._number).unlink(missing_ok=True)
        os.close(self._lock)

    def _mend(self) -> None:
        if self._torn:
            os.ftruncate(self._file, self._length)
            self._torn = False

    def _open(self, number: int) -> int:
        return os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def _path(self, number: int) -> Path:
        return self._folder / f"journal-{number:010d}.jsonl"

    def _segments(self) -> list[tuple[int, Path]]:
        return sorted((int(path.stem.split("-")[1]), path) for path in self._folder.glob("journal-*.jsonl"))


def _read(path: Path) -> list[Line]:
    """Read a segment; a last line without newline was never answered for and is dropped."""
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    lines = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            lines.append(Line.decode(line))
        except (ValueError, KeyError, TypeError) as error:
            raise JournalDamaged(f"{path}, line {number} cannot be read: {error}") from error
    return lines


def _lock(path: Path) -> int:
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise JournalLocked(f"{path.parent} belongs to a running gateway") from error
    return handle
