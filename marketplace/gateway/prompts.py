"""Name what a provider may hold of a prompt: chained hashes of its blocks, and the session that it belongs to.

A block is `BLOCK_CHARS` characters of the text in the order in which engines render it: tools, then messages with
their roles. Its hash stands for all text up to its end, of this customer and for this model: one customer's prompts
never lead another to a provider. Hashes are Python's own, keyed anew in every process, so that nobody can make two
prompts collide; they never leave it. Short prompts have no blocks, because what could be saved is less than what
finding out costs.
"""

from __future__ import annotations

from typing import Any

import orjson

from scheduler.prefix import BLOCK_TOKENS

BLOCK_CHARS = 4 * BLOCK_TOKENS
LEAST_BYTES = 2 * BLOCK_CHARS
BLOCKS_MOST = 256
"""Of one prompt; what lies behind 128,000 tokens is not looked for."""
_SESSION_CHARS = 512


def name_prefix(request: dict[str, Any], size: int, customer: str) -> tuple[int, ...]:
    """Return the hashes of a request's whole blocks, none if its body of `size` bytes is short."""
    if size < LEAST_BYTES or not customer:
        return ()
    text = _render(request)
    chain = hash((customer, request.get("model")))
    blocks = []
    for end in range(BLOCK_CHARS, min(len(text), BLOCKS_MOST * BLOCK_CHARS) + 1, BLOCK_CHARS):
        chain = hash((chain, text[end - BLOCK_CHARS : end]))
        blocks.append(chain)
    return tuple(blocks)


def name_session(request: dict[str, Any], header: bytes, customer: str) -> str:
    """Return the session of a request, "" if it names none: header `x-session`, `prompt_cache_key` or `user`.

    The beginning of the prompt is part of it, so that two conversations of one user are two sessions.
    """
    said = header.decode("latin-1") or request.get("prompt_cache_key") or request.get("user")
    if not said or not customer:
        return ""
    messages = request.get("messages")
    first = messages[0].get("content") if messages else request.get("prompt")
    begins = first[:_SESSION_CHARS] if type(first) is str else ""
    return format(hash((customer, request.get("model"), said, begins)) & (2**64 - 1), "x")


def _render(request: dict[str, Any]) -> str:
    tools = request.get("tools")
    parts = [orjson.dumps(tools).decode()] if tools else []
    for message in request.get("messages") or ():
        content = message.get("content")
        parts.append(message["role"])
        parts.append(content if type(content) is str else orjson.dumps(content).decode())
    prompt = request.get("prompt")
    if prompt is not None:
        parts.append(prompt if type(prompt) is str else orjson.dumps(prompt).decode())
    return "\x1f".join(parts)
