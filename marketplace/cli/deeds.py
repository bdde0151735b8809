"""Deeds that move money, each done once: a command that is broken off and run again goes on with the same intents.

A deed keeps its number until its result was shown, or until the chain ended it for good; the next command of the same
kind with the same amounts is then a new deed. `--intent NAME` pins a name instead, for scripts that must be able to
repeat themselves for ever.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.output import DryRunFlag, JsonFlag, YesFlag

if TYPE_CHECKING:
    from contracts.calls import Call


IntentOption = Annotated[
    str | None, typer.Option("--intent", help="A name for this deed; giving it again never repeats it.")
]


@dataclass(frozen=True, slots=True)
class Manner:
    """How the person wants it: `intent` pins the name of the deed."""

    dry_run: DryRunFlag = False
    yes: YesFlag = False
    as_json: JsonFlag = False
    intent: IntentOption = None


def key_of(calls: Sequence[Call]) -> str:
    """Name a deed by the calls it is about; steps beside them may have been done already when it is taken up again."""
    digest = hashlib.sha256(b"".join(call.to.encode() + call.data for call in calls)).hexdigest()[:16]
    return f"{calls[-1].function}-{digest}"


class DeedCounter:
    """How many times a deed was done and its result shown, in a small file beside the outbox."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self.key = key
        self.number = self._read().get(key, 0)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Count the deed when the block ends well, or when an intent of it came to a bad end that is for ever."""
        from contracts.errors import IntentDropped, TransactionReverted

        try:
            yield
        except (TransactionReverted, IntentDropped):
            self.next()
            raise
        self.next()

    def next(self) -> None:
        """Mark the deed as done and shown; others that share the file may be doing the same."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            partial = self._path.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(self._read() | {self.key: self.number + 1}))
            partial.replace(self._path)

    def _read(self) -> dict[str, int]:
        try:
            marks: dict[str, int] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return marks
