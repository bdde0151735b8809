"""Ask the scheduler who serves a request.

In the gateway's terms: lanes of the directory in, errors for customers out.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from contracts.messages import Status
from marketplace.gateway.errors import (
    ApiError,
    context_too_long,
    insufficient_quota,
    invalid,
    no_provider,
    too_busy,
    unknown_model,
)
from marketplace.gateway.inquiry import EMBEDDINGS, Inquiry
from marketplace.gateway.lanes import Lane
from scheduler.classes import CLASSES, STANDARD
from scheduler.decide import decide
from scheduler.decision import Decision, Refusal
from scheduler.errors import CandidateGone
from scheduler.prefix import PrefixIndex
from scheduler.state import MarketState
from scheduler.types import Demand, Job, Outcome, Reservation
from scheduler.types import Status as Ended

EXPECTED_OUTPUT_TOKENS = 128.0
_LEARN = 0.05
_ENDED = {
    Status.SERVED: Ended.SERVED,
    Status.IDLE: Ended.IDLE,
    Status.CUSTOMER_ABORT: Ended.CUSTOMER_ABORT,
    Status.PROVIDER_ERROR: Ended.PROVIDER_ERROR,
    Status.TIMEOUT: Ended.TIMEOUT,
}


class Lanes(Protocol):
    """What the directory knows of who serves what."""

    def lane(self, provider: str, model: str) -> Lane | None:
        """Return a lane, None if it is gone."""

    def longest_context(self, model: str) -> int:
        """Return the longest context offered for a model, 0 for a model that nobody offers."""


@dataclass(frozen=True, slots=True)
class Match:
    """The scheduler's answer: lanes to try, best first, and the output tokens to order."""

    decision: Decision
    lanes: list[Lane]
    output_tokens: int
    blocks: tuple[int, ...] = ()


class NoRoom(ApiError):
    """Nobody has a place for the request at the moment, and waiting helps. `rule`: what bars most providers."""

    def __init__(self, model: str, refusal: Refusal) -> None:
        about = too_busy(
            f"All providers of {model} are busy or recovering ({refusal.rule}); ask again later.", refusal.wait_ms
        )
        super().__init__(about.status, about.code, about.message, retry_after_ms=about.retry_after_ms)
        self.rule = refusal.rule
        self.wait_ms = refusal.wait_ms


