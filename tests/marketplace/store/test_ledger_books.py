"""Whatever is held, posted, voided, charged, thawed or interrupted: the books stay those of a dict beside them."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from marketplace.accounts import BalanceTooLow, CapReached, Hold, HoldResolved
from marketplace.chain_ledger import post_events, take_back
from marketplace.db import Database
from marketplace.journal import Kind, Line
from marketplace.ledger import (
    ESCROW,
    LedgerRefused,
    Transfer,
    account,
    customer_books,
    open_holds,
    post,
    resolve_hold,
    trial_balance,
)
from marketplace.models import attempts, epoch_steps, holds, transfers, watermarks
from tests.marketplace.store.town import GATEWAY, TIMING, UNIT, Till, chain_says, fund, new_customer


@dataclass
class Mirror:
    """The same customer's money as plain numbers."""

    free: int = 0
    thawing: int = 0
    accrued: int = 0
    holds: list[Hold] = field(default_factory=list)

    @property
    def held(self) -> int:
        return sum(hold.most_atto for hold in self.holds)

    @property
    def escrow(self) -> int:
        return self.free + self.thawing + self.accrued + self.held


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "deposit",
                "hold",
                "hold",
                "hold",
                "post",
                "post",
                "void",
                "drain",
                "crash",
                "thaw",
                "cancel",
                "charge",
                "credit",
            ]
        ),
        st.integers(0, 10**6),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_interleaving_leaves_the_books_of_a_dict(empty_url: str, steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(empty_url, Path(folder), steps))


async def _play(url: str, folder: Path, steps: list[tuple[str, int]]) -> None:
    database = await Database.open(url, folder)
    customer, mirror = new_customer(), Mirror()
    try:
        await fund(database, customer, 5)
        mirror.free = 5 * UNIT
        till = await Till(database, folder / "journal").open()
        for name, number in steps:
            till = await _step(till, customer, mirror, name, number)
            _compare_memory(till, customer, mirror)
        await till.drainer.drain()
        await till.accounts.refresh()
        _compare_memory(till, customer, mirror)
        async with database.begin() as connection:
            books = (await customer_books(connection))[customer]
            found = await trial_balance(connection)
            escrow = sum(one.escrow for one in (await customer_books(connection)).values())
        assert (books.available, books.held, books.accrued, books.thawing) == (
            mirror.free,
            mirror.held,
            mirror.accrued,
            mirror.thawing,
        )
        assert found.wrong_accounts == ()
        assert found.debits == found.credits == found.transferred
        assert found.escrow == escrow
        till.journal.close()
    finally:
        await database.close()


def _compare_memory(till: Till, customer: str, mirror: Mirror) -> None:
    balance = till.accounts.balance(customer)
    assert balance.available_atto == mirror.free
    assert balance.held_atto == mirror.held
    assert balance.thawing_atto == mirror.thawing
    assert balance.uncharged_atto == mirror.accrued
    assert balance.escrow_atto == mirror.escrow


