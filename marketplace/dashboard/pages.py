"""The dashboard: pages rendered on the server, working without scripts; only signing in through a wallet needs one.

Every form carries a token bound to the session, so that no other site can send it. Everything a provider registered
is escaped by the templates.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape

from marketplace.api.reads import Reads
from marketplace.api.sessions import COOKIE, SESSION_S, SessionEnded, Sessions
from marketplace.dashboard import formats
from marketplace.errors import BondedError
from marketplace.gateway.services import Services

PAGES = (
    ("/dashboard", "Balance"),
    ("/dashboard/keys", "Keys"),
    ("/dashboard/usage", "Usage"),
    ("/dashboard/receipts", "Receipts"),
    ("/dashboard/providers", "Providers"),
    ("/dashboard/epochs", "Epochs"),
)
_HERE = Path(__file__).parent
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class FormRefused(BondedError):
    """The form does not belong to this session: open the page again and send it from there."""


def static_files() -> StaticFiles:
    """Return the application that serves the dashboard's style sheet and scripts."""
    return StaticFiles(directory=_HERE / "static")


def create_pages(services: Services, reads: Reads, sessions: Sessions, secret: bytes) -> APIRouter:
    """Return the dashboard's routes. `secret` keys the form tokens."""
    router = APIRouter(prefix="/dashboard", include_in_schema=False)
    pages = _Renderer(reads, sessions, secret)
    devnet = services.settings.devnet

    @router.get("")
    async def balance(request: Request) -> Response:
        customer = pages.customer(request)
        return await pages.render(
            request,
            "balance.html",
            balance=await reads.balance(customer),
            credits=await reads.credits(customer),
        )

    @router.get("/keys")
    async def keys(request: Request) -> Response:
        return await pages.render(request, "keys.html", keys=await reads.keys(pages.customer(request)))

    @router.post("/keys")
    async def make_key(request: Request, token: Annotated[str, Form()], name: Annotated[str, Form()]) -> Response:
        customer = pages.customer(request, token)
        secret = None
        problem = None
        try:
            _, secret = await services.accounts.create_key(customer, name)
        except BondedError as error:
            problem = str(error)
        return await pages.render(request, "keys.html", keys=await reads.keys(customer), secret=secret, problem=problem)

    @router.post("/keys/{key_id}/revoke")
    async def revoke_key(request: Request, key_id: int, token: Annotated[str, Form()]) -> Response:
        await services.accounts.revoke_key(pages.customer(request, token), key_id)
        return RedirectResponse("/dashboard/keys", status_code=303)

    @router.get("/usage")
    async def usage(request: Request) -> Response:
        return await pages.render(request, "usage.html", usage=await reads.usage(pages.customer(request)))

    @router.get("/receipts")
    async def receipts(request: Request, before: int | None = None) -> Response:
        rows, more = await reads.receipts(pages.customer(request), 100, before)
        return await pages.render(request, "receipts.html", receipts=rows, more=more)

    @router.get("/providers")
    async def providers(request: Request) -> Response:
        return await pages.render(request, "providers.html", providers=await reads.providers())

    @router.get("/epochs")
    async def epochs(request: Request) -> Response:
        return await pages.render(request, "epochs.html", epochs=await reads.epochs())

    @router.get("/epochs/{epoch}")
    async def epoch_page(request: Request, epoch: int) -> Response:
        detail = await reads.epoch(epoch)
        if detail is None:
            words = f"Epoch {epoch} has not been reported on chain."
            return await pages.render(request, "problem.html", 404, title="No such epoch", words=words)
        return await pages.render(request, "epoch.html", detail=detail)

    @router.get("/sign-in")
    async def sign_in(request: Request) -> Response:
        return await pages.render(
            request,
            "sign_in.html",
            chain_id=services.domain.chain_id,
            devnet_accounts=[account.address for account in services.devnet_accounts] if devnet else [],
        )

    if devnet:

        @router.post("/sign-in/devnet")
        async def sign_in_devnet(request: Request, index: Annotated[int, Form()]) -> Response:
            if not 0 <= index < len(services.devnet_accounts):
                raise FormRefused(f"there is no devnet account {index}")
            return pages.signed_in(sessions.open(services.devnet_accounts[index].address))

    @router.post("/sign-out")
    async def sign_out(request: Request, token: Annotated[str, Form()]) -> Response:
        pages.customer(request, token)
        answer = RedirectResponse("/dashboard/sign-in", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    return router


class _Renderer:
    """Renders templates with what every page needs, and checks who asks."""

    def __init__(self, reads: Reads, sessions: Sessions, secret: bytes) -> None:
        self._reads = reads
        self._sessions = sessions
        self._secret = secret
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=select_autoescape(default=True), enable_async=True
        )
        self._templates.filters.update(
            short=formats.short,
            units=formats.units,
            atto=formats.atto,
            percent=formats.percent,
            words=formats.words,
        )

    def customer(self, request: Request, form_token: str | None = None) -> str:
        """Return who asks; raises SessionEnded, or FormRefused when a given form token is not this session's."""
        cookie = request.cookies.get(COOKIE)
        customer = self._sessions.customer(cookie)
        if form_token is not None and not hmac.compare_digest(form_token, self._form_token(cookie or "")):
            raise FormRefused(FormRefused.__doc__)
        return customer

    def signed_in(self, session: str) -> Response:
        """Return the redirect that sets a session cookie."""
        answer = RedirectResponse("/dashboard", status_code=303)
        set_session(answer, session)
        return answer

    async def render(self, request: Request, template: str, status_code: int = 200, **values: Any) -> Response:
        """Render a page."""
        cookie = request.cookies.get(COOKIE)
        try:
            customer = self._sessions.customer(cookie)
        except SessionEnded:
            customer = None
        text = await self._templates.get_template(template).render_async(
            pages=PAGES,
            here=request.url.path,
            customer=customer,
            form_token=self._form_token(cookie or ""),
            status=await self._reads.status(),
            base_url=str(request.base_url).rstrip("/"),
            **values,
        )
        return HTMLResponse(text, status_code, headers=_HEADERS)

    def _form_token(self, cookie: str) -> str:
        return hmac.new(self._secret, cookie.encode(), sha256).hexdigest()


def set_session(answer: Response, session: str) -> None:
    """Put a session token into a cookie that scripts cannot read and other sites cannot send."""
    answer.set_cookie(COOKIE, session, max_age=SESSION_S, httponly=True, samesite="strict")
