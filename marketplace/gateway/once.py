"""Answer a request that comes twice under one idempotency key once: the first answer is kept and given again.

After Stripe's manner (`Idempotency-Key`, a key scoped to who asks, parameters compared, 409 while the first runs). Kept
is what was done: whole answers of status 2xx. What was refused, what failed and what broke off cost nothing, so the key
is free again and asking again does the work. Kept in this process's memory, within bounds: a day, so many bytes, and
none larger than one answer may be; who comes later than that, or after a restart, is served anew.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from marketplace.gateway.asgi import Disconnected, Headers, Receive, Scope, Send, answer_error, read_body
from marketplace.gateway.errors import ApiError

HEADER = b"idempotency-key"
REPLAYED = (b"idempotent-replayed", b"true")
KEPT_S = 24 * 3600.0
BYTES_MOST = 64 * 1024 * 1024
ANSWER_BYTES_MOST = 1024 * 1024
_KEY_BYTES_MOST = 255
_ENTRY_BYTES = 1_000
"""What an entry costs beside its body."""
_COMPARED_BYTES_MOST = 256 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given. `about` are the headers that name it."""

    status: int
    content_type: bytes
    about: tuple[tuple[bytes, bytes], ...]
    body: bytes
    streamed: bool = False


@dataclass(slots=True)
class _Entry:
    digest: bytes
    until: float
    kept: Kept | None = None


class Answers:
    """The answers kept, and the requests that run, by who asked for what under which key."""

    def __init__(self, clock: Callable[[], float], bytes_most: int = BYTES_MOST) -> None:
        self._clock = clock
        self._bytes_most = bytes_most
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._running: dict[Hashable, bytes] = {}
        self._bytes = 0

    def begin(self, name: Hashable, digest: bytes) -> Kept | None:
        """Return the answer that was given before, or None: then the caller works, and calls `end` in any case.

        Raises ApiError 409 while the first request runs, 422 if it was another request.
        """
        self._expire()
        running = self._running.get(name)
        entry = self._entries.get(name)
        before = running if running is not None else entry.digest if entry is not None else digest
        if before != digest:
            raise ApiError(
                422,
                "idempotency_key_reused",
                "This idempotency key was used for another request; draw a new key for this one.",
                param="Idempotency-Key",
            )
        if running is not None:
            raise ApiError(
                409,
                "idempotency_key_in_use",
                "The first request with this idempotency key is still being served; ask again later.",
                param="Idempotency-Key",
                retry_after_ms=1_000,
            )
        if entry is not None:
            return entry.kept
        self._running[name] = digest
        return None

    def end(self, name: Hashable, kept: Kept | None) -> None:
        """Keep what was answered, or with None nothing: the key is free again."""
        digest = self._running.pop(name)
        if kept is None or len(kept.body) > ANSWER_BYTES_MOST:
            return
        self._entries[name] = _Entry(digest, self._clock() + KEPT_S, kept)
        self._bytes += len(kept.body) + _ENTRY_BYTES
        while self._bytes > self._bytes_most:
            self._drop(next(iter(self._entries)))

    def _expire(self) -> None:
        now = self._clock()
        while self._entries:
            name, oldest = next(iter(self._entries.items()))
            if oldest.until > now:
                return
            self._drop(name)

    def _drop(self, name: Hashable) -> None:
        kept = self._entries.pop(name).kept
        self._bytes -= (len(kept.body) if kept is not None else 0) + _ENTRY_BYTES


def key_of(headers: dict[bytes, bytes]) -> bytes:
    """Return the request's idempotency key, b"" for none; raises ApiError 400 for one that is too long."""
    key = headers.get(HEADER, b"")
    if len(key) > _KEY_BYTES_MOST:
        raise ApiError(
            400,
            "invalid_value",
            f"An idempotency key has at most {_KEY_BYTES_MOST} characters.",
            param="Idempotency-Key",
        )
    return key


