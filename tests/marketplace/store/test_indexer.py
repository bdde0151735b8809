"""The indexer on a real chain: deposits once final, reorganisations, a node or a database that is away."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select

from contracts.calls import Call
from contracts.chain import Chain, Finality
from contracts.devnet import Devnet
from contracts.escrow import Escrow
from contracts.file_outbox import FileOutbox
from contracts.signing import Signer
from contracts.testing import AnvilControl, TcpProxy, deploy
from contracts.tokens import Token
from contracts.transactions import Sender
from marketplace.db import Database
from marketplace.indexer import Indexer, WrongDatabase
from marketplace.ledger import CustomerBooks, customer_books, trial_balance
from marketplace.models import chain_blocks, chain_events, transfers

UNIT = 10**12
DEPTH = 3
_intents = itertools.count(1)


@dataclass
class Place:
    """A devnet with the contracts, a customer with tokens, and the database that follows."""

    devnet: Devnet
    chain: Chain
    database: Database
    folder: Path
    customer: Signer
    control: AnvilControl

    @property
    def escrow(self) -> Escrow:
        return Escrow(self.chain)

    async def do(self, call: Call) -> None:
        outbox = FileOutbox.open(self.folder, sender=self.customer.address, chain_key=self.chain.key)
        try:
            sender = Sender(self.chain, self.customer, outbox, poll_s=0.02)
            await sender.submit(f"do-{next(_intents)}", call, timeout_s=20)
        finally:
            await outbox.close()

    async def deposit(self, units: int) -> None:
        await self.do(self.escrow.deposit(self.customer.address, units))

    async def books(self) -> CustomerBooks | None:
        async with self.database.begin() as connection:
            return (await customer_books(connection)).get(self.customer.address)

    async def available(self) -> int:
        books = await self.books()
        return 0 if books is None else books.available // UNIT

    async def check(self) -> None:
        """Compare the ledger with the escrow at the block the index has reached, and the ledger with itself."""
        async with self.database.begin() as connection:
            number = (await connection.execute(select(func.max(chain_blocks.c.number)))).scalar_one()
            books = await customer_books(connection)
            found = await trial_balance(connection)
        at = await self.chain.block(int(number))
        assert at is not None
        for view in await self.escrow.customers(at):
            mine = books[view.customer]
            assert (mine.escrow, mine.thawing) == (view.balance * UNIT, view.thawing * UNIT)
        assert found.escrow == (await self.escrow.funds(at)).balances * UNIT
        assert found.wrong_accounts == () and found.debits == found.credits


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def place(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Place]:
    deployment = deploy(devnet)
    async with await Chain.connect([devnet.url], deployment, finality=Finality.depth(DEPTH)) as chain:
        place = Place(devnet, chain, database, tmp_path, devnet.accounts[5], AnvilControl(devnet))
        token = Token(chain, "PaymentToken")
        await place.do(token.mint(place.customer.address, 10**9))
        await place.do(token.approve(place.escrow.address, 10**9))
        yield place


def _indexer(place: Place, chain: Chain | None = None) -> Indexer:
    return Indexer(place.database, chain or place.chain, UNIT, chunk=4)


async def test_a_deposit_can_be_spent_when_it_is_final_and_not_before(place: Place) -> None:
    indexer = _indexer(place)
    await place.deposit(100)
    await indexer.follow()
    assert await place.available() == 0
    place.control.mine(DEPTH)
    await indexer.follow()
    assert await place.available() == 100
    await place.check()
    assert await indexer.follow() == 0, "reading again changes nothing"


async def test_follows_thawing_cancelling_and_withdrawing(place: Place) -> None:
    await place.deposit(100)
    await place.do(place.escrow.request_withdrawal(30))
    await place.do(place.escrow.cancel_withdrawal())
    await place.do(place.escrow.request_withdrawal(40))
    place.control.mine(DEPTH)
    indexer = _indexer(place)
    await indexer.follow()
    books = await place.books()
    assert books is not None
    assert (books.available, books.thawing) == (60 * UNIT, 40 * UNIT)
    place.control.pass_time(200)
    await place.do(place.escrow.withdraw())
    place.control.mine(DEPTH)
    await indexer.follow()
    books = await place.books()
    assert books is not None
    assert (books.available, books.thawing, books.escrow) == (60 * UNIT, 0, 60 * UNIT)
    await place.check()


async def test_a_reorganisation_of_one_block_takes_nothing_that_counted(place: Place) -> None:
    indexer = _indexer(place)
    await place.deposit(100)
    place.control.mine(DEPTH)
    await indexer.follow()
    await place.deposit(7)
    await indexer.follow()
    place.control.reorganise(1)
    place.control.mine(DEPTH + 1)
    await indexer.follow()
    assert await place.available() == 100, "the deposit that was thrown away never counted"
    await place.check()
    async with place.database.begin() as connection:
        undone = await connection.execute(select(transfers).where(transfers.c.key.startswith("undo:")))
        assert undone.all() == []


async def test_a_reorganisation_of_ten_blocks_takes_back_even_what_counted_as_final(place: Place) -> None:
    indexer = _indexer(place)
    await place.deposit(100)
    place.control.mine(DEPTH + 8)
    await indexer.follow()
    await place.deposit(7)
    await place.do(place.escrow.request_withdrawal(50))
    place.control.mine(DEPTH)
    await indexer.follow()
    assert await place.available() == 57
    place.control.reorganise(10)
    place.control.mine(2)
    await indexer.follow()
    assert await place.available() == 100
    await place.check()
    await place.deposit(9)
    place.control.mine(DEPTH)
    await indexer.follow()
    assert await place.available() == 100 + 7 + 9 - 50, "the outbox sent again what was thrown away"
    await place.check()


async def test_many_random_reorganisations_leave_the_books_of_the_chain(place: Place) -> None:
    rng, indexer = random.Random(3), _indexer(place)
    await place.deposit(1_000)
    place.control.mine(12)
    for _ in range(25):
        match rng.randrange(5):
            case 0:
                await place.deposit(rng.randrange(1, 50))
            case 1:
                await place.do(place.escrow.request_withdrawal(1))
            case 2:
                place.control.mine(rng.randrange(1, 5))
            case 3:
                place.control.reorganise(rng.randrange(1, 11))
            case 4:
                pass
        place.control.mine(1)
        await indexer.follow()
        await place.check()


async def test_waits_out_a_node_that_is_away_and_catches_up(place: Place) -> None:
    proxy = TcpProxy(place.devnet.port)
    await proxy.up()
    try:
        chain = await Chain.connect([proxy.url], place.chain.deployment, finality=Finality.depth(0), timeout_s=2)
        async with chain:
            running = asyncio.create_task(_indexer(place, chain).run(0.02))
            await place.deposit(5)
            await _until(place, 5)
            await proxy.down()
            await place.deposit(6)
            await asyncio.sleep(0.3)
            assert await place.available() == 5 and not running.done()
            await proxy.up()
            await _until(place, 11)
            running.cancel()
    finally:
        await proxy.down()
    await place.check()


async def test_waits_out_a_database_that_cuts_its_connections(place: Place, empty_url: str) -> None:
    async with await Chain.connect([place.devnet.url], place.chain.deployment, finality=Finality.depth(0)) as chain:
        running = asyncio.create_task(_indexer(place, chain).run(0.02))
        for number in range(1, 6):
            await place.deposit(1)
            with psycopg.connect(empty_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await _until(place, number)
        running.cancel()
    await place.check()


async def test_two_indexers_on_one_database_post_everything_once(place: Place) -> None:
    await place.deposit(5)
    place.control.mine(DEPTH)
    await asyncio.gather(*[_indexer(place).follow() for _ in range(4)])
    assert await place.available() == 5
    async with place.database.begin() as connection:
        rows = (await connection.execute(select(func.count()).select_from(chain_events))).scalar_one()
        names = (await connection.execute(select(func.count(func.distinct(chain_events.c.id))))).scalar_one()
    assert rows == names > 0


async def test_a_database_of_another_deployment_is_refused(place: Place, database: Database) -> None:
    await _indexer(place).follow()
    # begun at another time: two devnets of the same second have the same genesis and the same addresses
    with Devnet.start(more=["--timestamp", "1700000000"]) as other:
        other.rpc("anvil_mine", "0x1")
        async with await Chain.connect([other.url], deploy(other)) as chain:
            with pytest.raises(WrongDatabase, match="use another"):
                await Indexer(database, chain, UNIT).follow()


async def _until(place: Place, units: int) -> None:
    for _ in range(1_000):
        try:
            if await place.available() == units:
                return
        except Exception as error:  # the pool may hand out a connection that was just cut
            assert "terminat" in str(error) or "closed" in str(error), error
        await asyncio.sleep(0.02)
    raise AssertionError(f"{await place.available()} units instead of {units}")