async def _step(till: Till, customer: str, mirror: Mirror, name: str, number: int) -> Till:
    database, accounts = till.database, till.accounts
    share = number / 10**6
    if name == "hold":
        amount = int(share * 2 * UNIT) + 1
        if amount > mirror.free:
            with pytest.raises(BalanceTooLow):
                accounts.hold(customer, secrets.token_bytes(32), amount, 0.0)
        else:
            mirror.holds.append(accounts.hold(customer, secrets.token_bytes(32), amount, 0.0))
            mirror.free -= amount
    elif name in ("post", "void") and mirror.holds:
        hold = mirror.holds.pop(number % len(mirror.holds))
        charge = int(share * hold.most_atto) if name == "post" else 0
        if name == "post":
            accounts.post(hold, till.attempt(customer, hold.job, charge))
        else:
            accounts.void(hold)
        for again in (lambda: accounts.void(hold), lambda: accounts.post(hold, till.attempt(customer, hold.job, 0))):
            with pytest.raises(HoldResolved):
                again()
        mirror.accrued += charge
        mirror.free += hold.most_atto - charge
    elif name == "drain":
        assert await till.drainer.drain() >= 0
    elif name == "crash":  # what the process held open nobody can resolve any more
        till.journal.close()
        mirror.free += mirror.held
        fresh = await Till(database, till.folder).open()
        assert fresh.voided == len(mirror.holds)
        mirror.holds.clear()
        return fresh
    elif name in ("deposit", "credit"):
        event = "Deposited" if name == "deposit" else "Credited"
        await chain_says(database, event, customer=customer, amount=number, balance_after=0)
        mirror.free += number * UNIT
    elif name == "thaw" and mirror.free >= UNIT:
        units = max(1, int(share * (mirror.free // UNIT)))
        await chain_says(database, "WithdrawalRequested", customer=customer, amount=units)
        mirror.free -= units * UNIT
        mirror.thawing += units * UNIT
    elif name == "cancel" and mirror.thawing:
        event = "WithdrawalCancelled" if number % 2 else "EscrowWithdrawn"
        await chain_says(database, event, customer=customer, amount=mirror.thawing // UNIT)
        mirror.free += mirror.thawing if number % 2 else 0
        mirror.thawing = 0
    elif name == "charge":
        await till.drainer.drain()
        units = mirror.accrued // UNIT
        mirror.accrued -= units * UNIT
        await chain_says(
            database, "Charged", customer=customer, epoch=0, amount=units, balance_after=-(-mirror.escrow // UNIT)
        )
        assert mirror.accrued < UNIT
    await till.accounts.refresh()
    return till


async def test_a_cap_bounds_what_is_held_and_spent_within_an_epoch(database: Database, tmp_path: Path) -> None:
    customer = new_customer()
    await chain_says(database, "Deposited", customer=customer, amount=100, balance_after=100)
    till = await Till(database, tmp_path / "journal").open()
    with pytest.raises(CapReached, match="bonded customer cap"):
        till.accounts.hold(customer, b"\1" * 32, 1, 0.0)
    await chain_says(database, "CapSet", customer=customer, cap=3, from_epoch=0)
    await till.accounts.refresh()
    hold = till.accounts.hold(customer, b"\1" * 32, UNIT, 0.0)
    till.accounts.post(hold, till.attempt(customer, hold.job, UNIT))
    with pytest.raises(CapReached):
        till.accounts.hold(customer, b"\2" * 32, 2 * UNIT, 0.0)
    assert till.accounts.hold(customer, b"\2" * 32, UNIT + 1, 0.0).most_atto == UNIT + 1, "a carry has room above it"
    till.slot = TIMING.slots_per_epoch
    assert till.accounts.hold(customer, b"\3" * 32, UNIT, 0.0).most_atto == UNIT, "the next epoch has a cap of its own"
    till.journal.close()


async def test_a_hold_that_may_last_into_an_epoch_of_a_lower_cap_keeps_to_that_one(
    database: Database, tmp_path: Path
) -> None:
    customer = new_customer()
    await chain_says(database, "Deposited", customer=customer, amount=100, balance_after=100)
    await chain_says(database, "CapSet", customer=customer, cap=50, from_epoch=0)
    await chain_says(database, "CapSet", customer=customer, cap=2, from_epoch=1)
    till = await Till(database, tmp_path / "journal").open()
    till.slot = TIMING.slots_per_epoch - 1
    before_the_end, after_it = float(TIMING.epoch_end(0) - 1), float(TIMING.epoch_end(0) + 600)
    with pytest.raises(CapReached):
        till.accounts.hold(customer, b"\1" * 32, 2 * UNIT, after_it)
    assert till.accounts.hold(customer, b"\1" * 32, UNIT, after_it).most_atto == UNIT
    assert till.accounts.hold(customer, b"\2" * 32, 40 * UNIT, before_the_end).most_atto == 40 * UNIT
    till.journal.close()


async def test_the_database_refuses_to_change_or_delete_what_was_posted(database: Database) -> None:
    async with database.begin() as connection:
        await post(connection, [Transfer("a", ESCROW, account("0x1", "available"), 5)])
    for statement in (update(transfers).values(amount=6), delete(transfers), text("TRUNCATE ledger_transfers CASCADE")):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.begin() as connection:
                await connection.execute(statement)
    async with database.begin() as connection:
        assert (await trial_balance(connection)).transferred == 5


@pytest.mark.parametrize(
    "row",
    [
        {"key": "b", "debit": "escrow", "credit": "escrow", "amount": 1},
        {"key": "b", "debit": "escrow", "credit": "x", "amount": 0},
        {"key": "b", "debit": "escrow", "credit": "x", "amount": -1},
        {"key": "a", "debit": "escrow", "credit": "x", "amount": 1},
    ],
)
async def test_the_database_refuses_entries_that_do_not_balance_or_come_twice(database: Database, row: dict) -> None:  # type: ignore[type-arg]
    async with database.begin() as connection:
        await post(connection, [Transfer("a", ESCROW, account("0x1", "available"), 5)])
    with pytest.raises(IntegrityError):
        async with database.begin() as connection:
            await connection.execute(insert(transfers).values(**row))


async def test_the_same_key_for_another_amount_is_refused_and_the_same_is_left_out(database: Database) -> None:
    first = Transfer("a", ESCROW, account("0x1", "available"), 5)
    async with database.begin() as connection:
        assert await post(connection, [first]) == 1
        assert await post(connection, [first]) == 0
    with pytest.raises(LedgerRefused, match="a was posted as"):
        async with database.begin() as connection:
            await post(connection, [Transfer("a", ESCROW, account("0x1", "available"), 6)])


async def test_a_hold_is_resolved_once_in_memory_and_in_the_database(database: Database, tmp_path: Path) -> None:
    customer = new_customer()
    await fund(database, customer, 5)
    till = await Till(database, tmp_path / "journal").open()
    hold = till.accounts.hold(customer, b"\1" * 32, 100, 0.0)
    with pytest.raises(HoldResolved, match="above the hold"):
        till.accounts.post(hold, till.attempt(customer, hold.job, 101))
    till.accounts.post(hold, till.attempt(customer, hold.job, 60))
    with pytest.raises(HoldResolved, match="posted"):
        till.accounts.void(hold)
    await till.drainer.drain()
    async with database.begin() as connection:
        assert not await resolve_hold(connection, hold.job, 60), "the same resolution changes nothing"
    with pytest.raises(LedgerRefused, match="is posted, it cannot be voided"):
        async with database.begin() as connection:
            await resolve_hold(connection, hold.job, None)
    with pytest.raises(DBAPIError, match="posted already"):
        async with database.begin() as connection:
            await connection.execute(update(holds).where(holds.c.job == hold.job).values(resolution="voided"))
    with pytest.raises(LedgerRefused, match="no hold"):
        async with database.begin() as connection:
            await resolve_hold(connection, b"\7" * 32, 1)
    async with database.begin() as connection:
        books = (await customer_books(connection))[customer]
    assert (books.held, books.accrued, books.available) == (0, 60, 5 * UNIT - 60)
    till.journal.close()


async def test_a_journal_that_resolves_a_hold_in_two_ways_is_not_applied(database: Database, tmp_path: Path) -> None:
    customer = new_customer()
    await fund(database, customer, 5)
    till = await Till(database, tmp_path / "journal").open()
    hold = till.accounts.hold(customer, b"\1" * 32, 100, 0.0)
    till.accounts.void(hold)
    till.journal.append(Line(Kind.POST, hold.job, customer, 60))
    with pytest.raises(LedgerRefused, match="in two ways"):
        await till.drainer.drain()
    async with database.begin() as connection:
        assert (await customer_books(connection))[customer].available == 5 * UNIT, "nothing of it was written"
    till.journal.close()


async def test_a_charge_above_its_hold_is_refused_by_the_ledger(database: Database) -> None:
    customer = new_customer()
    await fund(database, customer, 1)
    async with database.begin() as connection:
        await open_holds(connection, [{"job": b"\1" * 32, "gateway": GATEWAY, "customer": customer, "amount": 10}])
    with pytest.raises(LedgerRefused, match=r"the hold for job .* is 10 atto, the charge 11"):
        async with database.begin() as connection:
            await resolve_hold(connection, b"\1" * 32, 11)


async def test_a_charge_cuts_what_thaws_to_what_the_escrow_still_holds(database: Database) -> None:
    customer = new_customer()
    await fund(database, customer, 10)
    await chain_says(database, "WithdrawalRequested", customer=customer, amount=9)
    async with database.begin() as connection:
        await post(connection, [Transfer("spent", account(customer, "available"), account(customer, "accrued"), UNIT)])
        await post(connection, [Transfer("s2", account(customer, "available"), account(customer, "accrued"), 3 * UNIT)])
    await chain_says(database, "Charged", customer=customer, epoch=0, amount=4, balance_after=6)
    async with database.begin() as connection:
        books = (await customer_books(connection))[customer]
    assert (books.thawing, books.available, books.accrued, books.escrow) == (6 * UNIT, 0, 0, 6 * UNIT)


async def test_a_charge_that_is_undone_and_mined_again_is_charged_once(database: Database, tmp_path: Path) -> None:
    customer = new_customer()
    await fund(database, customer, 10)
    till = await Till(database, tmp_path / "journal").open()
    hold = till.accounts.hold(customer, b"\1" * 32, 3 * UNIT + 5, 0.0)
    till.accounts.post(hold, till.attempt(customer, hold.job, 3 * UNIT + 5))
    await till.drainer.drain()
    charge = {"customer": customer, "epoch": "0", "amount": "3", "balance_after": "7"}
    seen = []
    for rollbacks in range(3):
        async with database.begin() as connection:
            await post_events(connection, [(f"chain:{rollbacks}:aa:1", "Charged", charge)], UNIT)
        await till.accounts.refresh()
        seen.append(till.accounts.balance(customer))
        async with database.begin() as connection:
            assert await take_back(connection, [f"chain:{rollbacks}:aa:1"]) == 1
            assert await take_back(connection, [f"chain:{rollbacks}:aa:1"]) == 0, "taken back once"
        await till.accounts.refresh()
        undone = till.accounts.balance(customer)
        assert (undone.uncharged_atto, undone.escrow_atto) == (3 * UNIT + 5, 10 * UNIT)
        assert undone.available_atto == 7 * UNIT - 5
    assert {(one.uncharged_atto, one.escrow_atto, one.available_atto) for one in seen} == {(5, 7 * UNIT, 7 * UNIT - 5)}
    till.journal.close()


async def test_an_attempt_of_an_epoch_closed_for_gathering_is_countersigned_anew_and_not_lost(
    database: Database, tmp_path: Path
) -> None:
    customer = new_customer()
    await fund(database, customer, 5)
    till = await Till(database, tmp_path / "journal", slot=30).open()
    hold = till.accounts.hold(customer, b"\1" * 32, 100, 0.0)
    till.accounts.post(hold, till.attempt(customer, hold.job, 60))
    async with database.begin() as connection:
        await connection.execute(insert(epoch_steps).values(epoch=0, step="written", gathered=True, data={}))
    till.slot = 65
    await till.drainer.drain()
    async with database.begin() as connection:
        stored = (await connection.execute(select(attempts))).one()
        mark = (await connection.execute(select(watermarks))).one()
    assert (stored.epoch, stored.slot, int(stored.charge)) == (1, 65, 60)
    assert (mark.gateway, mark.slot) == (GATEWAY, 65)
    till.journal.close()
