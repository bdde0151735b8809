"""The control API of a signed-in customer: its money, keys, usage and receipts."""

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from marketplace.api.bounds import PathNumber, RowNumber, job_bytes, job_number
from marketplace.api.forms import NewKey, PlaygroundKey, Stars
from marketplace.api.reads import Reads
from marketplace.api.views import wire
from marketplace.api.why import why
from marketplace.gateway.services import Services
from marketplace.rates import read_rates
from marketplace.ratings import Ratings
from scheduler.decision import Decision

PLAYGROUND = "playground"


def add_customer_routes(app: FastAPI, services: Services, reads: Reads, signed_in: Any) -> None:
    """Add the routes; `signed_in` is the dependency that gives the customer behind a request."""
    _add_money(app, reads, signed_in)
    _add_keys(app, services, reads, signed_in)
    _add_receipts(app, services, reads, signed_in)


def _add_money(app: FastAPI, reads: Reads, signed_in: Any) -> None:
    @app.get("/api/balance")
    async def balance(customer: str = signed_in) -> Any:
        return wire(await reads.balance(customer))

    @app.get("/api/holds")
    async def holds(customer: str = signed_in) -> Any:
        return wire(await reads.holdings(customer))

    @app.get("/api/usage")
    async def usage(customer: str = signed_in) -> Any:
        return {"usage": wire(await reads.usage(customer))}

    @app.get("/api/credits")
    async def credits_back(customer: str = signed_in) -> Any:
        return {"credits": wire(await reads.credits(customer))}


def _add_keys(app: FastAPI, services: Services, reads: Reads, signed_in: Any) -> None:
    @app.get("/api/keys")
    async def keys(customer: str = signed_in) -> Any:
        return {"keys": wire(await reads.keys(customer))}

    @app.post("/api/keys", status_code=201)
    async def make_key(body: NewKey, customer: str = signed_in) -> Any:
        rates = read_rates(body.requests_per_minute, body.tokens_per_minute)
        key_id, key = await services.accounts.create_key(customer, body.name, body.service_class, rates)
        return {"id": key_id, "key": key}

    @app.post("/api/playground/key", status_code=201)
    async def playground_key(body: PlaygroundKey, customer: str = signed_in) -> Any:
        """Make the key of the playground for a class; the one before of that class ends."""
        for row in await reads.keys(customer):
            if row.name == PLAYGROUND and row.service_class == body.service_class and row.revoked is None:
                await services.accounts.revoke_key(customer, row.id)
        key_id, key = await services.accounts.create_key(customer, PLAYGROUND, body.service_class)
        return {"id": key_id, "key": key}

    @app.delete("/api/keys/{key_id}")
    async def revoke_key(key_id: PathNumber, customer: str = signed_in) -> Any:
        await services.accounts.revoke_key(customer, key_id)
        return {"id": key_id, "revoked": True}


def _add_receipts(app: FastAPI, services: Services, reads: Reads, signed_in: Any) -> None:
    @app.get("/api/receipts")
    async def receipts(customer: str = signed_in, limit: int = 100, before: RowNumber = None) -> Any:
        rows, more = await reads.receipts(customer, min(max(limit, 1), 1000), before)
        return {"receipts": wire(rows), "before": more}

    @app.get("/api/receipts/{job}")
    async def receipt(job: str, customer: str = signed_in) -> Any:
        rows = await reads.receipts_of_job(customer, job)
        if not rows:
            raise HTTPException(404, f"you have no receipt for job {job[:100]}")
        return {"receipts": wire(rows)}

    ratings = Ratings(services.database)

    @app.post("/api/receipts/{job}/rating", status_code=201)
    async def rate(job: str, body: Stars, customer: str = signed_in) -> Any:
        return wire(await ratings.rate(customer, job_number(job), body.stars, body.attempt))

    @app.get("/api/receipts/{job}/proof")
    async def proof(job: str, customer: str = signed_in) -> Any:
        found = await reads.proofs(customer, job)
        if not found:
            raise HTTPException(404, f"you have no receipt for job {job[:100]}")
        return {"attempts": found}

    @app.get("/api/receipts/{job}/why")
    async def reasons(job: str, customer: str = signed_in) -> Any:
        """Say why this provider was chosen, as long as the decision log has it."""
        raw = job_bytes(job)
        own = raw is not None and await reads.receipts_of_job(customer, job)
        decision = await services.decisions.find(raw.hex()) if raw is not None and own else None
        if not isinstance(decision, Decision):
            raise HTTPException(404, f"the gateway remembers no decision about job {job[:100]}")
        return why(decision)
