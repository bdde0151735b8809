"""The double-entry ledger, in atto: append-only transfers between named accounts, each posted once under its key.

Accounts of a customer: `available`, `held`, `accrued` (used, not charged on chain yet), `thawing`. Their sum is what
lies in escrow on chain, in atto; the account `escrow` is its mirror, so all accounts together are always zero. A fifth,
`restored`, holds what charges took and a cancelled report gave back, or a reorganisation undid; it counts as accrued.

    deposit      escrow → available          request withdrawal   available → thawing
    hold         available → held            withdrawal           thawing → escrow
    post         held → accrued, the rest held → available
    void         held → available            charge on chain      accrued → escrow
    credit       escrow → available          charge returned      escrow → restored

A charge is whole token units; what is left in `accrued` afterwards, less than one unit, is the customer's carry.
Balances are kept by a trigger of the database, which also refuses to change or delete a transfer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.bulk import arrays_of, insert_new
from marketplace.errors import BondedError
from marketplace.models import balances, holds, transfers

ESCROW = "escrow"
_RESOLVE = text(
    f"UPDATE ledger_holds AS h SET resolution = v.resolution "  # noqa: S608 (names of our own columns)
    f"FROM {arrays_of(holds, ('job', 'resolution', 'amount'))} AS v (job, resolution, spent) "
    "WHERE h.job = v.job AND h.resolution IS NULL AND v.spent <= h.amount RETURNING h.job, h.customer, h.amount"
)


class LedgerRefused(BondedError):
    """A posting contradicts the ledger; nothing was written."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move `amount` atto from `debit` to `credit`, once for ever under `key`."""

    key: str
    debit: str
    credit: str
    amount: int


def account(customer: str, part: str) -> str:
    """Name a customer's account."""
    return f"customer:{customer}:{part}"


@dataclass(frozen=True, slots=True)
class CustomerBooks:
    """A customer's accounts in atto. `credited` and `charged` are the sums ever moved into and out of `accrued`."""

    customer: str
    available: int
    held: int
    accrued: int
    thawing: int
    credited: int
    charged: int

    @property
    def escrow(self) -> int:
        """Return what must lie in escrow on chain for this customer."""
        return self.available + self.held + self.accrued + self.thawing


async def post(connection: AsyncConnection, entries: Iterable[Transfer]) -> int:
    """Write transfers; those whose key is known are left out. Returns how many were new.

    Raises LedgerRefused when a known key names other accounts or another amount.
    """
    rows = [
        {"key": one.key, "debit": one.debit, "credit": one.credit, "amount": one.amount}
        for one in entries
        if one.amount > 0
    ]
    written = await insert_new(connection, transfers, rows, ["key"])
    known = [row for row in rows if row["key"] not in written]
    if known:
        await _check_same(connection, known)
    return len(written)


