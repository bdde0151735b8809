"""Read a customer's request body: once, for what the gateway must know; the bytes themselves go on untouched.

What is not named here (sampling penalties, tool definitions, engine extensions) is the engine's business. What
decides about money, matching or the form of the answer is checked, so that a mistake costs an answer of the gateway
and not a provider's time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from marketplace.gateway.errors import ApiError, invalid, malformed
from marketplace.gateway.prompts import name_prefix, name_session

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
PATHS = {CHAT: "chat", COMPLETIONS: "completions", EMBEDDINGS: "embeddings"}

BYTES_PER_TOKEN = 4
"""English text and code lie between three and five; used to expect, never to bill."""
_TEMPLATE_TOKENS = 64
_TEMPLATE_TOKENS_PER_MESSAGE = 16
_TOOL_TEMPLATE_TOKENS = 1024
_IMAGE_TOKENS = 1_000
_OUTPUT_MOST = 1_000_000


@dataclass(slots=True)
class Inquiry:
    """What a request asks for.

    `input_tokens` is expected, `input_tokens_most` cannot be exceeded by a tokenizer over bytes: no token is shorter
    than one. `output_tokens` is what the customer allows, None when it says nothing. `avoid`: providers to be passed
    over as long as there are others. `blocks` and `session` name what a provider may hold of it, `region` where it may
    be served, "" for anywhere.
    """

    path: str
    body: bytes
    model: str
    stream: bool
    shows_usage: bool
    features: frozenset[str]
    input_tokens: int
    input_tokens_most: int
    output_tokens: int | None
    retrying: bool = False
    avoid: frozenset[str] = frozenset()
    blocks: tuple[int, ...] = ()
    session: str = ""
    region: str = ""


_NO_HEADERS: Mapping[bytes, bytes] = {}
_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FEATURES = {path: frozenset((feature,)) for path, feature in PATHS.items()}
_VISION_FEATURES = {path: frozenset((feature, "vision")) for path, feature in PATHS.items()}


def read_inquiry(path: str, body: bytes, customer: str = "", headers: Mapping[bytes, bytes] = _NO_HEADERS) -> Inquiry:
    """Parse and check a request body, and the headers that belong to it; raises ApiError with status 400.

    Without a `customer` nothing is remembered of the prompt.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(f"The body is not JSON: {error}.") from None
    if type(request) is not dict:
        raise malformed("The body must be a JSON object.")
    model = request.get("model")
    if type(model) is not str or not 0 < len(model) <= 200:
        raise invalid("model must be the name of a model; GET /v1/models lists them.", "model", "missing_model")
    if "bonded_delivered" in request:
        raise invalid("bonded_delivered is a word between gateways and providers; leave it out.", "bonded_delivered")
    for name in request.keys() & _CHECKS.keys():
        value = request[name]
        if value is not None and not _CHECKS[name][0](value):
            raise invalid(f"{name} must be {_CHECKS[name][1]}.", name)
    if path == EMBEDDINGS:
        text_bytes, messages = _embedding_input(request.get("input")), 1
        output: int | None = 0
    else:
        text_bytes, messages = _chat_text(request) if path == CHAT else (_prompt_text(request.get("prompt")), 1)
        output = request.get("max_completion_tokens") or request.get("max_tokens")
    tools = bool(request.get("tools"))
    options = request.get("stream_options") or {}
    return Inquiry(
        path=path,
        body=body,
        model=model,
        stream=bool(request.get("stream")) and path != EMBEDDINGS,
        shows_usage=bool(options.get("include_usage")),
        features=_VISION_FEATURES[path] if path == CHAT and _shows_images(request) else _FEATURES[path],
        input_tokens=max(1, text_bytes // BYTES_PER_TOKEN) + 8 * messages,
        input_tokens_most=len(body)
        + _TEMPLATE_TOKENS
        + _TEMPLATE_TOKENS_PER_MESSAGE * messages
        + (_TOOL_TEMPLATE_TOKENS if tools else 0),
        output_tokens=output,
        retrying=headers.get(b"x-stainless-retry-count", b"0") not in (b"0", b""),
        blocks=() if path == EMBEDDINGS else name_prefix(request, len(body), customer),
        session="" if path == EMBEDDINGS else name_session(request, headers.get(b"x-session", b""), customer),
        region=_region(headers.get(b"x-bonded-region", b"")),
    )


def _region(said: bytes) -> str:
    region = said.decode("latin-1").lower()
    if said and not _REGION.fullmatch(region):
        raise invalid("x-bonded-region must be the name of a region, such as eu or eu-west.", None, "invalid_region")
    return region


def _chat_text(request: dict[str, Any]) -> tuple[int, int]:
    messages = request.get("messages")
    if type(messages) is not list or not messages:
        raise invalid("messages must be a list of at least one message.", "messages", "missing_messages")
    size = 0
    for at, message in enumerate(messages):
        if type(message) is not dict or type(message.get("role")) is not str:
            raise invalid(f"messages[{at}] must be an object with a role.", "messages")
        content = message.get("content")
        if type(content) is str:
            size += len(content) if content.isascii() else len(content.encode("utf-8", "surrogatepass"))
        elif type(content) is list:
            size += sum(_part_bytes(part, at) for part in content)
        elif content is not None:
            raise invalid(f"messages[{at}].content must be a text or a list of parts.", "messages")
    return size, len(messages)


def _part_bytes(part: Any, at: int) -> int:
    if type(part) is not dict or type(part.get("type")) is not str:
        raise invalid(f"messages[{at}].content must hold objects with a type.", "messages")
    if part["type"] == "text" and type(part.get("text")) is str:
        return len(part["text"].encode("utf-8", "surrogatepass"))
    if part["type"] == "image_url" and type(part.get("image_url")) is dict:
        return BYTES_PER_TOKEN * _IMAGE_TOKENS
    raise invalid(f"messages[{at}].content: parts are of type text or image_url.", "messages", "unsupported_content")


def _shows_images(request: dict[str, Any]) -> bool:
    return any(
        type(message.get("content")) is list and any(part["type"] == "image_url" for part in message["content"])
        for message in request["messages"]
    )


def _prompt_text(prompt: Any) -> int:
    if type(prompt) is str:
        return len(prompt.encode("utf-8", "surrogatepass"))
    if type(prompt) is list and prompt and all(type(token) is int for token in prompt):
        return BYTES_PER_TOKEN * len(prompt)
    raise invalid("prompt must be one text or one list of token numbers.", "prompt")


def _embedding_input(value: Any) -> int:
    if type(value) is str and value:
        return len(value.encode("utf-8", "surrogatepass"))
    if type(value) is list and value:
        if all(type(item) is str for item in value):
            return sum(len(item.encode("utf-8", "surrogatepass")) for item in value)
        if all(type(item) is int for item in value):
            return BYTES_PER_TOKEN * len(value)
        if all(type(item) is list and all(type(token) is int for token in item) for item in value):
            return BYTES_PER_TOKEN * sum(map(len, value))
    raise invalid("input must be a text, or a list of texts or of token numbers.", "input")


def _integer(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _number(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and least <= value <= most


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


def _stream_options(value: Any) -> bool:
    return type(value) is dict and type(value.get("include_usage", False)) in (bool, type(None))


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "stream": (_is(bool), "true or false"),
    "stream_options": (_stream_options, "an object whose include_usage is true or false"),
    "n": (_integer(1, 1), "1: one answer per request is served"),
    "best_of": (_integer(1, 1), "1: one answer per request is served"),
    "max_tokens": (_integer(1, _OUTPUT_MOST), f"a whole number from 1 to {_OUTPUT_MOST}"),
    "max_completion_tokens": (_integer(1, _OUTPUT_MOST), f"a whole number from 1 to {_OUTPUT_MOST}"),
    "temperature": (_number(0, 2), "a number from 0 to 2"),
    "top_p": (_number(0, 1), "a number from 0 to 1"),
    "presence_penalty": (_number(-2, 2), "a number from -2 to 2"),
    "frequency_penalty": (_number(-2, 2), "a number from -2 to 2"),
    "seed": (_is(int), "a whole number"),
    "stop": (_is(str, list), "a text or a list of texts"),
    "tools": (_is(list), "a list"),
    "response_format": (_is(dict), "an object"),
    "user": (_is(str), "a text"),
    "prompt_cache_key": (_is(str), "a text"),
}

__all__ = ["CHAT", "COMPLETIONS", "EMBEDDINGS", "PATHS", "ApiError", "Inquiry", "read_inquiry"]
