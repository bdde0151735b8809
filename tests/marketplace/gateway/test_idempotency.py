"""Requests that come twice under one idempotency key: done once, answered twice."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx2
import pytest

from marketplace.accounts import Account
from marketplace.gateway import once
from marketplace.gateway.once import Answers, Kept
from tests.marketplace.gateway.conftest import CUSTOMER, KEY, Town, statuses
from tests.marketplace.gateway.wire import read_stream

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "mock-model", "messages": [{"role": "user", "content": "Count."}], "max_tokens": 3}


async def post(town: Town, value: Any, key: str = "order-1", path: str = CHAT, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=20) as client:
        about = {"authorization": f"Bearer {KEY}", "idempotency-key": key} | headers
        return await client.post(town.url + path, json=value, headers=about)


async def test_an_answer_is_given_again_and_paid_once(town) -> None:
    await town.add()
    first, second = await post(town, ASKED), await post(town, ASKED)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert first.headers["x-bonded-job"] == second.headers["x-bonded-job"], "it is the same job"
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    await town.settled()
    assert statuses(town) == ["served"]
    assert len(town.books.holds) == 1


async def test_a_stream_is_given_again_to_the_last_byte(town) -> None:
    provider = await town.add(gap_s=0.01)
    answers = [
        await read_stream(town.server.port, ASKED | {"stream": True}, idempotency_key="order-1") for _ in range(2)
    ]
    assert [(one.text.split(), one.done, one.whole) for one in answers] == [(["word0", "word1", "word2"], 1, True)] * 2
    assert answers[0].ids == answers[1].ids
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert len(provider.tickets) == 1


async def test_another_request_under_the_same_key_is_refused(town) -> None:
    await town.add()
    await post(town, ASKED)
    answer = await post(town, ASKED | {"max_tokens": 4})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert (await post(town, ASKED, "order-2")).status_code == 200, "another key is another request"


async def test_while_the_first_runs_the_second_is_told_to_wait(town) -> None:
    gate = asyncio.Event()
    provider = await town.add(gate=gate)
    first = asyncio.create_task(post(town, ASKED))
    for _ in range(500):
        if provider.tickets:
            break
        await asyncio.sleep(0.01)
    answer = await post(town, ASKED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    assert int(answer.headers["retry-after-ms"]) > 0
    gate.set()
    assert (await first).status_code == 200
    assert (await post(town, ASKED)).headers["idempotent-replayed"] == "true"
    assert len(provider.tickets) == 1


async def test_what_failed_cost_nothing_and_is_done_when_it_is_asked_again(town) -> None:
    provider = await town.add(behaviour="error_500")
    assert (await post(town, ASKED)).status_code == 502
    provider.behaviour = "ok"
    answer = await post(town, ASKED)
    assert (answer.status_code, "idempotent-replayed" in answer.headers) == (200, False)


async def test_a_stream_that_broke_off_is_not_given_again(town) -> None:
    provider = await town.add(behaviour="close_mid")
    broken = await read_stream(town.server.port, ASKED | {"stream": True}, idempotency_key="order-1")
    assert (broken.error, broken.whole) == ("stream_broken", False)
    provider.behaviour = "ok"
    again = await read_stream(town.server.port, ASKED | {"stream": True}, idempotency_key="order-1")
    assert (again.done, again.whole) == (1, True)


async def test_a_key_of_one_customer_says_nothing_to_another(town) -> None:
    for secret, customer in (("sk-poor", "0x" + "c1" * 20), ("sk-own", CUSTOMER)):
        town.books._keys[hashlib.sha256(secret.encode()).digest()] = Account(customer, 2, secret)
    await town.add()
    await post(town, ASKED)
    answer = await post(town, ASKED, authorization="Bearer sk-poor")
    assert answer.json()["error"]["code"] == "insufficient_quota", "it is a request of its own, and has no money"
    answer = await post(town, ASKED, authorization="Bearer sk-own")
    assert answer.headers["idempotent-replayed"] == "true", "another API key of the same customer asks the same"


async def test_tickets_are_given_out_once(town) -> None:
    provider = await town.add()
    asked = {
        "requests": [
            {
                "provider": provider.owner,
                "model": "mock-model",
                "max_input_tokens": 10,
                "max_output_tokens": 5,
                "request_digest": "0x" + "00" * 32,
            }
        ]
    }
    first = await post(town, asked, path="/v1/tickets")
    second = await post(town, asked, path="/v1/tickets")
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len(town.desk.open_tickets) == 1
    assert (await post(town, {"requests": []}, path="/v1/tickets")).status_code == 422


async def test_a_key_is_not_longer_than_a_name(town) -> None:
    await town.add()
    answer = await post(town, ASKED, "k" * 256)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")


def kept(size: int) -> Kept:
    return Kept(200, b"text/plain", (), b"x" * size)


def test_what_is_kept_has_bounds_in_time_and_size() -> None:
    now = [0.0]
    answers = Answers(lambda: now[0], bytes_most=10_000)
    for name in range(6):
        assert answers.begin(name, b"d") is None
        answers.end(name, kept(1_500))
    assert answers.begin(0, b"d") is None, "the oldest made room"
    answers.end(0, None)
    assert answers.begin(5, b"d") == kept(1_500)
    now[0] = once.KEPT_S + 1
    assert answers.begin(5, b"other") is None, "after a day the key is free"
    answers.end(5, kept(once.ANSWER_BYTES_MOST + 1))
    assert answers.begin(5, b"d") is None, "too large to be kept"


@pytest.mark.parametrize("running", [True, False])
def test_a_key_is_bound_to_its_request_from_the_first_moment(running: bool) -> None:
    answers = Answers(lambda: 0.0)
    answers.begin("a", b"one")
    if not running:
        answers.end("a", kept(1))
    with pytest.raises(once.ApiError) as refused:
        answers.begin("a", b"two")
    assert refused.value.status == 422


class Counting:
    """An application that counts what it does, and answers what it is told to."""

    def __init__(self) -> None:
        self.done = 0
        self.status = 201

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        self.done += 1
        about = [(b"content-type", b"application/json"), (b"set-cookie", b"a=b")]
        await send({"type": "http.response.start", "status": self.status, "headers": about})
        await send({"type": "http.response.body", "body": b'{"done":%d}' % self.done})


async def call(once_only: once.OnceOnly, app: Counting, body: bytes = b"{}", **headers: str) -> tuple[int, bytes, bool]:
    """Send a POST through; returns status, body, and whether it was given again."""
    about = {"authorization": "Bearer x", "idempotency_key": "k", "content_length": str(len(body))} | headers
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in about.items() if value]
    scope = {"type": "http", "method": "POST", "path": "/api/keys", "headers": raw}
    told: list[Any] = []
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message)

    if once_only.wants(scope):
        await once_only(scope, receive, send, app)
    else:
        await app(scope, receive, send)
    return told[0]["status"], told[1]["body"], once.REPLAYED in told[0]["headers"]


async def test_other_posts_are_done_once_for_each_credential() -> None:
    once_only, app = once.OnceOnly(Answers(lambda: 0.0)), Counting()
    assert await call(once_only, app) == (201, b'{"done":1}', False)
    assert await call(once_only, app) == (201, b'{"done":1}', True)
    assert (await call(once_only, app, b'{"a":1}'))[0] == 422
    assert await call(once_only, app, authorization="Bearer y") == (201, b'{"done":2}', False)
    assert await call(once_only, app, authorization="", cookie="session=z") == (201, b'{"done":3}', False)
    assert await call(once_only, app, authorization="") == (201, b'{"done":4}', False)
    assert await call(once_only, app, authorization="") == (201, b'{"done":5}', False), "nobody's key is not looked at"
    assert await call(once_only, app, idempotency_key="") == (201, b'{"done":6}', False)


async def test_other_posts_that_fail_are_done_again() -> None:
    once_only, app = once.OnceOnly(Answers(lambda: 0.0)), Counting()
    for status in (500, 409, 302):
        app.status = status
        assert (await call(once_only, app))[2] is False
    app.status = 200
    assert await call(once_only, app) == (200, b'{"done":4}', False)
    assert (await call(once_only, app))[2] is True


async def test_uploads_are_compared_by_their_length_because_their_form_changes_each_time() -> None:
    once_only, app = once.OnceOnly(Answers(lambda: 0.0)), Counting()
    for boundary in ("aaa", "bbb"):
        form = f"--{boundary}\r\nfile\r\n--{boundary}--".encode()
        await call(once_only, app, form, content_type=f"multipart/form-data; boundary={boundary}")
    assert app.done == 1
    assert (await call(once_only, app, b"--c", content_type="multipart/form-data; boundary=c"))[0] == 422
