"""`/v1/batches` with the unmodified client: upload, create, wait, read."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.marketplace.batches.shop import CHAT, MODEL, Buyer, Shop, chat


async def test_a_batch_is_answered_whole_and_charged_by_its_receipts(shop: Shop, buyer: Buyer) -> None:
    provider = await shop.add(slots=8)
    shop.work()
    batch = await buyer.submit([chat(number) for number in range(40)], metadata={"night": "1"})
    assert (batch.status, batch.object, batch.endpoint, batch.completion_window) == ("validating", "batch", CHAT, "24h")
    assert batch.expires_at == batch.created_at + 86_400 and batch.metadata == {"night": "1"}
    done = await buyer.ended(batch.id)
    assert done.status == "completed" and done.model == MODEL and done.errors is None
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (40, 40, 0)
    times = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at]
    assert times == sorted(times)
    assert (done.failed_at, done.expired_at, done.cancelling_at, done.cancelled_at) == (None,) * 4
    rows = await buyer.lines(done.output_file_id)
    assert done.error_file_id is None
    assert sorted(rows) == sorted(f"line-{number}" for number in range(40))
    for row in rows.values():
        assert row["error"] is None and row["response"]["status_code"] == 200
        assert row["response"]["body"]["choices"][0]["message"]["content"] == "word0 word1 word2"
        assert row["id"].startswith("batch_req_") and row["response"]["request_id"].startswith("req_")
    charges = await shop.charges(buyer.name)
    assert len(charges) == len(provider.tickets) == 40
    assert done.usage.output_tokens == 120 and done.usage.total_tokens == done.usage.input_tokens + 120
    assert sum(charges) == done.usage.input_tokens * 2_000 + 120 * 5_000
    output = await buyer.api.files.retrieve(done.output_file_id)
    assert output.purpose == "batch_output" and output.filename == f"{batch.id}_output.jsonl"


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/completions", {"model": MODEL, "prompt": "Once", "max_tokens": 2}),
        ("/v1/embeddings", {"model": MODEL, "input": ["a", "b"]}),
    ],
)
async def test_completions_and_embeddings_can_be_batched(
    shop: Shop, buyer: Buyer, endpoint: str, body: dict[str, Any]
) -> None:
    await shop.add()
    shop.work()
    line = {"custom_id": "one", "method": "POST", "url": endpoint, "body": body}
    done = await buyer.ended((await buyer.submit([line], endpoint)).id)
    assert done.status == "completed"
    assert "one" in await buyer.lines(done.output_file_id)


async def test_a_file_with_bad_lines_fails_with_their_numbers_and_costs_nothing(shop: Shop, buyer: Buyer) -> None:
    provider = await shop.add()
    shop.work()
    raw = [chat(1), chat(1), chat(3, model="gpt-4"), chat(4, stream=True)]
    done = await buyer.ended((await buyer.submit(raw)).id)
    assert done.status == "failed" and done.failed_at is not None and done.in_progress_at is None
    assert [(error.line, error.code) for error in done.errors.data] == [
        (2, "duplicate_custom_id"), (3, "model_not_found"), (4, "invalid_value"),
    ]  # fmt: skip
    assert (done.output_file_id, done.error_file_id, done.request_counts.total) == (None, None, 0)
    assert provider.tickets == [] and await shop.charges(buyer.name) == []


async def test_a_file_of_fifty_thousand_and_one_lines_is_refused(shop: Shop, buyer: Buyer) -> None:
    await shop.add()
    shop.work()
    line = b'{"custom_id":"%d","method":"POST","url":"/v1/completions","body":{"model":"mock-model","prompt":"a"}}\n'
    raw = b"".join(line % number for number in range(50_001))
    done = await buyer.ended((await buyer.submit(raw, "/v1/completions")).id)
    assert done.status == "failed"
    [error] = done.errors.data
    assert (error.code, error.line) == ("too_many_tasks", None) and "50000" in error.message


async def test_fifty_thousand_lines_pass_validation(shop: Shop, buyer: Buyer) -> None:
    await shop.add(slots=1)
    line = b'{"custom_id":"%d","method":"POST","url":"/v1/completions","body":{"model":"mock-model","prompt":"a"}}\n'
    raw = b"".join(line % number for number in range(50_000))
    batch = await buyer.submit(raw, "/v1/completions")
    assert await shop.batches.validator.step() and not await shop.batches.validator.step()
    found = await buyer.api.batches.retrieve(batch.id)
    assert (found.status, found.request_counts.total) == ("in_progress", 50_000)


async def test_a_request_that_no_provider_can_take_is_in_the_error_file(shop: Shop, buyer: Buyer) -> None:
    await shop.add(context_length=1_000)
    shop.work()
    raw = [chat(1), chat(2, max_tokens=5_000), chat(3)]
    done = await buyer.ended((await buyer.submit(raw)).id)
    assert done.status == "completed"
    assert (done.request_counts.completed, done.request_counts.failed) == (2, 1)
    assert sorted(await buyer.lines(done.output_file_id)) == ["line-1", "line-3"]
    [(name, row)] = (await buyer.lines(done.error_file_id)).items()
    assert name == "line-2" and row["error"] is None and row["response"]["status_code"] == 400
    assert row["response"]["body"]["error"]["code"] == "context_length_exceeded"
    assert len(await shop.charges(buyer.name)) == 2


async def test_a_batch_without_a_good_answer_has_no_output_file(shop: Shop, buyer: Buyer) -> None:
    await shop.add(context_length=1_000)
    shop.work()
    done = await buyer.ended((await buyer.submit([chat(1, max_tokens=5_000)])).id)
    assert (done.status, done.output_file_id) == ("completed", None) and done.error_file_id is not None


async def test_lists_go_page_by_page_newest_first_and_show_nobody_elses(shop: Shop, buyer: Buyer) -> None:
    await shop.add()
    names = [(await buyer.submit([chat(number)])).id for number in range(5)]
    assert [batch.id async for batch in buyer.api.batches.list(limit=2)] == names[::-1]
    assert [batch.id async for batch in buyer.api.batches.list(after=names[2])] == names[1::-1]
    stranger = await shop.customer()
    assert [batch async for batch in stranger.api.batches.list()] == []
    for ask in (stranger.api.batches.retrieve, stranger.api.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            await ask(names[0])
    with pytest.raises(openai.NotFoundError):
        await stranger.api.batches.list(after=names[0])
    with pytest.raises(openai.BadRequestError):
        await buyer.api.batches.list(limit=101)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"endpoint": "/v1/responses"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
        ({"metadata": {"x" * 65: "y"}}, "metadata"),
        ({"metadata": {"x": "y" * 513}}, "metadata"),
        ({"metadata": {"x": 1}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3_600}}, "output_expires_after"),
        ({"input_file_id": 7}, "input_file_id"),
    ],
)
async def test_an_order_that_cannot_be_is_refused(buyer: Buyer, changes: dict[str, Any], param: str) -> None:
    file = await buyer.upload([chat(1)])
    order = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"} | changes
    with pytest.raises(openai.BadRequestError) as refused:
        await buyer.api.batches.create(**order)
    assert refused.value.param == param


async def test_results_are_kept_as_long_as_the_customer_says_and_then_removed(shop: Shop, buyer: Buyer) -> None:
    await shop.add()
    shop.work()
    batch = await buyer.submit([chat(1)], output_expires_after={"anchor": "created_at", "seconds": 7_200})
    done = await buyer.ended(batch.id)
    output = await buyer.api.files.retrieve(done.output_file_id)
    assert output.expires_at == output.created_at + 7_200
    shop.clock.ahead = 7_200 + 60
    assert await shop.batches.sweep() == 1
    with pytest.raises(openai.NotFoundError):
        await buyer.api.files.content(done.output_file_id)
    assert (await buyer.api.batches.retrieve(batch.id)).status == "completed"
    assert (await buyer.api.files.retrieve(batch.input_file_id)).id == batch.input_file_id


async def test_an_input_file_that_is_removed_before_it_is_read_fails_its_batch(shop: Shop, buyer: Buyer) -> None:
    await shop.add()
    batch = await buyer.submit([chat(1)])
    await buyer.api.files.delete(batch.input_file_id)
    shop.work()
    done = await buyer.ended(batch.id)
    assert done.status == "failed" and [error.code for error in done.errors.data] == ["file_not_found"]


async def test_while_no_work_is_taken_batches_can_be_read_and_not_made(shop: Shop, buyer: Buyer) -> None:
    await shop.add()
    batch = await buyer.submit([chat(1)])
    shop.inference.draining = True
    with pytest.raises(openai.InternalServerError) as refused:
        await buyer.submit([chat(2)])
    assert refused.value.status_code == 503
    assert (await buyer.api.batches.retrieve(batch.id)).id == batch.id
    assert await shop.batches.validator.step()
    assert await shop.batches.workers.step() == 0
    shop.inference.draining = False
    assert await shop.batches.workers.step() == 1
