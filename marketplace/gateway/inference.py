"""Answer the inference routes: check the key, read the body once, serve, and turn every refusal into OpenAI's shape.

This is the hot path: no validation model, no database, no chain, one JSON parse. A `Visit` is one request, whatever
server it came by: `front` brings it from the connection itself, `Inference.__call__` from any ASGI server, and both do
the same three things: admit it by its headers, serve its body, close it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

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
from marketplace.gateway.desk import Desk, Run, Sink
from marketplace.gateway.errors import (
    ApiError,
    coded_body,
    insufficient_quota,
    market_paused,
    shutting_down,
    too_busy,
    too_slow,
    wrong_key,
)
from marketplace.gateway.inquiry import CHAT, COMPLETIONS, EMBEDDINGS, read_inquiry
from marketplace.gateway.meters import Meter, Meters
from marketplace.gateway.once import REPLAYED, Answers, Recording, key_of
from marketplace.gateway.relay import serve
from marketplace.gateway.tickets import new_job

OPERATIONS = {CHAT: "chat", COMPLETIONS: "text_completion", EMBEDDINGS: "embeddings"}
STATUS_CLIENT_LEFT = 499
_NO_KEY = "No API key was given. Send it as 'Authorization: Bearer sk-bonded-…'; keys are made in the dashboard."


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the gateway takes at once: bytes of a body, requests in all and per key.

    `stall_s`: how long a customer may not read; `body_s`: how long it may take to send its request's body; `head_s`:
    how long for its headers, and how long a connection may be idle.
    """

    body_most: int = 10 * 1024 * 1024
    active_most: int = 2_048
    active_per_key: int = 128
    stall_s: float = 30.0
    body_s: float = 30.0
    head_s: float = 30.0


