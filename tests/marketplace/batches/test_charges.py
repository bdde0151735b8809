"""A line's charge enters the books with its answer, beside a journal that is drained at the same time."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from marketplace.batches.books import KeptBooks
from marketplace.db import Database
from marketplace.ledger import customer_books, trial_balance
from tests.marketplace.store.town import UNIT, Till, fund, new_customer

CHARGE = 7


async def test_charges_and_the_drain_never_wait_for_each_other(database: Database, tmp_path: Path) -> None:
    customer = new_customer()
    await fund(database, customer, 1)
    till = await Till(database, tmp_path / "journal").open()

    async def line() -> None:
        job = secrets.token_bytes(32)
        books = KeptBooks(till.accounts)
        hold = books.hold(customer, job, 10, 0)
        await asyncio.sleep(0)
        books.post(hold, till.attempt(customer, job, CHARGE))
        async with database.begin() as connection:
            await till.drainer.enter(connection, books.lines())
        books.close(stored=True)

    async def drain() -> None:
        while running:
            await till.drainer.drain()

    running = True
    draining = asyncio.create_task(drain())
    for _ in range(10):
        await asyncio.gather(*(line() for _ in range(12)))
    running = False
    await draining
    await till.drainer.drain()
    async with database.begin() as connection:
        books = (await customer_books(connection))[customer]
        balance = await trial_balance(connection)
    assert (books.held, books.accrued, books.available) == (0, 120 * CHARGE, UNIT - 120 * CHARGE)
    assert balance.wrong_accounts == () and balance.debits == balance.credits
    now = till.accounts.balance(customer)
    assert (now.held_atto, now.uncharged_atto, now.available_atto) == (0, 120 * CHARGE, UNIT - 120 * CHARGE)
    till.journal.close()


async def test_a_charge_that_was_not_stored_is_none_and_its_hold_is_free(database: Database, tmp_path: Path) -> None:
    customer = new_customer()
    await fund(database, customer, 1)
    till = await Till(database, tmp_path / "journal").open()
    job = secrets.token_bytes(32)
    books = KeptBooks(till.accounts)
    books.post(books.hold(customer, job, 10, 0), till.attempt(customer, job, CHARGE))
    books.close(stored=False)
    await till.drainer.drain()
    async with database.begin() as connection:
        found = (await customer_books(connection))[customer]
    assert (found.held, found.accrued, found.available) == (0, 0, UNIT)
    assert till.accounts.balance(customer).available_atto == UNIT
    till.journal.close()


async def test_a_gateway_that_dies_before_the_answer_is_stored_has_charged_nothing(
    database: Database, tmp_path: Path
) -> None:
    customer = new_customer()
    await fund(database, customer, 1)
    till = await Till(database, tmp_path / "journal").open()
    job = secrets.token_bytes(32)
    books = KeptBooks(till.accounts)
    books.post(books.hold(customer, job, 10, 0), till.attempt(customer, job, CHARGE))
    await till.drainer.drain()
    till.journal.close()
    again = await Till(database, tmp_path / "journal").open()
    assert again.voided == 1
    assert again.accounts.balance(customer).available_atto == UNIT
    again.journal.close()
