"""Turn what the chain says about customers' money into transfers of the ledger, and take it back again.

Only final events come here. A reorganisation deeper than the finality an operator chose can still take one back; then
each of its transfers is answered by an opposite one. What a charge took is given back into `restored`, which counts
as `accrued`, so that the sums ever used and ever charged stay true. A charge of a cancelled report comes back the same
way: it was used, and is charged again with the report that is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import event_types as events
from marketplace.ledger import ESCROW, Transfer, account, post
from marketplace.models import balances, transfers

_ROUTES: Mapping[str, tuple[str, str]] = {
    events.Deposited.__name__: (ESCROW, "available"),
    events.WithdrawalRequested.__name__: ("available", "thawing"),
    events.WithdrawalCancelled.__name__: ("thawing", "available"),
    events.EscrowWithdrawn.__name__: ("thawing", ESCROW),
    events.Charged.__name__: ("accrued", ESCROW),
    events.ChargeReturned.__name__: (ESCROW, "restored"),
    events.Credited.__name__: (ESCROW, "available"),
}
MONEY_EVENTS = frozenset(_ROUTES)
"""Names of the events that move customers' money."""


async def post_events(
    connection: AsyncConnection, found: Sequence[tuple[str, str, Mapping[str, Any]]], unit_atto: int
) -> None:
    """Post events in their order: (key prefix, name, fields). Amounts in fields are token units as decimal strings."""
    thawing = await _thawing(connection, {str(fields["customer"]) for _, _, fields in found})
    made: list[Transfer] = []
    for prefix, name, fields in found:
        made += _transfers(prefix, name, fields, unit_atto, thawing)
    await post(connection, made)


async def take_back(connection: AsyncConnection, prefixes: Iterable[str]) -> int:
    """Answer every transfer of these events by its opposite; returns how many."""
    made = []
    for prefix in prefixes:
        found = await connection.execute(
            select(transfers.c.key, transfers.c.debit, transfers.c.credit, transfers.c.amount)
            .where(transfers.c.key.startswith(prefix + ":", autoescape=True))
            .order_by(transfers.c.id.desc())
        )
        made += [Transfer(f"undo:{key}", credit, _restored(debit), int(amount)) for key, debit, credit, amount in found]
    return await post(connection, made)


def _transfers(
    prefix: str, name: str, fields: Mapping[str, Any], unit_atto: int, thawing: dict[str, int]
) -> list[Transfer]:
    customer, amount = str(fields["customer"]), int(fields["amount"]) * unit_atto
    source, target = _ROUTES[name]
    debit, credit = (side if side == ESCROW else account(customer, side) for side in (source, target))
    made = [Transfer(f"{prefix}:{name}", debit, credit, amount)]
    thawing[customer] += amount * ((target == "thawing") - (source == "thawing"))
    if source == "accrued":
        # the escrow thaws no more than it holds: what a charge leaves too little for thaws no longer
        excess = thawing[customer] - int(fields["balance_after"]) * unit_atto
        if excess > 0:
            thaw, free = account(customer, "thawing"), account(customer, "available")
            made.append(Transfer(f"{prefix}:thaw-cut", thaw, free, excess))
            thawing[customer] -= excess
    return made


async def _thawing(connection: AsyncConnection, customers: set[str]) -> dict[str, int]:
    names = {account(customer, "thawing"): customer for customer in customers}
    found = await connection.execute(
        select(balances.c.account, balances.c.credits - balances.c.debits).where(balances.c.account.in_(names))
    )
    return dict.fromkeys(customers, 0) | {names[name]: int(net) for name, net in found}


def _restored(name: str) -> str:
    return name.removesuffix("accrued") + "restored" if name.endswith(":accrued") else name
