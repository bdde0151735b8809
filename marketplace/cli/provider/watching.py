"""What `bonded provider dashboard` shows: read from the agent beside the engine and from a gateway's public API.

No key and no node are needed. Whatever does not answer is left out and said, and the rest is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.penalty import LEVEL_STEPS, MULTIPLIER_POINTS, STRIKE_WINDOW_EPOCHS, multiplier_ppm
from rewards.score import COMPONENTS, WEIGHTS

_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_HOUR_S = 3_600
ATTO_DECIMALS = 18


@dataclass(frozen=True, slots=True)
class Agent:
    """One look at the agent's metrics: jobs at the engine by model, counters since its start, receipts left over."""

    in_flight: Mapping[str, int]
    attempts: Mapping[str, int]
    refusals: int
    output_tokens: int
    open_receipts: int
    draining: bool


def read_metrics(text: str) -> Agent:
    """Read the agent's exposition of Prometheus metrics."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in _SAMPLE.findall(text):
        plain = {label: re.sub(r"\\(.)", r"\1", text) for label, text in _LABEL.findall(labels)}
        found.setdefault(name, []).append((plain, float(value)))

    def by(name: str, label: str) -> dict[str, int]:
        return {labels[label]: int(value) for labels, value in found.get(name, ())}

    def one(name: str) -> int:
        return sum(int(value) for _, value in found.get(name, ()))

    return Agent(
        in_flight=by("bonded_agent_in_flight", "model"),
        attempts=by("bonded_agent_attempts_total", "status"),
        refusals=one("bonded_agent_refusals_total"),
        output_tokens=by("gen_ai_client_token_usage_total", "gen_ai_token_type").get("output", 0),
        open_receipts=one("bonded_agent_open_receipts"),
        draining=bool(one("bonded_agent_draining")),
    )


@dataclass(frozen=True, slots=True)
class Threshold:
    """An uptime below which something is lost: what, and how many more slots of an epoch may be down before."""

    uptime_ppm: int
    loses: str
    slots_left: int


def thresholds(uptime_ppm: int, slots: int) -> tuple[Threshold, ...]:
    """Return the thresholds that lie below an uptime, the nearest first.

    Uptime 990000 of 1,440 slots: 15 are down, with 28 down it is still 980000, so 13 more may be down before a strike
    and a multiplier below 1. The slash levels hold for whoever is more than three points below the median.
    """
    down = slots - slots * uptime_ppm // 1_000_000
    losses: dict[int, list[str]] = {}
    for at, _ in MULTIPLIER_POINTS:
        if at <= uptime_ppm:
            losses.setdefault(at, []).append(f"multiplier {multiplier_ppm(at) / 1e6:.2f} and falling")
    for below, level in LEVEL_STEPS:
        if below <= uptime_ppm:
            losses.setdefault(below, []).append("a strike" if level == 1 else f"slash level {level}")
    return tuple(
        Threshold(at, ", ".join(losses[at]), slots - -(-slots * at // 1_000_000) - down)
        for at in sorted(losses, reverse=True)
    )


def strikes(history: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """Return the epochs that brought a strike and the first epoch in which each is forgotten."""
    newest = history[0]["epoch"] if history else 0
    return [
        {"epoch": row["epoch"], "level": row["slash_level"], "forgotten_from": row["epoch"] + STRIKE_WINDOW_EPOCHS}
        for row in history
        if row["slash_level"] and row["epoch"] + STRIKE_WINDOW_EPOCHS > newest
    ]


def per_hour(history: Sequence[Mapping[str, Any]], epoch_s: int, decimals: int, cost: float) -> dict[str, float | None]:
    """Return what the newest epochs brought and cost, in whole payment tokens an hour; `left` is earned less cost."""
    if not history or epoch_s <= 0:
        return {"earned": None, "cost": cost, "left": None}
    units = sum(int(row["fees_units"]) + int(row["incentive_units"]) for row in history)
    earned = units / 10**decimals / len(history) / epoch_s * _HOUR_S
    return {"earned": earned, "cost": cost, "left": earned - cost}


def summary(
    detail: Mapping[str, Any] | None,
    status: Mapping[str, Any] | None,
    agent: Agent | None,
    before: tuple[Agent, float] | None,
    now: float,
    cost: float,
) -> dict[str, Any]:
    """Put together what is shown. `before`: the look before this one and when it was, for tokens a second."""
    facts: dict[str, Any] = {"agent": None, "market": None, "waiting": []}
    if agent is not None:
        pace = None
        if before is not None and now > before[1]:
            pace = max(0, agent.output_tokens - before[0].output_tokens) / (now - before[1])
        facts["agent"] = {
            "in_flight": dict(agent.in_flight),
            "tokens_per_second": pace,
            "attempts": dict(agent.attempts),
            "refusals": agent.refusals,
            "open_receipts": agent.open_receipts,
            "draining": agent.draining,
        }
    if detail is not None and status is not None:
        facts["market"] = _market(detail, status, cost)
        facts["waiting"] = [line for line in status["lines"] if line["model"] in detail["row"]["models"]]
    return facts


def _market(detail: Mapping[str, Any], status: Mapping[str, Any], cost: float) -> dict[str, Any]:
    row, history = detail["row"], detail["history"]
    newest = history[0] if history else None
    slots = max(1, status["epoch_s"] // max(1, status["slot_s"]))
    return {
        "provider": row["provider"],
        "status": row["status"],
        "problem": row["problem"],
        "epoch": status["epoch"],
        "score_ppm": row["score_ppm"],
        "parts": _parts(newest),
        "thresholds": [
            {"uptime_ppm": one.uptime_ppm, "loses": one.loses, "slots_left": one.slots_left}
            for one in (thresholds(newest["uptime_ppm"], slots) if newest else ())
        ],
        "per_hour": per_hour(history, status["epoch_s"], status["payment_decimals"], cost),
        "token": status["payment_symbol"],
        "stake_units": row["stake_units"],
        "required_units": row["required_units"],
        "stake_decimals": status["stake_decimals"],
        "stake_token": status["stake_symbol"],
        "strikes": strikes(history),
        "slashes": [one for one in detail["slashes"] if not one["state"].endswith(("executed", "cancelled"))],
    }


def _parts(newest: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if newest is None:
        return []
    measured = {name: newest.get(f"{name}_ppm") for name in COMPONENTS}
    return [
        {"part": name, "measured_ppm": measured[name], "weight_percent": weight}
        for name, weight in zip(COMPONENTS, WEIGHTS, strict=True)
    ]
