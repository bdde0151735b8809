"""How batches end otherwise: cancelled, expired, paused without money, dead after too many tries."""

from __future__ import annotations

import asyncio

import openai
import pytest

from marketplace.batches.verdicts import PAUSE_S, TRIES_MOST
from tests.marketplace.batches.shop import Buyer, Shop, chat
from tests.marketplace.store.town import chain_says


async def test_a_cancelled_batch_keeps_what_is_done_and_bills_it(shop: Shop, buyer: Buyer) -> None:
    provider = await shop.add(slots=1, gap_s=0.05)
    shop.work()
    batch = await buyer.submit([chat(number) for number in range(50)])
    await buyer.until(batch.id, lambda one: one.request_counts.completed >= 2)
    cancelled = await buyer.api.batches.cancel(batch.id)
    assert cancelled.status == "cancelling" and cancelled.cancelling_at is not None
    assert (await buyer.api.batches.cancel(batch.id)).status in ("cancelling", "cancelled")
    done = await buyer.ended(batch.id)
    assert done.status == "cancelled" and done.cancelled_at >= done.cancelling_at
    good, bad = await buyer.lines(done.output_file_id), await buyer.lines(done.error_file_id)
    assert len(good) + len(bad) == 50 and not good.keys() & bad.keys()
    assert 2 <= len(good) == done.request_counts.completed < 50
    assert {row["error"]["code"] for row in bad.values()} == {"batch_cancelled"}
    assert all(row["response"] is None for row in bad.values())
    assert len(await shop.charges(buyer.name)) == len(good) == len(provider.tickets)
    with pytest.raises(openai.ConflictError, match="cancelled"):
        await buyer.api.batches.cancel(batch.id)


async def test_a_batch_cancelled_before_it_was_read_has_no_files(shop: Shop, buyer: Buyer) -> None:
    await shop.add()
    batch = await buyer.submit([chat(1)])
    assert (await buyer.api.batches.cancel(batch.id)).status == "cancelling"
    shop.work()
    done = await buyer.ended(batch.id)
    assert (done.status, done.output_file_id, done.error_file_id) == ("cancelled", None, None)


async def test_an_expired_batch_keeps_what_is_done_and_bills_it(shop: Shop, buyer: Buyer) -> None:
    await shop.add(slots=1, gap_s=0.05)
    shop.work()
    batch = await buyer.submit([chat(number) for number in range(50)])
    await buyer.until(batch.id, lambda one: one.request_counts.completed >= 2)
    shop.clock.ahead = 86_401
    done = await buyer.ended(batch.id)
    assert done.status == "expired" and done.expired_at >= done.expires_at and done.completed_at is None
    good, bad = await buyer.lines(done.output_file_id), await buyer.lines(done.error_file_id)
    assert len(good) + len(bad) == 50 and not good.keys() & bad.keys()
    assert {row["error"]["code"] for row in bad.values()} == {"batch_expired"}
    assert len(await shop.charges(buyer.name)) == len(good) == done.request_counts.completed


async def test_a_batch_that_nobody_began_expires_too(shop: Shop, buyer: Buyer) -> None:
    batch = await buyer.submit([chat(1)])
    shop.clock.ahead = 86_401
    assert await shop.batches.ender.step() == 1
    assert (await buyer.api.batches.retrieve(batch.id)).status == "expired"


async def test_a_batch_that_was_done_in_time_does_not_expire(shop: Shop, buyer: Buyer) -> None:
    await shop.add()
    batch = await buyer.submit([chat(1)])
    assert await shop.batches.validator.step() and await shop.batches.workers.step() == 1
    await buyer.until(batch.id, lambda one: one.request_counts.completed == 1)
    shop.clock.ahead = 86_401
    assert await shop.batches.ender.step() == 1
    assert (await buyer.api.batches.retrieve(batch.id)).status == "completed"


