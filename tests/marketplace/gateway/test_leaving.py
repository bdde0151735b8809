"""Customers who leave, and receipts that come later: the upstream is stopped, what was delivered is paid, once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from contracts.messages import Receipt, Status
from marketplace.gateway.asgi import AsgiSink, Stalled
from marketplace.gateway.desk import Patience
from marketplace.gateway.paperwork import expire_tickets
from tests.marketplace.gateway.conftest import KEY, QUICK, Town, statuses

MODEL = "mock-model"
HELLO = [{"role": "user", "content": "Say hello."}]


async def leave_after(town: Town, events: int, **options: Any) -> float:
    """Open a stream, read so many events, close it; returns when."""
    stream = await town.client().chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=200, stream=True, **options
    )
    async for _ in stream:
        events -= 1
        if events <= 0:
            break
    left_at = time.perf_counter()
    await stream.close()
    return left_at


async def post(town: Town, value: Any) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.post(f"{town.url}/v1/receipts", json=value)


async def until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def test_the_upstream_is_closed_when_the_customer_leaves_and_the_hold_waits(town) -> None:
    provider = await town.add(gap_s=0.03)
    await leave_after(town, 2)
    await until(lambda: provider.left and provider.unsent)
    await town.settled()
    assert len(provider.unsent) == 1
    assert statuses(town) == []
    assert town.books.held_atto > 0
    assert len(town.desk.open_tickets) == 1


@pytest.mark.parametrize("patience", [Patience(first_byte_s=30, gap_floor_s=30, gap_times_itl=0)])
async def test_a_silent_upstream_is_closed_too(town) -> None:
    provider = await town.add(behaviour="hang_mid")
    await leave_after(town, 2)
    await until(lambda: provider.left)


@pytest.mark.parametrize("patience", [Patience(first_byte_s=30, gap_floor_s=30, gap_times_itl=0)])
async def test_a_customer_who_leaves_before_the_first_byte_stops_the_work(town) -> None:
    provider = await town.add(behaviour="hang")
    async with httpx2.AsyncClient(timeout=0.2) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(
                f"{town.url}/v1/chat/completions",
                headers={"authorization": f"Bearer {KEY}"},
                json={"model": MODEL, "messages": HELLO},
            )
    await until(lambda: provider.left)


async def test_what_was_delivered_is_paid_when_the_receipt_is_posted_and_only_once(town) -> None:
    provider = await town.add(gap_s=0.03)
    await leave_after(town, 3)
    await until(lambda: provider.unsent)
    await town.settled()
    [receipt] = provider.unsent
    for _ in range(3):
        answer = await post(town, receipt)
        assert (answer.status_code, answer.json()) == (200, {"accepted": True})
    [attempt] = town.books.posted
    assert attempt.receipt.status == Status.CUSTOMER_ABORT
    assert attempt.receipt.charge_atto == receipt["receipt"]["chargeAtto"] > 0
    assert attempt.countersignature.ttft_ms >= 20, "the gateway's own observation"
    assert town.books.held_atto == 0
    other = Receipt.from_json(receipt["receipt"])
    answer = await post(town, provider.sign_receipt(replace(other, output_tokens=0, charge_atto=0)))
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "already_settled"


@pytest.mark.parametrize(
    "lie",
    [
        {"output_tokens": 190},
        {"charge_atto": 1},
        {"input_tokens": 100_000},
        {"cached_tokens": 10_000},
        {"provider": "0x" + "ee" * 20},
        {"model": bytes(32)},
        {"request_digest": bytes(32)},
        {"status": 9},
    ],
)
async def test_a_posted_receipt_that_lies_is_refused_and_the_true_one_still_counts(town, lie: dict[str, Any]) -> None:
    provider = await town.add(gap_s=0.03)
    await leave_after(town, 2)
    await until(lambda: provider.unsent)
    await town.settled()
    true = Receipt.from_json(provider.unsent[0]["receipt"])
    false = replace(true, **lie)
    if "output_tokens" in lie:
        ticket = provider.tickets[0]
        false = replace(false, charge_atto=ticket.charge_atto(false.input_tokens, 0, false.output_tokens))
    answer = await post(town, provider.sign_receipt(false))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "receipt_refused")
    assert town.books.posted == []
    assert (await post(town, provider.unsent[0])).status_code == 200
    assert len(town.books.posted) == 1


async def test_nonsense_is_refused_at_the_receipts_door(town) -> None:
    await town.add()
    for value in (
        [],
        {},
        {"receipt": {}},
        {"receipt": {}, "signature": 5},
        {"receipt": {"job": 1}, "signature": "0x00"},
    ):
        assert (await post(town, value)).status_code == 400
    async with httpx2.AsyncClient() as client:
        assert (await client.post(f"{town.url}/v1/receipts", content=b"{")).status_code == 400
        assert (await client.get(f"{town.url}/v1/receipts")).status_code == 405


async def test_an_unknown_job_is_refused(town) -> None:
    provider = await town.add(gap_s=0.03)
    await leave_after(town, 2)
    await until(lambda: provider.unsent)
    stranger = replace(Receipt.from_json(provider.unsent[0]["receipt"]), job=b"\x99" * 32)
    answer = await post(town, provider.sign_receipt(stranger))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_ticket")


async def test_a_hold_whose_receipt_never_comes_is_voided_in_its_time(town) -> None:
    provider = await town.add(gap_s=0.03)
    await leave_after(town, 2)
    await until(lambda: provider.left)
    await town.settled()
    assert expire_tickets(town.desk) == 0
    later = time.time() + QUICK.hold_s + 1
    town.desk.clock = lambda: later
    assert expire_tickets(town.desk) == 1
    assert [hold.resolution for hold in town.books.holds] == ["voided"]
    assert (await post(town, provider.unsent[0])).status_code == 404


async def test_a_customer_who_does_not_read_is_given_up(town) -> None:
    await town.add(words=200_000, ignore_limit=True)
    town.desk.patience = replace(town.desk.patience, events_spare=1_000_000, body_most=1 << 30, total_s=600.0)
    body = b'{"model":"mock-model","messages":[{"role":"user","content":"x"}],"max_tokens":5,"stream":true}'
    _, writer = await asyncio.open_connection("127.0.0.1", town.server.port, limit=1024)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
        % (KEY.encode(), len(body), body)
    )
    await until(lambda: any(sink.blocked for sink, _ in town.inference.stalled._active.values()))
    given_up = 0
    for _ in range(50):
        given_up += town.inference.stalled.sweep()
        if given_up:
            break
        await asyncio.sleep(0.05)
    assert given_up == 1
    await town.settled()
    assert town.books.held_atto > 0
    writer.close()


@pytest.mark.parametrize("part", ["start", "write", "end"])
async def test_whatever_part_of_an_answer_is_not_read_its_reader_is_given_up(part) -> None:
    async def never(_) -> None:
        await asyncio.get_running_loop().create_future()

    sink, stalled, left = AsgiSink(never, list), Stalled(), []
    waiting = {"start": sink.start, "write": sink.write, "end": sink.end}[part]
    task = asyncio.create_task(waiting(b"text/plain"))
    stalled.watch(task, sink, lambda: left.append(part))
    assert stalled.sweep() == 0
    await asyncio.sleep(0)
    assert [stalled.sweep(), stalled.sweep()] == [0, 1]
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled() and left == [part]