class CustomerSink(Sink, Protocol):
    """The sink of a customer who waits for the answer, as far as what stands around serving looks at it."""

    blocked: bool
    broken: bool
    status: int
    writes: int


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
        self.meters = Meters(desk.ticker)
        self._per_key: Counter[int] = Counter()
        self.active = 0
        self.answers = Answers(desk.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request at one of `inquiry.PATHS`, from any ASGI server.

        While the answer runs, a second task waits for the client's disconnect, because one that only sends never
        learns of it.
        """
        visit = Visit(self, scope["path"], dict(scope["headers"]))
        status = STATUS_CLIENT_LEFT
        try:
            visit.admit()
            body = await self._body(receive, visit.headers)
            watch = asyncio.get_running_loop().create_task(_watch(receive, visit))
            try:
                status = await visit.serve(body, AsgiSink(send, visit.about))
            finally:
                watch.cancel()
        except ApiError as error:
            status = error.status
            await answer_error(send, error, visit.about())
        except Disconnected:
            pass
        finally:
            visit.close(status)

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

    def enter(self, account: Account) -> None:
        """Take a place; raises ApiError 429 when the gateway or the key has none left."""
        if self.active >= self.bounds.active_most:
            raise too_busy("The gateway serves as many requests as it can; ask again.", 1000)
        if self._per_key[account.key_id] >= self.bounds.active_per_key:
            raise too_busy(f"This key has {self.bounds.active_per_key} requests running, which is its limit.", 500)
        self.active += 1
        self._per_key[account.key_id] += 1

    def leave(self, account: Account) -> None:
        """Give the place back."""
        self.active -= 1
        self._per_key[account.key_id] -= 1
        if not self._per_key[account.key_id]:
            del self._per_key[account.key_id]

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        try:
            async with asyncio.timeout(self.bounds.body_s):
                return await read_body(receive, headers, self.bounds.body_most)
        except TimeoutError:
            raise too_slow(self.bounds.body_s) from None


class Visit:
    """One request: `admit` it by its headers, `serve` its body, `close` it in any case."""

    __slots__ = (
        "_account", "_began", "_closed", "_inference", "_left", "_meter", "_replayed", "_run", "headers", "job", "path",
    )  # fmt: skip

    def __init__(self, inference: Inference, path: str, headers: dict[bytes, bytes]) -> None:
        self._inference = inference
        self._began = inference.desk.ticker()
        self._account: Account | None = None
        self._meter: Meter | None = None
        self._replayed: tuple[tuple[bytes, bytes], ...] = ()
        self._run: Run | None = None
        self._left = False
        self._closed = False
        self.path = path
        self.headers = headers
        self.job = new_job()

    def about(self) -> Headers:
        """Return the headers that name this request in every answer to it, and say what its key has left."""
        named = [*self._replayed, REPLAYED] if self._replayed else self.named()
        about = self._run.about if self._run is not None else []
        return [*named, *about, *self.limits()]

    def named(self) -> Headers:
        """Return the headers that name this request."""
        name = self.job.hex().encode()
        return [(b"x-request-id", b"req_" + name[:24]), (b"x-bonded-job", b"0x" + name)]

    def limits(self) -> Headers:
        """Return the headers that say what is left of the key's limits; none for a key without."""
        return self._meter.headers() if self._meter is not None else []

    def admit(self) -> None:
        """Check pause, key, its requests a minute, places and coding before a byte of the body is read.

        Raises ApiError.
        """
        inference = self._inference
        inference.check_open()
        account = inference.authenticate(self.headers)
        meter = self._meter = inference.meters.of(account)
        if meter is not None:
            meter.ask()
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise coded_body()
        inference.enter(account)
        self._account = account

    async def serve(self, body: bytes, sink: CustomerSink) -> int:
        """Serve the request and return the status that was sent; raises ApiError if nothing was sent.

        With an idempotency key it is served once, and the answer given again.
        """
        key = key_of(self.headers)
        if not key:
            return await self._serve(body, sink)
        assert self._account is not None
        answers = self._inference.answers
        name = (self._account.customer, self.path, key)
        found = answers.begin(name, hashlib.sha256(body).digest())
        if found is not None:
            self._replayed = found.about
            await sink.start(found.content_type, None if found.streamed else len(found.body))
            await sink.end(found.body)
            return sink.status
        recording, kept = Recording(sink), None
        try:
            return await self._serve(body, cast(CustomerSink, recording))
        finally:
            if not recording.broken:
                kept = recording.answer([*self.named(), *(self._run.about if self._run is not None else [])])
            answers.end(name, kept)

    async def _serve(self, body: bytes, sink: CustomerSink) -> int:
        account, desk, stalled = self._account, self._inference.desk, self._inference.stalled
        assert account is not None
        inquiry = read_inquiry(self.path, body, account.customer, self.headers)
        self._run = run = Run(account.customer, inquiry, self.job, sink)
        if self._left:
            return STATUS_CLIENT_LEFT
        meter = self._meter
        ordered = meter.order(desk.matching.most_tokens(inquiry)) if meter is not None else 0
        task = asyncio.current_task()
        assert task is not None
        stalled.watch(task, sink, run.leave)
        try:
            await serve(desk, run, account)
        except (BalanceTooLow, CapReached) as error:
            raise insufficient_quota(str(error)) from None
        except asyncio.CancelledError:
            if not run.left:
                raise
        finally:
            stalled.forget(task)
            if meter is not None and not run.left:
                meter.settle(ordered, run.tokens)
        if run.left:
            desk.metrics.customer_left()
            return STATUS_CLIENT_LEFT
        if sink.broken:
            desk.metrics.stream_broken()
        return sink.status

    def leave(self) -> None:
        """Note that the customer is gone; stops the work for it at once."""
        self._left = True
        if self._run is not None:
            self._run.leave()

    def close(self, status: int) -> None:
        """Give the place back and count the answer, once."""
        if self._closed:
            return
        self._closed = True
        inference, metrics = self._inference, self._inference.desk.metrics
        if self._account is not None:
            inference.leave(self._account)
            self._account = None
        metrics.answered(self.path, status)
        metrics.took(OPERATIONS[self.path], inference.desk.ticker() - self._began)


async def _watch(receive: Receive, visit: Visit) -> None:
    """Wait until the client is gone, then stop the work for it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    visit.leave()
