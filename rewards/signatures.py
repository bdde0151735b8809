"""Check every signature and every revealed seed in an epoch's inputs; the first that is wrong is named.

Attempts come in their hundreds of thousands, so many of them are checked in ranges by several processes, to which they
travel as the lines they are in the evidence. Few are checked where they are.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

from contracts.errors import BadSignature
from contracts.messages import CanaryDay, CheckDay, Domain, ProbeDay
from contracts.signing import keccak, recover
from contracts.types import ProviderRecord
from rewards import former
from rewards.attempt_lines import read_lines, write_line
from rewards.epoch import SignedDay
from rewards.gather import keeps_commitment
from rewards.types import (
    RULES_NUMBER,
    Attempt,
    ChainInputs,
    Difference,
    EpochInputs,
    EpochState,
    SeedReveal,
    SignedRatingDay,
)

Progress = Callable[[int, int], None]
_RANGE = 2_000
_FEW = 2 * _RANGE
"""Up to so many attempts are checked at once faster than other processes begin."""
_KINDS = {ProbeDay: "probe day", CanaryDay: "canary day", CheckDay: "check day"}


@dataclass(frozen=True, slots=True)
class Register:
    """Who may sign what at the checkpoint: hot signers of providers, active gateways and verifiers, in one domain."""

    separator: bytes
    rules_number: int
    signers: dict[str, tuple[str, ...]]
    gateways: frozenset[str]
    verifiers: frozenset[str]


def register(inputs: EpochInputs | ChainInputs, opening: EpochState) -> Register:
    """Collect who may sign from the chain part of the inputs.

    A provider may replace its hot key at any time, so the key it had at the checkpoint before is as good as its
    present one.
    """
    before = {state.provider: state.signer for state in opening.providers}
    return Register(
        separator=Domain(inputs.chain_id, inputs.epoch_ledger).separator(),
        rules_number=inputs.rules_number if isinstance(inputs, EpochInputs) else RULES_NUMBER,
        signers={record.provider: _signers(record, before.get(record.provider)) for record in inputs.providers},
        gateways=frozenset(record.operator for record in inputs.gateways if record.active),
        verifiers=frozenset(record.operator for record in inputs.verifiers if record.active),
    )


def check_signatures(inputs: EpochInputs, processes: int = 1, progress: Progress | None = None) -> Difference | None:
    """Return the first difference: attempts, then probe, canary, check and rating days, then seeds; None for none.

    `progress(done, all)` is called now and then, from the calling thread. With two `processes` or more, fresh ones are
    begun for a large epoch: a script that calls this must be importable (`if __name__ == "__main__"`).
    """
    who = register(inputs, inputs.opening)
    attempts = inputs.attempts
    everything = len(attempts) + len(_days(inputs))
    done = 0
    for difference in _ranges(attempts, who, processes):
        if difference is not None:
            return difference
        done = min(done + _RANGE, len(attempts))
        if progress is not None:
            progress(done, everything)
    days = _days(inputs)
    for index, signed in enumerate(days):
        difference = check_day(_KINDS[type(signed.day)], signed.verifier, signed.day, signed.signature, who)
        if difference is not None:
            return difference
        if progress is not None and (done + index + 1) % _RANGE == 0:
            progress(done + index + 1, everything)
    if progress is not None:
        progress(everything, everything)
    return _first(check_rating_day(signed, who) for signed in inputs.rating_days) or check_seeds(inputs)


def _ranges(attempts: Sequence[Attempt], who: Register, processes: int) -> Iterator[Difference | None]:
    """Check range after range and yield what each came to, in order; only a few are under way at any time."""
    starts = range(0, len(attempts), _RANGE)
    if processes < 2 or len(attempts) <= _FEW:
        for start in starts:
            yield _check_range(attempts[start : start + _RANGE], start, who)
        return
    fresh = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=fresh, initializer=_begin, initargs=(who,))
    try:
        waiting: deque[Future[Difference | None]] = deque()
        for start in starts:
            lines = "".join(write_line(one) for one in attempts[start : start + _RANGE])
            waiting.append(pool.submit(_check_lines, lines, start))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_known: Register | None = None
"""Who may sign, in a process that checks ranges for another."""


def _begin(who: Register) -> None:
    global _known
    _known = who
    gc.disable()


def _check_lines(lines: str, start: int) -> Difference | None:
    assert _known is not None
    return _check_range(read_lines(lines.splitlines(keepends=True)), start, _known)


def _check_range(attempts: Iterable[Attempt], start: int, who: Register) -> Difference | None:
    return _first(check_attempt(one, who, start + index) for index, one in enumerate(attempts))


def check_attempt(one: Attempt, who: Register, index: int) -> Difference | None:
    """Check one attempt: countersigned over this receipt by an active gateway, signed by the provider's signer."""
    receipt, counter = one.receipt, one.countersignature
    old = who.rules_number == former.NUMBER
    hashed = former.receipt_hash(receipt) if old else receipt.struct_hash()
    where = f"attempts.jsonl, line {index + 1}"
    if counter.receipt != hashed:
        return Difference(f"{where}, countersignature.receipt", _hex(hashed), _hex(counter.receipt))
    accepted = former.counter_digest(counter, who.separator) if old else counter.digest(who.separator)
    signer = _signer(accepted, one.gateway_signature)
    if signer != one.gateway:
        return Difference(f"{where}, gateway_signature", one.gateway, signer)
    if signer not in who.gateways:
        return Difference(f"{where}, gateway", "an active gateway", signer)
    if not one.provider_signature:
        return None
    signer = _signer(keccak(b"\x19\x01" + who.separator + hashed), one.provider_signature)
    expected = who.signers.get(receipt.provider, ())
    if signer not in expected:
        return Difference(f"{where}, provider_signature", " or ".join(expected) or "a registered provider", signer)
    return None


