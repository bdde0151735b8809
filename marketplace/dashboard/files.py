"""Serve the style sheet and the scripts: few and small, so they lie in memory, compressed once at the start."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from starlette.exceptions import HTTPException

from marketplace.gateway.asgi import AsgiApp, Receive, Scope, Send

_KINDS = {".css": b"text/css", ".js": b"text/javascript", ".svg": b"image/svg+xml"}


@dataclass(frozen=True, slots=True)
class _File:
    kind: bytes
    plain: bytes
    packed: bytes
    tag: bytes


def static_files(folder: Path) -> AsgiApp:
    """Return the application that serves a folder's files; what is added to it later is not served."""
    known = {f"/{path.relative_to(folder).as_posix()}": _read(path) for path in folder.rglob("*") if path.is_file()}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        file = known.get(path)
        if file is None or scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(404, "there is no such file")
        asked = dict(scope["headers"])
        same = asked.get(b"if-none-match") == file.tag
        packed = b"gzip" in asked.get(b"accept-encoding", b"")
        body = b"" if same else file.packed if packed else file.plain
        headers = [(b"etag", file.tag), (b"vary", b"accept-encoding"), (b"content-type", file.kind)]
        headers += [(b"content-length", b"%d" % len(body))] if not same else []
        headers += [(b"content-encoding", b"gzip")] if packed and not same else []
        await send({"type": "http.response.start", "status": 304 if same else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return serve


def _read(path: Path) -> _File:
    plain = path.read_bytes()
    kind = _KINDS.get(path.suffix, b"text/plain") + b"; charset=utf-8"
    return _File(kind, plain, gzip.compress(plain, 9, mtime=0), b'"%s"' % sha256(plain).hexdigest()[:32].encode())
