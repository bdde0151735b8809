"""What every event of the contracts has: where its log stands. No web3 here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Position:
    """Where a log stands: block, transaction, index in the block, and the contract by its name in the deployment."""

    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int
    contract_name: str


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `CONTRACT` is the artifact and `NAME` the Solidity name where it is not the class's."""

    CONTRACT: ClassVar[str] = ""
    NAME: ClassVar[str] = ""
    at: Position
