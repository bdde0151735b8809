"""Read the parameter file of a deployment and refuse what cannot be meant, before anything is sent.

Each contract checks its own parameters again, against bounds that are constants in its code; here stand the checks that
need more than one contract, and those that catch a slip of the pen. docs/protocol.md explains each value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ONE_MILLION = 1_000_000
TOKENS = {"StakeToken": "stake_token", "PaymentToken": "payment_token"}
DEV_TOKEN = ("name", "symbol", "decimals")
# every group of the parameter file and every number in it, in the order of the Solidity struct it becomes
OPERATORS = ("bond", "most", "least", "quorum", "unbonding_seconds")
NUMBERS = {
    "clock": ("slot_seconds", "slots_per_epoch", "activation_delay_seconds", "report_delay_seconds"),
    "rules": (
        *("provider_ppm", "verifier_ppm", "sla_fund_ppm", "treasury_ppm"),
        *("incentive_per_epoch", "stake_rate", "ttft_target_ms", "probe_gap_slots"),
    ),
    "limits": ("most_charged", "growth_floor", "most_per_provider", "most_growth_ppm", "most_slashed_ppm"),
    "staking": ("unbonding_seconds", "base_stake", "notice_seconds", "maintenance_seconds"),
    "escrow": ("thaw_seconds",),
    "verifiers": OPERATORS,
    "gateways": OPERATORS,
    "court": ("challenge_seconds", "arbitration_seconds", "margin_seconds", "least_bond"),
}
GOVERNANCE_NUMBERS = ("timelock_seconds", "role_delay_seconds", "most_pause_seconds")
GOVERNANCE = ("administrator", *GOVERNANCE_NUMBERS, "proposers", "executors", "guardian", "arbitrator")


class DeploymentError(Exception):
    """The deployment cannot go on; the message says what to change."""


def read_parameters(path: Path) -> dict[str, Any]:
    """Read the parameter file and check what no single contract can see; raises DeploymentError."""
    try:
        p: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DeploymentError(f"{path.name} cannot be read as JSON: {error}") from None
    names = {*TOKENS.values(), "governance", "treasury", "open_after_seconds", *NUMBERS}
    _same_names(path.name, p, names)
    for key in TOKENS.values():
        if p[key] is None or p[key] == {"address": None}:
            raise DeploymentError(f"{path.name} leaves {key} open: write it there before deploying.")
        if "deploy" in p[key]:
            _same_names(f"{path.name}: {key}", p[key], {"deploy"})
            _same_names(f"{path.name}: {key}.deploy", p[key]["deploy"], set(DEV_TOKEN))
        else:
            _same_names(f"{path.name}: {key}", p[key], {"address"})
            _address(f"{key}.address", p[key]["address"], ())
    for group, numbers in NUMBERS.items():
        _same_names(f"{path.name}: {group}", p[group], set(numbers))
        for name in numbers:
            _number(f"{group}.{name}", p[group][name])
    if p["open_after_seconds"] is not None:
        _number("open_after_seconds", p["open_after_seconds"])
    _check_governance(path.name, p)
    _check_together(p)
    return p


def _same_names(where: str, found: Any, expected: set[str]) -> None:
    if not isinstance(found, dict):
        raise DeploymentError(f"{where} has to be an object with the names {', '.join(sorted(expected))}.")
    missing, unknown = sorted(expected - found.keys()), sorted(found.keys() - expected)
    if missing:
        raise DeploymentError(f"{where} leaves {missing[0]} open: write it there before deploying.")
    if unknown:
        raise DeploymentError(f"{where} names {unknown[0]}, which nothing reads: correct the name or take it out.")


def _number(name: str, value: Any) -> None:
    if type(value) is not int or value < 0:
        raise DeploymentError(f"{name} is {value!r}, but must be a whole number, not negative.")


def _address(name: str, value: Any, words: Sequence[str]) -> None:
    """Refuse what is neither one of `words` nor an address that somebody can hold."""
    from eth_utils import is_checksum_address

    if value is None:
        raise DeploymentError(f"The parameters leave {name} open: write it there before deploying.")
    if value in words:
        return
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", value) or int(value, 16) == 0:
        raise DeploymentError(f"{name} is {value!r}, which is not an address{''.join(f' or {w!r}' for w in words)}.")
    if value != value.lower() and not is_checksum_address(value):
        raise DeploymentError(f"{name} is {value}, whose checksum is wrong: a digit was mistyped.")


def _check_governance(file: str, p: Mapping[str, Any]) -> None:
    g = p["governance"]
    _same_names(f"{file}: governance", g, set(GOVERNANCE))
    for name in GOVERNANCE_NUMBERS:
        _number(f"governance.{name}", g[name])
    if g["administrator"] not in ("deployer", "timelock"):
        raise DeploymentError(f"governance.administrator is {g['administrator']!r}, but must be deployer or timelock.")
    for name in ("guardian", "arbitrator"):
        _address(f"governance.{name}", g[name], ("deployer",))
    for name, words in (("proposers", ("deployer",)), ("executors", ("deployer", "anybody"))):
        if not isinstance(g[name], list) or not g[name]:
            raise DeploymentError(
                f"governance.{name} is {g[name]!r}: without any, nothing could ever pass the timelock. Write a list."
            )
        for who in g[name]:
            _address(f"governance.{name}", who, words)
        if len(set(map(str.lower, g[name]))) != len(g[name]):
            raise DeploymentError(f"governance.{name} names somebody twice.")
    _address("treasury", p["treasury"], ("deployer",))


def _check_together(p: Mapping[str, Any]) -> None:
    """Refuse parameters that do not fit together."""
    shares = sum(p["rules"][name] for name in NUMBERS["rules"][:4])
    if shares != ONE_MILLION:
        raise DeploymentError(f"The four shares of rules sum to {shares} ppm, but must sum to {ONE_MILLION}.")
    clock, court = p["clock"], p["court"]
    report = clock["slot_seconds"] * clock["slots_per_epoch"] + clock["report_delay_seconds"]
    settlement = report + clock["activation_delay_seconds"]
    judged = settlement + court["challenge_seconds"] + court["arbitration_seconds"] + court["margin_seconds"]
    reach = judged + p["governance"]["most_pause_seconds"]
    _at_least("escrow.thaw_seconds", p["escrow"]["thaw_seconds"], report + report // 5)
    _at_least("staking.unbonding_seconds", p["staking"]["unbonding_seconds"], reach)
    _at_least("verifiers.unbonding_seconds", p["verifiers"]["unbonding_seconds"], reach)
    _at_least("verifiers.quorum (a majority of `most`)", p["verifiers"]["quorum"], p["verifiers"]["most"] // 2 + 1)
    _at_least("limits.most_charged", p["limits"]["most_charged"], p["limits"]["growth_floor"])


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise DeploymentError(f"{name} is {value}, but must be at least {least} with the other parameters as they are.")
