"""Serve evidence by digest: `GET /evidence/{sha256}`, each blob what its name says, for ever."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

_NAME = re.compile(r"[0-9a-f]{64}")
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}


def create_evidence_server(folder: Path) -> Starlette:
    """Return the application over a folder of blobs named by their SHA-256."""

    async def blob(request: Request) -> Response:
        name = request.path_params["name"]
        path = folder / name
        if not _NAME.fullmatch(name) or not path.is_file():
            return JSONResponse({"error": {"message": f"there is no evidence {name}", "code": "not_found"}}, 404)
        return FileResponse(path, media_type="application/octet-stream", headers=_FOR_EVER)

    async def health(request: Request) -> Response:
        return JSONResponse({"evidence": True})

    return Starlette(routes=[Route("/evidence/{name}", blob), Route("/health", health)])
