"""Remember which (job, attempt) were worked on, across restarts and kill -9.

Two receipts of one provider for one job and attempt that differ cost it a quarter of its stake, so a pair is
remembered for longer than anybody may accuse (the statute of limitation), not only until its ticket expires: a
gateway could sign a second ticket for the same pair.

One file a day holds eight bytes a pair, written before the engine starts and forced to the disk before a receipt
leaves (`kept`), so that not even a power cut brings a pair back whose receipt somebody holds. A day of a hundred
thousand requests takes 800 kB on disk and in memory.

WARNING: two agents with one signer, or one whose folder was restored from a copy, do not know of each other's pairs.
"""

from __future__ import annotations

import asyncio
import errno
import os
from array import array
from bisect import bisect_left
from hashlib import blake2b
from pathlib import Path

_DAY_S = 86_400
_WORD = 8
# the statute of limitation is 28 days; a ticket may live up to a day and clocks differ
_KEPT_DAYS = 30


class UsedTickets:
    """A set of used (job, attempt) pairs, kept in `folder` by day."""

    def __init__(self, folder: Path, now: float) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._days: dict[int, array[int]] = {}
        self._today: set[int] = set()
        self._day = int(now // _DAY_S)
        self._file = -1
        self._forcing = asyncio.Lock()
        self._unforced = False
        for path in folder.glob("*.used"):
            self._load(path)
        self._open()

    def __contains__(self, pair: tuple[bytes, int]) -> bool:
        word = _word(pair)
        return word in self._today or any(_holds(words, word) for words in self._days.values())

    def add(self, pair: tuple[bytes, int], now: float) -> bool:
        """Mark a pair as used and write it down; False when it already was.

        The write survives the process; `kept` makes it survive a power cut.
        """
        if pair in self:
            return False
        day = int(now // _DAY_S)
        if day > self._day:
            self._turn(day)
        word = _word(pair)
        if os.write(self._file, word.to_bytes(_WORD, "little")) != _WORD:
            # a full disk may take a part; the file must stay whole words
            os.ftruncate(self._file, os.fstat(self._file).st_size // _WORD * _WORD)
            raise OSError(errno.ENOSPC, "no room for used tickets")
        self._today.add(word)
        self._unforced = True
        return True

    async def kept(self) -> None:
        """Return when every pair added so far is on the disk; callers at the same time share one fsync.

        Raises OSError when the disk does not take it: then no receipt for such a pair may leave.
        """
        async with self._forcing:
            if self._unforced:
                self._unforced = False
                try:
                    await asyncio.to_thread(_force, os.dup(self._file))
                except OSError:
                    self._unforced = True
                    raise

    def sync(self) -> None:
        """Force what was written to the disk."""
        _force(os.dup(self._file))

    def close(self) -> None:
        """Close the day's file."""
        os.close(self._file)
        self._file = -1

    def _turn(self, day: int) -> None:
        self._days[self._day] = array("Q", sorted(self._today))
        self._today = set()
        self._day = day
        os.fsync(self._file)
        os.close(self._file)
        for old in [known for known in self._days if known < day - _KEPT_DAYS]:
            del self._days[old]
            self._path(old).unlink(missing_ok=True)
        self._open()

    def _load(self, path: Path) -> None:
        day = int(path.stem)
        if day < self._day - _KEPT_DAYS:
            path.unlink()
            return
        raw = path.read_bytes()
        whole = len(raw) - len(raw) % _WORD
        if whole != len(raw):
            # a crash tore the last word: the pair it named never reached the engine
            os.truncate(path, whole)
        words = [int.from_bytes(raw[at : at + _WORD], "little") for at in range(0, whole, _WORD)]
        if day == self._day:
            self._today.update(words)
        else:
            self._days[day] = array("Q", sorted(words))

    def _open(self) -> None:
        self._file = os.open(self._path(self._day), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        # the file's name must outlive a power cut as well
        _force(os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY))

    def _path(self, day: int) -> Path:
        return self._folder / f"{day}.used"


def _force(file: int) -> None:
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _word(pair: tuple[bytes, int]) -> int:
    job, attempt = pair
    return int.from_bytes(blake2b(job + attempt.to_bytes(4, "big"), digest_size=_WORD).digest(), "little")


def _holds(words: array[int], word: int) -> bool:
    at = bisect_left(words, word)
    return at < len(words) and words[at] == word
