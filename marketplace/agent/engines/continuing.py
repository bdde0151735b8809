"""Ask an engine for the rest of an answer whose beginning somebody else gave.

The pieces are the answer as it was delivered, one text per event, which for most engines is one text per token. An
engine must go on behind the last of them: repeat nothing, begin no answer of its own.

    llama.cpp   the prompt as its template writes it, and each piece, become token numbers, and the raw completion goes
                on behind them. Its chat route is no use: it opens with the text that it was given. That the numbers
                spell the pieces is checked, because a tokenizer may put a blank before each text
    any other   vLLM's and SGLang's form: the delivered text as the last message, `continue_final_message` set and no
                new turn opened; for a plain completion, the prompt with the text behind it

Whether a server understands the second form cannot be asked of it. A provider says that its engine can in its offer
(`continue` among the features), and `bonded provider doctor` tries it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from marketplace.agent.engines.base import CHAT
from marketplace.agent.errors import EngineFailed

Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Post JSON to a path below the server's root and return the JSON of its answer."""
_OF_CHAT = ("messages", "tools", "tool_choice", "response_format", "chat_template_kwargs", "parallel_tool_calls")
_TEMPLATED = ("messages", "chat_template_kwargs")


async def by_tokens(ask: Ask, route: str, request: dict[str, Any], delivered: Sequence[str]) -> dict[str, Any] | None:
    """Return the completion that llama.cpp is to be asked, None if nothing of the answer's length is left.

    A piece of several tokens makes the rest shorter by as many. Raises EngineFailed if the pieces cannot be spelled.
    """
    if route == CHAT:
        asked = {key: request[key] for key in _TEMPLATED if key in request}
        prompt: Any = (await ask("/apply-template", asked))["prompt"]
    else:
        prompt = request.get("prompt", "")
    if isinstance(prompt, str):
        prompt = await _tokens(ask, prompt, special=True)
    said = await _spell(ask, list(delivered))
    left = int(request["max_tokens"]) - max(0, len(said) - len(delivered))
    if left < 1:
        return None
    body = {key: value for key, value in request.items() if key not in _OF_CHAT}
    return body | {"prompt": [*prompt, *said], "max_tokens": left}


async def _spell(ask: Ask, pieces: list[str]) -> list[int]:
    """Return token numbers whose text is exactly that of the pieces: each by itself, else all of them together."""
    text = "".join(pieces)
    for content in (pieces, text):
        tokens = await _tokens(ask, content, special=False)
        if (await ask("/detokenize", {"tokens": tokens})).get("content") == text:
            return tokens
    raise EngineFailed("the engine's tokenizer does not give the delivered text back: it cannot go on behind it")


async def _tokens(ask: Ask, content: str | list[str], special: bool) -> list[int]:
    answer = await ask("/tokenize", {"content": content, "add_special": special, "parse_special": special})
    return list(answer["tokens"])


def by_text(route: str, request: dict[str, Any], delivered: Sequence[str]) -> dict[str, Any]:
    """Return the request that vLLM and SGLang are to be asked; raises EngineFailed for a prompt of token numbers."""
    text = "".join(delivered)
    if route == CHAT:
        messages = [*request["messages"], {"role": "assistant", "content": text}]
        return request | {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}
    prompt = request.get("prompt")
    if not isinstance(prompt, str):
        raise EngineFailed("this engine goes on behind text only, and the prompt is a list of token numbers")
    return request | {"prompt": prompt + text}


def as_chat(payload: bytes) -> bytes:
    """Return an event of a plain completion as one of a chat."""
    try:
        event = orjson.loads(payload)
        choices = event["choices"]
        event["choices"] = [_as_delta(choice) for choice in choices]
    except (ValueError, KeyError, TypeError, AttributeError):
        return payload  # whatever it is, the attempt judges it
    event["object"] = "chat.completion.chunk"
    return orjson.dumps(event)


def _as_delta(choice: dict[str, Any]) -> dict[str, Any]:
    text = choice.get("text")
    delta = {"content": text} if text else {}
    return {"index": choice.get("index", 0), "delta": delta, "finish_reason": choice.get("finish_reason")}


def nothing_left(route: str, model: str) -> bytes:
    """Return the event that ends an answer which has its full length already."""
    kind = "chat.completion.chunk" if route == CHAT else "text_completion"
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length"}
    choice["delta" if route == CHAT else "text"] = {} if route == CHAT else ""
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return orjson.dumps({"id": "", "object": kind, "created": 0, "model": model, "choices": [choice], "usage": usage})
