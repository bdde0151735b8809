r"""Cut a provider's event stream down to what a customer may get, at the speed of `bytes.find` and `bytes.count`.

Whole events go on, as `data:` lines alone: comments, `event:`, `id:` and `retry:` lines are dropped, line ends become
`\n`. The `bonded.receipt` event is kept back, and the stream ends at `[DONE]`, which the relay itself writes. Only
the first event is parsed, and those that bear an `"error"` key; the last one is kept for whoever compares the usage
shown with the usage billed.

A piece that consists of plain one-line events, which is what engines send, is recognised by counting and passed on as
it is: with n pairs of line ends, 2n line ends in all, a `data: ` at the start and n-1 more right behind a pair, every
line is either a data line or empty. Quotes inside of JSON strings are escaped, so a `"error"` or
`"object":"bonded.receipt"` is never text.

The digest is SHA-256 over the salt and every body byte before the receipt event, as it came.
"""

from __future__ import annotations

import hashlib
from enum import Enum

import orjson

from marketplace.errors import BondedError

RECEIPT_MARK = b'"object":"bonded.receipt"'
DONE = b"[DONE]"
DONE_EVENT = b"data: [DONE]\n\n"
_EVENT_BYTES_MOST = 1024 * 1024


class StreamFault(Enum):
    """Why a stream was given up."""

    GARBAGE = "not an event stream of this API"
    EVENT_TOO_LARGE = "an event above its cap"
    ENDLESS = "more events than the tokens that were ordered"
    ERROR_EVENT = "the provider reported an error"


class StreamBroken(BondedError):
    """The provider's stream cannot be passed on; `fault` says why. What was returned before stays valid."""

    def __init__(self, fault: StreamFault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault


class SseFilter:
    """The filter of one stream. Feed it body bytes; it returns what may go on and keeps the books.

    `events` counts the events passed on, `payload_bytes` their bytes; `frame_bytes` is the size of the smallest, an
    estimate of what each event spends on things other than text. `done`: `[DONE]` came. `receipt`: the JSON of the
    receipt event.
    """

    def __init__(self, salt: bytes, events_most: int) -> None:
        self._digest = hashlib.sha256(salt)
        self._events_most = events_most
        self._tail = b""
        self.events = 0
        self.payload_bytes = 0
        self.frame_bytes = 0
        self.last = b""
        self.done = False
        self.receipt: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """Take body bytes and return whole events to pass on, b"" for none; raises StreamBroken.

        After `done` everything is ignored.
        """
        if self.done:
            return b""
        if self._tail:
            data = self._tail + data
        if data.endswith(b"\n\n"):
            self._tail = b""
        else:
            end = _last_event_end(data)
            if len(data) - end > _EVENT_BYTES_MOST:
                raise StreamBroken(StreamFault.EVENT_TOO_LARGE, f"{len(data) - end} bytes without an end")
            self._tail = data[end:]
            data = data[:end]
            if not data:
                return b""
        count = data.count(b"\n\n")
        if (
            data.startswith(b"data: ")
            and data.count(b"\n") == 2 * count
            and data.count(b"\n\ndata: ") == count - 1
            and b"\r" not in data
            and b"[DONE]" not in data
            and b'"error"' not in data
            and RECEIPT_MARK not in data
            and self.receipt is None
            and self.events
        ):
            self._digest.update(data)
            last = data if count == 1 else data[data.rfind(b"\n\ndata: ", 0, -2) + 2 :]
            self._count(count, len(data), min(map(len, data.split(b"\n\n")[:-1])) + 2 if count > 1 else len(data), last)
            return data
        return self._sift(data)

    def response_digest(self) -> bytes:
        """Return the digest of what came before the receipt event."""
        return self._digest.digest()

    def text_bound(self) -> int:
        """Return an upper bound on the output tokens in what was passed on.

        A token is at least a byte of text, or an event of its own; sixteen more per event allow for frames of unequal
        size.
        """
        return 16 * self.events + max(0, self.payload_bytes - self.events * self.frame_bytes)

    def _count(self, events: int, size: int, smallest: int, last: bytes) -> None:
        self.events += events
        self.payload_bytes += size
        if not self.frame_bytes or smallest < self.frame_bytes:
            self.frame_bytes = smallest
        self.last = last
        if self.events > self._events_most:
            raise StreamBroken(StreamFault.ENDLESS, f"{self.events} events, at most {self._events_most} were expected")

    def _sift(self, data: bytes) -> bytes:
        """Go through events one by one: slow, for first events, receipts, ends and everything unusual."""
        out: list[bytes] = []
        position = 0
        while position < len(data) and not self.done:
            end, size = _next_end(data, position)
            raw = data[position : end + size]
            position = end + size
            payload = _payload(raw)
            if payload is None:
                self._hash(raw)
                continue
            if payload == DONE:
                self.done = True
            elif RECEIPT_MARK in payload:
                if self.receipt is not None:
                    raise StreamBroken(StreamFault.GARBAGE, "two receipts")
                self.receipt = payload
            else:
                if self.receipt is not None:
                    raise StreamBroken(StreamFault.GARBAGE, "an event behind the receipt")
                self._hash(raw)
                self._inspect(payload)
                event = b"data: " + payload + b"\n\n"
                self._count(1, len(event), len(event), event)
                out.append(event)
        return b"".join(out)

    def _hash(self, raw: bytes) -> None:
        if self.receipt is None:
            self._digest.update(raw)

    def _inspect(self, payload: bytes) -> None:
        if len(payload) > _EVENT_BYTES_MOST:
            raise StreamBroken(StreamFault.EVENT_TOO_LARGE, f"{len(payload)} bytes")
        if self.events and b'"error"' not in payload:
            return
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise StreamBroken(StreamFault.GARBAGE, str(error)) from None
        if isinstance(value, dict) and value.get("error"):
            raise StreamBroken(StreamFault.ERROR_EVENT, _shown(value["error"]))
        if not self.events and not (isinstance(value, dict) and isinstance(value.get("choices"), list)):
            raise StreamBroken(StreamFault.GARBAGE, "the first event bears no choices")


def _last_event_end(data: bytes) -> int:
    """Return the position behind the last whole event, 0 if there is none."""
    return max(data.rfind(mark) + len(mark) if data.rfind(mark) >= 0 else 0 for mark in (b"\n\n", b"\r\n\r\n", b"\r\r"))


def _next_end(data: bytes, start: int) -> tuple[int, int]:
    """Return where the event that begins at `start` ends, and how long the blank line's mark is."""
    found = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n", b"\r\r") if (at := data.find(mark, start)) >= 0]
    return min(found) if found else (len(data), 0)


def _payload(raw: bytes) -> bytes | None:
    """Return an event's data: its data lines joined; None if it has none."""
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    data = [line[6:] if line.startswith(b"data: ") else line[5:] for line in lines if line.startswith(b"data:")]
    return b"".join(data).strip() if data else None


def _shown(error: object) -> str:
    """Return a provider's error message, cut to what a log line and a customer can bear."""
    message = error.get("message") if isinstance(error, dict) else error
    return "".join(c if c.isprintable() else " " for c in str(message))[:300]
