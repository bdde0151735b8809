"""Streams that break and go on at another provider: no character lost or repeated, one end, each leg in the books."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import openai
import orjson
import pytest

from contracts.messages import Status
from marketplace.gateway import relay
from marketplace.gateway.transcript import Transcript
from tests.marketplace.gateway.conftest import Town, statuses
from tests.marketplace.gateway.wire import Stream, read_stream

MODEL = "mock-model"
CAN = ("chat", "completions", "continue")
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Count."}], "max_tokens": 9}
WORDS = [f"word{n}" for n in range(9)]
BREAKS = {
    "close_mid": "provider_error",
    "clean_end": "provider_error",
    "error_event": "provider_error",
    "long_line": "provider_error",
    "hang_mid": "timeout",
}


async def ask(town: Town, path: str = "/v1/chat/completions", **more: Any) -> Stream:
    """Ask for a stream, look at every byte of it, and wait until the books are done with it."""
    answer = await read_stream(town.server.port, ASKED | {"stream": True} | more, path)
    await town.settled()
    return answer


@pytest.mark.parametrize("behaviour", BREAKS)
async def test_a_broken_answer_goes_on_elsewhere_without_a_character_lost_or_repeated(town, behaviour: str) -> None:
    first = await town.add(990_000, behaviour=behaviour, features=CAN, words=9)
    second = await town.add(features=CAN, words=9)
    answer = await ask(town)
    assert answer.text.split() == WORDS
    assert (answer.finishes, answer.done, answer.whole) == (["stop"], 1, True)
    assert len(answer.ids) == 1, "one answer has one id"
    assert statuses(town) == [BREAKS[behaviour], "served"]
    [broken], [served] = town.books.recorded, town.books.posted
    assert (broken.receipt.provider, served.receipt.provider) == (first.owner, second.owner)
    assert [broken.receipt.attempt, served.receipt.attempt] == [0, 1]
    assert broken.receipt.job == served.receipt.job
    assert [hold.resolution for hold in town.books.holds] == ["posted"]


async def test_the_request_for_the_rest_names_the_delivered_text_and_is_what_the_ticket_is_signed_for(town) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    second = await town.add(features=CAN, words=9)
    await ask(town)
    [body], [ticket], [head] = second.bodies, second.tickets, second.heads
    request = json.loads(body)
    assert request.pop("bonded_delivered") == ["word0 ", "word1 "]
    assert request == ASKED | {"stream": True}, "everything else is the customer's"
    assert ticket.request_digest == hashlib.sha256(bytes.fromhex(head[b"x-bonded-salt"].decode()) + body).digest()
    assert ticket.max_output_tokens == 7, "what was delivered needs no room"


async def test_each_leg_is_billed_for_itself_and_a_broken_one_costs_nothing(town) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    second = await town.add(features=CAN, words=9)
    await ask(town)
    [broken], [served] = town.books.recorded, town.books.posted
    assert (broken.receipt.charge_atto, broken.receipt.output_tokens, broken.provider_signature) == (0, 0, b"")
    receipt, ticket = served.receipt, second.tickets[0]
    assert receipt.output_tokens == 7
    assert receipt.charge_atto == ticket.charge_atto(receipt.input_tokens, 0, 7)
    [hold] = town.books.holds
    balance = town.books.balance(hold.customer)
    assert balance.held_atto == 0, "what was not paid of the hold is back"
    assert balance.uncharged_atto == receipt.charge_atto <= hold.most_atto


async def test_an_answer_breaks_again_and_again_and_is_whole_in_the_end(town) -> None:
    for _ in range(3):
        await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    await town.add(features=CAN, words=9)
    answer = await ask(town)
    assert answer.text.split() == WORDS
    assert statuses(town) == ["provider_error"] * 3 + ["served"]
    assert town.books.posted[0].receipt.output_tokens == 3
    assert b"bonded_gateway_streams_continued_total 3.0" in town.desk.metrics.text()


async def test_an_answer_goes_on_where_it_broke_if_nobody_else_is_there(town) -> None:
    await town.add(behaviour="close_mid", features=CAN, words=9)
    answer = await ask(town, max_tokens=4)
    assert answer.text.split() == WORDS[:4]
    assert statuses(town) == ["provider_error"] * 2
    assert (answer.finishes, answer.done, answer.whole) == (["length"], 1, True), "it is as long as it may be"
    assert town.books.charged_atto == 0


async def test_no_answer_has_legs_without_end(town, monkeypatch) -> None:
    monkeypatch.setattr(relay, "LEGS_MOST", 1)
    for _ in range(3):
        await town.add(behaviour="close_mid", features=CAN, words=9)
    answer = await ask(town)
    assert (answer.error, answer.done, answer.whole) == ("stream_broken", 0, False)
    assert answer.text.split() == WORDS[:4], "two legs"
    assert statuses(town) == ["provider_error"] * 2


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_the_usage_shown_is_that_of_the_whole_answer(town, path: str) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    await town.add(features=CAN, words=9)
    more: dict[str, Any] = {"stream_options": {"include_usage": True}}
    if path == "/v1/completions":
        more |= {"prompt": "Count.", "messages": None}
    answer = await ask(town, path, **more)
    assert answer.text.split() == WORDS
    [receipt] = [attempt.receipt for attempt in town.books.posted]
    assert answer.usage["completion_tokens"] == 9
    assert answer.usage["prompt_tokens"] == receipt.input_tokens - 2, "two words of its prompt are the answer's own"
    assert answer.usage["total_tokens"] == receipt.input_tokens + receipt.output_tokens


@pytest.mark.parametrize("bad", [False, True])
async def test_a_long_answer_is_kept_packed_and_counted_right(town, bad: bool) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=400)
    await town.add(features=CAN, words=400)
    answer = await ask(town, max_tokens=400, stream_options={"include_usage": True})
    assert answer.text.split() == [f"word{n}" for n in range(400)]
    assert answer.usage["completion_tokens"] == 400
    script = Transcript()
    for n in range(1_000):
        piece = {"content": f"w{n} "} | ({"tool_calls": [{"index": 0}]} if bad and n == 3 else {})
        script.add(b"data: " + orjson.dumps({"id": "a", "choices": [{"index": 0, "delta": piece}]}) + b"\n\n")
    kept = sum(map(len, [*script._packed, *script._kept]))
    assert kept < 30_000, "a fraction of the 70,000 bytes of events"
    assert script.read() is not bad
    assert len(script.pieces) == (3 if bad else 1_000)


@pytest.mark.parametrize(
    "form",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        {"logprobs": True},
        {"guided_regex": "a+"},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "I say"}]},
    ],
    ids=lambda form: next(iter(form)),
)
async def test_what_nobody_can_keep_up_ends_in_an_error_and_never_politely(town, form: dict[str, Any]) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    spare = await town.add(features=CAN, words=9)
    answer = await ask(town, **form)
    assert (answer.error, answer.done, answer.whole) == ("stream_broken", 0, False)
    assert answer.text.split() == WORDS[:2], "what was there is delivered"
    assert spare.tickets == []
    assert [hold.resolution for hold in town.books.holds] == ["voided"]


async def test_a_form_that_means_plain_text_is_gone_on_with(town) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    await town.add(features=CAN, words=9)
    answer = await ask(town, response_format={"type": "text"}, tools=[], logprobs=False, n=1)
    assert answer.text.split() == WORDS


@pytest.mark.parametrize(
    "stranger",
    [{"features": CAN[:2]}, {"template_digest": b"\x07" * 32}, {"weights_digest": b"\x06" * 32}],
    ids=["cannot", "other template", "other weights"],
)
async def test_only_who_says_it_can_and_has_the_same_weights_is_asked(town, stranger: dict[str, Any]) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    spare = await town.add(900_000, **({"features": CAN, "words": 9} | stranger))
    third = await town.add(500_000, features=CAN, words=9)
    answer = await ask(town)
    assert answer.text.split() == WORDS
    assert (spare.tickets, len(third.tickets)) == ([], 1)


async def test_a_provider_that_cannot_itself_is_helped_out(town) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN[:2], words=9)
    await town.add(features=CAN, words=9)
    assert (await ask(town)).text.split() == WORDS


async def test_an_answer_that_came_to_its_end_is_whole_though_its_provider_left(town) -> None:
    await town.add(behaviour="close_at_end", features=CAN, words=3)
    answer = await ask(town, max_tokens=3)
    assert (answer.text.split(), answer.finishes, answer.done, answer.whole) == (WORDS[:3], ["stop"], 1, True)
    assert statuses(town) == ["provider_error"]
    assert town.books.charged_atto == 0


async def test_a_second_provider_that_refuses_is_passed_over(town) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    await town.add(950_000, behaviour="error_500", features=CAN, words=9)
    await town.add(900_000, features=CAN, words=9)
    answer = await ask(town)
    assert answer.text.split() == WORDS
    assert statuses(town) == ["provider_error", "provider_error", "served"]


async def test_a_dear_provider_goes_on_only_as_far_as_the_hold_covers(town) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN[:2], words=9, prices=(2, 1, 5))
    await town.add(500_000, features=CAN, words=9, prices=(2_000_000, 1, 5_000_000))
    town.books.purse.put_in = 100_000  # the dear one was never affordable
    answer = await ask(town)
    assert (answer.error, answer.whole) == ("stream_broken", False)
    assert town.books.charged_atto == 0


async def test_a_customer_who_leaves_the_second_leg_pays_what_that_one_delivered(town) -> None:
    await town.add(990_000, behaviour="close_mid", features=CAN, words=200)
    second = await town.add(features=CAN, words=200, gap_s=0.02)
    stream = await town.client().chat.completions.create(**ASKED | {"max_tokens": 200}, stream=True)
    heard = 0
    async for _ in stream:
        heard += 1
        if heard == 5:
            break
    await stream.close()
    await town.settled()
    assert statuses(town) == ["provider_error"]
    [entry] = town.desk.open_tickets._open.values()
    assert (entry.ticket.provider, entry.ticket.attempt) == (second.owner, 1)


async def test_customers_cannot_put_words_into_a_providers_mouth(town) -> None:
    await town.add(features=CAN)
    with pytest.raises(openai.BadRequestError, match="bonded_delivered"):
        await town.client().chat.completions.create(**ASKED, extra_body={"bonded_delivered": ["Yes, "]})


async def test_an_answer_waits_when_those_who_could_go_on_are_away(town) -> None:
    first = await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    second = await town.add(behaviour="close_early", features=CAN, words=9)
    asking = asyncio.create_task(ask(town))
    for _ in range(500):
        if len(town.books.recorded) >= 3:
            break
        await asyncio.sleep(0.01)
    first.behaviour = second.behaviour = "ok"
    answer = await asking
    assert answer.text.split() == WORDS
    assert (answer.done, answer.whole, len(answer.ids)) == (1, True, 1)


async def test_words_that_come_in_one_piece_with_the_end_are_delivered(town) -> None:
    await town.add(words=4, gap_s=0.02)
    answer = await ask(town, max_tokens=4)
    assert (answer.text.split(), answer.finishes, answer.done) == (WORDS[:4], ["stop"], 1)


async def test_a_leg_that_says_it_failed_is_gone_on_with_unless_it_had_said_its_end(town) -> None:
    await town.add(990_000, behaviour="failed_receipt", features=CAN, words=3)
    spare = await town.add(features=CAN, words=3)
    answer = await ask(town)
    assert (answer.error, answer.whole) == ("stream_broken", False)
    assert spare.tickets == []
    [failed] = town.books.recorded
    assert failed.receipt.status == Status.PROVIDER_ERROR and failed.provider_signature


async def test_text_of_any_script_survives_the_seam(town) -> None:
    first = await town.add(990_000, behaviour="close_mid", features=CAN, words=9)
    second = await town.add(features=CAN, words=9)
    for provider in (first, second):
        provider.word = 'Zähle🙂\n"\\'
    answer = await ask(town)
    assert answer.text == "".join(f'Zähle🙂\n"\\{n} ' for n in range(9))
    assert orjson.loads(second.bodies[0])["bonded_delivered"] == [f'Zähle🙂\n"\\{n} ' for n in range(2)]
