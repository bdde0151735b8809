"""Keep what a customer was given of a streamed answer, so that another provider can go on behind it.

While a stream runs its events are only kept, as they were passed on, and packed now and then: they repeat one another,
so little is left of them, and packing costs less than reading. They are read when the stream breaks. What is read is
the text of each event, a *piece*, and what a second provider's events must look like to be of the same answer: its id,
its time, its name of the model.

An answer that is more than plain text of one choice (tool calls, log probabilities, reasoning) is not plain: nobody
can go on behind it.
"""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from marketplace.gateway.sse import DONE_EVENT, StreamBroken, StreamFault

_PACK_AT_BYTES = 16 * 1024
_OF_THE_ANSWER = ("id", "object", "created", "model", "system_fingerprint")
_PLAIN_DELTA = frozenset(("role", "content"))
_PLAIN_CHOICE = frozenset(("index", "delta", "text", "finish_reason"))


class Transcript:
    """What was passed on of one answer. `pieces` of text, and whether it is `finished`, as of the last `read`."""

    __slots__ = ("_identity", "_kept", "_packed", "_plain", "_size", "finished", "pieces")

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._packed: list[bytes] = []
        self._size = 0
        self._plain = True
        self._identity: dict[str, Any] = {}
        self.pieces: list[str] = []
        self.finished = False

    def add(self, events: bytes) -> None:
        """Keep whole events that the customer gets."""
        self._kept.append(events)
        self._size += len(events)
        if self._size > _PACK_AT_BYTES:
            self._packed.append(zlib.compress(b"".join(self._kept), 1))
            self._kept, self._size = [], 0

    def read(self) -> bool:
        """Read what was kept; returns whether the answer is plain text so far."""
        kept = b"".join([*map(zlib.decompress, self._packed), *self._kept])
        self._packed, self._kept, self._size = [], [], 0
        for event in kept.split(b"\n\n"):
            if event and self._plain:
                self._take(event.removeprefix(b"data: "))
        return self._plain

    def rewrite(self, events: bytes) -> bytes:
        """Return a later provider's events as events of this answer.

        An event without text, end or usage is left out: this answer has begun. Usage is that of the whole answer: each
        piece delivered before is a token of the answer, and not of the prompt that the later provider got. Raises
        StreamBroken for events that are none of this API.
        """
        out: list[bytes] = []
        for event in events.split(b"\n\n"):
            if event and (value := self._rewritten(event.removeprefix(b"data: "))) is not None:
                out.append(b"data: " + orjson.dumps(value) + b"\n\n")
        return b"".join(out)

    def end(self, reason: str) -> bytes:
        """Return the last events of an answer that is as long as it may be but never said so."""
        chat = self._identity.get("object") == "chat.completion.chunk"
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason}
        choice["delta" if chat else "text"] = {} if chat else ""
        return b"data: " + orjson.dumps(self._identity | {"choices": [choice]}) + b"\n\n" + DONE_EVENT

    def _take(self, payload: bytes) -> None:
        try:
            event = orjson.loads(payload)
            choices = event["choices"]
            if not self._identity:
                self._identity = {name: event[name] for name in _OF_THE_ANSWER if name in event}
            for choice in choices:
                self._plain = self._plain and self._take_choice(choice)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._plain = False

    def _take_choice(self, choice: dict[str, Any]) -> bool:
        delta = choice.get("delta") or {}
        others = [choice[name] for name in choice.keys() - _PLAIN_CHOICE]
        others += [delta[name] for name in delta.keys() - _PLAIN_DELTA]
        if choice.get("index", 0) != 0 or any(others):
            return False
        text = choice.get("text") or delta.get("content")
        if text:
            if type(text) is not str:
                return False
            self.pieces.append(text)
        self.finished = self.finished or bool(choice.get("finish_reason"))
        return True

    def _rewritten(self, payload: bytes) -> dict[str, Any] | None:
        try:
            event = orjson.loads(payload)
            bears = bool(event.get("usage"))
            for choice in event["choices"]:
                delta = choice.get("delta")
                if delta is not None:
                    delta.pop("role", None)
                bears = bears or bool(choice.get("finish_reason") or choice.get("text") or (delta or {}).get("content"))
            if not bears:
                return None
            if isinstance(event.get("usage"), dict):
                _add_tokens(event["usage"], len(self.pieces))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StreamBroken(StreamFault.GARBAGE, str(error)) from None
        return {**event, **self._identity}


def _add_tokens(usage: dict[str, Any], tokens: int) -> None:
    """Move tokens from the prompt to the answer; their sum stays."""
    tokens = min(tokens, usage.get("prompt_tokens", 0))
    usage["prompt_tokens"] -= tokens
    usage["completion_tokens"] = usage.get("completion_tokens", 0) + tokens
    details = usage.get("prompt_tokens_details")
    if isinstance(details, dict) and type(details.get("cached_tokens")) is int:
        details["cached_tokens"] = min(details["cached_tokens"], usage["prompt_tokens"])
