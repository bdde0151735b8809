"""Files to take away: the tables of the pages as CSV and Parquet. JSON of the same is the control API's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from marketplace.api.audit_reads import RefundRow
from marketplace.api.bounds import PathNumber
from marketplace.api.reads import Reads
from marketplace.api.slashes import SlashRow
from marketplace.api.tables import as_csv, as_parquet
from marketplace.api.views import CreditRow, EpochRow, LeafRow, ProviderRow, ReceiptRow, UsageRow
from marketplace.dashboard.rendering import Renderer

_MOST_RECEIPTS = 10_000
Form = Literal["csv", "parquet"]


def add_files(router: APIRouter, reads: Reads, pages: Renderer) -> None:
    """Add the routes below `/dashboard/files`."""
    public: dict[str, tuple[type[Any], Callable[[], Awaitable[Sequence[Any]]]]] = {
        "providers": (ProviderRow, reads.providers),
        "epochs": (EpochRow, reads.epochs),
        "slashes": (SlashRow, reads.slashes),
        "refunds": (RefundRow, reads.refunds),
    }

    async def receipts(customer: str) -> Sequence[Any]:
        return (await reads.receipts(customer, _MOST_RECEIPTS, None))[0]

    own: dict[str, tuple[type[Any], Callable[[str], Awaitable[Sequence[Any]]]]] = {
        "usage": (UsageRow, reads.usage),
        "receipts": (ReceiptRow, receipts),
        "credits": (CreditRow, reads.credits),
    }

    @router.get("/files/epochs/{epoch}/leaves.{form}")
    async def leaves(epoch: PathNumber, form: Form) -> Response:
        detail = await reads.epoch(epoch)
        if detail is None:
            raise HTTPException(404, f"epoch {epoch} has not been reported on chain")
        return _file(f"bonded-epoch-{epoch}", form, LeafRow, detail.leaves)

    @router.get("/files/{name}.{form}")
    async def table(request: Request, name: str, form: Form) -> Response:
        if name in own:
            kind, read_own = own[name]
            return _file(f"bonded-{name}", form, kind, await read_own(await pages.customer(request)))
        if name not in public:
            raise HTTPException(404, "there is no such table")
        kind, read = public[name]
        return _file(f"bonded-{name}", form, kind, await read())


def _file(name: str, form: Form, kind: type[Any], rows: Sequence[Any]) -> Response:
    body, media = (
        (as_csv(kind, rows), "text/csv")
        if form == "csv"
        else (as_parquet(kind, rows), "application/vnd.apache.parquet")
    )
    return Response(body, media_type=media, headers={"content-disposition": f'attachment; filename="{name}.{form}"'})
