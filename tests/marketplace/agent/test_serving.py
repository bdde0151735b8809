"""An agent on the real model: answers, receipts, and what happens when somebody leaves or something dies."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from contracts.messages import Status
from tests.marketplace.agent.harness import (
    GATEWAY,
    chat,
    check_receipt,
    header_receipt,
    make_call,
    read_receipt,
    start_agent,
    write_provider_file,
)

pytestmark = pytest.mark.model


async def test_a_streamed_answer_ends_in_one_receipt_that_verifies_and_then_done(agent, gateway):
    call = make_call(agent.offer, chat(stream=True, max_tokens=12))
    answer = await agent.stream(call)
    receipt = answer.check(call)
    assert answer.status == 200 and answer.done
    assert receipt.status == Status.SERVED
    assert receipt.output_tokens == 12 and receipt.input_tokens > 20
    assert receipt.ttft_ms > 0 and receipt.itl_us > 0
    assert not any("usage" in event for event in answer.events), "the caller did not ask for usage"
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in answer.events)
    assert len(text) > 10
    await asyncio.wait_for(_until(lambda: not agent.parts.journal.open), 10)
    assert gateway.posted == [], "a receipt handed over in-band needs no posting"


async def test_a_caller_that_asks_for_usage_gets_it_and_it_agrees_with_the_receipt(agent):
    call = make_call(agent.offer, chat(stream=True, max_tokens=5, stream_options={"include_usage": True}))
    answer = await agent.stream(call)
    receipt = answer.check(call)
    usage = answer.events[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (receipt.input_tokens, receipt.output_tokens)


async def test_an_answer_that_is_not_streamed_carries_its_receipt_in_a_header(agent):
    call = make_call(agent.offer, chat(max_tokens=6))
    answer = await agent.post(call)
    receipt, signature = header_receipt(answer)
    check_receipt(receipt, signature, call, answer.content)
    usage = answer.json()["usage"]
    assert receipt.status == Status.SERVED
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (receipt.input_tokens, receipt.output_tokens)
    assert answer.json()["model"] == "smollm2-135m-instruct"


async def test_plain_completions_are_served_streamed_and_whole(agent):
    request = {"model": "smollm2-135m-instruct", "prompt": "Once upon a time", "max_tokens": 5, "temperature": 0}
    call = make_call(agent.offer, request)
    answer = await agent.post(call, "/v1/completions")
    check_receipt(*header_receipt(answer), call, answer.content)
    call = make_call(agent.offer, request | {"stream": True})
    streamed = await agent.stream(call, "/v1/completions")
    streamed.check(call)
    assert "".join(event["choices"][0]["text"] for event in streamed.events) == answer.json()["choices"][0]["text"]


async def test_a_prompt_seen_before_is_charged_at_the_cached_price(agent):
    for expected in (False, True):
        call = make_call(agent.offer, chat("Name three colours, please.", max_tokens=2))
        answer = await agent.post(call)
        receipt = check_receipt(*header_receipt(answer), call, answer.content)
        assert (receipt.cached_tokens > 0) is expected


async def test_output_is_cut_to_the_ticket_whatever_the_caller_asks(agent):
    wild = chat(stream=True, max_tokens=400, max_completion_tokens=500, n_predict=600, ignore_eos=True)
    call = make_call(agent.offer, wild, max_output_tokens=7)
    receipt = (await agent.stream(call)).check(call)
    assert receipt.output_tokens == 7


async def test_output_is_cut_to_what_the_context_leaves(agent):
    call = make_call(agent.offer, chat("word " * 440, max_tokens=60, ignore_eos=True), max_input_tokens=500)
    answer = await agent.post(call)
    receipt = check_receipt(*header_receipt(answer), call, answer.content)
    assert receipt.input_tokens > 452 and receipt.input_tokens + receipt.output_tokens == 512


async def test_embeddings_are_served_and_charged_for_input_alone(tmp_path, gateway):
    async with AsyncExitStack() as stack:
        path = write_provider_file(tmp_path, features=("chat", "embeddings"))
        agent = await start_agent(stack, path, {GATEWAY.address: gateway.url})
        call = make_call(agent.offer, {"model": "smollm2-135m-instruct", "input": "A lighthouse."}, max_output_tokens=0)
        answer = await agent.post(call, "/v1/embeddings")
        receipt = check_receipt(*header_receipt(answer), call, answer.content)
        assert len(answer.json()["data"][0]["embedding"]) == 576
        assert receipt.status == Status.SERVED and receipt.output_tokens == 0 and receipt.charge_atto > 0


async def _leave_after(agent, call, events: int) -> bytes:
    """Read a few events of a stream, then close the connection; return what was read."""
    seen = b""
    async with agent.client.stream(
        "POST", agent.url + "/v1/chat/completions", content=call.body, headers=call.headers()
    ) as answer:
        async for chunk in answer.aiter_raw():
            seen += chunk
            if seen.count(b"\n\n") >= events:
                break
    return seen


async def test_a_caller_that_leaves_is_charged_for_what_it_got_and_the_receipt_is_posted(agent, gateway):
    call = make_call(agent.offer, chat(stream=True, max_tokens=60, ignore_eos=True))
    seen = await _leave_after(agent, call, 5)
    await asyncio.wait_for(gateway.arrived.wait(), 20)
    receipt, signature = read_receipt(gateway.posted[0])
    check_receipt(receipt, signature, call, None)
    assert receipt.status == Status.CUSTOMER_ABORT
    assert seen.count(b"\n\n") - 1 <= receipt.output_tokens < 60
    assert receipt.input_tokens > 20, "the prompt was counted by the engine's tokenizer"
    assert gateway.posted[0]["ttft_ms"] is None and gateway.posted[0]["itl_us"] is None
    await asyncio.wait_for(_until(lambda: not agent.parts.journal.open), 10)


async def test_the_engine_stops_when_the_caller_leaves(agent, gateway):
    call = make_call(agent.offer, chat(stream=True, max_tokens=60, ignore_eos=True))
    await _leave_after(agent, call, 3)
    await asyncio.wait_for(gateway.arrived.wait(), 20)
    assert agent.app.health()["in_flight"] == {"smollm2-135m-instruct": 0}
    # both slots are free again, at the agent and in the engine
    answers = await asyncio.gather(*[agent.post(make_call(agent.offer, chat(max_tokens=2))) for _ in range(2)])
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_caller_that_leaves_before_the_first_token_owes_nothing(tmp_path, gateway):
    async with AsyncExitStack() as stack:
        path = write_provider_file(tmp_path, engine='kind = "testing:slow"\nfirst_token_delay_s = 30\nthreads = 1')
        agent = await start_agent(stack, path, {GATEWAY.address: gateway.url})
        call = make_call(agent.offer, chat(stream=True))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(agent.post(call), 0.3)
        await asyncio.wait_for(gateway.arrived.wait(), 10)
        receipt = check_receipt(*read_receipt(gateway.posted[0]), call, b"")
        assert receipt.status == Status.CUSTOMER_ABORT and receipt.charge_atto == 0 and receipt.input_tokens == 0


async def test_receipts_are_posted_until_the_gateway_acknowledges(agent, gateway):
    gateway.status = 503
    await _leave_after(agent, make_call(agent.offer, chat(stream=True, max_tokens=60, ignore_eos=True)), 3)
    await asyncio.wait_for(_until(lambda: gateway.tries >= 2), 20)
    assert len(agent.parts.journal.open) == 1
    gateway.status = 200
    await asyncio.wait_for(gateway.arrived.wait(), 20)
    await asyncio.wait_for(_until(lambda: not agent.parts.journal.open), 10)


async def test_a_receipt_that_the_gateway_refuses_for_good_is_given_up_after_some_tries(agent, gateway):
    gateway.status = 404
    await _leave_after(agent, make_call(agent.offer, chat(stream=True, max_tokens=60, ignore_eos=True)), 3)
    await asyncio.wait_for(_until(lambda: gateway.tries >= 1), 20)
    assert len(agent.parts.journal.open) == 1
    await asyncio.wait_for(_until(lambda: not agent.parts.journal.open), 40)
    assert 3 <= gateway.tries <= 5


async def test_an_engine_that_dies_mid_stream_gives_an_error_event_a_free_receipt_and_no_done(tmp_path, gateway):
    async with AsyncExitStack() as stack:
        path = write_provider_file(tmp_path, engine='kind = "testing:dies"\nafter_events = 3\nthreads = 1')
        agent = await start_agent(stack, path, {GATEWAY.address: gateway.url})
        call = make_call(agent.offer, chat(stream=True))
        answer = await agent.stream(call)
        receipt = answer.check(call)
        assert receipt.status == Status.PROVIDER_ERROR and not answer.done
        assert answer.events[-1]["error"]["code"] == "engine_failed"
        assert len(answer.events) == 4


async def test_an_engine_that_dies_before_the_first_byte_gives_a_502_with_a_free_receipt(tmp_path, gateway):
    async with AsyncExitStack() as stack:
        path = write_provider_file(tmp_path, engine='kind = "testing:dies"\nafter_events = 0\nthreads = 1')
        agent = await start_agent(stack, path, {GATEWAY.address: gateway.url})
        for request in (chat(stream=True), chat()):
            call = make_call(agent.offer, request)
            answer = await agent.post(call)
            assert answer.status_code == 502
            receipt = check_receipt(*header_receipt(answer), call, answer.content)
            assert receipt.status == Status.PROVIDER_ERROR


async def test_a_lying_engine_cannot_bill_more_than_the_ticket_holds(tmp_path, gateway):
    async with AsyncExitStack() as stack:
        path = write_provider_file(tmp_path, engine='kind = "testing:lies"\nusage_factor = 1000\nthreads = 1')
        agent = await start_agent(stack, path, {GATEWAY.address: gateway.url})
        call = make_call(agent.offer, chat(stream=True, max_tokens=4))
        receipt = (await agent.stream(call)).check(call)
        assert (receipt.input_tokens, receipt.output_tokens) == (400, 64)
        assert receipt.charge_atto <= call.ticket.most_atto()


async def test_a_request_the_engine_refuses_is_told_to_the_caller_and_free(agent):
    call = make_call(agent.offer, chat(response_format={"type": "nonsense"}))
    answer = await agent.post(call)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"
    assert check_receipt(*header_receipt(answer), call, answer.content).status == Status.IDLE


async def test_draining_lets_streams_finish_and_refuses_new_work(agent):
    call = make_call(agent.offer, chat(stream=True, max_tokens=30, ignore_eos=True))
    running = asyncio.create_task(agent.stream(call))
    await asyncio.wait_for(_until(lambda: agent.app.health()["in_flight"]["smollm2-135m-instruct"] == 1), 10)
    draining = asyncio.create_task(agent.app.drain(30))
    await asyncio.sleep(0)
    refused = await agent.post(make_call(agent.offer, chat()))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
    health = await agent.client.get(agent.url + "/health")
    assert (health.status_code, health.json()["status"]) == (503, "draining")
    answer = await running
    assert answer.done and answer.check(call).output_tokens == 30
    await draining


async def test_what_does_not_finish_within_the_drain_limit_ends_in_an_error_and_a_free_receipt(tmp_path, gateway):
    async with AsyncExitStack() as stack:
        path = write_provider_file(
            tmp_path, engine='kind = "testing:slow"\nfirst_token_delay_s = 0.0\ntoken_delay_s = 20.0\nthreads = 1'
        )
        agent = await start_agent(stack, path, {GATEWAY.address: gateway.url})
        call = make_call(agent.offer, chat(stream=True))
        answer = await asyncio.wait_for(agent.stream_and(call, lambda: agent.app.drain(0.1)), 60)
        assert not answer.done and answer.check(call).status == Status.PROVIDER_ERROR
        assert answer.events[-1]["error"]["code"] == "draining"


async def test_the_offer_is_served_byte_for_byte_as_it_was_hashed(agent):
    import hashlib

    answer = await agent.client.get(agent.url + "/bonded/offer")
    assert hashlib.sha256(answer.content).digest() == agent.offer.digest
    document = answer.json()
    assert json.dumps(document, sort_keys=True, separators=(",", ":")).encode() == answer.content
    assert document["models"][0]["price_out_atto"] == 11


async def test_metrics_count_what_was_served_and_refused(agent):
    await agent.post(make_call(agent.offer, chat(max_tokens=2)))
    await agent.post(make_call(agent.offer, chat(), expires_at=1))
    text = (await agent.client.get(agent.url + "/metrics")).text
    assert 'bonded_agent_attempts_total{status="served"} 1.0' in text
    assert 'bonded_agent_refusals_total{code="bad_ticket"} 1.0' in text
    assert "gen_ai_server_time_to_first_token_seconds_count 1.0" in text


async def _until(true) -> None:
    while not true():
        await asyncio.sleep(0.02)
