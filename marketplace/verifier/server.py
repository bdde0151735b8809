"""What a verifier serves.

Its attestations, the answers behind its CheckDays, and its signature under reports that hold (docs/protocol.md,
section 3.3).
"""

from __future__ import annotations

import asyncio
import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from contracts.errors import ContractsError
from marketplace.verifier.signing import ReportRefused, ReportSigner, SigningBusy
from rewards.errors import RewardsError
from rewards.verifier.service import Verifier

_MOST_BODY = 4096
_MOST_SAMPLES = 4 << 20


def create_server(verifier: Verifier, signer: ReportSigner) -> Starlette:
    """Return the application; it answers errors as `{"error": {"message", "code"}}`."""

    async def attestation(request: Request) -> Response:
        epoch = int(request.path_params["epoch"])
        try:
            shown = await asyncio.to_thread(verifier.attestation, epoch)
        except OSError as error:
            return _error(503, "disk_unavailable", f"the attestation cannot be kept: {error}")
        if shown is None:
            return _error(404, "epoch_running", f"epoch {epoch} has not ended: ask again when it has")
        return JSONResponse(shown)

    async def report(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY:
                return _error(413, "too_large", f"a request for a signature has at most {_MOST_BODY} bytes")
        try:
            epoch, evidence = _asked(bytes(body))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _error(400, "malformed", 'send {"epoch": number, "evidence": "0x" and 64 hex digits}')
        try:
            return JSONResponse(await signer.sign(epoch, evidence))
        except (ReportRefused, RewardsError) as error:
            return _error(409, type(error).__name__, str(error))
        except SigningBusy as error:
            return _error(503, "busy", str(error))
        except (ContractsError, OSError) as error:
            return _error(503, "chain_unavailable", str(error))

    async def blob(request: Request) -> Response:
        try:
            digest = bytes.fromhex(request.path_params["digest"])
            opened = await asyncio.to_thread(verifier.store.blobs.open, "samples", digest, _MOST_SAMPLES)
        except (ValueError, RewardsError):
            return _error(404, "not_found", "this verifier keeps no answers under that digest")
        with opened:
            return Response(await asyncio.to_thread(opened.read), media_type="application/json")

    async def health(request: Request) -> Response:
        return JSONResponse({"verifier": verifier.signer.address})

    return Starlette(
        routes=[
            Route("/attestations/{epoch:int}", attestation),
            Route("/reports", report, methods=["POST"]),
            Route("/evidence/{digest}", blob),
            Route("/health", health),
        ]
    )


def _asked(body: bytes) -> tuple[int, bytes]:
    """Return epoch and evidence; raises one of many errors when they are not there."""
    asked = json.loads(body)
    epoch, evidence = asked["epoch"], bytes.fromhex(asked["evidence"].removeprefix("0x"))
    if type(epoch) is not int or not 0 <= epoch < 1 << 64 or len(evidence) != 32:
        raise ValueError("epoch or evidence is out of range")
    return epoch, evidence


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "code": code}}, status)
