"""Answer `/v1/files` and `/v1/batches`: raw ASGI, because uploads and downloads pass through piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from marketplace.batches.asking import read_order, read_page
from marketplace.batches.callers import Callers
from marketplace.batches.failures import no_such_file, unavailable
from marketplace.batches.files import BATCH_INPUT, Files
from marketplace.batches.store import Batches
from marketplace.batches.upload import Uploads
from marketplace.gateway.asgi import (
    Disconnected,
    Headers,
    Receive,
    Scope,
    Send,
    answer_error,
    answer_json,
    read_json,
)
from marketplace.gateway.errors import ApiError, not_found, wrong_method
from marketplace.gateway.metrics import Metrics

_BODY_MOST = 64 * 1024
_FILES_MOST, _BATCHES_MOST, _BATCHES_DEFAULT = 10_000, 100, 20


class BatchRoutes:
    """The routes of one gateway. `check_open` raises ApiError while no new work is taken, `created` is called after a
    batch was entered, `clock` is unix time.
    """

    def __init__(
        self,
        callers: Callers,
        files: Files,
        uploads: Uploads,
        batches: Batches,
        metrics: Metrics,
        clock: Callable[[], float],
        check_open: Callable[[], None],
        created: Callable[[], None],
    ) -> None:
        self._callers = callers
        self._files = files
        self._uploads = uploads
        self._batches = batches
        self._metrics = metrics
        self._clock = clock
        self._check_open = check_open
        self._created = created

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request below `/v1/files` or `/v1/batches`."""
        parts = scope["path"].removeprefix("/v1/").split("/")
        name = "/v1/" + "/".join([parts[0], *(["{id}"] if len(parts) > 1 else []), *parts[2:3]])[:40]
        about = [(b"x-request-id", b"req_" + secrets.token_hex(12).encode())]
        status = 200
        try:
            await self._route(parts, name, scope, receive, send, about)
        except ApiError as error:
            status = error.status
            await answer_error(send, error, about)
        except (OperationalError, InterfaceError, PoolTimeout):
            status = 503
            await answer_error(send, unavailable(), about)
        except Disconnected:
            return
        if name in _NAMES:
            self._metrics.answered(name, status)

    async def _route(
        self, parts: list[str], name: str, scope: Scope, receive: Receive, send: Send, about: Headers
    ) -> None:
        headers, method = dict(scope["headers"]), scope["method"]
        methods = _NAMES.get(name)
        if methods is None or len(parts) > 3:
            raise not_found(scope["path"])
        if method not in methods:
            raise wrong_method(method, scope["path"])
        customer = await self._callers.customer(headers)
        one = parts[1] if len(parts) > 1 else ""
        answer: Any
        match name, method:
            case "/v1/files", "POST":
                self._check_open()
                answer = (await self._uploads.take(customer, headers, receive)).shape()
            case "/v1/files", _:
                page = read_page(scope, _FILES_MOST, _FILES_MOST)
                found, more = await self._files.page(customer, page.after, page.limit, page.ascending, page.purpose)
                answer = _list([file.shape() for file in found], more)
            case "/v1/files/{id}", "GET":
                answer = (await self._files.get(customer, one)).shape()
            case "/v1/files/{id}", _:
                await self._files.delete(customer, one)
                answer = {"id": one, "object": "file", "deleted": True}
            case "/v1/files/{id}/content", _:
                await self._content(customer, one, send, about)
                return
            case "/v1/batches", "POST":
                self._check_open()
                answer = await self._create(customer, await read_json(receive, headers, _BODY_MOST))
            case "/v1/batches", _:
                page = read_page(scope, _BATCHES_DEFAULT, _BATCHES_MOST)
                shapes, more = await self._batches.page(customer, page.after, page.limit)
                answer = _list(shapes, more)
            case "/v1/batches/{id}", _:
                answer = await self._batches.get(customer, one)
            case _:
                answer = await self._batches.cancel(customer, one, int(self._clock()))
        await answer_json(send, answer, more=about)

    async def _create(self, customer: str, body: dict[str, Any]) -> dict[str, Any]:
        order = read_order(customer, body)
        file = await self._files.get(customer, order.input_file)
        if file.purpose != BATCH_INPUT:
            raise no_such_file(order.input_file)
        made = await self._batches.create(order, int(self._clock()))
        self._created()
        return made

    async def _content(self, customer: str, name: str, send: Send, about: Headers) -> None:
        file = await self._files.get(customer, name)
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % file.size),
            (b"cache-control", b"no-store"),
            *about,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for piece in self._files.content(file.id):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


_NAMES = {
    "/v1/files": ("GET", "POST"),
    "/v1/files/{id}": ("GET", "DELETE"),
    "/v1/files/{id}/content": ("GET",),
    "/v1/batches": ("GET", "POST"),
    "/v1/batches/{id}": ("GET",),
    "/v1/batches/{id}/cancel": ("POST",),
}


def _list(shapes: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """Return a page as OpenAI's list object; its client goes on behind the last id."""
    return {
        "object": "list",
        "data": shapes,
        "first_id": shapes[0]["id"] if shapes else None,
        "last_id": shapes[-1]["id"] if shapes else None,
        "has_more": more,
    }
