"""The dashboard: pages rendered on the server, working without scripts; only signing in through a wallet needs one.

Every form carries a token bound to the session, so that no other site can send it. Everything a provider registered
is escaped by the templates.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from marketplace.api.bounds import PathNumber, RowNumber
from marketplace.api.reads import Reads
from marketplace.api.sessions import COOKIE, Sessions
from marketplace.dashboard.rendering import HERE, FormRefused, Renderer
from marketplace.errors import BondedError
from marketplace.gateway.services import Services

RECEIPTS_ON_A_PAGE = 100


def static_files() -> StaticFiles:
    """Return the application that serves the dashboard's style sheet and scripts."""
    return StaticFiles(directory=HERE / "static")


def create_pages(services: Services, reads: Reads, sessions: Sessions, pages: Renderer) -> APIRouter:
    """Return the dashboard's routes."""
    router = APIRouter(prefix="/dashboard", include_in_schema=False)

    @router.get("")
    async def balance(request: Request) -> Response:
        customer = await pages.customer(request)
        return await pages.render(
            request,
            "balance.html",
            balance=await reads.balance(customer),
            credits=await reads.credits(customer),
        )

    @router.get("/usage")
    async def usage(request: Request) -> Response:
        return await pages.render(request, "usage.html", usage=await reads.usage(await pages.customer(request)))

    @router.get("/receipts")
    async def receipts(request: Request, before: RowNumber = None) -> Response:
        rows, more = await reads.receipts(await pages.customer(request), RECEIPTS_ON_A_PAGE, before)
        return await pages.render(request, "receipts.html", receipts=rows, more=more)

    @router.get("/providers")
    async def providers(request: Request) -> Response:
        return await pages.render(request, "providers.html", providers=await reads.providers())

    @router.get("/epochs")
    async def epochs(request: Request) -> Response:
        return await pages.render(request, "epochs.html", epochs=await reads.epochs())

    @router.get("/epochs/{epoch}")
    async def epoch_page(request: Request, epoch: PathNumber) -> Response:
        detail = await reads.epoch(epoch)
        if detail is None:
            words = f"Epoch {epoch} has not been reported on chain."
            return await pages.problem(request, 404, "No such epoch", words)
        return await pages.render(request, "epoch.html", detail=detail)

    _add_keys(router, services, reads, pages)
    _add_session(router, services, sessions, pages)
    return router


def _add_keys(router: APIRouter, services: Services, reads: Reads, pages: Renderer) -> None:
    async def show(request: Request, customer: str, status: int, secret: str, problem: str) -> Response:
        rows = await reads.keys(customer)
        return await pages.render(request, "keys.html", status, keys=rows, secret=secret, problem=problem)

    @router.get("/keys")
    async def keys(request: Request) -> Response:
        return await show(request, await pages.customer(request), 200, "", "")

    @router.post("/keys")
    async def make_key(
        request: Request,
        token: Annotated[str, Form()] = "",
        name: Annotated[str, Form()] = "",
        service_class: Annotated[str, Form()] = "standard",
    ) -> Response:
        customer = await pages.customer(request, token)
        try:
            _, secret = await services.accounts.create_key(customer, name, service_class)
        except BondedError as error:
            return await show(request, customer, 400, "", str(error))
        return await show(request, customer, 201, secret, "")

    @router.post("/keys/{key_id}/revoke")
    async def revoke_key(request: Request, key_id: PathNumber, token: Annotated[str, Form()] = "") -> Response:
        await services.accounts.revoke_key(await pages.customer(request, token), key_id)
        return RedirectResponse("/dashboard/keys", status_code=303)


def _add_session(router: APIRouter, services: Services, sessions: Sessions, pages: Renderer) -> None:
    accounts = services.devnet_accounts if services.settings.devnet else ()

    @router.get("/sign-in")
    async def sign_in(request: Request) -> Response:
        return await pages.render(
            request,
            "sign_in.html",
            chain_id=services.domain.chain_id,
            devnet_accounts=[account.address for account in accounts],
        )

    if accounts:

        @router.post("/sign-in/devnet")
        async def sign_in_devnet(request: Request, index: Annotated[int, Form()]) -> Response:
            if not 0 <= index < len(accounts):
                raise FormRefused(f"there is no devnet account {index}")
            return pages.signed_in(sessions.open(accounts[index].address))

    @router.post("/sign-out")
    async def sign_out(request: Request, token: Annotated[str, Form()] = "") -> Response:
        await pages.customer(request, token)
        answer = RedirectResponse("/dashboard/sign-in", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer
