"""Look at an answer as far as the books need it: is it one, and which token counts does it show the customer?"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from marketplace.gateway.inquiry import EMBEDDINGS


class Answer(NamedTuple):
    """A whole answer of this API. `usage`: (input, output) tokens as it shows them, None if it shows none."""

    usage: tuple[int, int] | None


def usage_of_answer(body: bytes, path: str) -> Answer | None:
    """Return what a whole answer shows, None if the body is no answer to a request at `path`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if type(value) is not dict or value.get("error"):
        return None
    if type(value.get("data" if path == EMBEDDINGS else "choices")) is not list:
        return None
    return Answer(_usage(value.get("usage")))


def usage_of_event(event: bytes) -> tuple[int, int] | None:
    """Return the usage in the last event of a stream, None if it shows none."""
    if b'"usage"' not in event:
        return None
    try:
        value = orjson.loads(event[6:])
    except orjson.JSONDecodeError:
        return None
    return _usage(value.get("usage")) if type(value) is dict else None


def _usage(usage: Any) -> tuple[int, int] | None:
    if type(usage) is not dict:
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    return (prompt, completion) if type(prompt) is int and type(completion) is int else None
