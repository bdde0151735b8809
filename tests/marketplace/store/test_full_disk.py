"""A disk that is full for a moment: the line is refused, nothing is half written, and the same call works later."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from marketplace.db import Database
from marketplace.journal import Journal, JournalFull, Kind, Line
from tests.marketplace.store.town import UNIT, Till, fund, new_customer


@contextmanager
def room_for(most_bytes: int) -> Iterator[None]:
    """Let files of this process grow no further than this: a write above it is cut short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_did_not_fit_leaves_no_part_and_the_next_is_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, second = (Line(Kind.HOLD, bytes((number,)) * 32, "0x" + "aa" * 20, 5) for number in (1, 2))
    journal.append(first)
    (path,) = tmp_path.glob("journal-*.tsv")
    length = path.stat().st_size
    with room_for(length + 20), pytest.raises(JournalFull, match="make room"):
        journal.append(second)
    assert path.stat().st_size == length
    journal.append(second)
    journal.seal()
    assert [lines for _, lines in journal.sealed()] == [[first, second]]
    journal.close()


async def test_a_hold_a_charge_and_a_release_that_could_not_be_written_can_be_repeated(
    database: Database, tmp_path: Path
) -> None:
    customer = new_customer()
    await fund(database, customer, 1)
    till = await Till(database, tmp_path / "journal").open()
    accounts = till.accounts
    with room_for(10), pytest.raises(JournalFull):
        accounts.hold(customer, b"\1" * 32, 100, 0.0)
    assert accounts.balance(customer).held_atto == 0
    paid, freed = (accounts.hold(customer, bytes((number,)) * 32, 100, 0.0) for number in (1, 2))
    attempt = till.attempt(customer, paid.job, 60)
    with room_for(10):
        with pytest.raises(JournalFull):
            accounts.post(paid, attempt)
        with pytest.raises(JournalFull):
            accounts.void(freed)
    balance = accounts.balance(customer)
    assert (paid.resolution, freed.resolution, balance.held_atto, balance.uncharged_atto) == ("", "", 200, 0)
    accounts.post(paid, attempt)
    accounts.void(freed)
    balance = accounts.balance(customer)
    assert (balance.held_atto, balance.uncharged_atto, balance.available_atto) == (0, 60, UNIT - 60)
    assert await till.drainer.drain() == 4
    till.journal.close()


def test_lines_written_while_a_turned_segment_waits_for_the_disk_are_in_the_next(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    lines = [Line(Kind.HOLD, bytes((number,)) * 32, "0x" + "aa" * 20, 5) for number in (1, 2)]
    journal.append(lines[0])
    journal.turn()
    journal.append(lines[1])
    assert [found for _, found in journal.sealed()] == [[lines[0]]]
    journal.settle()
    journal.seal()
    assert [found for _, found in journal.sealed()] == [[lines[0]], [lines[1]]]
    journal.close()
