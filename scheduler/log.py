"""Write a decision as JSON and compute it again from what was written.

An entry holds the priced rows, the job's numbers and the draws: everything the choice was made from. Floats are written
by their shortest exact form, so that a replay gets the same bits. Barred candidates have no cost (infinity is no JSON).
"""

from __future__ import annotations

from typing import Any, cast

from scheduler.cost import BARRED, LANE, Numbers, Row
from scheduler.decision import Decision, choose
from scheduler.errors import BadLogEntry
from scheduler.types import Coefficients

FORMAT = 1


def entry(decision: Decision) -> dict[str, Any]:
    """Return the decision as plain JSON values."""
    *plain, coefficients = decision.numbers
    return {
        "format": FORMAT,
        "job": decision.job,
        "session": decision.session,
        "model": decision.model,
        "now_ms": decision.now_ms,
        "version": decision.version,
        "numbers": plain,
        "coefficients": list(coefficients),
        "mask": decision.mask,
        "hits": [[lane, tokens] for lane, tokens in decision.hits.items()],
        "rows": [list(row) for row in decision.rows],
        "names": [decision.names[row[LANE]] for row in decision.rows],
        "draws": list(decision.draws),
        "newcomer_turn": decision.newcomer_turn,
        "tuition": decision.tuition,
        "provider": decision.provider,
        "costs": [cost if cost < BARRED else None for cost in decision.costs],
    }


def replay(logged: dict[str, Any]) -> Decision:
    """Make the decision again from its log entry; its own entry is equal to this one, bit by bit.

    Raises `BadLogEntry` when the entry cannot be read or when the numbers in it do not lead to the choice in it.
    """
    try:
        numbers = cast(Numbers, (*logged["numbers"], cast(Coefficients, tuple(logged["coefficients"]))))
        hits = {lane: tokens for lane, tokens in logged["hits"]}
        rows = [cast(Row, tuple(row)) for row in logged["rows"]]
        newcomer_turn, tuition, mask = logged["newcomer_turn"], logged["tuition"], logged["mask"]
        if logged["format"] != FORMAT:
            raise BadLogEntry(f"the entry is of format {logged['format']}, this code reads {FORMAT}")
        chosen, costs = choose(rows, numbers, mask, hits, newcomer_turn, tuition)
        again = Decision(
            job=logged["job"],
            session=logged["session"],
            model=logged["model"],
            now_ms=logged["now_ms"],
            version=logged["version"],
            numbers=numbers,
            mask=mask,
            hits=hits,
            rows=rows,
            draws=tuple(logged["draws"]),
            newcomer_turn=newcomer_turn,
            tuition=tuition,
            chosen=chosen,
            costs=costs,
            names={row[LANE]: name for row, name in zip(rows, logged["names"], strict=True)},
        )
        said = [BARRED if cost is None else cost for cost in logged["costs"]]
        provider = logged["provider"]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadLogEntry(f"the entry cannot be read: {error!r}") from error
    if chosen < 0 or again.provider != provider:
        raise BadLogEntry(
            f"the entry names {provider}, its numbers choose {again.provider if chosen >= 0 else 'nobody'}"
        )
    if costs != said:
        raise BadLogEntry(f"the entry's costs {said} are not those of its rows {costs}")
    return again
