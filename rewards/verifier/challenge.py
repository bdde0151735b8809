"""Choose what to ask: requests that look like customers', and among them some whose answer says something.

All three kinds are composed alike (`rewards.verifier.prompts`), and a provider that is asked one cannot tell which:

* *ordinary*: a request that nobody asked before;
* *greedy*: temperature 0 and a seed; only the first `_COMPARED_CHARACTERS` are compared with the reference's, because
  greedy decoding on another machine, thread count or batch size may drift apart later through rounding, but not in the
  first characters of an answer the model is sure of;
* *sampled*: one that the reference answered several times; all of a provider's answers of an epoch are compared with
  the reference's at once (`rewards.verifier.equality`).

The reference is an engine that the verifier runs, with the weights whose digest the offer declares. Its pool is made
for one epoch from the seed that was committed for it, so that no request of one epoch helps to recognise another's.
A provider is asked each request of a pool once in an epoch at most, in an order drawn for it alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rewards.verifier.draw import Draw
from rewards.verifier.plan import PlannedProbe
from rewards.verifier.prompts import USUAL, Mix, compose, compose_greedy

_COMPARED_CHARACTERS = 12


class Reference(Protocol):
    """An engine the verifier trusts, running known weights; returns its answer to a streamed chat body."""

    async def answer(self, body: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class Challenge:
    """One request body.

    `expected`: the reference's answer to a greedy one; `prompt`: the place of a sampled one in its pool.
    """

    body: bytes
    max_output_tokens: int
    expected: str | None = None
    prompt: int | None = None

    def passed(self, answer: str) -> bool | None:
        """Compare an answer with the expected one.

        None where nothing is expected or the answer is too short to judge.
        """
        if self.expected is None:
            return None
        wanted = self.expected[:_COMPARED_CHARACTERS]
        return answer[: len(wanted)] == wanted if answer else None


@dataclass(frozen=True, slots=True)
class Greedy:
    """A greedy request and the reference's answer to it."""

    body: bytes
    max_output_tokens: int
    answer: str


@dataclass(frozen=True, slots=True)
class Sampled:
    """A sampled request and the reference's answers to it."""

    body: bytes
    max_output_tokens: int
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """The requests of one epoch that a reference answered: the digest of its weights, greedy and sampled ones."""

    weights: bytes
    greedy: tuple[Greedy, ...]
    sampled: tuple[Sampled, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many requests of each kind a pool has, and how many answers of the reference to each sampled one."""

    greedy: int = 8
    sampled: int = 24
    answers: int = 8


async def make_pool(
    weights: bytes,
    model: str,
    seed: bytes,
    reference: Reference,
    wanted: Wanted,
    mix: Mix = USUAL,
    own: Sequence[str] = (),
) -> Pool:
    """Compose the requests of an epoch from its seed and let the reference answer them."""
    greedy, sampled = Draw(b"greedy" + seed), Draw(b"sampled" + seed)
    certain = [compose_greedy(greedy, model, mix, own) for _ in range(wanted.greedy)]
    drawn = [compose(sampled, model, mix, own) for _ in range(wanted.sampled)]
    bodies = [one.body for one in certain] + [one.body for one in drawn for _ in range(wanted.answers)]
    answers = await asyncio.gather(*[reference.answer(body) for body in bodies])
    expected, rest = answers[: len(certain)], answers[len(certain) :]
    return Pool(
        weights,
        tuple(Greedy(one.body, one.max_output_tokens, said) for one, said in zip(certain, expected, strict=True)),
        tuple(
            Sampled(one.body, one.max_output_tokens, tuple(rest[index * wanted.answers : (index + 1) * wanted.answers]))
            for index, one in enumerate(drawn)
        ),
    )


def choose(
    pool: Pool | None, planned: PlannedProbe, seed: bytes, model: str, mix: Mix = USUAL, own: Sequence[str] = ()
) -> Challenge:
    """Return the request of a planned probe: the pool's that is its turn, an ordinary one when there is none left."""
    if pool is not None:
        many = len(pool.greedy if planned.canary else pool.sampled)
        if planned.turn < many:
            place = _order(seed, planned, many)[planned.turn]
            if planned.canary:
                known = pool.greedy[place]
                return Challenge(known.body, known.max_output_tokens, expected=known.answer)
            chosen = pool.sampled[place]
            return Challenge(chosen.body, chosen.max_output_tokens, prompt=place)
    return ordinary(planned.salt, model, mix, own)


def ordinary(salt: bytes, model: str, mix: Mix = USUAL, own: Sequence[str] = ()) -> Challenge:
    """Compose a request that nobody asked before from a salt."""
    composed = compose(Draw(salt), model, mix, own)
    return Challenge(composed.body, composed.max_output_tokens)


def _order(seed: bytes, planned: PlannedProbe, many: int) -> list[int]:
    """Draw the order in which a provider is asked the requests of a pool (Fisher and Yates)."""
    draw = Draw(b"order" + bytes((planned.canary,)) + seed + bytes.fromhex(planned.provider[2:]))
    order = list(range(many))
    for place in range(many - 1, 0, -1):
        other = draw.below(place + 1)
        order[place], order[other] = order[other], order[place]
    return order


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
