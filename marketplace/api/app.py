"""The control API and the dashboard as one application: everything but the inference routes."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from contracts.signing import checksum_address
from marketplace.api.customer_routes import add_customer_routes
from marketplace.api.failures import answer_failures
from marketplace.api.forms import SignIn
from marketplace.api.guard import Guard
from marketplace.api.hosts import Hosts
from marketplace.api.knocks import Knocks
from marketplace.api.public_routes import add_public_routes
from marketplace.api.reads import Reads
from marketplace.api.session_keys import SessionKeys, session_reader
from marketplace.api.sessions import COOKIE, Sessions, SignInRefused
from marketplace.api.why_not import why_not_routes
from marketplace.dashboard.files import static_files
from marketplace.dashboard.pages import create_pages
from marketplace.dashboard.rendering import HERE, Renderer
from marketplace.gateway.asgi import AsgiApp
from marketplace.gateway.services import Services


def create_api(services: Services) -> AsgiApp:
    """Build the application over a running gateway's services."""
    app = FastAPI(
        title="Bonded control API", version="1", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    secret = services.settings.session_secret()
    sessions = Sessions(secret, services.domain.chain_id, SessionKeys(session_reader(services.chain)))
    reads = Reads(services)
    hosts = Hosts(services.settings)
    pages = Renderer(reads, sessions, secret, hosts.secure)

    async def signed_in(request: Request, authorization: Annotated[str | None, Header()] = None) -> str:
        token = (authorization or "").removeprefix("Bearer ").strip() or request.cookies.get(COOKIE)
        return await sessions.customer(token)

    _add_doors(app, sessions, hosts, pages)
    add_customer_routes(app, services, reads, Depends(signed_in))
    add_public_routes(app, reads)
    app.include_router(why_not_routes(services, signed_in))

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/dashboard")

    app.mount("/dashboard/static", static_files(HERE / "static"))
    app.include_router(create_pages(services, reads, sessions, pages))
    answer_failures(app, pages)
    return Guard(app, hosts.public)


def _add_doors(app: FastAPI, sessions: Sessions, hosts: Hosts, pages: Renderer) -> None:
    """Add what signing in takes."""
    knocks = Knocks()

    @app.post("/api/auth/nonce")
    async def nonce() -> dict[str, str]:
        return {"nonce": sessions.nonce()}

    @app.post("/api/auth/session")
    async def session(request: Request, body: SignIn) -> Any:
        caller = request.client.host if request.client else ""
        knocks.check(caller)
        try:
            host = hosts.check(request.headers.get("host", ""))
            token, customer = await sessions.sign_in(body.message, body.signature, host)
        except SignInRefused:
            knocks.refused(caller)
            raise
        answer = JSONResponse({"token": token, "customer": customer})
        pages.set_session(answer, token)
        return answer

    @app.get("/api/checksum/{address}")
    async def checksum(address: str) -> dict[str, str]:
        return {"address": checksum_address(address)}
