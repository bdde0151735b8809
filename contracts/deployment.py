"""Know where a deployment's contracts are: the file that `scripts/deploy.py` writes. No web3 here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from contracts.errors import BadAddress, BadDeployment
from contracts.messages import Domain
from contracts.signing import normal_address


@dataclass(frozen=True, slots=True)
class Deployment:
    """Chain, first block, addresses by name (`contracts.abi.DEPLOYED`) and the parameters deployed with."""

    chain_id: int
    block: int
    contracts: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | str) -> Deployment:
        """Read a deployment file; raises BadDeployment."""
        try:
            text = Path(path).read_text()
        except OSError as error:
            raise BadDeployment(
                f"{path} cannot be read ({error.strerror}): deploy first, or name another file"
            ) from None
        return cls.from_json(text, str(path))

    @classmethod
    def for_chain(cls, chain_id: int) -> Deployment:
        """Return the deployment that the package carries for a chain; raises BadDeployment."""
        source = files("contracts") / "deployments" / f"{chain_id}.json"
        try:
            return cls.from_json(source.read_text(), f"the deployment of chain {chain_id}")
        except FileNotFoundError:
            raise BadDeployment(f"no deployment on chain {chain_id} is known: give the file of one") from None

    @classmethod
    def find(cls, path: Path | str | None, chain_id: int | None) -> Deployment:
        """Read the file if one is named, else the deployment of the chain; raises BadDeployment."""
        if path is not None:
            return cls.read(path)
        if chain_id is not None:
            return cls.for_chain(chain_id)
        raise BadDeployment("give a deployment file, or the id of a chain that has one")

    @classmethod
    def bare(cls, chain_id: int) -> Deployment:
        """Return a deployment of nothing, to connect to a chain before anything is deployed on it."""
        return cls(chain_id, 0, {})

    @classmethod
    def from_json(cls, text: str, origin: str) -> Deployment:
        """Read a deployment's JSON; `origin` is named in what BadDeployment says."""
        try:
            raw = json.loads(text)
            named = {str(name): normal_address(address) for name, address in raw["contracts"].items()}
            return cls(int(raw["chain_id"]), int(raw["block"]), named, raw.get("parameters", {}))
        except (ValueError, KeyError, TypeError, AttributeError, BadAddress) as error:
            raise BadDeployment(f"{origin} is no deployment file ({error!r}): write it anew by deploying") from error

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps(
            {
                "chain_id": self.chain_id,
                "block": self.block,
                "contracts": dict(self.contracts),
                "parameters": dict(self.parameters),
            },
            indent=2,
        )

    def write(self, path: Path | str) -> None:
        """Write the deployment file."""
        Path(path).write_text(self.to_json() + "\n")

    def address(self, name: str) -> str:
        """Return the address of a contract by its name; raises BadDeployment."""
        try:
            return self.contracts[name]
        except KeyError:
            raise BadDeployment(
                f"the deployment on chain {self.chain_id} has no {name}: its file is of another version"
            ) from None

    def name_of(self, address: str) -> str | None:
        """Return the name of the contract at an address, or None for a stranger's."""
        wanted = address.lower()
        return next((name for name, found in self.contracts.items() if found == wanted), None)

    def domain(self) -> Domain:
        """Return the EIP-712 domain of every message of this deployment."""
        return Domain(self.chain_id, self.address("EpochLedger"))
