"""Money without a chain: what the indexer would have entered, and a gateway's accounts over a journal."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from contracts.types import Timing
from marketplace.accounts import Accounts
from marketplace.chain_ledger import post_events
from marketplace.db import Database
from marketplace.drain import Drainer
from marketplace.journal import Journal
from marketplace.models import chain_events
from rewards.testing import Network
from rewards.types import Attempt

UNIT = 10**12
GATEWAY = "0x" + "9a" * 20
TIMING = Timing(1_000, 1, 60)
NETWORK = Network()
PROVIDER = NETWORK.provider_names[0]
_numbers = itertools.count(1)


def new_customer() -> str:
    """Return an address nobody has used."""
    return "0x" + secrets.token_hex(20)


async def chain_says(database: Database, name: str, **fields: Any) -> None:
    """Enter a final event of JobEscrow, amounts in token units, as the indexer does."""
    number = next(_numbers)
    told = {key: str(value) for key, value in fields.items()}
    key = f"chain:test:{secrets.token_hex(4)}:{number}"
    async with database.begin() as connection:
        if name == "CapSet":
            await connection.execute(
                insert(chain_events).values(
                    block_number=number,
                    block_hash=secrets.token_bytes(32),
                    tx_hash=secrets.token_bytes(32),
                    log_index=0,
                    contract="JobEscrow",
                    name=name,
                    fields=told,
                )
            )
        else:
            await post_events(connection, [(key, name, told)], UNIT)


async def fund(database: Database, customer: str, units: int) -> None:
    """Deposit for a customer, and let everything of it be charged in any epoch."""
    await chain_says(database, "Deposited", customer=customer, amount=units, balance_after=units)
    await chain_says(database, "CapSet", customer=customer, cap=10**30, from_epoch=0)


@dataclass
class Till:
    """One life of a gateway process: its journal, drainer and accounts. `slot` is the slot it believes to be in."""

    database: Database
    folder: Path
    slot: int = 0

    async def open(self) -> Till:
        """Start: drain what a former life left, void its holds, load."""
        self.journal = Journal(self.folder)
        self.drainer = Drainer(self.database, self.journal, GATEWAY, TIMING, lambda: self.slot, self.recountersign)
        self.accounts = Accounts(self.database, self.journal, TIMING, UNIT, lambda: self.slot)
        self.voided = await self.drainer.recover()
        await self.accounts.load()
        return self

    def attempt(self, customer: str, job: bytes, charge_atto: int, number: int = 0) -> Attempt:
        """Sign an attempt as provider and gateway would."""
        return NETWORK.attempt(PROVIDER, customer, self.slot, job=job, attempt=number, charge_atto=charge_atto)

    def recountersign(self, attempt: Attempt) -> Attempt:
        """Countersign anew with the slot of this moment."""
        receipt = attempt.receipt
        return NETWORK.attempt(
            receipt.provider,
            attempt.countersignature.customer,
            self.slot,
            job=receipt.job,
            attempt=receipt.attempt,
            charge_atto=receipt.charge_atto,
        )