async def test_a_purse_that_runs_out_pauses_the_batch_and_a_deposit_ends_the_pause(shop: Shop) -> None:
    provider = await shop.add(slots=1, prices=(10**11, 10**11, 10**11))
    shop.chain.register(provider, stake=10**12)
    await shop.directory.refresh()
    poor = await shop.customer(units=18)
    batch = await poor.submit([chat(number) for number in range(4)])
    shop.work()
    # lines begin side by side, so that the purse may be empty before the first of them is answered
    paused = await poor.until(batch.id, lambda one: bool(one.bonded_paused) and one.request_counts.completed >= 1)
    assert paused.status == "in_progress" and "insufficient_quota" in paused.bonded_paused
    assert paused.request_counts.completed < 4 and paused.request_counts.failed == 0
    await chain_says(shop.database, "Deposited", customer=poor.name, amount=10_000, balance_after=10_018)
    await shop.accounts.refresh()
    shop.clock.ahead = PAUSE_S + 1
    done = await poor.ended(batch.id)
    assert (done.status, done.request_counts.completed, done.bonded_paused) == ("completed", 4, None)
    await shop.check_books(poor.name)


async def test_lines_that_a_pause_outlived_say_why(shop: Shop) -> None:
    provider = await shop.add()
    poor = await shop.customer(units=0)
    batch = await poor.submit([chat(1)])
    shop.work()
    await poor.until(batch.id, lambda one: bool(one.bonded_paused))
    shop.clock.ahead = 86_401
    done = await poor.ended(batch.id)
    assert done.status == "expired" and provider.tickets == []
    [row] = (await poor.lines(done.error_file_id)).values()
    assert row["error"]["code"] == "batch_expired" and "insufficient_quota" in row["error"]["message"]


async def test_while_one_customer_is_paused_others_are_served(shop: Shop, buyer: Buyer) -> None:
    await shop.add()
    poor = await shop.customer(units=0)
    stuck = await poor.submit([chat(number) for number in range(20)])
    shop.work()
    await poor.until(stuck.id, lambda one: bool(one.bonded_paused))
    done = await buyer.ended((await buyer.submit([chat(1)])).id)
    assert done.status == "completed"


async def test_a_provider_that_fails_is_tried_again_later_until_the_line_is_dead(shop: Shop, buyer: Buyer) -> None:
    provider = await shop.add()
    provider.behaviour = "error_500"
    batch = await buyer.submit([chat(1)])
    assert await shop.batches.validator.step()
    steps = 0
    async with asyncio.timeout(60):
        while (found := await buyer.api.batches.retrieve(batch.id)).request_counts.failed == 0:
            steps += await shop.batches.workers.step()
            shop.clock.ahead += 30
            await asyncio.sleep(0.01)
    assert steps == TRIES_MOST and found.status == "in_progress"
    assert await shop.batches.ender.step() == 1
    done = await buyer.api.batches.retrieve(batch.id)
    assert (done.status, done.output_file_id, done.request_counts.failed) == ("completed", None, 1)
    [row] = (await buyer.lines(done.error_file_id)).values()
    assert row["response"]["status_code"] == 502
    assert row["response"]["body"]["error"]["code"] == "provider_unavailable"
    assert sum(await shop.charges(buyer.name)) == 0


async def test_a_provider_that_recovers_serves_the_line_and_it_is_charged_once(shop: Shop, buyer: Buyer) -> None:
    provider = await shop.add()
    provider.behaviour = "close_early"
    batch = await buyer.submit([chat(1)])
    assert await shop.batches.validator.step() and await shop.batches.workers.step() == 1
    async with asyncio.timeout(30):
        while shop.market.open_reservations or not await shop.charges(buyer.name):
            await asyncio.sleep(0.01)
    provider.behaviour = "ok"
    shop.clock.ahead = 60
    shop.work()
    done = await buyer.ended(batch.id)
    assert done.status == "completed"
    assert sorted(charge > 0 for charge in await shop.charges(buyer.name)) == [False, True]


async def test_an_answer_whose_receipt_is_refused_is_given_and_costs_nothing(shop: Shop, buyer: Buyer) -> None:
    provider = await shop.add()
    provider.behaviour = "wrong_charge"
    shop.work()
    done = await buyer.ended((await buyer.submit([chat(1)])).id)
    assert done.status == "completed" and done.request_counts.completed == 1
    assert await shop.charges(buyer.name) == [0]
