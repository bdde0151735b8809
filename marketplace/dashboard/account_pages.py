"""The pages of a signed-in customer: balance, playground, keys, batches, usage, receipts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from marketplace.api.bounds import PathNumber, RowNumber, job_number
from marketplace.api.reads import Reads
from marketplace.batches.store import OPEN, Batches, Status
from marketplace.dashboard.charts import bars
from marketplace.dashboard.money import money_facts
from marketplace.dashboard.rendering import Renderer
from marketplace.errors import BondedError
from marketplace.gateway.services import Services
from marketplace.rates import read_rates
from marketplace.ratings import STARS_MOST, Ratings

RECEIPTS_ON_A_PAGE = 100
_BATCHES_ON_A_PAGE = 50
_CANCELLABLE = (Status.VALIDATING, Status.IN_PROGRESS)


def add_account_pages(router: APIRouter, services: Services, reads: Reads, pages: Renderer) -> None:
    """Add the routes below `/dashboard`."""
    _add_money(router, services, reads, pages)
    _add_keys(router, services, reads, pages)
    _add_batches(router, services, pages)
    _add_books(router, reads, pages)
    _add_receipt(router, services, reads, pages)


def _add_money(router: APIRouter, services: Services, reads: Reads, pages: Renderer) -> None:
    facts = money_facts(services)
    devnet = {account.address for account in services.devnet_accounts} if services.settings.devnet else set()

    @router.get("")
    async def balance(request: Request) -> Response:
        customer = await pages.customer(request)
        return await pages.render(
            request,
            "balance.html",
            balance=await reads.balance(customer),
            credits=await reads.credits(customer),
            holdings=await reads.holdings(customer),
            money=facts,
            devnet_wallet=customer in devnet,
        )

    @router.get("/playground")
    async def playground(request: Request) -> Response:
        await pages.customer(request)
        models = [model["id"] for model in services.directory.models()]
        return await pages.render(request, "playground.html", models=models)


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
        requests: Annotated[str, Form()] = "",
        tokens: Annotated[str, Form()] = "",
    ) -> Response:
        customer = await pages.customer(request, token)
        try:
            rates = read_rates(_limit(requests), _limit(tokens))
            _, secret = await services.accounts.create_key(customer, name, service_class, rates)
        except BondedError as error:
            return await show(request, customer, 400, "", str(error))
        return await show(request, customer, 201, secret, "")

    @router.post("/keys/{key_id}/revoke")
    async def revoke_key(request: Request, key_id: PathNumber, token: Annotated[str, Form()] = "") -> Response:
        await services.accounts.revoke_key(await pages.customer(request, token), key_id)
        return RedirectResponse("/dashboard/keys", status_code=303)


def _limit(text: str) -> int | None:
    """Return a limit as it was typed, None for an empty field, and what is no limit for what is no number."""
    digits = text.strip().replace(",", "")
    if not digits:
        return None
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else 0


def _add_batches(router: APIRouter, services: Services, pages: Renderer) -> None:
    stored = Batches(services.database)

    async def show(request: Request, customer: str, status: int, problem: str) -> Response:
        rows, _ = await stored.page(customer, None, _BATCHES_ON_A_PAGE)
        models = services.directory.models()
        return await pages.render(
            request,
            "batches.html",
            status,
            batches=rows,
            open=OPEN,
            cancellable=_CANCELLABLE,
            problem=problem,
            model=models[0]["id"] if models else "",
        )

    @router.get("/batches")
    async def batches(request: Request) -> Response:
        return await show(request, await pages.customer(request), 200, "")

    @router.post("/batches/{batch}/cancel")
    async def cancel(request: Request, batch: str, token: Annotated[str, Form()] = "") -> Response:
        customer = await pages.customer(request, token)
        try:
            await stored.cancel(customer, batch, int(services.desk.clock()))
        except BondedError as error:
            return await show(request, customer, 400, str(error))
        return RedirectResponse("/dashboard/batches", status_code=303)


def _add_books(router: APIRouter, reads: Reads, pages: Renderer) -> None:
    @router.get("/usage")
    async def usage(request: Request) -> Response:
        rows = await reads.usage(await pages.customer(request))
        by_day: dict[str, int] = {}
        for row in reversed(rows):
            by_day[row.day] = by_day.get(row.day, 0) + row.charge_atto
        return await pages.render(request, "usage.html", usage=rows, chart=bars(by_day))

    @router.get("/receipts")
    async def receipts(request: Request, before: RowNumber = None) -> Response:
        rows, more = await reads.receipts(await pages.customer(request), RECEIPTS_ON_A_PAGE, before)
        return await pages.render(request, "receipts.html", receipts=rows, more=more)


def _add_receipt(router: APIRouter, services: Services, reads: Reads, pages: Renderer) -> None:
    ratings = Ratings(services.database)

    async def show(request: Request, customer: str, job: str, status: int, said: str) -> Response:
        rows = await reads.receipts_of_job(customer, job)
        if not rows:
            return await pages.problem(request, 404, "No such receipt", "You have no receipt for this job.")
        proofs = await reads.proofs(customer, job)
        paid = any(row.status == "served" and row.charge_atto for row in rows)
        return await pages.render(
            request, "receipt.html", status, job=rows[0].job, rows=rows, proofs=proofs, paid=paid, said=said
        )

    @router.get("/receipts/{job}")
    async def receipt(request: Request, job: str) -> Response:
        return await show(request, await pages.customer(request), job, 200, "")

    @router.post("/receipts/{job}/rating")
    async def rate(
        request: Request,
        job: str,
        stars: Annotated[int, Form(ge=1, le=STARS_MOST)],
        token: Annotated[str, Form()] = "",
    ) -> Response:
        customer = await pages.customer(request, token)
        try:
            await ratings.rate(customer, job_number(job), stars)
        except BondedError as error:
            return await show(request, customer, job, 400, str(error))
        return await show(request, customer, job, 201, "Thank you: it counts in the epoch that runs.")