async def _check_same(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    found = await connection.execute(
        select(transfers.c.key, transfers.c.debit, transfers.c.credit, transfers.c.amount).where(
            transfers.c.key.in_([row["key"] for row in rows])
        )
    )
    stored = {key: (debit, credit, int(amount)) for key, debit, credit, amount in found}
    for row in rows:
        wanted = (row["debit"], row["credit"], row["amount"])
        if stored[row["key"]] != wanted:
            raise LedgerRefused(f"{row['key']} was posted as {stored[row['key']]}, not {wanted}")


async def open_holds(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Enter holds (job, gateway, customer, amount) and move their amounts; known jobs are left out."""
    new = {bytes(job) for job in await insert_new(connection, holds, rows, ["job"])}
    await post(
        connection,
        [
            Transfer(
                f"hold:{row['job'].hex()}",
                account(row["customer"], "available"),
                account(row["customer"], "held"),
                int(row["amount"]),
            )
            for row in rows
            if row["job"] in new
        ],
    )


async def resolve_holds(connection: AsyncConnection, charges: Mapping[bytes, int | None]) -> int:
    """Post each job's hold with its charge, or void it (None); once. Returns how many were resolved by this.

    Those that were resolved the same way before are left out. Raises LedgerRefused for an unknown hold, a charge above
    it, or one that was resolved the other way.
    """
    if not charges:
        return 0
    found = await connection.execute(
        _RESOLVE,
        {
            "job": list(charges),
            "resolution": ["voided" if charge is None else "posted" for charge in charges.values()],
            "amount": [charge or 0 for charge in charges.values()],
        },
    )
    resolved = {bytes(row.job): row for row in found}
    left = [job for job in charges if job not in resolved]
    if left:
        await _check_resolved(connection, {job: charges[job] for job in left})
    entries = []
    for job, row in resolved.items():
        spent, held = charges[job] or 0, account(row.customer, "held")
        entries.append(Transfer(f"post:{job.hex()}", held, account(row.customer, "accrued"), spent))
        entries.append(Transfer(f"rest:{job.hex()}", held, account(row.customer, "available"), int(row.amount) - spent))
    await post(connection, entries)
    return len(resolved)


async def resolve_hold(connection: AsyncConnection, job: bytes, charge: int | None) -> bool:
    """Resolve one hold, as `resolve_holds` does. Returns False when it was resolved this way before."""
    return bool(await resolve_holds(connection, {job: charge}))


async def _check_resolved(connection: AsyncConnection, charges: Mapping[bytes, int | None]) -> None:
    query = select(holds.c.job, holds.c.amount, holds.c.resolution).where(holds.c.job.in_(list(charges)))
    stored = {bytes(row.job): row for row in await connection.execute(query)}
    for job, charge in charges.items():
        row, resolution = stored.get(job), "voided" if charge is None else "posted"
        if row is None:
            raise LedgerRefused(f"there is no hold for job {job.hex()}")
        if row.resolution is None:
            raise LedgerRefused(f"the hold for job {job.hex()} is {int(row.amount)} atto, the charge {charge}")
        if row.resolution != resolution:
            raise LedgerRefused(f"the hold for job {job.hex()} is {row.resolution}, it cannot be {resolution} too")


async def stale_holds(connection: AsyncConnection, gateway: str) -> list[bytes]:
    """Return the jobs whose holds this gateway left open."""
    found = await connection.execute(
        select(holds.c.job).where(holds.c.gateway == gateway, holds.c.resolution.is_(None))
    )
    return [bytes(job) for (job,) in found]


async def customer_books(connection: AsyncConnection) -> dict[str, CustomerBooks]:
    """Return every customer's accounts."""
    found = await connection.execute(
        select(balances.c.account, balances.c.credits, balances.c.debits).where(balances.c.account.like("customer:%"))
    )
    parts: dict[str, dict[str, tuple[int, int]]] = {}
    for name, credits, debits in found:
        _, customer, part = name.split(":")
        parts.setdefault(customer, {})[part] = (int(credits), int(debits))
    return {customer: _books(customer, rows) for customer, rows in parts.items()}


def _books(customer: str, rows: dict[str, tuple[int, int]]) -> CustomerBooks:
    net = {part: credits - debits for part, (credits, debits) in rows.items()}
    credited, charged = rows.get("accrued", (0, 0))
    restored = net.get("restored", 0)
    return CustomerBooks(
        customer=customer,
        available=net.get("available", 0),
        held=net.get("held", 0),
        accrued=net.get("accrued", 0) + restored,
        thawing=net.get("thawing", 0),
        credited=credited,
        charged=charged - restored,
    )


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Sums over the whole ledger: balances as kept by the trigger, and the same computed from every transfer."""

    debits: int
    credits: int
    transferred: int
    escrow: int
    wrong_accounts: tuple[str, ...]


async def trial_balance(connection: AsyncConnection) -> TrialBalance:
    """Recompute every balance from the transfers and compare with what is kept."""
    sums = (
        await connection.execute(
            select(func.coalesce(func.sum(balances.c.debits), 0), func.coalesce(func.sum(balances.c.credits), 0))
        )
    ).one()
    total = (await connection.execute(select(func.coalesce(func.sum(transfers.c.amount), 0)))).scalar_one()
    wrong = await connection.execute(
        text(
            """
            WITH moved AS (
              SELECT account, sum(credit) AS credits, sum(debit) AS debits FROM (
                SELECT credit AS account, amount AS credit, 0 AS debit FROM ledger_transfers
                UNION ALL SELECT debit, 0, amount FROM ledger_transfers) AS both_sides GROUP BY account)
            SELECT coalesce(m.account, b.account) FROM moved m FULL JOIN ledger_balances b ON m.account = b.account
            WHERE m.credits IS DISTINCT FROM b.credits OR m.debits IS DISTINCT FROM b.debits
            """
        )
    )
    mirror = (
        await connection.execute(select(balances.c.debits - balances.c.credits).where(balances.c.account == ESCROW))
    ).scalar()
    return TrialBalance(int(sums[0]), int(sums[1]), int(total), int(mirror or 0), tuple(name for (name,) in wrong))