class Recording:
    """A customer's sink that also keeps the answer's body, as far as one may be kept."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False
        self.content_type = b""
        self.streamed = False
        if hasattr(sink, "put"):
            self.put = self._put

    async def start(self, content_type: bytes, length: int | None = None) -> None:
        """Begin the answer."""
        self.content_type, self.streamed = content_type, length is None
        await self._sink.start(content_type, length)

    async def write(self, data: bytes) -> None:
        """Keep and send a piece."""
        self._keep(data)
        await self._sink.write(data)

    def _put(self, data: bytes) -> bool:
        self._keep(data)
        return bool(self._sink.put(data))

    async def end(self, data: bytes) -> None:
        """Keep and send the last piece."""
        self._keep(data)
        self._ended = True
        await self._sink.end(data)

    def break_off(self) -> None:
        """Leave the answer without its end: it is not kept."""
        self._parts = []
        self._sink.break_off()

    def answer(self, about: Headers) -> Kept | None:
        """Return the whole answer, None if it has none or is too large to be kept."""
        if not self._ended or self._size > ANSWER_BYTES_MOST:
            return None
        return Kept(200, self.content_type, tuple(about), b"".join(self._parts), self.streamed)

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= ANSWER_BYTES_MOST:
            self._parts.append(data)
        else:
            self._parts = []

    @property
    def blocked(self) -> bool:
        return bool(self._sink.blocked)

    @property
    def broken(self) -> bool:
        return bool(self._sink.broken)

    @property
    def status(self) -> int:
        return int(self._sink.status)

    @property
    def writes(self) -> int:
        return int(self._sink.writes)


class OnceOnly:
    """Stand before routes that are not inference: POSTs with an idempotency key and a credential are done once.

    The bodies are compared, except those of uploads, whose form draws a new boundary each time, and larger ones: of
    these the length is.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def wants(self, scope: Scope) -> bool:
        """Tell whether a request is for here."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return False
        headers = dict(scope["headers"])
        return HEADER in headers and (b"authorization" in headers or b"cookie" in headers)

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, app: Callable[[Scope, Receive, Send], Any]
    ) -> None:
        """Answer by `app`, or from what is kept."""
        headers = dict(scope["headers"])
        try:
            key = key_of(headers)
            digest, receive = await _compared(headers, receive)
            who = hashlib.sha256(headers.get(b"authorization", b"") + b"\n" + headers.get(b"cookie", b"")).digest()
            name = (who, scope["path"], key)
            found = self._answers.begin(name, digest)
        except ApiError as error:
            await answer_error(send, error)
            return
        except Disconnected:
            return
        if found is not None:
            await _replay(send, found)
            return
        listening = _Listening(send)
        kept = None
        try:
            await app(scope, receive, listening)
            kept = listening.answer()
        finally:
            self._answers.end(name, kept)


async def _compared(headers: dict[bytes, bytes], receive: Receive) -> tuple[bytes, Receive]:
    """Return what two requests must share, and where the body is to be read from."""
    length = headers.get(b"content-length", b"")
    form = headers.get(b"content-type", b"").startswith(b"multipart/")
    if form or not length.isdigit() or int(length) > _COMPARED_BYTES_MOST:
        return b"length " + length, receive
    body = await read_body(receive, headers, _COMPARED_BYTES_MOST)
    rest = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Any:
        first = next(rest, None)
        return first if first is not None else await receive()

    return hashlib.sha256(body).digest(), again


async def _replay(send: Send, kept: Kept) -> None:
    headers = [(b"content-type", kept.content_type), (b"content-length", b"%d" % len(kept.body)), *kept.about, REPLAYED]
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body})


class _Listening:
    """Pass an answer on and keep it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._headers: Headers = []
        self._body = b""
        self._ended = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            if len(self._body) <= ANSWER_BYTES_MOST:
                self._body += message.get("body", b"")
            self._ended = not message.get("more_body", False)
        await self._send(message)

    def answer(self) -> Kept | None:
        """Return the answer if something was done."""
        if not self._ended or not 200 <= self._status < 300 or len(self._body) > ANSWER_BYTES_MOST:
            return None
        named = {bytes(name).lower(): bytes(value) for name, value in self._headers}
        about = [(name, value) for name, value in named.items() if name not in (b"content-type", b"content-length")]
        return Kept(self._status, named.get(b"content-type", b"application/json"), tuple(about), self._body)
