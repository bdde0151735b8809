"""Make the request by which another provider goes on with an answer that broke off.

It is the customer's own body with one field more, `bonded_delivered`: the pieces of text that the customer has. The
field is part of the bytes that the ticket's digest is of, so the gateway's signature names the delivered text and the
provider's receipt answers for going on behind it. Only who offers the same weights, with the same template, and says
that its engine can (`continue` among its features) is asked.

Not for an answer whose form a second engine could not keep up: tools, a response format, log probabilities, a grammar,
a conversation that ends with words of the assistant.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from marketplace.gateway.inquiry import CHAT, EMBEDDINGS, Inquiry
from marketplace.gateway.transcript import Transcript

CONTINUE = "continue"
"""The feature of an offer whose engine goes on behind the beginning of an answer."""
DELIVERED = b"bonded_delivered"
LEGS_MOST = 16
"""Providers that one answer may have one after the other."""
ATTEMPTS_MOST = 32
"""Attempts of all legs of an answer together, those included that failed before they gave anything."""
_FORMS = (
    "tools", "functions", "response_format", "logprobs", "top_logprobs", "echo", "suffix", "grammar", "json_schema",
    "structured_outputs", "regex", "ebnf", "bonded_delivered",
)  # fmt: skip


def kin(weights_digest: bytes, template_digest: bytes) -> str:
    """Name, as a feature, the providers that can go on with one another's answers."""
    return f"{CONTINUE}:{weights_digest.hex()}:{template_digest.hex()}"


def why_not(inquiry: Inquiry, transcript: Transcript) -> str:
    """Read what was delivered of an answer, and say why nobody can go on with it, "" if somebody may."""
    plain = transcript.read()
    if not inquiry.stream or inquiry.path == EMBEDDINGS:
        return "it is not a stream of text"
    request = orjson.loads(inquiry.body)
    found = next((name for name in _FORMS if _asks(request, name)), "")
    if found or any(name.startswith("guided_") for name in request):
        return f"{found or 'guided decoding'} was asked for"
    if inquiry.path == CHAT and request["messages"][-1]["role"] == "assistant":
        return "the conversation ends with words of the assistant"
    return "" if plain else "it is more than plain text"


def _asks(request: dict[str, Any], name: str) -> bool:
    value = request.get(name)
    if name == "response_format" and isinstance(value, dict):
        return value.get("type") != "text"
    return bool(value)


def going_on(inquiry: Inquiry, transcript: Transcript, family: str, ordered: int, broken: frozenset[str]) -> Inquiry:
    """Return the request for the rest of an answer of which `ordered` tokens were ordered.

    `family` is what `kin` says of the first provider; those in `broken` are asked only if nobody else is there.
    """
    said = len(transcript.pieces)
    body = inquiry.body.lstrip()
    field = b'{"%b":%b,' % (DELIVERED, orjson.dumps(transcript.pieces))
    return replace(
        inquiry,
        body=field + body[1:],
        features=inquiry.features | {family},
        input_tokens=inquiry.input_tokens + said,
        input_tokens_most=inquiry.input_tokens_most + said,
        output_tokens=ordered - said,
        avoid=broken,
    )
