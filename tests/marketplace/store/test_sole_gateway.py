"""One gateway per database: the second is refused, and a lost connection is not the end unless another came."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from marketplace.db import GATEWAY_LOCK, Database
from marketplace.gateway.sole import AnotherGateway, SoleGateway


def cut(url: str) -> None:
    """End every connection to the database that holds the gateway's lock, as a restart does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
            " WHERE locktype = 'advisory' AND objid = %s AND granted AND datname = current_database()",
            (GATEWAY_LOCK,),
        )


async def test_a_second_gateway_is_refused_until_the_first_lets_go(database: Database) -> None:
    first, hasty, patient = SoleGateway(database), SoleGateway(database, 0.0), SoleGateway(database, 60.0)
    await first.take()
    with pytest.raises(AnotherGateway, match="Another gateway serves this database"):
        await hasty.take()
    await first.release()
    # the server lets go when it notices that the connection is gone, which is a moment later
    await patient.take()
    await patient.release()


async def test_a_lost_lock_is_taken_again(database: Database, empty_url: str) -> None:
    first = SoleGateway(database, 0.0)
    await first.take()
    keeping = asyncio.create_task(first.keep())
    lost = first._connection
    await asyncio.to_thread(cut, empty_url)
    while first._connection is lost or first._connection is None:
        assert not keeping.done()
        await asyncio.sleep(0.05)
    with pytest.raises(AnotherGateway):
        await SoleGateway(database, 0.0).take()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await first.release()


async def test_a_gateway_whose_place_was_taken_meanwhile_ends(database: Database, empty_url: str) -> None:
    first, second = SoleGateway(database, 0.0), SoleGateway(database, 5.0)
    await first.take()
    await asyncio.to_thread(cut, empty_url)
    await second.take()
    with pytest.raises(AnotherGateway):
        await first.keep()
    await second.release()
