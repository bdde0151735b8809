"""Judge what customers got from providers that were killed: ends, seams, bills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_LOOK = 24


@dataclass
class Answer:
    """One streamed answer as its customer saw it. `pieces`: the texts of its events; `waited`: 429s before it began."""

    prompt: int
    job: str = ""
    pieces: list[str] = field(default_factory=list)
    finish: str = ""
    done: int = 0
    ids: set[str] = field(default_factory=set)
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    waited: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def complete(self) -> bool:
        """Tell whether it has one end, one id, a reason for its end, and no error."""
        return bool(self.finish) and self.done == 1 and len(self.ids) == 1 and not self.error


@dataclass(frozen=True)
class Leg:
    """One attempt as the books have it."""

    job: str
    attempt: int
    status: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    charge: int


def seam_fault(answer: str, undisturbed: str, at: int) -> str:
    """Say what is wrong at a seam behind `at` characters: "lost", "repeated", or "" if nothing is.

    Compared with the undisturbed answer: what follows the seam is there a little further on (lost) or a little before
    (repeated), and not where it should be. An answer that goes on in other words has no fault of the seam.
    """
    after = answer[at : at + _LOOK]
    if len(after) < _LOOK or answer[:at] != undisturbed[:at] or undisturbed[at:].startswith(after):
        return ""
    if after in undisturbed[at + 1 : at + 1 + 3 * _LOOK]:
        return "lost"
    return "repeated" if after in undisturbed[max(0, at - 3 * _LOOK) : at + _LOOK - 1] else ""


def bill_fault(answer: Answer, legs: Sequence[Leg], prices: tuple[int, int, int], prompt_tokens: int, held: int) -> str:
    """Say what is wrong with the bill of a complete answer, "" if it is exact.

    At most the last leg is charged: its own tokens at its prices; as input it had the prompt and what was delivered
    before, and with that the tokens it gave are all that the customer saw.
    """
    numbers = [leg.attempt for leg in legs]
    if sorted(numbers) != list(range(len(legs))):
        return f"attempts {numbers}"
    paid = [leg for leg in legs if leg.charge]
    if not paid:
        return "" if all(leg.charge == 0 for leg in legs) else "charges without a served leg"
    if len(paid) > 1 or paid[0].attempt != max(numbers) or paid[0].status != 0:
        return f"{len(paid)} legs are charged"
    last, (price_in, price_cached, price_out) = paid[0], prices
    due = (last.input_tokens - last.cached_tokens) * price_in
    due += last.cached_tokens * price_cached + last.output_tokens * price_out
    if last.charge != due or due > held:
        return f"charged {last.charge}, due {due}, held {held}"
    before = last.input_tokens - prompt_tokens
    shown = answer.usage.get("completion_tokens")
    if before < 0 or before + last.output_tokens != shown:
        return f"{before} tokens before and {last.output_tokens} in the last leg, {shown} were shown"
    return ""
