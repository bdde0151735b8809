"""The control API and the dashboard as one application: everything but the inference routes."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from contracts.signing import checksum_address
from marketplace.api.bounds import PathNumber, RowNumber, job_number
from marketplace.api.failures import answer_failures
from marketplace.api.guard import Guard
from marketplace.api.hosts import Hosts
from marketplace.api.reads import Reads
from marketplace.api.session_keys import SessionKeys, session_reader
from marketplace.api.sessions import COOKIE, Sessions
from marketplace.api.views import wire
from marketplace.api.why_not import why_not_routes
from marketplace.dashboard.pages import create_pages, static_files
from marketplace.dashboard.rendering import Renderer
from marketplace.gateway.asgi import AsgiApp
from marketplace.gateway.services import Services
from marketplace.rates import read_rates
from marketplace.ratings import STARS_MOST, Ratings


class SignIn(BaseModel):
    """A signed EIP-4361 message."""

    message: str = Field(max_length=4096)
    signature: str = Field(max_length=4096)


class Stars(BaseModel):
    """What a customer thinks of a receipt; without `attempt` of the last one that was served."""

    stars: int = Field(ge=1, le=STARS_MOST)
    attempt: int | None = Field(default=None, ge=0, le=255)


class NewKey(BaseModel):
    """What a customer calls a key, the class of what is asked with it, and how much may be asked in a minute."""

    name: str = Field(min_length=1, max_length=64)
    service_class: str = "standard"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


def create_api(services: Services) -> AsgiApp:
    """Build the application over a running gateway's services."""
    app = FastAPI(
        title="Bonded control API", version="1", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    secret = services.settings.session_secret()
    sessions = Sessions(secret, services.domain.chain_id, SessionKeys(session_reader(services.chain)))
    reads = Reads(services)
    ratings = Ratings(services.database)
    hosts = Hosts(services.settings)
    pages = Renderer(reads, sessions, secret, hosts.secure)

    async def signed_in(request: Request, authorization: Annotated[str | None, Header()] = None) -> str:
        token = (authorization or "").removeprefix("Bearer ").strip() or request.cookies.get(COOKIE)
        return await sessions.customer(token)

    Customer = Annotated[str, Depends(signed_in)]

    @app.post("/api/auth/nonce")
    async def nonce() -> dict[str, str]:
        return {"nonce": sessions.nonce()}

    @app.post("/api/auth/session")
    async def session(request: Request, body: SignIn) -> Response:
        host = hosts.check(request.headers.get("host", ""))
        token, customer = await sessions.sign_in(body.message, body.signature, host)
        answer = JSONResponse({"token": token, "customer": customer})
        pages.set_session(answer, token)
        return answer

    @app.get("/api/checksum/{address}")
    async def checksum(address: str) -> dict[str, str]:
        return {"address": checksum_address(address)}

    @app.get("/api/balance")
    async def balance(customer: Customer) -> Any:
        return wire(await reads.balance(customer))

    @app.get("/api/keys")
    async def keys(customer: Customer) -> Any:
        return {"keys": wire(await reads.keys(customer))}

    @app.post("/api/keys", status_code=201)
    async def make_key(customer: Customer, body: NewKey) -> Any:
        rates = read_rates(body.requests_per_minute, body.tokens_per_minute)
        key_id, key = await services.accounts.create_key(customer, body.name, body.service_class, rates)
        return {"id": key_id, "key": key}

    @app.delete("/api/keys/{key_id}")
    async def revoke_key(customer: Customer, key_id: PathNumber) -> Any:
        await services.accounts.revoke_key(customer, key_id)
        return {"id": key_id, "revoked": True}

    @app.get("/api/usage")
    async def usage(customer: Customer) -> Any:
        return {"usage": wire(await reads.usage(customer))}

    @app.get("/api/credits")
    async def credits_back(customer: Customer) -> Any:
        return {"credits": wire(await reads.credits(customer))}

    @app.get("/api/receipts")
    async def receipts(customer: Customer, limit: int = 100, before: RowNumber = None) -> Any:
        rows, more = await reads.receipts(customer, min(max(limit, 1), 1000), before)
        return {"receipts": wire(rows), "before": more}

    @app.get("/api/receipts/{job}")
    async def receipt(customer: Customer, job: str) -> Any:
        rows = await reads.receipts_of_job(customer, job)
        if not rows:
            raise HTTPException(404, f"you have no receipt for job {job}")
        return {"receipts": wire(rows)}

    @app.post("/api/receipts/{job}/rating", status_code=201)
    async def rate(customer: Customer, job: str, body: Stars) -> Any:
        return wire(await ratings.rate(customer, job_number(job), body.stars, body.attempt))

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

    @app.get("/api/status")
    async def status() -> Any:
        return wire(await reads.status())

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/dashboard")

    app.include_router(why_not_routes(services, signed_in))
    app.mount("/dashboard/static", static_files())
    app.include_router(create_pages(services, reads, sessions, pages))
    answer_failures(app, pages)
    return Guard(app)
