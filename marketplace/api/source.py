"""What all queries of the API share: the services they read from, and the tokens' facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.tokens import Token
from marketplace.gateway.services import Services
from marketplace.models import chain_events


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Decimals and symbols of payment and stake token."""

    payment_decimals: int
    stake_decimals: int
    payment_symbol: str
    stake_symbol: str


class Source:
    """One gateway's database and memory."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.database = services.database
        self.timing = services.timing
        self._tokens: TokenFacts | None = None

    async def tokens(self) -> TokenFacts:
        """Return the tokens' facts; they never change, so the chain is asked once."""
        if self._tokens is None:
            chain = self.services.chain
            head = await chain.head()
            pay, stake = Token(chain, "PaymentToken"), Token(chain, "StakeToken")
            self._tokens = TokenFacts(
                await pay.decimals(head), await stake.decimals(head), await pay.symbol(head), await stake.symbol(head)
            )
        return self._tokens

    def epoch(self) -> int:
        """Return the running epoch."""
        return self.timing.epoch_of_slot(self.services.desk.slot())


async def events_named(connection: AsyncConnection, *names: str) -> list[Any]:
    """Return the final events of these names in chain order: rows with `name`, `fields` and `tx_hash`."""
    found = await connection.execute(
        select(chain_events.c.name, chain_events.c.fields, chain_events.c.tx_hash)
        .where(chain_events.c.name.in_(names))
        .order_by(chain_events.c.id)
    )
    return list(found.all())


def transaction(row: Any) -> str:
    """Return the hash of a row's transaction as text."""
    return "0x" + bytes(row.tx_hash).hex()
