"""Choose what to ask: bodies that look like customers', and canaries whose answer is known.

An ordinary probe is a short chat request composed from a salt. A canary is the same kind of request with temperature
0 and a seed; its answer was obtained beforehand from a reference engine running the same weights. Only the first
`_COMPARED_CHARACTERS` of the two answers are compared: greedy decoding on another machine, thread count or batch size
may drift apart later through rounding, but not in the first characters of an answer the model is sure of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_SUBJECTS = (
    "a lighthouse keeper",
    "the tides",
    "sourdough bread",
    "a bicycle chain",
    "the moons of Jupiter",
    "a chess opening",
    "rain gardens",
    "an old radio",
    "mountain weather",
    "a paper plane",
    "the water cycle",
    "a violin bow",
    "city trams",
    "honey bees",
    "a stone bridge",
    "winter apples",
)
_REQUESTS = (
    "Explain {} to a child in one sentence.",
    "Write one line about {}.",
    "What should I know about {}?",
    "Give me a short fact about {}.",
    "Name three words that go with {}.",
    "Start a story about {}.",
    "How would you describe {} to a friend?",
    "Summarise what people say about {}.",
)
_COMPARED_CHARACTERS = 12


class Reference(Protocol):
    """An engine the verifier trusts, running known weights; returns the greedy answer to a chat body."""

    async def answer(self, body: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class Challenge:
    """One request body; `expected` is the reference answer for a canary, None for an ordinary probe."""

    body: bytes
    max_output_tokens: int
    expected: str | None

    def passed(self, answer: str) -> bool | None:
        """Compare an answer with the expected one.

        None where nothing is expected or the answer is too short to judge.
        """
        if self.expected is None:
            return None
        wanted = self.expected[:_COMPARED_CHARACTERS]
        return answer[: len(wanted)] == wanted if answer else None


def ordinary(model: str, salt: bytes) -> Challenge:
    """Compose an ordinary streamed request from a salt: subject, wording, length and sampling all vary."""
    tokens = 2 + salt[2] % 5
    body = {
        "model": model,
        "messages": [{"role": "user", "content": _wording(salt)}],
        "max_tokens": tokens,
        "temperature": (salt[3] % 11) / 10,
        "stream": True,
    }
    return Challenge(_encode(body), tokens, None)


async def canaries(model: str, secret: bytes, count: int, reference: Reference) -> tuple[Challenge, ...]:
    """Compose `count` canaries from the verifier's secret and ask the reference engine for their answers."""
    made: list[Challenge] = []
    for index in range(count):
        salt = hashlib.sha256(b"canary" + secret + index.to_bytes(4)).digest()
        tokens = 4 + salt[2] % 3
        body = _encode(
            {
                "model": model,
                "messages": [{"role": "user", "content": _wording(salt)}],
                "max_tokens": tokens,
                "temperature": 0,
                "seed": salt[4],
                "stream": True,
            }
        )
        made.append(Challenge(body, tokens, await reference.answer(body)))
    return tuple(made)


def choose(pool: Sequence[Challenge], salt: bytes, model: str, canary: bool) -> Challenge:
    """Pick the canary a salt points to, or compose an ordinary request where none is wanted or known for the model."""
    if canary and pool:
        return pool[int.from_bytes(salt[8:12]) % len(pool)]
    return ordinary(model, salt)


class EngineReference:
    """Wrap a coroutine that answers a streamed chat body with SSE bytes, as the marketplace's engines do."""

    def __init__(self, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._ask = ask

    async def answer(self, body: bytes) -> str:
        """Return the whole text of the reference's answer."""
        return answer_text(await self._ask(body))


def answer_text(stream: bytes) -> str:
    """Join the text deltas of an SSE chat stream; raises ValueError when a data line is no chat event.

    The stream is a stranger's: any JSON may stand in it, nested as deep as it likes.
    """
    parts: list[str] = []
    for line in stream.splitlines():
        if not line.startswith(b"data: ") or line.startswith((b"data: [DONE]", b'data: {"object":"bonded.receipt"')):
            continue
        try:
            event = json.loads(line[6:])
        except RecursionError:
            raise ValueError("a data line is nested too deep") from None
        for choice in _typed(_typed(event, dict).get("choices", []), list):
            delta = _typed(_typed(choice, dict).get("delta", {}), dict)
            for text in (delta.get("content"), choice.get("text")):
                if text is not None and _typed(text, str):
                    parts.append(text)
                    break
    return "".join(parts)


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a chat event holds a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _wording(salt: bytes) -> str:
    return _REQUESTS[salt[0] % len(_REQUESTS)].format(_SUBJECTS[salt[1] % len(_SUBJECTS)])


def _encode(body: dict[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
