"""Write an epoch's evidence as a bundle of content-addressed blobs, and read it back exactly.

A bundle is a manifest that lists five files by SHA-256 and size (docs/protocol.md, section 3.4); its own SHA-256
stands in the report. Nothing read is trusted: every file is hashed while it is parsed, and whatever is wrong is named
by file and, where it can be told, line and field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from contracts.types import Report
from rewards import former
from rewards.attempt_lines import read_lines, write_line
from rewards.blobs import FolderStore, Source, copy_blob
from rewards.canonical import Unreadable, build, canonical_json, plain, read_json
from rewards.collection import uncollected
from rewards.errors import EvidenceDamaged
from rewards.gather import chain_part
from rewards.rules import code_digest
from rewards.state import read_state, state_bytes
from rewards.types import (
    RULES_NUMBER,
    Attempt,
    ChainInputs,
    EpochInputs,
    SeedReveal,
    SignedCanaryDay,
    SignedCheckDay,
    SignedProbeDay,
    SignedRatingDay,
)

FILES = ("inputs.json", "attempts.jsonl", "attestations.jsonl", "state.json", "report.json")
_MANIFEST_MOST = 1 << 16
_FILE_MOST = 1 << 36
_LINE_MOST = 1 << 14
_KINDS: dict[str, Any] = {
    "probe_day": SignedProbeDay,
    "canary_day": SignedCanaryDay,
    "check_day": SignedCheckDay,
    "seed": SeedReveal,
    "rating_day": SignedRatingDay,
}

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the manifest."""

    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says: the epoch, its files, the number of the rules, and the digest of the code that settled."""

    epoch: int
    files: dict[str, Entry]
    rules_number: int
    code: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as read: digest, files and code of its manifest, inputs, and the report with `evidence` filled in."""

    digest: bytes
    files: dict[str, Entry]
    code: bytes
    inputs: EpochInputs
    report: Report


def write_bundle(store: FolderStore, inputs: EpochInputs, report: Report) -> Report:
    """Write the evidence of a settled epoch; return the report with `evidence` set. Same inputs, same digest."""
    content: dict[str, Iterator[bytes]] = {
        "inputs.json": iter((canonical_json(plain(chain_part(inputs))),)),
        "attempts.jsonl": (write_line(one).encode() for one in inputs.attempts),
        "attestations.jsonl": _attestation_lines(inputs),
        "state.json": iter((state_bytes(inputs.opening, inputs.rules_number),)),
        "report.json": iter((_report_bytes(report),)),
    }
    files = {}
    for name in FILES:
        digest, size = store.put(content[name])
        files[name] = {"sha256": "0x" + digest.hex(), "size": size}
    head = {"code": "0x" + code_digest().hex(), "version": RULES_NUMBER}
    manifest = canonical_json({"epoch": inputs.epoch, "files": files, **head})
    digest, _ = store.put((manifest,))
    return replace(report, evidence=digest)


def read_bundle(source: Source, digest: bytes, progress: Progress | None = None) -> Bundle:
    """Read a bundle by its manifest's digest; raises EvidenceMissing or EvidenceDamaged naming the file.

    `progress(attempts)` is called now and then while attempts are read.
    """
    manifest = read_manifest(source, digest)
    files, epoch, number = manifest.files, manifest.epoch, manifest.rules_number
    chain = _parsed(source, files, "inputs.json", lambda data: build(ChainInputs, read_json(data)))
    opening = _parsed(source, files, "state.json", lambda data: read_state(data, chain.previous, number))
    report = _parsed(source, files, "report.json", lambda data: _read_report(data, digest))
    for name, found in (("inputs.json", chain.epoch), ("report.json", report.epoch)):
        if found != epoch:
            raise EvidenceDamaged(name, f"it belongs to epoch {found}, the manifest to {epoch}")
    signed: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
    for _, line in _lines(source, files, "attestations.jsonl", _read_attestation):
        signed[line[0]].append(line[1])
    inputs = EpochInputs(
        **{name: getattr(chain, name) for name in chain.__slots__ if name != "previous"},
        probe_days=tuple(signed["probe_day"]),
        canary_days=tuple(signed["canary_day"]),
        check_days=tuple(signed["check_day"]),
        seeds=tuple(signed["seed"]),
        attempts=_read_attempts(source, files, number, progress),
        opening=opening,
        rating_days=tuple(signed["rating_day"]),
        rules_number=number,
    )
    return Bundle(digest, files, manifest.code, inputs, report)


def read_manifest(source: Source, digest: bytes) -> Manifest:
    """Read a manifest, of the rules in force or of those before; raises EvidenceMissing or EvidenceDamaged."""
    with source.open("manifest", digest, _MANIFEST_MOST) as opened:
        data = opened.read(_MANIFEST_MOST + 1)
    found = hashlib.sha256(data).digest()
    if found != digest:
        raise EvidenceDamaged("manifest", "its bytes are not those of its digest", expected=digest, found=found)
    try:
        value = read_json(data)
        number = value.get("version") if isinstance(value, dict) else None
        if number not in (RULES_NUMBER, former.NUMBER):
            known = f"{RULES_NUMBER} or {former.NUMBER}"
            raise Unreadable("version", f"is not {known}: read this bundle with the release that wrote it")
        if set(value["files"]) != set(FILES):
            raise Unreadable("files", f"are {sorted(value['files'])} instead of {sorted(FILES)}")
        files = {name: build(Entry, entry, f"files.{name}") for name, entry in value["files"].items()}
        code = former.CODE if number == former.NUMBER else build(bytes, value.get("code"), "code")
        return Manifest(build(int, value.get("epoch"), "epoch"), files, number, code)
    except (Unreadable, KeyError, TypeError) as error:
        raise EvidenceDamaged("manifest", f"it cannot be read: {error}") from error


