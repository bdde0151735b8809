"""Compose requests that look like customers': what they ask, how long they are, how much they want, how it is drawn.

Lengths follow a mix of (input, output) tokens: `USUAL`, unless whoever composes has another. The wordings below are
public, so whoever reads them can look for them: a verifier that is given prompts of its own (one a line) uses those,
and nobody else knows them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rewards.verifier.draw import Draw

Mix = Sequence[tuple[int, int]]

USUAL: Mix = ((14, 12), (18, 16), (22, 16), (28, 20), (36, 16), (48, 24), (64, 20), (90, 24))
"""Input and output tokens of a job, one pair as likely as the other."""

LEAST_OUTPUT, MOST_OUTPUT = 4, 32
"""What a probe asks for at least, so that there is something to compare, and at most, because verifiers pay for it."""

MOST_INPUT = 160
_LETTERS_PER_TOKEN = 4
_TEMPERATURES = (0.3, 0.4, 0.5)

_SUBJECTS = (
    "a lighthouse keeper", "the tides", "sourdough bread", "a bicycle chain", "the moons of Jupiter", "a chess opening",
    "rain gardens", "an old radio", "mountain weather", "a paper plane", "the water cycle", "a violin bow",
    "city trams", "honey bees", "a stone bridge", "winter apples", "the printing press", "a night train",
    "clay pots", "sea salt", "a sundial", "the metric system", "wool", "a harbour crane", "volcanoes", "a fishing net",
    "the alphabet", "glass", "a market square", "copper wire", "an orchard", "public libraries", "a compass", "ferries",
    "the common cold", "a kite", "tree rings", "postage stamps", "a windmill", "soap",
)  # fmt: skip
_REQUESTS = (
    "Explain {} to a child in one sentence.", "Write one line about {}.", "What should I know about {}?",
    "Give me a short fact about {}.", "Name three words that go with {}.", "Start a story about {}.",
    "How would you describe {} to a friend?", "Summarise what people say about {}.", "Why do people like {}?",
    "What is {} made of, or what makes it up?", "Write a headline about {}.", "Give two reasons to read about {}.",
    "What would a poet say of {}?", "Ask me a question about {}.", "Where would I find {}?",
    "Write the first sentence of an essay on {}.", "What is a common mistake about {}?",
    "How has {} changed over time?", "Compare {} with {}.", "Is {} more useful than {}? Answer briefly.",
)  # fmt: skip
_ASIDES = (
    "I am preparing a short talk and have only a minute for it.", "Please keep it simple and friendly.",
    "My last teacher told me something about {} that I did not quite follow.", "No lists, please, just plain words.",
    "I read a chapter on {} yesterday, so the basics are clear to me.",
    "It is for a newsletter that goes out on Friday.",
    "We have talked about {} at home, and nobody agreed with anybody.",
    "If you are not sure, say what is most likely.",
    "The readers are curious and in no hurry, but they do not know any special terms.",
    "Somebody asked me about {} at work today and I had no good answer at hand.",
    "I would rather have one good idea than five that everybody knows already.",
)  # fmt: skip


def bounded(mix: Mix, input_tokens: int, output_tokens: int) -> Mix:
    """Return a mix with nothing longer than this, for a market whose hardware has no time for more."""
    return tuple((min(asked, input_tokens), min(answered, output_tokens)) for asked, answered in mix)


@dataclass(frozen=True, slots=True)
class Composed:
    """A streamed chat request and what it may cost in output tokens."""

    body: bytes
    max_output_tokens: int


def compose(draw: Draw, model: str, mix: Mix, own: Sequence[str] = ()) -> Composed:
    """Compose a request that is answered by sampling, as nearly all of customers' are.

    The temperature is low: what engines cut off a distribution by themselves (`min_p`, `top_k`) then hardly matters,
    so that honest providers with other engines answer alike (`rewards.verifier.equality`).
    """
    content, tokens = _content(draw, mix, own)
    return _request(model, content, tokens, {"temperature": _TEMPERATURES[draw.below(len(_TEMPERATURES))]})


def compose_greedy(draw: Draw, model: str, mix: Mix, own: Sequence[str] = ()) -> Composed:
    """Compose a request with one right answer: temperature 0 and a seed."""
    content, tokens = _content(draw, mix, own)
    return _request(model, content, tokens, {"temperature": 0, "seed": draw.below(10_000)})


def _content(draw: Draw, mix: Mix, own: Sequence[str]) -> tuple[str, int]:
    wanted_input, wanted_output = mix[draw.below(len(mix))]
    tokens = min(max(wanted_output, LEAST_OUTPUT), MOST_OUTPUT)
    if own:
        return own[draw.below(len(own))], tokens
    letters = min(wanted_input, MOST_INPUT) * _LETTERS_PER_TOKEN
    words = [_fill(draw, _REQUESTS)]
    while sum(map(len, words)) < letters and len(words) < len(_ASIDES):
        words.insert(draw.below(len(words) + 1), _fill(draw, _ASIDES))
    return " ".join(words), tokens


def _fill(draw: Draw, sentences: Sequence[str]) -> str:
    sentence = sentences[draw.below(len(sentences))]
    return sentence.format(*(_SUBJECTS[draw.below(len(_SUBJECTS))] for _ in range(sentence.count("{}"))))


def _request(model: str, content: str, tokens: int, sampling: dict[str, float]) -> Composed:
    body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": tokens, "stream": True}
    return Composed(json.dumps(body | sampling, ensure_ascii=False).encode(), tokens)
