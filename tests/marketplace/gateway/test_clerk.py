"""Receipts are checked and countersigned in a second process, and in place whenever that one is not there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.signing import Signer, recover
from marketplace.gateway.clerk import Clerk
from marketplace.gateway.desk import Desk
from tests.marketplace.gateway.conftest import GATEWAY, Town, statuses

HELLO: dict[str, Any] = {"model": "mock-model", "messages": [{"role": "user", "content": "Say hello."}]}
PROVIDER = Signer(b"\x44" * 32)


async def until(condition: Any) -> None:
    for _ in range(3_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def children(others: Collection[int] = ()) -> list[int]:
    """The process ids of this process's children that are clerks, without those of `others`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            number = int(entry.name)
            if parent == os.getpid() and number not in others and b"marketplace.gateway.signing_process" in command:
                found.append(number)
    return found


@pytest.fixture
def others() -> list[int]:
    """Clerks of gateways that other tests keep in this process."""
    return children()


@pytest.fixture
async def clerk(others: list[int]) -> AsyncIterator[Clerk]:
    clerk = Clerk(GATEWAY)
    running = asyncio.create_task(clerk.run())
    try:
        await until(lambda: clerk.ready)
        yield clerk
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert not children(others), "it ends with the gateway"


async def test_it_says_who_signed_and_signs_as_the_gateway_would(clerk: Clerk) -> None:
    digests = [os.urandom(32) for _ in range(300)]
    answers = await asyncio.gather(*[clerk.accept(one, PROVIDER.sign(one), one[::-1]) for one in digests])
    assert answers == [(PROVIDER.address, GATEWAY.sign(one[::-1])) for one in digests]


async def test_it_leaves_to_the_caller_what_is_no_signature(clerk: Clerk) -> None:
    digest = bytes(32)
    good = PROVIDER.sign(digest)
    asked = [good[:64] + b"\x00", bytes(65), b"\xff" * 65, b"", good[:64], good]
    answers = await asyncio.gather(*[clerk.accept(digest, one, digest) for one in asked])
    assert answers[:5] == [None] * 5
    assert answers[5] == (PROVIDER.address, GATEWAY.sign(digest)), "those after a bad one are answered"


async def test_who_waits_when_it_dies_is_sent_back_and_another_is_started(clerk: Clerk, others: list[int]) -> None:
    (pid,) = children(others)
    os.kill(pid, signal.SIGSTOP)
    waiting = asyncio.create_task(clerk.accept(bytes(32), PROVIDER.sign(bytes(32)), bytes(32)))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    assert await waiting is None
    assert not clerk.ready and await clerk.accept(bytes(32), PROVIDER.sign(bytes(32)), bytes(32)) is None
    await until(lambda: clerk.ready)
    assert children(others) != [pid]
    assert await clerk.accept(bytes(32), PROVIDER.sign(bytes(32)), bytes(32)) is not None


async def test_one_that_hangs_is_replaced(clerk: Clerk, others: list[int]) -> None:
    (pid,) = children(others)
    os.kill(pid, signal.SIGSTOP)
    assert await clerk.accept(bytes(32), PROVIDER.sign(bytes(32)), bytes(32)) is None
    await until(lambda: clerk.ready and children(others) != [pid])


@pytest.fixture
async def aided(town: Town, clerk: Clerk) -> Town:
    town.desk.witness = replace(town.desk.witness, clerk=clerk)
    return town


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_are_billed_through_it(aided: Town, stream: bool) -> None:
    await aided.add()
    client = aided.client()
    for _ in range(3):
        answer = await client.chat.completions.create(**HELLO, stream=stream)
        if stream:
            assert [event async for event in answer]
    assert statuses(aided) == ["served"] * 3


async def test_a_forged_receipt_costs_the_customer_nothing(aided: Town) -> None:
    await aided.add(behaviour="wrong_signature")
    await aided.client().chat.completions.create(**HELLO)
    assert statuses(aided) == ["provider_error"] and aided.books.charged_atto == 0


async def test_requests_go_on_while_it_is_away(aided: Town, others: list[int]) -> None:
    await aided.add()
    client = aided.client()
    for pid in children(others):
        os.kill(pid, signal.SIGKILL)
    for _ in range(3):
        await client.chat.completions.create(**HELLO)
    assert statuses(aided) == ["served"] * 3


async def test_a_slot_that_ends_meanwhile_is_not_the_one_that_is_signed(
    aided: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await aided.add()
    slots = iter([7, 8, 8])
    monkeypatch.setattr(Desk, "slot", lambda desk: next(slots))
    await aided.client().chat.completions.create(**HELLO)
    (attempt,) = aided.books.posted
    assert attempt.countersignature.slot == 8
    digest = attempt.countersignature.digest(aided.desk.witness.separator)
    assert recover(digest, attempt.gateway_signature) == GATEWAY.address
