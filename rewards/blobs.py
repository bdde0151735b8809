"""Content-addressed blobs: a folder of files named by their SHA-256, or the same over HTTP.

A source only finds bytes (docs/protocol.md, section 3.4); whoever reads them checks the digest, because neither
folder nor server is trusted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from rewards.errors import EvidenceDamaged, EvidenceMissing

_CHUNK = 1 << 20
_IN_MEMORY = 16 << 20


class Source(Protocol):
    """Where blobs come from: a folder, a server, or anything a test makes up."""

    def open(self, file: str, digest: bytes, most: int) -> BinaryIO:
        """Open a blob for reading; at most `most` bytes are wanted. Raises EvidenceMissing naming `file`."""


class FolderStore:
    """A folder of blobs; reads and writes. A blob appears under its name only when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, chunks: Iterable[bytes]) -> tuple[bytes, int]:
        """Store the concatenation of `chunks`; return its SHA-256 and size. Storing the same again changes nothing."""
        self.path.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        handle, name = tempfile.mkstemp(dir=self.path, prefix=".partial-")
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path / digest.hexdigest())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return digest.digest(), size

    def open(self, file: str, digest: bytes, most: int) -> BinaryIO:
        """Open a blob; raises EvidenceMissing, or EvidenceDamaged when it is longer than it should be."""
        path = self.path / digest.hex()
        try:
            size = path.stat().st_size
            opened = path.open("rb")
        except FileNotFoundError:
            raise EvidenceMissing(file, digest, str(self.path)) from None
        if size > most:
            opened.close()
            raise EvidenceDamaged(file, f"it has {size} bytes where at most {most} belong")
        return opened

    def __str__(self) -> str:
        return str(self.path)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow nobody: blobs lie where they are said to lie."""


class HttpSource:
    """Blobs from `GET {base}/evidence/{sha256}`; takes no proxy from the environment and follows no redirect."""

    def __init__(self, base: str, timeout_s: float = 60) -> None:
        if not base.startswith(("http://", "https://")):
            raise ValueError(f"{base!r} is not an http or https address")
        self.base = base.rstrip("/").removesuffix("/evidence")
        self.timeout_s = timeout_s
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def open(self, file: str, digest: bytes, most: int) -> BinaryIO:
        """Fetch a blob into memory or, when large, a temporary file; raises EvidenceMissing or EvidenceDamaged."""
        where = f"{self.base}/evidence/{digest.hex()}"
        kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (handed to the caller)
        try:
            with self._opener.open(where, timeout=self.timeout_s) as answer:
                while chunk := answer.read(_CHUNK):
                    kept.write(chunk)
                    if kept.tell() > most:
                        raise EvidenceDamaged(file, f"{self.base} sends more than the {most} bytes it should have")
        except (urllib.error.URLError, OSError) as error:
            kept.close()
            raise EvidenceMissing(file, digest, f"{self.base} ({error})") from error
        kept.seek(0)
        return cast(BinaryIO, kept)

    def __str__(self) -> str:
        return self.base


def source_at(place: str) -> FolderStore | HttpSource:
    """Return the source an operator wrote down: a web address or a folder."""
    return HttpSource(place) if place.startswith(("http://", "https://")) else FolderStore(Path(place))


def copy_blob(source: Source, store: FolderStore, file: str, digest: bytes, most: int) -> None:
    """Copy one blob into a folder, checking that it is what its name says; raises EvidenceError."""
    with source.open(file, digest, most) as opened, tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(opened, kept, _CHUNK)
        kept.seek(0)
        found = hashlib.file_digest(kept, "sha256").digest()
        if found != digest:
            raise EvidenceDamaged(file, "its bytes are not those of its digest", expected=digest, found=found)
        kept.seek(0)
        store.put(iter(lambda: kept.read(_CHUNK), b""))
