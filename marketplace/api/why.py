"""Say why a provider was chosen: every candidate's expected cost in money, taken apart into what it stands for."""

from __future__ import annotations

from typing import Any

from scheduler.cost import LANE
from scheduler.decision import Decision

PARTS = ("price", "ttft", "pace", "miss", "failure", "curiosity")


def why(decision: Decision) -> dict[str, Any]:
    """Return a decision for people: who was chosen by which rule, and the candidates, the chosen one first.

    Amounts are whole atto as decimal strings. What curiosity adds is never above zero: it is a rebate on the unknown.
    """
    terms = decision.terms()
    priced = {decision.names[row[LANE]] for row in decision.rows}
    newcomer = decision.newcomer_turn and decision.costs[decision.chosen] > min(decision.costs)
    return {
        "job": "0x" + decision.job,
        "model": decision.model,
        "chosen": decision.provider,
        "rule": "a newcomer's turn" if newcomer else "the lowest expected cost",
        "barred": len(priced) - len(terms),
        "candidates": [
            {
                "provider": provider,
                **{f"{part}_atto": str(round(getattr(term, f"{part}_atto"))) for part in (*PARTS, "total")},
                "ttft_ms": round(term.ttft_ms),
                "itl_us": round(term.itl_ms * 1000),
                "success_ppm": round(term.rho * 1_000_000),
            }
            for provider, term in terms.items()
        ],
    }
