"""Keep an outbox in an append-only file of JSON lines: for agents, verifiers and command lines, which have no database.

One line is one step of one intent, written with a single `write` and `fsync` before the step counts as done. A line
that a crash cut short has no end and is taken away when the file is opened. The file is locked while it is open: one
key is used by one process.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contracts.errors import OutboxDamaged, OutboxLocked, OutboxMisused
from contracts.outbox import Draft, Inclusion, Intent, IntentState, SignedTransaction
from contracts.signing import normal_address


class FileOutbox:
    """An Outbox (`contracts.outbox.Outbox`) in a folder, one file per sender and chain."""

    def __init__(self, path: Path, descriptor: int, sender: str, chain_key: str) -> None:
        self.path = path
        self.sender = sender
        self.chain_key = chain_key
        self._descriptor = descriptor
        self._intents: dict[str, Intent] = {}
        self._highest_nonce = -1

    @classmethod
    def open(cls, folder: Path | str, *, sender: str, chain_key: str) -> FileOutbox:
        """Open or begin the outbox of a key on a chain; raises OutboxLocked or OutboxDamaged."""
        sender = normal_address(sender)
        chain_id, _, genesis = chain_key.partition(":")
        path = Path(folder) / f"outbox-{sender}-{chain_id}-{genesis[2:10]}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        outbox = cls(path, descriptor, sender, chain_key)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutboxLocked(path) from None
            outbox._load()
        except BaseException:
            os.close(descriptor)
            raise
        return outbox

    # ------------------------------------------------------------------------------------ contracts.outbox.Outbox

    async def get(self, intent_id: str) -> Intent | None:
        return self._intents.get(intent_id)

    async def open_intents(self) -> list[Intent]:
        return sorted((one for one in self._intents.values() if not one.state.ended), key=lambda one: one.nonce)

    async def prepare(self, draft: Draft, least_nonce: int) -> Intent:
        known = self._intents.get(draft.intent_id)
        if known is not None:
            return known
        nonce = max(least_nonce, self._highest_nonce + 1)
        return self._do("prepare", draft.intent_id, draft=asdict(draft), nonce=nonce)

    async def signed(self, intent_id: str, transaction: SignedTransaction) -> Intent:
        return self._do("signed", intent_id, transaction=asdict(transaction))

    async def broadcast(self, intent_id: str, block: int) -> Intent:
        return self._do("broadcast", intent_id, block=block)

    async def mined(self, intent_id: str, inclusion: Inclusion) -> Intent:
        return self._do("mined", intent_id, inclusion=asdict(inclusion))

    async def unmined(self, intent_id: str) -> Intent:
        return self._do("unmined", intent_id)

    async def final(self, intent_id: str, inclusion: Inclusion) -> Intent:
        return self._do("final", intent_id, inclusion=asdict(inclusion))

    async def reopen(self, least_nonce: int) -> list[Intent]:
        gone = [one for one in self._intents.values() if one.nonce >= least_nonce and one.inclusion and one.state.ended]
        return [self._do("reopen", one.intent_id) for one in sorted(gone, key=lambda one: one.nonce)]

    async def renonce(self, intent_id: str, least_nonce: int, gas: int) -> Intent:
        return self._do("renonce", intent_id, nonce=max(least_nonce, self._highest_nonce + 1), gas=gas)

    async def dropped(self, intent_id: str, reason: str) -> Intent:
        return self._do("dropped", intent_id, reason=reason)

    async def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # ------------------------------------------------------------------------------------------------------ the file

    def _do(self, step: str, intent_id: str, **facts: Any) -> Intent:
        """Check a step, write its line, and only then hold it for done."""
        intent = self._after(step, intent_id, facts)
        self._append({"step": step, "intent": intent_id, **facts})
        self._keep(intent)
        return intent

    def _after(self, step: str, intent_id: str, facts: dict[str, Any]) -> Intent:
        if step == "prepare":
            return Intent(Draft(**facts["draft"]), facts["nonce"], IntentState.PREPARED)
        intent = self._intents.get(intent_id)
        if intent is None:
            raise OutboxMisused(f"there is no intent {intent_id} that could be {step}")
        return _STEPS[step](intent, facts)

    def _keep(self, intent: Intent) -> None:
        self._intents[intent.intent_id] = intent
        self._highest_nonce = max(self._highest_nonce, intent.nonce)

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, default=_hex, separators=(",", ":")).encode() + b"\n"
        written = os.write(self._descriptor, data)
        if written != len(data):
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise OutboxDamaged(f"{self.path}: the disk took {written} of {len(data)} bytes: make room, then go on")
        os.fsync(self._descriptor)

    def _load(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            os.ftruncate(self._descriptor, whole)
        header = {"outbox": 1, "sender": self.sender, "chain": self.chain_key}
        lines = data[:whole].splitlines()
        if not lines:
            self._append(header)
            return
        for number, line in enumerate(lines, 1):
            try:
                raw = json.loads(line)
                if number == 1:
                    if raw != header:
                        raise ValueError(f"it belongs to {raw}")
                    continue
                self._keep(self._after(raw["step"], raw["intent"], _from_json(raw)))
            except (ValueError, KeyError, TypeError, OutboxMisused) as error:
                raise OutboxDamaged(f"{self.path}, line {number}: {error!r}: restore it, never edit it") from error


_STEPS: dict[str, Callable[[Intent, dict[str, Any]], Intent]] = {
    "signed": lambda intent, facts: intent.with_signed(SignedTransaction(**facts["transaction"])),
    "broadcast": lambda intent, facts: intent.with_broadcast(facts["block"]),
    "mined": lambda intent, facts: intent.with_mined(Inclusion(**facts["inclusion"])),
    "unmined": lambda intent, facts: intent.with_unmined(),
    "final": lambda intent, facts: intent.with_final(Inclusion(**facts["inclusion"])),
    "reopen": lambda intent, facts: intent.with_reopened(),
    "renonce": lambda intent, facts: intent.with_nonce(facts["nonce"], facts["gas"]),
    "dropped": lambda intent, facts: intent.with_dropped(facts["reason"]),
}
_BYTES = {"draft": ("data",), "transaction": ("hash", "raw"), "inclusion": ("hash", "block_hash")}


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    raise TypeError(f"{type(value).__name__} has no place in an outbox")


def _from_json(raw: dict[str, Any]) -> dict[str, Any]:
    for part, names in _BYTES.items():
        if part in raw:
            raw[part] |= {name: bytes.fromhex(raw[part][name][2:]) for name in names}
    return raw
