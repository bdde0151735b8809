"""Hold a decision: who was priced, with which numbers, who won, and in which order the others follow.

A decision keeps the priced rows themselves. Rows never change, so terms, runner-ups and replays are computed later,
by whoever asks, and the request path pays for none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scheduler.cost import BARRED, GATE, LANE, Numbers, Row, Term, price_rows, take_apart
from scheduler.gates import NEWCOMER
from scheduler.types import Demand

_ANYTHING = Demand("")


class Decision(NamedTuple):
    """The outcome of `decide`, complete enough to be computed again from itself alone.

    `draws` are the uniform numbers used: luck, spin, then one per sampled candidate. `version` counts the changes of
    the market before the decision. A lane that was drawn twice is priced twice; `order` names it once. `names` gives
    the provider of a lane: the market's own list, in which a lane keeps its name for ever.
    """

    job: str
    session: str
    model: str
    now_ms: float
    version: int
    numbers: Numbers
    mask: int
    hits: Mapping[int, int]
    rows: list[Row]
    draws: tuple[float, ...]
    newcomer_turn: bool
    tuition: float
    chosen: int
    costs: list[float]
    demand: Demand
    names: Sequence[str] | Mapping[int, str]

    @property
    def row(self) -> Row:
        """The row of the chosen lane."""
        return self.rows[self.chosen]

    @property
    def provider(self) -> str:
        """The provider that was chosen."""
        return self.names[self.rows[self.chosen][LANE]]

    def order(self) -> list[str]:
        """Return the chosen provider and, cheapest first, those that may take over when it fails."""
        rows, costs, names = self.rows, self.costs, self.names
        ranked = sorted(range(len(rows)), key=costs.__getitem__)
        first = names[rows[self.chosen][LANE]]
        return list(dict.fromkeys([first, *[names[rows[at][LANE]] for at in ranked if costs[at] < BARRED]]))

    def row_of(self, provider: str) -> Row | None:
        """Return the row of an admissible candidate, None if the provider was barred or not priced."""
        chosen = self.rows[self.chosen]
        if self.names[chosen[LANE]] == provider:
            return chosen
        for row, cost in zip(self.rows, self.costs, strict=True):
            if self.names[row[LANE]] == provider and cost < BARRED:
                return row
        return None

    def terms(self) -> dict[str, Term]:
        """Return the cost of each admissible candidate taken apart, cheapest first after the chosen one."""
        rows = {self.names[row[LANE]]: row for row in self.rows}
        return {
            provider: take_apart(rows[provider], self.numbers, self.hits.get(rows[provider][LANE], 0))
            for provider in self.order()
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nobody may serve the job: the rule that bars most, how many each bars, and when to ask again.

    `counts` is in the order in which the rules are applied and sums to the offers of the market; each offer is counted
    under the first rule that bars it. `wait_ms` is for `retry-after-ms`; when `retryable` is false no wait would help.
    What was asked for follows, so that each provider can be told later why it was barred.
    """

    job: str
    rule: str
    counts: dict[str, int]
    wait_ms: int
    retryable: bool
    demand: Demand = _ANYTHING
    input_tokens: int = 0
    max_output_tokens: int = 0
    budget_atto: int = 0


def choose(
    rows: Sequence[Row], numbers: Numbers, mask: int, hits: Mapping[int, int], newcomer_turn: bool, tuition: float
) -> tuple[int, list[float]]:
    """Return the index of the winner (-1 for none) and all costs.

    On a newcomers' turn the cheapest newcomer wins, unless its price exceeds `tuition` times the price of the cheapest
    candidate of all: otherwise a stranger could ask any price for the floor that it is guaranteed.
    """
    chosen, costs = price_rows(rows, numbers, mask, hits)
    if not newcomer_turn or chosen < 0 or rows[chosen][GATE] & NEWCOMER:
        return chosen, costs

    def price(at: int) -> float:
        return take_apart(rows[at], numbers, hits.get(rows[at][LANE], 0)).price_atto

    ceiling = tuition * price(chosen)
    newcomers = [at for at, row in enumerate(rows) if row[GATE] & NEWCOMER and costs[at] < BARRED]
    affordable = [at for at in newcomers if price(at) <= ceiling]
    return min(affordable, key=costs.__getitem__, default=chosen), costs
