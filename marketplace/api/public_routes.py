"""The control API that needs no account: providers, epochs, where the marketplace stands."""

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from marketplace.api.bounds import PathNumber
from marketplace.api.reads import Reads
from marketplace.api.views import wire


def add_public_routes(app: FastAPI, reads: Reads) -> None:
    """Add the routes."""

    @app.get("/api/providers")
    async def providers() -> Any:
        return {"providers": wire(await reads.providers())}

    @app.get("/api/epochs")
    async def epochs() -> Any:
        return {"epochs": wire(await reads.epochs())}

    @app.get("/api/epochs/{epoch}")
    async def epoch_detail(epoch: PathNumber) -> Any:
        detail = await reads.epoch(epoch)
        if detail is None:
            raise HTTPException(404, f"epoch {epoch} has not been reported on chain")
        return wire(detail)

    @app.get("/api/epochs/{epoch}/proof")
    async def epoch_proof(epoch: PathNumber) -> Any:
        proof = await reads.epoch_proof(epoch)
        if proof is None:
            raise HTTPException(404, f"epoch {epoch} has not been reported on chain")
        return wire(proof)

    @app.get("/api/providers/{provider}")
    async def provider_detail(provider: str) -> Any:
        detail = await reads.provider(provider.lower())
        if detail is None:
            raise HTTPException(404, "nobody of this address is registered")
        return wire(detail)

    @app.get("/api/slashes")
    async def slashes() -> Any:
        return {"slashes": wire(await reads.slashes())}

    @app.get("/api/refunds")
    async def refunds() -> Any:
        return {"refunds": wire(await reads.refunds())}

    @app.get("/api/status")
    async def status() -> Any:
        return wire(await reads.status())
