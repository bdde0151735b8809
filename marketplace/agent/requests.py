"""Turn a customer's request body into what the engine is asked.

Parsed once, cut to the ticket, metering knobs removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from contracts.messages import Ticket
from marketplace.agent.engines.base import CONTINUE, EMBEDDINGS, FEATURE_OF_ROUTE
from marketplace.agent.offer import OfferedModel
from marketplace.agent.refusals import Refused

# Fields of engines, not of the OpenAI protocol, by which a caller could run past the ticket's output, choose among the
# engine's slots, or read what others asked.
_NOT_FOR_CALLERS = (
    "n_predict", "max_completion_tokens", "best_of", "id_slot", "slot_id", "cache_prompt", "n_cache_reuse", "lora",
    "timings_per_token", "return_progress", "priority", "kv_transfer_params", "use_beam_search", "__verbose", "verbose",
    "continue_final_message", "add_generation_prompt", "bonded_delivered",
)  # fmt: skip
# Fields by which other servers let a caller say where requests go, with which key, or which template is run. An engine
# that is such a server must not see them.
_ROUTING = (
    "api_base", "base_url", "api_key", "api_version", "user_config", "model_list", "fallbacks", "custom_llm_provider",
    "litellm_params", "extra_headers", "headers", "proxy", "chat_template",
)  # fmt: skip
_TEMPLATE_OVERRIDES = ("chat_template", "tokenize", "add_generation_prompt", "continue_final_message")
DELIVERED = "bonded_delivered"
"""The field by which a gateway names, piece by piece, what of an answer its customer has already."""
# one token of a byte-level vocabulary is at least a byte; templates add their own around the messages
_TEMPLATE_TOKENS = 256


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What the engine is asked. `wants_usage`: the caller asked for the usage event of a stream itself.

    `output_per_choice` is how many tokens each choice may have. `delivered`: the pieces behind which the engine goes
    on, none for an answer from its beginning.
    """

    route: str
    body: dict[str, Any]
    streams: bool
    wants_usage: bool
    output_per_choice: int
    delivered: tuple[str, ...] = ()

    @property
    def generates(self) -> bool:
        return self.route != EMBEDDINGS


def read_request(route: str, raw: bytes, ticket: Ticket, model: OfferedModel) -> EngineRequest:
    """Parse and cut a request body; refuses what is not an OpenAI request or not of this model's features."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "invalid_json", f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, "invalid_json", "the body is not a JSON object")
    feature = FEATURE_OF_ROUTE[route]
    if feature not in model.config.features:
        raise Refused(404, "model_not_found", f"{model.config.id} is not offered for /v1/{route} here", "model")
    if "vision" not in model.config.features and _shows_pictures(body):
        raise Refused(400, "unsupported_content", f"{model.config.id} takes text only", "messages")
    streams = _flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise Refused(400, "invalid_value", "stream_options must be an object", "stream_options")
    wants_usage = bool(streams and options and options.get("include_usage") is True)
    asked = {key: value for key, value in body.items() if key not in _NOT_FOR_CALLERS and key not in _ROUTING}
    if isinstance(kwargs := asked.get("chat_template_kwargs"), dict):
        asked["chat_template_kwargs"] = {key: kwargs[key] for key in kwargs if key not in _TEMPLATE_OVERRIDES}
    asked["model"] = model.config.engine_model
    output = 0
    delivered = _delivered(body, route, streams, model)
    if route != EMBEDDINGS:
        choices = _choices(body)
        whole = _limit(body, ticket.max_output_tokens + len(delivered))
        output = min(whole - len(delivered), ticket.max_output_tokens // choices)
        if output < 1:
            raise Refused(400, "invalid_value", f"the ticket allows no output for {choices} choice(s)", "max_tokens")
        asked["max_tokens"] = output
    return EngineRequest(route, asked, streams, wants_usage, output, delivered)


def needs_counting(request: EngineRequest, raw: bytes, ticket: Ticket, model: OfferedModel) -> bool:
    """Tell whether prompt and output together might not fit; a short body needs no tokenizer to be let through."""
    most = len(raw) + _TEMPLATE_TOKENS
    return most > ticket.max_input_tokens or most + request.output_per_choice > model.config.context_length


def fit(request: EngineRequest, tokens: int, ticket: Ticket, model: OfferedModel) -> None:
    """Refuse a prompt of `tokens` that does not fit the model or that the ticket does not pay for; cut the output to
    the rest.

    Some engines refuse a request whose prompt and greatest output together exceed the context.
    """
    context = model.config.context_length
    most = min(ticket.max_input_tokens, context - 1 if request.generates else context)
    if tokens > most:
        raise Refused(
            400,
            "context_length_exceeded",
            f"the prompt has {tokens} tokens; this job allows {ticket.max_input_tokens} and the context is {context}",
            "messages",
        )
    if request.generates:
        request.body["max_tokens"] = min(request.output_per_choice, context - tokens)


def _delivered(body: dict[str, Any], route: str, streams: bool, model: OfferedModel) -> tuple[str, ...]:
    """Return the pieces of an answer that is to be gone on with."""
    pieces = body.get(DELIVERED)
    if pieces is None:
        return ()
    if CONTINUE not in model.config.features:
        raise Refused(400, "unsupported_content", f"{model.config.id} cannot go on with an answer here", DELIVERED)
    if not isinstance(pieces, list) or not pieces or not all(isinstance(piece, str) and piece for piece in pieces):
        raise Refused(400, "invalid_value", f"{DELIVERED} must be a list of texts", DELIVERED)
    if route == EMBEDDINGS or not streams or _choices(body) != 1:
        raise Refused(400, "invalid_value", f"{DELIVERED} goes with one streamed answer", DELIVERED)
    return tuple(pieces)


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value not in (None, True, False) or (isinstance(value, int) and not isinstance(value, bool)):
        raise Refused(400, "invalid_value", f"{name} must be true or false", name)
    return value is True


def _choices(body: dict[str, Any]) -> int:
    value = body.get("n")
    if value is None:
        value = 1
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 128:
        raise Refused(400, "invalid_value", "n must be a whole number from 1 to 128", "n")
    prompts = body.get("prompt")
    if isinstance(prompts, list) and prompts and not all(isinstance(part, int) for part in prompts):
        value *= len(prompts)
    return value


def _limit(body: dict[str, Any], default: int) -> int:
    limits = [default]
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise Refused(400, "invalid_value", f"{name} must be a whole number above zero", name)
        limits.append(value)
    return min(limits)


def _shows_pictures(body: dict[str, Any]) -> bool:
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") not in ("text", "refusal", None):
                return True
    return False