def check_day(
    kind: str, verifier: str, day: ProbeDay | CanaryDay | CheckDay, signature: bytes, who: Register
) -> Difference | None:
    """Check that a ProbeDay, CanaryDay or CheckDay was signed by the active verifier it is filed under."""
    where = f"attestations.jsonl, {kind} of {day.provider} by {verifier}"
    signer = _signer(day.digest(who.separator), signature)
    if signer != verifier:
        return Difference(f"{where}, signature", verifier, signer)
    if verifier not in who.verifiers:
        return Difference(where, "an active verifier", verifier)
    return None


def check_rating_day(signed: SignedRatingDay, who: Register) -> Difference | None:
    """Check that a RatingDay was signed by the active gateway it is filed under."""
    where = f"attestations.jsonl, rating day of {signed.day.provider} by {signed.gateway}"
    signer = _signer(signed.day.digest(who.separator), signed.signature)
    if signer != signed.gateway:
        return Difference(f"{where}, signature", signed.gateway, signer)
    return None if signer in who.gateways else Difference(where, "an active gateway", signer)


def check_seeds(inputs: EpochInputs) -> Difference | None:
    """Check that every verifier whose days are used revealed a seed, and that each seed is the one it committed to.

    A verifier that committed to nothing has a commitment of zero and proves nothing about its plan; its days count
    all the same.
    """
    revealed = {reveal.verifier: reveal for reveal in inputs.seeds}
    for verifier in sorted({signed.verifier for signed in _days(inputs)}):
        if verifier not in revealed:
            return Difference(f"attestations.jsonl, seed of {verifier}", "a revealed seed", "nothing")
    return _first(_check_seed(reveal) for reveal in inputs.seeds)


def _signers(record: ProviderRecord, before: str | None) -> tuple[str, ...]:
    return (record.signer,) if before is None or before == record.signer else (record.signer, before)


def _days(inputs: EpochInputs) -> list[SignedDay]:
    return [*inputs.probe_days, *inputs.canary_days, *inputs.check_days]


def _check_seed(reveal: SeedReveal) -> Difference | None:
    if keeps_commitment(reveal):
        return None
    where = f"attestations.jsonl, seed of {reveal.verifier}"
    return Difference(where, _hex(keccak(reveal.seed)), _hex(reveal.committed))


def _signer(digest: bytes, signature: bytes) -> str:
    try:
        return recover(digest, signature)
    except BadSignature as error:
        return f"nobody ({error})"


def _first(differences: Iterator[Difference | None]) -> Difference | None:
    return next((one for one in differences if one is not None), None)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
