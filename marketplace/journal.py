"""The gateway's journal: what happened to money, written to a local file before the answer goes out.

Lines are appended with one `write` each, so a killed process loses nothing it answered for; a background task fsyncs
in groups, so a machine that loses power loses at most the last fraction of a second. The drainer seals the open
segment, copies it into PostgreSQL in one transaction and deletes it. Lines may be applied any number of times: each is
keyed by job and attempt.

A segment is what `COPY … FROM STDIN` reads, so nobody takes a line apart on its way: values between tabs in the order
of `COLUMNS`, `\\N` for none. No value has a tab, a line end or a backslash in it: they are words of ours, numbers, hex
strings, and canonical JSON of such.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from marketplace.errors import BondedError
from rewards.attempt_lines import read_lines, write_line
from rewards.types import Attempt

COLUMNS = (
    ("kind", "text"),
    ("job", "bytea"),
    ("customer", "text"),
    ("amount", "numeric"),
    ("attempt", "integer"),
    ("provider", "text"),
    ("model", "bytea"),
    ("status", "integer"),
    ("slot", "bigint"),
    ("input_tokens", "bigint"),
    ("cached_tokens", "bigint"),
    ("output_tokens", "bigint"),
    ("ttft_ms", "bigint"),
    ("itl_us", "bigint"),
    ("line", "text"),
)
"""The values of a line and their types. From `attempt` on they are of the attempt, its canonical line without its end
included."""
_NO_ATTEMPT = "\\N\t" * 10 + "\\N\n"
_WITH_ATTEMPT = "%d\t%s\t\\\\x%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s"


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

    `amount` is the hold's or the charge's atto; `attempt` is what a charge or a record is of.
    """

    kind: Kind
    job: bytes
    customer: str = ""
    amount: int = 0
    attempt: Attempt | None = None

    def encode(self) -> bytes:
        """Return the line as written, newline included."""
        head = f"{self.kind.value}\t\\\\x{self.job.hex()}\t{self.customer}\t{self.amount}\t"
        return (head + (_NO_ATTEMPT if self.attempt is None else _of_attempt(self.attempt))).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Line:
        """Read a line; raises ValueError."""
        values = raw.decode().removesuffix("\n").split("\t")
        if len(values) != len(COLUMNS):
            raise ValueError(f"{len(values)} values instead of {len(COLUMNS)}")
        kind, job, customer, amount = values[:4]
        attempt = None if values[-1] == "\\N" else next(read_lines([values[-1] + "\n"]))
        line = cls(Kind(kind), bytes.fromhex(job.removeprefix("\\\\x")), customer, int(amount), attempt)
        if line.encode() != raw.removesuffix(b"\n") + b"\n":
            raise ValueError("the values of the attempt are not those of its line")
        return line


def _of_attempt(attempt: Attempt) -> str:
    """Return the values from `attempt` on; the canonical line, the last of them, brings the line's end."""
    receipt, seen = attempt.receipt, attempt.countersignature
    return _WITH_ATTEMPT % (
        receipt.attempt,
        receipt.provider,
        receipt.model.hex(),
        receipt.status,
        seen.slot,
        receipt.input_tokens,
        receipt.cached_tokens,
        receipt.output_tokens,
        seen.ttft_ms,
        seen.itl_us,
        write_line(attempt),
    )


class Journal:
    """Segments `journal-<number>.tsv` in a folder; the highest number is open, all others wait to be drained."""

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

    def waiting(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the segments that wait to be drained, oldest first, with their whole lines as they are.

        A last line without newline was never answered for and is dropped.
        """
        for number, path in self._segments():
            if number != self._number:
                raw = path.read_bytes()
                yield path, raw[: raw.rfind(b"\n") + 1]

    def sealed(self) -> Iterator[tuple[Path, list[Line]]]:
        """Yield the segments that wait to be drained, oldest first, with their lines; raises JournalDamaged."""
        for path, raw in self.waiting():
            yield path, read_segment(path, raw)

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
        return self._folder / f"journal-{number:010d}.tsv"

    def _segments(self) -> list[tuple[int, Path]]:
        return sorted((int(path.stem.split("-")[1]), path) for path in self._folder.glob("journal-*.tsv"))


def read_segment(path: Path, raw: bytes) -> list[Line]:
    """Read the lines of a segment; raises JournalDamaged, which names the line."""
    lines = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            lines.append(Line.decode(line))
        except BondedError:
            raise
        except Exception as error:
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
