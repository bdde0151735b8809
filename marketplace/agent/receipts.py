"""The journal of signed receipts: append-only, forced to disk, the provider's claim on its money.

One JSON object a line. When signed: `{"n", "gateway", "receipt", "signature", "at"}`. Once the gateway has it:
`{"ack": n, "how"}`, where `stream` means that it took the answer to its end, `post` that it acknowledged it, and
`expired` that it never did within the statute. Files are never rewritten: a full one is closed and kept as proof,
and what is still open is carried into the next.

Every receipt names an earlier job whose receipt was handed over (`Receipt.taken`), each once and in the order in which
they were. So whoever reads the evidence of an epoch sees when a receipt is missing from it.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from contracts.errors import ContractsError
from contracts.messages import ZERO32, Receipt
from marketplace.agent.meter import SignedReceipt

log = structlog.get_logger(__name__)

_FULL_BYTES = 64 << 20
_NAMED_MOST = 32
"""How many jobs wait at most to be named: settlement forgets those that nobody names after four times as many."""
_TAKEN = ("stream", "post")


@dataclass(frozen=True, slots=True)
class OpenReceipt:
    """A receipt that no gateway has acknowledged yet, its number in the journal and when it was signed (unix s)."""

    number: int
    signed: SignedReceipt
    at: float


class ReceiptJournal:
    """Receipts of one provider in one folder; one process at a time.

    `also_sync` is called with each fsync: other files of the agent that should reach the disk together with a receipt.
    """

    def __init__(self, folder: Path, also_sync: Callable[[], None] = lambda: None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._also_sync = also_sync
        self.open: dict[int, OpenReceipt] = {}
        self._next = 1
        self._taken: deque[bytes] = deque(maxlen=_NAMED_MOST)
        self._syncing = asyncio.Lock()
        self._unsynced = False
        # whether the last write may have left a part of a line
        self._torn = False
        files = sorted(folder.glob("receipts-*.jsonl"))
        for path in files[-1:]:
            self._load(path)
        self._path = files[-1] if files else self._named(1)
        self._file = self._opened()

    def append(self, signed: SignedReceipt) -> int:
        """Write a receipt down before anybody sees it; return its number."""
        if os.lseek(self._file, 0, os.SEEK_END) > _FULL_BYTES:
            self._turn()
        number = self._next
        entry = OpenReceipt(number, signed, time.time())
        self._write(_entry(entry))
        self._next += 1
        self.open[number] = entry
        return number

    def acknowledge(self, number: int, how: str) -> None:
        """Note that the gateway has a receipt; a number that is not open is ignored."""
        if number in self.open:
            self._write({"ack": number, "how": how})
            self._close(number, how)

    def name_taken(self) -> bytes:
        """Return the job that the next receipt names as handed over, zero when none waits; each is returned once."""
        return self._taken.popleft() if self._taken else ZERO32

    def _close(self, number: int, how: str) -> None:
        entry = self.open.pop(number, None)
        if entry is not None and how in _TAKEN:
            self._taken.append(entry.signed.receipt.job)

    async def sync(self) -> None:
        """Return when everything written so far is on the disk; callers at the same time share one fsync."""
        async with self._syncing:
            if self._unsynced:
                self._unsynced = False
                await asyncio.to_thread(self._force)

    def _force(self) -> None:
        self._also_sync()
        os.fsync(self._file)

    def close(self) -> None:
        """Force everything to disk and close the file."""
        os.fsync(self._file)
        os.close(self._file)
        self._file = -1

    def _write(self, value: dict[str, Any]) -> None:
        line = (b"\n" if self._torn else b"") + _line(value)
        self._torn = True
        if os.write(self._file, line) != len(line):
            raise OSError(errno.ENOSPC, "no room for receipts")
        self._torn = False
        self._unsynced = True

    def _turn(self) -> None:
        os.fsync(self._file)
        os.close(self._file)
        following = self._named(int(self._path.stem.removeprefix("receipts-")) + 1)
        # complete under another name first: only the newest file is read at start, so it must hold all that is open
        head = {"next": self._next, "taken": [job.hex() for job in self._taken]}
        carried = [head, *(_entry(entry) for entry in self.open.values())]
        partial = following.with_suffix(".partial")
        with partial.open("wb") as file:
            file.writelines(_line(value) for value in carried)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(following)
        self._path = following
        self._file = self._opened()

    def _load(self, path: Path) -> None:
        whole = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    self._read(json.loads(line))
                except (ValueError, KeyError, ContractsError) as error:
                    if line.strip():
                        log.error("receipt_line_unreadable", file=str(path), error=str(error))
        if whole != path.stat().st_size:
            # a crash tore the last line; it was not handed to anybody before it was written whole
            os.truncate(path, whole)

    def _read(self, value: dict[str, Any]) -> None:
        if "ack" in value:
            self._close(value["ack"], value["how"])
            return
        if "next" in value:
            self._next = value["next"]
            self._taken.extend(bytes.fromhex(job) for job in value.get("taken", ()))
            return
        signed = SignedReceipt(
            Receipt.from_json(value["receipt"]), bytes.fromhex(value["signature"][2:]), value["gateway"]
        )
        if signed.receipt.taken in self._taken:
            self._taken.remove(signed.receipt.taken)
        self.open[value["n"]] = OpenReceipt(value["n"], signed, value["at"])
        self._next = max(self._next, value["n"] + 1)

    def _named(self, number: int) -> Path:
        return self._folder / f"receipts-{number:06}.jsonl"

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _entry(entry: OpenReceipt) -> dict[str, Any]:
    return {"n": entry.number, "at": entry.at, "gateway": entry.signed.gateway} | entry.signed.wire()


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
