"""The outbox in PostgreSQL keeps what the Protocol promises, also when the server goes away under it."""

from __future__ import annotations

import psycopg
import pytest

from contracts.errors import OutboxLocked
from contracts.outbox import IntentState
from contracts.testing_outbox import CHAIN_KEY, SENDER, OutboxConformance, draft, inclusion, signature
from marketplace.db import Database
from marketplace.outbox import PostgresOutbox


class TestPostgresOutbox(OutboxConformance):
    @pytest.fixture(autouse=True)
    def _database(self, database: Database) -> None:
        self.database = database

    async def make(self) -> PostgresOutbox:
        return await PostgresOutbox.open(self.database, sender=SENDER, chain_key=CHAIN_KEY)

    async def reopen(self, outbox: PostgresOutbox) -> PostgresOutbox:
        await outbox.close()
        return await self.make()


async def _open(database: Database, sender: str = SENDER) -> PostgresOutbox:
    return await PostgresOutbox.open(database, sender=sender, chain_key=CHAIN_KEY)


def _cut_all_other_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_second_process_is_refused_until_the_first_lets_go(database: Database) -> None:
    first = await _open(database)
    with pytest.raises(OutboxLocked, match=SENDER):
        await _open(database)
    other = await _open(database, "0x" + "aa" * 20)
    await first.close()
    second = await _open(database)
    await second.close()
    await other.close()


async def test_who_lost_the_connection_and_then_the_lock_cannot_write(database: Database, empty_url: str) -> None:
    cut_off = await _open(database)
    await cut_off.prepare(draft(), 3)
    _cut_all_other_sessions(empty_url)
    successor = await _open(database)
    with pytest.raises(OutboxLocked):
        await cut_off.prepare(draft("two"), 3)
    assert [one.intent_id for one in await successor.open_intents()] == ["one"]
    await successor.close()
    await cut_off.close()


async def test_goes_on_after_the_server_cut_its_connection(database: Database, empty_url: str) -> None:
    outbox = await _open(database)
    intent = await outbox.prepare(draft(), 0)
    signed = await outbox.signed("one", signature(intent.nonce))
    _cut_all_other_sessions(empty_url)
    sent = await outbox.broadcast("one", 5)
    assert sent.transactions == signed.transactions
    mined = await outbox.mined("one", inclusion(signature(intent.nonce)))
    assert mined.state is IntentState.MINED
    await outbox.close()


async def test_a_commit_whose_answer_was_lost_is_not_applied_twice(database: Database, empty_url: str) -> None:
    outbox = await _open(database)
    await outbox.prepare(draft(), 0)
    write, cuts = outbox._write, []

    async def write_and_lose_the_answer(connection, intent):  # type: ignore[no-untyped-def]
        done = await write(connection, intent)
        if not cuts:
            cuts.append(True)
            await connection.commit()
            _cut_all_other_sessions(empty_url)
        return done

    outbox._write = write_and_lose_the_answer  # type: ignore[method-assign]
    intent = await outbox.signed("one", signature(0))
    assert cuts == [True]
    assert intent.transactions == (signature(0),)
    assert await outbox.get("one") == intent
    await outbox.close()
