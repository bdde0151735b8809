"""Answer the inference routes: check the key, read the body once, serve, and turn every refusal into OpenAI's shape.

This is the hot path: no validation model, no database, no chain, one JSON parse. While the answer runs, a second task
waits for the client's disconnect, because a server that only sends never learns of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from marketplace.accounts import Account, BalanceTooLow, CapReached, RevokedKey, UnknownKey
from marketplace.gateway.asgi import (
    AsgiSink,
    Disconnected,
    Headers,
    Receive,
    Scope,
    Send,
    Stalled,
    answer_error,
    read_body,
)
from marketplace.gateway.desk import Desk, Run
from marketplace.gateway.errors import (
    ApiError,
    insufficient_quota,
    market_paused,
    shutting_down,
    too_busy,
    too_slow,
    wrong_key,
)
from marketplace.gateway.inquiry import CHAT, COMPLETIONS, EMBEDDINGS, read_inquiry
from marketplace.gateway.relay import serve
from marketplace.gateway.tickets import new_job

OPERATIONS = {CHAT: "chat", COMPLETIONS: "text_completion", EMBEDDINGS: "embeddings"}
_NO_KEY = "No API key was given. Send it as 'Authorization: Bearer sk-bonded-…'; keys are made in the dashboard."
_STATUS_CLIENT_LEFT = 499


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the gateway takes at once: bytes of a body, requests in all and per key.

    `stall_s`: how long a customer may not read; `body_s`: how long it may take to send its request.
    """

    body_most: int = 10 * 1024 * 1024
    active_most: int = 2_048
    active_per_key: int = 128
    stall_s: float = 30.0
    body_s: float = 30.0


def bearer(headers: dict[bytes, bytes]) -> str:
    """Return the token of an Authorization header; raises ApiError 401."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip():
        raise wrong_key(_NO_KEY)
    return token.strip().decode("latin-1")


class Inference:
    """The inference routes of one gateway. `paused_until` returns when the guardian's pause ends, 0 without one."""

    def __init__(self, desk: Desk, bounds: Bounds | None = None, paused_until: Callable[[], int] = lambda: 0) -> None:
        self.desk = desk
        self.bounds = bounds or Bounds()
        self._paused_until = paused_until
        self.draining = False
        self.stalled = Stalled()
        self._per_key: Counter[int] = Counter()
        self.active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request at one of `inquiry.PATHS`."""
        desk = self.desk
        began = desk.ticker()
        path = scope["path"]
        job = new_job()
        name = job.hex()
        about = [(b"x-request-id", b"req_" + name[:24].encode()), (b"x-bonded-job", b"0x" + name.encode())]
        headers = dict(scope["headers"])
        status = _STATUS_CLIENT_LEFT
        try:
            self.check_open()
            account = self.authenticate(headers)
            self._enter(account.key_id)
            try:
                status = await self._serve(path, headers, receive, send, account, job, about)
            finally:
                self._leave(account.key_id)
        except ApiError as error:
            status = error.status
            await answer_error(send, error, about)
        except Disconnected:
            pass
        desk.metrics.answered(path, status)
        desk.metrics.took(OPERATIONS[path], desk.ticker() - began)

    def check_open(self) -> None:
        """Refuse new work while the gateway drains or the guardian pauses the market; raises ApiError 503."""
        if self.draining:
            raise shutting_down()
        until = self._paused_until()
        if until and (now := self.desk.clock()) < until:
            raise market_paused(until, now)

    def authenticate(self, headers: dict[bytes, bytes]) -> Account:
        """Return the account behind the request's key; raises ApiError 401."""
        try:
            return self.desk.accounts.authenticate(bearer(headers))
        except (UnknownKey, RevokedKey) as error:
            raise wrong_key(str(error)) from None

    async def _serve(
        self,
        path: str,
        headers: dict[bytes, bytes],
        receive: Receive,
        send: Send,
        account: Account,
        job: bytes,
        about: Headers,
    ) -> int:
        desk = self.desk
        inquiry = read_inquiry(path, await self._body(receive, headers))
        inquiry.retrying = headers.get(b"x-stainless-retry-count", b"0") not in (b"0", b"")
        sink = AsgiSink(send, about)
        run = Run(account.customer, inquiry, job, sink)
        task = asyncio.current_task()
        assert task is not None
        watch = asyncio.get_running_loop().create_task(_watch(receive, run))
        self.stalled.watch(task, sink, run.leave)
        try:
            await serve(desk, run, account)
        except (BalanceTooLow, CapReached) as error:
            raise insufficient_quota(str(error)) from None
        except asyncio.CancelledError:
            if not run.left:
                raise
        finally:
            watch.cancel()
            self.stalled.forget(task)
        if run.left:
            desk.metrics.customer_left()
            return _STATUS_CLIENT_LEFT
        if sink.broken:
            desk.metrics.stream_broken()
        return sink.status

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        try:
            async with asyncio.timeout(self.bounds.body_s):
                return await read_body(receive, headers, self.bounds.body_most)
        except TimeoutError:
            raise too_slow(self.bounds.body_s) from None

    def _enter(self, key_id: int) -> None:
        if self.active >= self.bounds.active_most:
            raise too_busy("The gateway serves as many requests as it can; ask again.", 1000)
        if self._per_key[key_id] >= self.bounds.active_per_key:
            raise too_busy(f"This key has {self.bounds.active_per_key} requests running, which is its limit.", 500)
        self.active += 1
        self._per_key[key_id] += 1

    def _leave(self, key_id: int) -> None:
        self.active -= 1
        self._per_key[key_id] -= 1
        if not self._per_key[key_id]:
            del self._per_key[key_id]


async def _watch(receive: Receive, run: Run) -> None:
    """Wait until the client is gone, then stop the work for it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    run.leave()
