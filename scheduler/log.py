"""Write a decision as JSON and compute it again from what was written.

An entry holds the priced rows, the job's numbers and the draws: everything the choice was made from. Floats are written
by their shortest exact form, so that a replay gets the same bits. Barred candidates have no cost (infinity is no JSON).

A refusal is written with its counts and what was asked for. It can be read back and explained, but not computed again:
that would take the gates of every lane of the market.
"""

from __future__ import annotations

from typing import Any, cast

from scheduler.cost import BARRED, LANE, Numbers, Row
from scheduler.decision import Decision, Refusal, choose
from scheduler.errors import BadLogEntry
from scheduler.types import Coefficients, Demand

FORMAT = 2


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
        "demand": _write_demand(decision.demand),
    }


def refusal_entry(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal as plain JSON values."""
    return {
        "format": FORMAT,
        "job": refusal.job,
        "model": refusal.demand.model,
        "refused": {
            "rule": refusal.rule,
            "counts": dict(refusal.counts),
            "wait_ms": refusal.wait_ms,
            "retryable": refusal.retryable,
        },
        "asked": [refusal.input_tokens, refusal.max_output_tokens, str(refusal.budget_atto)],
        "demand": _write_demand(refusal.demand),
    }


def read_refusal(logged: dict[str, Any]) -> Refusal:
    """Return the refusal of an entry; raises `BadLogEntry` when it cannot be read."""
    try:
        _check_format(logged)
        input_tokens, max_output_tokens, budget = logged["asked"]
        return Refusal(
            job=logged["job"],
            demand=_read_demand(logged),
            input_tokens=input_tokens,
            max_output_tokens=max_output_tokens,
            budget_atto=int(budget),
            **logged["refused"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadLogEntry(f"the entry cannot be read: {error!r}") from error


def _write_demand(demand: Demand) -> list[Any]:
    caps = (demand.max_price_in_atto, demand.max_price_out_atto)
    return [sorted(demand.features), demand.region, *(None if cap is None else str(cap) for cap in caps)]


def _read_demand(logged: dict[str, Any]) -> Demand:
    features, region, most_in, most_out = logged["demand"]
    caps = [None if cap is None else int(cap) for cap in (most_in, most_out)]
    return Demand(logged["model"], frozenset(features), region, *caps)


def _check_format(logged: dict[str, Any]) -> None:
    if logged["format"] != FORMAT:
        raise BadLogEntry(f"the entry is of format {logged['format']}, this code reads {FORMAT}")


def replay(logged: dict[str, Any]) -> Decision:
    """Make the decision again from its log entry; its own entry is equal to this one, bit by bit.

    Raises `BadLogEntry` when the entry cannot be read or when the numbers in it do not lead to the choice in it.
    """
    try:
        numbers = cast(Numbers, (*logged["numbers"], cast(Coefficients, tuple(logged["coefficients"]))))
        hits = {lane: tokens for lane, tokens in logged["hits"]}
        rows = [cast(Row, tuple(row)) for row in logged["rows"]]
        newcomer_turn, tuition, mask = logged["newcomer_turn"], logged["tuition"], logged["mask"]
        _check_format(logged)
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
            demand=_read_demand(logged),
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
