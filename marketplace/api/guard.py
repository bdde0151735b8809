"""What holds for every request and answer of the control API and the dashboard: bounded bodies, careful headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException

from marketplace.api.origin import from_elsewhere
from marketplace.gateway.asgi import AsgiApp, Message, Receive, Scope, Send, answer_error
from marketplace.gateway.errors import other_site

MOST_BODY_BYTES = 64 * 1024
_READING = ("GET", "HEAD", "OPTIONS")
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"))
_PAGES = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
)


class Guard:
    """An ASGI middleware. `public`: the host of the gateway's public URL, "" without one.

    Whatever is not a file of the dashboard's own is somebody's alone and is stored nowhere on the way.
    """

    def __init__(self, app: AsgiApp, public: str = "") -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a body above the bound is a 413, what the page of another site would change a 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _careful(send, scope["path"])
        if scope["method"] not in _READING and from_elsewhere(dict(scope["headers"]), self._public):
            await answer_error(send, other_site())
            return
        await self._app(scope, _bounded(receive), send)


def _bounded(receive: Receive) -> Receive:
    left = MOST_BODY_BYTES

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"a request here has at most {MOST_BODY_BYTES} bytes")
        return message

    return bounded


def _careful(send: Send, path: str) -> Callable[[Any], Any]:
    static = path.startswith("/dashboard/static/")
    more = [*_ALWAYS, _PAGES, (b"cache-control", b"no-cache" if static else b"no-store")]

    async def careful(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return careful
