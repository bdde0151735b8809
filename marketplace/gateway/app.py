"""The gateway as one ASGI application: inference and its neighbours here, everything else in the control API."""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable

from marketplace.gateway.asgi import (
    AsgiApp,
    Disconnected,
    Receive,
    Scope,
    Send,
    answer,
    answer_error,
    answer_json,
    read_body,
    read_json,
)
from marketplace.gateway.desk import Desk
from marketplace.gateway.directory import Directory
from marketplace.gateway.errors import ApiError, not_found, unknown_model, wrong_method
from marketplace.gateway.inference import Inference
from marketplace.gateway.inquiry import PATHS
from marketplace.gateway.metrics import CONTENT_TYPE
from marketplace.gateway.once import OnceOnly
from marketplace.gateway.paperwork import count_tickets, give_tickets, take_receipt

_PAPER_BYTES_MOST = 256 * 1024
_BATCH_PATHS = ("/v1/files", "/v1/batches")
Route = Callable[[Scope, Receive, Send], Awaitable[None]]


class GatewayApp:
    """Route by exact path. `batches` answers files and batches, `control` what is not ours; without one, 404."""

    def __init__(
        self,
        desk: Desk,
        directory: Directory,
        inference: Inference,
        control: AsgiApp | None = None,
        batches: AsgiApp | None = None,
    ) -> None:
        self.desk = desk
        self.directory = directory
        self.inference = inference
        self.control = control
        self.batches = batches
        self._once = OnceOnly(inference.answers)
        self._routes: dict[str, tuple[str, Route]] = {
            **{path: ("POST", inference) for path in PATHS},
            "/v1/models": ("GET", self._models),
            "/v1/tickets": ("POST", self._tickets),
            "/v1/receipts": ("POST", self._receipts),
            "/health": ("GET", self._health),
            "/ready": ("GET", self._ready),
            "/metrics": ("GET", self._metrics),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a POST that bears an idempotency key, once."""
        if scope.get("path", "") not in PATHS and self._once.wants(scope):
            await self._once(scope, receive, send, self._answer)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        route = self._routes.get(path)
        if route is None:
            if path.startswith("/v1/models/") and scope["type"] == "http":
                route = ("GET", self._model)
            elif self.batches is not None and path.startswith(_BATCH_PATHS) and scope["type"] == "http":
                await self.batches(scope, receive, send)
                return
            elif self.control is not None:
                await self.control(scope, receive, send)
                return
            elif scope["type"] != "http":
                return
            else:
                await answer_error(send, not_found(path))
                return
        method, handler = route
        if scope["method"] != method and not (method == "GET" and scope["method"] == "HEAD"):
            await answer_error(send, wrong_method(scope["method"], path), [(b"allow", method.encode())])
            return
        if handler is self.inference:
            await handler(scope, receive, send)
            return
        try:
            await handler(scope, receive, send)
        except ApiError as error:
            await answer_error(send, error)
        except Disconnected:
            return

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._check_key_if_given(scope)
        await answer_json(send, {"object": "list", "data": self.directory.models()})

    async def _model(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._check_key_if_given(scope)
        wanted = urllib.parse.unquote(scope["path"].removeprefix("/v1/models/"))
        found = next((model for model in self.directory.models() if model["id"] == wanted), None)
        if found is None:
            raise unknown_model(wanted)
        await answer_json(send, found)

    def _check_key_if_given(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if b"authorization" in headers:
            self.inference.authenticate(headers)

    async def _tickets(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inference.check_open()
        headers = dict(scope["headers"])
        account = self.inference.authenticate(headers)
        body = await read_json(receive, headers, _PAPER_BYTES_MOST)
        meter = self.inference.meters.of(account)
        if meter is not None:
            meter.ask(count_tickets(body))
        await answer_json(send, give_tickets(self.desk, self.directory, account.customer, body))

    async def _receipts(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, dict(scope["headers"]), _PAPER_BYTES_MOST)
        await answer_json(send, take_receipt(self.desk, body))

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer_json(send, {"status": "alive"})

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ready means that a request could be served: not draining, no pause, and somebody to ask."""
        state = {
            "draining": self.inference.draining,
            "paused_until": self.directory.paused_until(),
            "providers": self.directory.provider_count,
            "directory_age_s": round(self.directory.age_s(), 1),
        }
        paused = state["paused_until"] > self.desk.clock()
        ready = not self.inference.draining and not paused and self.directory.provider_count > 0
        await answer_json(send, {"ready": ready, **state}, 200 if ready else 503)

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics = self.desk.metrics
        metrics.active.set(self.inference.active)
        metrics.open_tickets.set(len(self.desk.open_tickets))
        metrics.connections.set(self.desk.upstream.open_count)
        metrics.providers.set(self.directory.provider_count)
        metrics.directory_age.set(self.directory.age_s())
        self.desk.flow.show()
        await answer(send, 200, metrics.text(), CONTENT_TYPE)
