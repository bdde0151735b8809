"""The pages that need no account: providers, and what an auditor looks at."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from marketplace.api.bounds import PathNumber
from marketplace.api.provider_reads import HistoryRow
from marketplace.api.reads import Reads
from marketplace.dashboard.charts import bars, runs
from marketplace.dashboard.rendering import Renderer
from marketplace.dashboard.sorting import ON_A_PAGE, Wanted, arrange
from rewards.measurement import BUCKET_UPPER_MS
from rewards.score import COMPONENTS, WEIGHTS, latency_ppm

_LABELS = (*(f"≤ {upper} ms" for upper in BUCKET_UPPER_MS), f"> {BUCKET_UPPER_MS[-1]} ms")
_WORD = Query(max_length=200)


def add_market_pages(router: APIRouter, reads: Reads, pages: Renderer) -> None:
    """Add the routes below `/dashboard`."""
    _add_providers(router, reads, pages)
    _add_audit(router, reads, pages)


def _add_providers(router: APIRouter, reads: Reads, pages: Renderer) -> None:
    @router.get("/providers")
    async def providers(
        request: Request,
        sort: Annotated[str, _WORD] = "score",
        order: Annotated[str, _WORD] = "",
        model: Annotated[str, _WORD] = "",
        region: Annotated[str, _WORD] = "",
        work: Annotated[str, _WORD] = "",
        page: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> Response:
        wanted = Wanted(sort, order, model, region, work, page)
        found = await reads.providers()
        shown, total = arrange(found, wanted)
        return await pages.render(
            request,
            "providers.html",
            providers=shown,
            total=total,
            pages_in_all=-(-total // ON_A_PAGE),
            wanted=wanted,
            models=sorted({name for row in found for name in row.models}),
            regions=sorted({row.region for row in found if row.region}),
        )

    @router.get("/providers/{address}")
    async def provider(request: Request, address: str) -> Response:
        found = await reads.provider(address.lower())
        if found is None:
            return await pages.problem(request, 404, "No such provider", "Nobody of this address is registered.")
        day, newest = found.day, next((one for one in found.history if one.measured), None)
        down = [int(day.down, 16) >> slot & 1 for slot in range(day.slots)] if day else []
        return await pages.render(
            request,
            "provider.html",
            row=found.row,
            history=found.history,
            slashes=found.slashes,
            locks=found.locks,
            day=day,
            measured=newest,
            strip=runs(["down" if one else "up" for one in down]),
            down_slots=sum(down),
            histogram=bars(dict(zip(_LABELS, day.counts, strict=True))) if day else (),
            probes=sum(day.counts) if day else 0,
            parts=_parts(found.history[0], found.ttft_target_ms) if found.history else (),
        )


def _parts(one: HistoryRow, target_ms: int) -> tuple[tuple[str, int | None, int], ...]:
    """Return (name, value in ppm, weight in percent) of what an epoch measured; nobody rates yet where it is None."""
    latency = None if one.ttft_p95_ms is None or not target_ms else latency_ppm(one.ttft_p95_bucket, target_ms)
    values = (one.uptime_ppm, one.success_ppm, latency, one.verification_ppm, None)
    return tuple(zip(COMPONENTS, values, WEIGHTS, strict=True))


def _add_audit(router: APIRouter, reads: Reads, pages: Renderer) -> None:
    @router.get("/epochs")
    async def epochs(request: Request, before: Annotated[int | None, Query(ge=0, le=2**62)] = None) -> Response:
        rows, more = await reads.epoch_page(before)
        return await pages.render(request, "epochs.html", epochs=rows, more=more)

    @router.get("/epochs/{epoch}")
    async def epoch_page(
        request: Request, epoch: PathNumber, page: Annotated[int, Query(ge=0, le=100_000)] = 0
    ) -> Response:
        detail = await reads.epoch(epoch)
        if detail is None:
            words = f"Epoch {epoch} has not been reported on chain."
            return await pages.problem(request, 404, "No such epoch", words)
        first = page * ON_A_PAGE
        return await pages.render(
            request,
            "epoch.html",
            detail=detail,
            proof=await reads.epoch_proof(epoch),
            leaves=detail.leaves[first : first + ON_A_PAGE],
            page=page,
            more=len(detail.leaves) > first + ON_A_PAGE,
        )

    @router.get("/slashes")
    async def slashes(request: Request) -> Response:
        return await pages.render(request, "slashes.html", slashes=await reads.slashes())

    @router.get("/refunds")
    async def refunds(request: Request) -> Response:
        return await pages.render(request, "refunds.html", refunds=await reads.refunds())
