"""Load the committed artifacts in `contracts/abi`: ABI and creation bytecode of each contract.

A deployment may hold one contract twice under two names (`Verifiers` and `Gateways` are both `BondedOperators`), so
everything here takes the name in the deployment. No web3 here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from contracts.errors import BadDeployment

ARTIFACTS: Mapping[str, str] = {
    "Verifiers": "BondedOperators",
    "Gateways": "BondedOperators",
    "StakeToken": "DevToken",
    "PaymentToken": "DevToken",
}
"""Names in a deployment whose artifact is called otherwise."""

DEPLOYED = (
    "Authority",
    "Timelock",
    "Guardian",
    "StakeToken",
    "PaymentToken",
    "EpochClock",
    "EpochLedger",
    "ProviderStaking",
    "Delegation",
    "JobEscrow",
    "Verifiers",
    "Gateways",
    "SlashingCourt",
    "ChallengeCourt",
)
"""Every name in a whole deployment, in the order of deployment."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract; `bytecode` is its creation code."""

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes

    def entry(self, kind: str, name: str) -> Mapping[str, Any]:
        """Return the one ABI entry of a kind (`function`, `event`, `error`) with a name; raises KeyError."""
        for one in self.abi:
            if one["type"] == kind and one.get("name") == name:
                return one
        raise KeyError(f"{self.name} has no {kind} {name}")

    def entries(self, kind: str) -> tuple[Mapping[str, Any], ...]:
        """Return all ABI entries of a kind."""
        return tuple(one for one in self.abi if one["type"] == kind)


@cache
def artifact(contract: str) -> Artifact:
    """Return the artifact of a contract, by its own name or its name in a deployment; raises BadDeployment."""
    name = ARTIFACTS.get(contract, contract)
    try:
        raw = json.loads((files("contracts") / "abi" / f"{name}.json").read_text())
    except FileNotFoundError:
        raise BadDeployment(f"no artifact of a contract {contract} is installed: reinstall the package") from None
    return Artifact(name, tuple(raw["abi"]), bytes.fromhex(raw["bytecode"].removeprefix("0x")))


def type_of(parameter: Mapping[str, Any]) -> str:
    """Return the canonical type of an ABI parameter, tuples written out: `(address,uint128)[]`."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(type_of(one) for one in parameter["components"]) + ")" + kind[len("tuple") :]


def signature(entry: Mapping[str, Any]) -> str:
    """Return what is hashed to a selector or topic: `deposit(address,uint256)`."""
    return f"{entry['name']}({','.join(type_of(one) for one in entry['inputs'])})"
