"""The dashboard: pages rendered on the server. They can be read without scripts; what speaks to a wallet, streams or
checks a signature in the page needs one.

Every form carries a token bound to the session, so that no other site can send it. Everything a provider registered
is escaped by the templates.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from marketplace.api.reads import Reads
from marketplace.api.sessions import COOKIE, Sessions
from marketplace.dashboard.account_pages import add_account_pages
from marketplace.dashboard.devnet_wallet import DevnetWallet, WalletCall
from marketplace.dashboard.downloads import add_files
from marketplace.dashboard.market_pages import add_market_pages
from marketplace.dashboard.rendering import FormRefused, Renderer
from marketplace.gateway.services import Services


def create_pages(services: Services, reads: Reads, sessions: Sessions, pages: Renderer) -> APIRouter:
    """Return the dashboard's routes."""
    router = APIRouter(prefix="/dashboard", include_in_schema=False)
    add_account_pages(router, services, reads, pages)
    add_market_pages(router, reads, pages)
    add_files(router, reads, pages)
    _add_session(router, services, sessions, pages)
    return router


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
        wallet = DevnetWallet(services.settings.urls()[0])

        @router.post("/sign-in/devnet")
        async def sign_in_devnet(request: Request, index: Annotated[int, Form()]) -> Response:
            if not 0 <= index < len(accounts):
                raise FormRefused(f"there is no devnet account {index}")
            return pages.signed_in(sessions.open(accounts[index].address))

        @router.post("/devnet/wallet")
        async def devnet_wallet(request: Request, call: WalletCall) -> Response:
            return await pages.as_program(wallet.answer(await pages.customer(request), call))

    @router.post("/sign-out")
    async def sign_out(request: Request, token: Annotated[str, Form()] = "") -> Response:
        await pages.customer(request, token)
        answer = RedirectResponse("/dashboard/sign-in", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer
