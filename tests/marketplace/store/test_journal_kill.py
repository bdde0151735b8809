"""A gateway process that is killed at any line loses nothing it answered for and doubles nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from contracts.messages import Status
from marketplace.db import Database
from marketplace.journal import Journal, JournalDamaged, JournalLocked, Kind, Line
from marketplace.ledger import customer_books, trial_balance
from marketplace.models import attempts, holds, transfers
from tests.marketplace.store.town import NETWORK, PROVIDER, UNIT, Till, fund, new_customer

ROOT = Path(__file__).resolve().parents[3]


def _start(url: str, folder: Path, customer: str, seed: int, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.marketplace.store.reckless", url, str(folder), customer, str(seed), *more],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def _kill_after(process: subprocess.Popen[str], answers: int) -> list[tuple[str, str, int]]:
    """Kill -9 once so many answers came; returns all that came, also those still in the pipe."""
    assert process.stdout is not None
    got = []
    try:
        for line in process.stdout:
            words = line.split()
            if words and words[0] in ("hold", "post", "void"):
                got.append((words[0], words[1], int(words[2])))
                if len(got) == answers:
                    os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len(got) >= answers, "it ended by itself"
    return got


async def _check(database: Database, customer: str, answered: list[tuple[str, str, int]]) -> None:
    """Compare what was answered with what the database holds; only the very last deeds may be there unanswered."""
    async with database.begin() as connection:
        found = (await connection.execute(select(holds).where(holds.c.customer == customer))).all()
        charges = {
            key.removeprefix("post:"): int(amount)
            for key, amount in await connection.execute(
                select(transfers.c.key, transfers.c.amount).where(transfers.c.key.startswith("post:"))
            )
        }
        stored = {
            bytes(job).hex(): int(charge)
            for job, charge in await connection.execute(
                select(attempts.c.job, attempts.c.charge).where(attempts.c.customer == customer)
            )
        }
        books = (await customer_books(connection))[customer]
        balance = await trial_balance(connection)
    rows = {bytes(row.job).hex(): row for row in found}
    resolved = {job: (name, atto) for name, job, atto in answered if name != "hold"}
    for name, job, atto in answered:
        if name == "hold":
            assert int(rows[job].amount) == atto
            if job not in resolved:
                continue
            how, charge = resolved[job]
            assert rows[job].resolution == {"post": "posted", "void": "voided"}[how]
            assert charges.get(job, 0) == charge
            assert stored.get(job, 0) == (charge if how == "post" else 0)
    assert all(row.resolution in ("posted", "voided") for row in rows.values()), "nothing is held for ever"
    assert books.held == 0
    assert books.accrued == sum(stored.values()) == sum(charges.get(job, 0) for job in rows)
    assert books.escrow == 10**6 * UNIT
    assert balance.wrong_accounts == () and balance.debits == balance.credits


@pytest.mark.parametrize("draining", [False, True])
async def test_a_killed_process_loses_and_doubles_nothing(
    database: Database, empty_url: str, tmp_path: Path, draining: bool
) -> None:
    customer, rng = new_customer(), random.Random(7)
    await fund(database, customer, 10**6)
    answered: list[tuple[str, str, int]] = []
    for life in range(3):
        process = _start(empty_url, tmp_path, customer, life, *(["drain"] if draining else []))
        answered += await asyncio.to_thread(_kill_after, process, rng.randrange(1, 400))
        # the next life begins where this one was cut off, and so does the check
        if life:
            till = await Till(database, tmp_path / "journal").open()
            await _check(database, customer, answered)
            till.journal.close()
    assert len(answered) > 50


async def test_a_journal_cut_at_any_byte_is_applied_to_its_last_whole_line(database: Database, tmp_path: Path) -> None:
    length = len(_five_lines(new_customer(), 0))
    ends = [place + 1 for place, byte in enumerate(_five_lines(new_customer(), 0)) if byte == 10]
    assert len(ends) == 5 and ends[-1] == length
    cuts = {0, 1, *ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1]), *range(0, length, length // 8)}
    for number, cut in enumerate(sorted(cuts)):
        customer, folder = new_customer(), tmp_path / str(number)
        await fund(database, customer, 1)
        folder.mkdir()
        (folder / "journal-0000000001.tsv").write_bytes(_five_lines(customer, number)[:cut])
        till = await Till(database, folder).open()
        whole = sum(end <= cut for end in ends)
        async with database.begin() as connection:
            books = (await customer_books(connection))[customer]
            stored = (await connection.execute(select(attempts.c.job).where(attempts.c.customer == customer))).all()
        spent = 60 if whole >= 2 else 0
        assert (books.held, books.accrued, books.available) == (0, spent, UNIT - spent)
        assert len(stored) == (whole >= 2) + (whole >= 5)
        assert till.voided == (whole in (1, 3)), "a hold whose end was cut off is released"
        till.journal.close()


def _five_lines(customer: str, number: int) -> bytes:
    """Write a hold that is posted, a hold that is voided, and a failure on record; always the same length."""
    served, voided, failed = (number.to_bytes(31) + bytes((kind,)) for kind in (1, 2, 3))
    paid = NETWORK.attempt(PROVIDER, customer, 0, job=served, charge_atto=60)
    free = NETWORK.attempt(PROVIDER, customer, 0, job=failed, status=Status.TIMEOUT, signed=False)
    lines = [
        Line(Kind.HOLD, served, customer, 100),
        Line(Kind.POST, served, customer, 60, paid),
        Line(Kind.HOLD, voided, customer, 50),
        Line(Kind.VOID, voided, customer),
        Line(Kind.RECORD, failed, customer, 0, free),
    ]
    return b"".join(line.encode() for line in lines)


async def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_dropped(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    line = Line(Kind.HOLD, b"\1" * 32, new_customer(), 5).encode()
    (folder / "journal-0000000001.tsv").write_bytes(line + b"hold\tnothing\n" + line)
    with pytest.raises(JournalDamaged, match=r"journal-0000000001\.tsv, line 2"):
        await Till(database, folder).open()
    assert (folder / "journal-0000000001.tsv").exists()


def test_two_processes_cannot_write_one_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(JournalLocked):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


def test_a_line_reads_back_as_it_was_written() -> None:
    customer = new_customer()
    attempt = NETWORK.attempt(PROVIDER, customer, 7, job=b"\2" * 32, charge_atto=10**37)
    for line in (
        Line(Kind.POST, b"\2" * 32, customer, 10**37, attempt),
        Line(Kind.RECORD, b"\2" * 32, customer, 0, attempt),
        Line(Kind.HOLD, b"\2" * 32, customer, 10**38),
        Line(Kind.VOID, b"\2" * 32, customer),
    ):
        assert Line.decode(line.encode()) == line
        assert line.encode().count(b"\n") == 1


def test_a_line_whose_values_are_not_those_of_its_attempt_is_damaged() -> None:
    attempt = NETWORK.attempt(PROVIDER, new_customer(), 7, job=b"\2" * 32, charge_atto=5)
    raw = Line(Kind.RECORD, b"\2" * 32, attempt.countersignature.customer, 0, attempt).encode()
    with pytest.raises(ValueError, match="not those of its line"):
        Line.decode(raw.replace(b"\t7\t", b"\t8\t", 1))