class Matching:
    """The market and the ways in and out of it. `note` receives every decision and refusal for the decision log.

    `freed` is told of every place that is given back, and of the tokens that were delivered there.
    """

    def __init__(
        self,
        market: MarketState,
        lanes: Lanes,
        default_output_tokens: int = 1024,
        note: Callable[[Decision | Refusal], None] | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.market = market
        self._lanes = lanes
        self._default_output_tokens = default_output_tokens
        self._note = note
        self._rng = rng or random.Random()
        self._clock = clock
        self._demands: dict[tuple[str, frozenset[str], str], Demand] = {}
        self._prefixes = PrefixIndex()
        self._unnoted: dict[int, tuple[int, ...]] = {}
        self._expected: dict[str, float] = {}
        self.freed: Callable[[Reservation, int], None] | None = None

    def now_ms(self) -> float:
        """Return the market's clock."""
        return self._clock() * 1000.0

    def match(
        self, inquiry: Inquiry, service_class: str, job: bytes, budget_atto: int, waited_ms: float | None = None
    ) -> Match:
        """Decide who serves; raises NoRoom if nobody can now, another ApiError if waiting would not help.

        `budget_atto`: the most that the job may cost. `waited_ms`: it was refused before and waits since then, and
        another refusal says nothing new to the log.
        """
        model = inquiry.model
        longest = self._lanes.longest_context(model)
        if not longest:
            raise unknown_model(model)
        output = self._output(inquiry, longest)
        now_ms = self.now_ms()
        demand = self._demands.get((model, inquiry.features, inquiry.region))
        if demand is None:
            if len(self._demands) > 1_000:
                self._demands.clear()
            demand = Demand(model=model, features=inquiry.features, region=inquiry.region)
            self._demands[model, inquiry.features, inquiry.region] = demand
        outcome = decide(
            self.market,
            Job(
                id=job.hex(),
                demand=demand,
                service=CLASSES.get(service_class, STANDARD),
                input_tokens=inquiry.input_tokens,
                max_output_tokens=output,
                expected_output_tokens=self._expect(inquiry, output),
                budget_atto=budget_atto,
                session=inquiry.session,
                warm=self._prefixes.find(inquiry.blocks, now_ms) if inquiry.blocks else (),
                waited_ms=waited_ms or 0.0,
            ),
            self._rng,
            now_ms,
        )
        if self._note is not None and not (waited_ms is not None and isinstance(outcome, Refusal)):
            self._note(outcome)
        if isinstance(outcome, Refusal):
            raise _explain(outcome, inquiry, output, longest, budget_atto)
        lanes = [lane for provider in outcome.order() if (lane := self._lanes.lane(provider, model)) is not None]
        if not lanes:
            raise no_provider("The providers of this model are changing; send the request again.")
        return Match(outcome, lanes, output, inquiry.blocks)

    def _output(self, inquiry: Inquiry, longest: int) -> int:
        """Return the output tokens to order."""
        if inquiry.output_tokens is not None:
            return inquiry.output_tokens
        return max(1, min(self._default_output_tokens, longest - inquiry.input_tokens))

    def _expect(self, inquiry: Inquiry, output: int) -> int:
        if inquiry.path == EMBEDDINGS:
            return 0
        return int(min(output, self._expected.get(inquiry.model, EXPECTED_OUTPUT_TOKENS)))

    def size(self, inquiry: Inquiry) -> tuple[int, int, int]:
        """Return (prompt tokens, most tokens of the answer, expected ones)."""
        output = self._output(inquiry, self._lanes.longest_context(inquiry.model))
        return inquiry.input_tokens, output, self._expect(inquiry, output)

    def most_tokens(self, inquiry: Inquiry) -> int:
        """Return the tokens that a request may come to: its expected prompt and the longest answer it orders."""
        return inquiry.input_tokens + self._output(inquiry, self._lanes.longest_context(inquiry.model))

    def reserve(self, match: Match, lane: Lane) -> Reservation | None:
        """Claim a place at a lane of the match, None if the market moved on and it has none."""
        try:
            reservation = self.market.reserve(match.decision, self.now_ms(), lane.provider)
        except CandidateGone:
            return None
        if match.blocks:
            self._unnoted[reservation.number] = match.blocks
        return reservation

    def quickest_ms(self, inquiry: Inquiry) -> float:
        """Estimate the time to first byte of a request where it is served quickest."""
        return self.market.quickest_ms(inquiry.model, inquiry.input_tokens)

    def _note_prefix(self, reservation: Reservation, now_ms: float) -> None:
        blocks = self._unnoted.pop(reservation.number, None)
        if blocks is not None:
            room_tokens = self.market.lanes[reservation.lane].cache_tokens
            self._prefixes.note(blocks, reservation.provider, room_tokens, now_ms)

    def first_byte(self, reservation: Reservation) -> None:
        """Note the first byte of a streamed answer."""
        now_ms = self.now_ms()
        self.market.started(reservation, now_ms - reservation.reserved_ms, now_ms)
        self._note_prefix(reservation, now_ms)
        if self.freed is not None:  # its prompt is computed, so that the lane may take another
            self.freed(reservation, 0)

    def release(
        self, reservation: Reservation, status: Status, full: bool, output_tokens: int, itl_us: int | None
    ) -> None:
        """Give the place back. `full`: the provider refused for want of a slot."""
        if status is Status.SERVED:
            before = self._expected.get(reservation.model, EXPECTED_OUTPUT_TOKENS)
            self._expected[reservation.model] = before + _LEARN * (output_tokens - before)
            self._note_prefix(reservation, self.now_ms())
        self._unnoted.pop(reservation.number, None)
        ended = Ended.REFUSED if full else _ENDED[status]
        self.market.release(reservation, Outcome(ended, output_tokens, itl_us), self.now_ms())
        if self.freed is not None:
            self.freed(reservation, output_tokens)

    def running(self, lane: Lane) -> int:
        """Return how many jobs this gateway has at a lane."""
        return self.market.lane(lane.provider, lane.model).running


def _explain(refusal: Refusal, inquiry: Inquiry, output: int, longest: int, budget_atto: int) -> ApiError:
    """Turn a refusal into what the customer can act upon."""
    tokens = inquiry.input_tokens + output
    if refusal.retryable:
        return NoRoom(inquiry.model, refusal)
    if tokens > longest:
        return context_too_long(tokens, longest)
    barred = {rule for rule, count in refusal.counts.items() if count}
    if "budget" in barred:
        return insufficient_quota(
            f"Balance and cap leave {budget_atto} atto, and this request may cost more than that at every provider. "
            "Deposit more, raise the cap, or lower max_tokens."
        )
    if "features" in barred:
        wanted = ", ".join(sorted(inquiry.features))
        return invalid(f"No provider of {inquiry.model} offers {wanted}.", "model", "unsupported_feature")
    if "region" in barred:
        return no_provider(f"No provider of {inquiry.model} that could take this request is in {inquiry.region}.")
    return no_provider(f"No provider of {inquiry.model} can take this request ({refusal.rule}).")
