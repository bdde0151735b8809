"""Post receipts that could not be handed over in-band to their gateway until it acknowledges them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

import httpx2
import structlog

from marketplace.agent.receipts import OpenReceipt, ReceiptJournal

log = structlog.get_logger(__name__)

# a receipt older than this can no longer be settled: the statute of limitation of the contracts
_STATUTE_S = 28 * 86_400
_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 300.0
_MOST_ANSWER_BYTES = 65_536

_REFUSED_AFTER_S = 4 * _FIRST_RETRY_S
_FINAL_REFUSALS = (400, 404, 409)
"""What a gateway answers when posting the same receipt again cannot help."""


class _RefusedForGood(Exception):
    """The gateway will never take this receipt."""


class Handover:
    """The queue of open receipts; one at a time, each with its own back-off.

    `endpoints` gives the gateways' registered endpoints by address at the time of each try, so a gateway may move.
    """

    def __init__(self, journal: ReceiptJournal, endpoints: Callable[[], Mapping[str, str]]) -> None:
        self._journal = journal
        self._endpoints = endpoints
        self._due: dict[int, float] = {}
        self._delays: dict[int, float] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client = httpx2.AsyncClient(timeout=10.0, follow_redirects=False, trust_env=False)

    def start(self) -> None:
        """Queue everything the journal still has open and begin posting."""
        for number in self._journal.open:
            self._due[number] = 0.0
        self._task = asyncio.create_task(self._run())
        self._wake.set()

    def post(self, number: int) -> None:
        """Queue a receipt of the journal."""
        self._due[number] = 0.0
        self._wake.set()

    async def flush(self, limit_s: float) -> int:
        """Stop the background, try every open receipt once, for at most `limit_s`; return how many stay open."""
        await self._halt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                for number in list(self._due):
                    await self._try(number)
        return len(self._journal.open)

    async def stop(self) -> None:
        """Stop posting; what is open stays in the journal."""
        await self._halt()
        await self._client.aclose()

    async def _halt(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            now = time.monotonic()
            ready = [number for number, due in self._due.items() if due <= now]
            for number in ready:
                try:
                    await self._try(number)
                except Exception:
                    log.exception("receipt_posting_failed", number=number)
                    self._due[number] = time.monotonic() + _LONGEST_RETRY_S
            self._wake.clear()
            if not ready or not self._due:
                wait = min(self._due.values()) - time.monotonic() if self._due else None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait if wait is None else max(wait, 0.01))

    async def _try(self, number: int) -> None:
        entry = self._journal.open.get(number)
        if entry is None:
            self._forget(number)
            return
        if time.time() - entry.at > _STATUTE_S:
            log.warning("receipt_expired", number=number, gateway=entry.signed.gateway)
            self._journal.acknowledge(number, "expired")
            self._forget(number)
            return
        try:
            problem = await self._post(entry)
        except _RefusedForGood as refused:
            # the first refusal may come from a gateway that has not yet noticed that its customer left
            problem = str(refused)
            if self._delays.get(number, 0.0) >= _REFUSED_AFTER_S:
                log.warning("receipt_refused", number=number, gateway=entry.signed.gateway, why=problem)
                self._journal.acknowledge(number, "refused")
                self._forget(number)
                return
        if problem is None:
            self._journal.acknowledge(number, "post")
            self._forget(number)
            return
        delay = min(_LONGEST_RETRY_S, self._delays.get(number, _FIRST_RETRY_S / 2) * 2)
        self._delays[number] = delay
        self._due[number] = time.monotonic() + delay
        log.info("receipt_not_acknowledged", number=number, gateway=entry.signed.gateway, why=problem, retry_s=delay)

    async def _post(self, entry: OpenReceipt) -> str | None:
        endpoint = self._endpoints().get(entry.signed.gateway)
        if not endpoint:
            return "the gateway is not in the bonded set"
        body = entry.signed.wire() | {"ttft_ms": None, "itl_us": None}
        try:
            async with self._client.stream("POST", f"{endpoint.rstrip('/')}/v1/receipts", json=body) as answer:
                size = 0
                async for chunk in answer.aiter_raw():
                    size += len(chunk)
                    if size > _MOST_ANSWER_BYTES:
                        return "the answer is too large"
                if answer.status_code in _FINAL_REFUSALS:
                    raise _RefusedForGood(f"HTTP {answer.status_code}")
                return None if answer.status_code == 200 else f"HTTP {answer.status_code}"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return f"{type(error).__name__}: {error}"

    def _forget(self, number: int) -> None:
        self._due.pop(number, None)
        self._delays.pop(number, None)