def copy_bundle(source: Source, store: FolderStore, digest: bytes) -> None:
    """Copy a whole bundle into a folder, every digest checked; the manifest comes last, so what it lists is there."""
    for name, entry in read_manifest(source, digest).files.items():
        copy_blob(source, store, name, entry.sha256, entry.size)
    copy_blob(source, store, "manifest", digest, _MANIFEST_MOST)


def read_attestations(source: Source, digest: bytes) -> Iterator[tuple[str, Any]]:
    """Yield (kind, signed day) of a bundle's attestations alone, as they stand; whoever wants to trust them replays.

    Raises EvidenceMissing or EvidenceDamaged naming the file; its digest is known only at the end.
    """
    files = read_manifest(source, digest).files
    for _, found in _lines(source, files, "attestations.jsonl", _read_attestation):
        yield found


def _report_bytes(report: Report) -> bytes:
    value = plain(report)
    del value["evidence"]
    return canonical_json(value)


def _read_report(data: bytes, evidence: bytes) -> Report:
    value = read_json(data)
    if not isinstance(value, dict) or "evidence" in value:
        raise Unreadable("", "is not a report: an object without evidence")
    return build(Report, {**value, "evidence": "0x" + evidence.hex()})


def _attestation_lines(inputs: EpochInputs) -> Iterator[bytes]:
    listed = (inputs.probe_days, inputs.canary_days, inputs.check_days, inputs.seeds, inputs.rating_days)
    for kind, items in zip(_KINDS, listed, strict=True):
        for item in items:
            yield canonical_json({"kind": kind, **plain(item)}) + b"\n"


def _read_attestation(line: str) -> tuple[str, Any]:
    value = read_json(line)
    kind = value.pop("kind", None) if isinstance(value, dict) else None
    if kind not in _KINDS:
        raise Unreadable("kind", f"is {kind!r}, not one of {', '.join(_KINDS)}")
    return kind, build(_KINDS[kind], value)


def _read_attempts(
    source: Source, files: dict[str, Entry], rules_number: int, progress: Progress | None
) -> tuple[Attempt, ...]:
    attempts: list[Attempt] = []
    read = former.read_lines if rules_number == former.NUMBER else read_lines
    with _Hashed(source, files, "attempts.jsonl") as hashed, uncollected():
        try:
            for one in read(hashed.lines()):
                attempts.append(one)
                if progress is not None and len(attempts) % 10_000 == 0:
                    progress(len(attempts))
        except Unreadable as error:
            raise hashed.damaged(str(error), len(attempts) + 1) from error
    return tuple(attempts)


def _lines(
    source: Source, files: dict[str, Entry], name: str, read: Callable[[str], tuple[str, Any]]
) -> Iterator[tuple[int, tuple[str, Any]]]:
    with _Hashed(source, files, name) as hashed:
        for number, line in enumerate(hashed.lines(), 1):
            try:
                yield number, read(line)
            except Unreadable as error:
                raise hashed.damaged(str(error), number) from error


def _parsed(source: Source, files: dict[str, Entry], name: str, read: Callable[[bytes], Any]) -> Any:
    with _Hashed(source, files, name) as hashed:
        data = b"".join(line.encode() for line in hashed.lines(_FILE_MOST))
        try:
            return read(data)
        except Unreadable as error:
            raise hashed.damaged(str(error)) from error


class _Hashed:
    """Read a blob line by line and hash it on the way; leaving the context checks it against the manifest."""

    def __init__(self, source: Source, files: dict[str, Entry], name: str) -> None:
        self._name, self._entry = name, files[name]
        self._opened: BinaryIO = source.open(name, self._entry.sha256, min(self._entry.size, _FILE_MOST))
        self._digest = hashlib.sha256()

    def __enter__(self) -> _Hashed:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._drain()
                if self._digest.digest() != self._entry.sha256:
                    raise self.damaged("its bytes are not those of its digest")
        finally:
            self._opened.close()

    def lines(self, most: int = _LINE_MOST) -> Iterator[str]:
        """Yield the lines; raises EvidenceDamaged for one that is too long, not UTF-8 or lacks its newline."""
        number = 0
        while line := self._opened.readline(most):
            number += 1
            self._digest.update(line)
            if most == _LINE_MOST and not line.endswith(b"\n"):
                raise self.damaged(f"the line has no end within {most} bytes", number)
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise self.damaged(f"the line is not UTF-8: {error}", number) from error

    def damaged(self, why: str, line: int | None = None) -> EvidenceDamaged:
        """Return the error for this file, with both digests when they differ."""
        self._drain()
        found = self._digest.digest()
        if found == self._entry.sha256:
            return EvidenceDamaged(self._name, why, line=line)
        return EvidenceDamaged(self._name, why, expected=self._entry.sha256, found=found, line=line)

    def _drain(self) -> None:
        while chunk := self._opened.read(1 << 20):
            self._digest.update(chunk)
