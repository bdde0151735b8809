"""What a verifier serves.

Its attestations, and its signature under reports that hold (docs/protocol.md, section 3.3).
"""

from __future__ import annotations

import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from contracts.errors import ContractsError
from marketplace.verifier.signing import ReportRefused, ReportSigner
from rewards.errors import RewardsError
from rewards.verifier.service import Verifier

_MOST_BODY = 4096


def create_server(verifier: Verifier, signer: ReportSigner) -> Starlette:
    """Return the application; it answers errors as `{"error": {"message", "code"}}`."""

    async def attestation(request: Request) -> Response:
        epoch = int(request.path_params["epoch"])
        shown = verifier.attestation(epoch)
        if shown is None:
            return _error(404, "epoch_running", f"epoch {epoch} has not ended: ask again when it has")
        return JSONResponse(shown)

    async def report(request: Request) -> Response:
        if int(request.headers.get("content-length", "0") or 0) > _MOST_BODY:
            return _error(413, "too_large", f"a request for a signature has at most {_MOST_BODY} bytes")
        try:
            asked: dict[str, Any] = json.loads(await request.body())
            epoch, evidence = int(asked["epoch"]), bytes.fromhex(str(asked["evidence"]).removeprefix("0x"))
        except (ValueError, KeyError, TypeError):
            return _error(400, "malformed", 'send {"epoch": number, "evidence": "0x…"}')
        try:
            return JSONResponse(await signer.sign(epoch, evidence))
        except (ReportRefused, RewardsError) as error:
            return _error(409, type(error).__name__, str(error))
        except (ContractsError, OSError) as error:
            return _error(503, "chain_unavailable", str(error))

    async def health(request: Request) -> Response:
        return JSONResponse({"verifier": verifier.signer.address})

    return Starlette(
        routes=[
            Route("/attestations/{epoch:int}", attestation),
            Route("/reports", report, methods=["POST"]),
            Route("/health", health),
        ]
    )


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "code": code}}, status)
