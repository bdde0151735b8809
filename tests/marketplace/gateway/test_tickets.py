"""Tickets for customers who call a provider themselves, and the books of those calls."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import Receipt, Status, Ticket
from contracts.signing import Signer
from marketplace.gateway.desk import Patience
from marketplace.gateway.paperwork import expire_tickets
from marketplace.gateway.tickets import request_digest, sign_ticket, ticket_header, ticket_json
from rewards.canonical import canonical_json
from tests.marketplace.gateway.conftest import DOMAIN, GATEWAY, KEY, QUICK, Town, statuses

UINT32 = st.integers(0, 2**32 - 1)
UINT128 = st.integers(0, 2**128 - 1)
WORD = st.binary(min_size=32, max_size=32)
BODY = b'{"model":"mock-model","messages":[{"role":"user","content":"hello"}],"max_tokens":4}'
SALT = b"\x07" * 32


TICKETS = st.builds(
    Ticket,
    job=WORD,
    attempt=UINT32,
    provider=st.just("0x" + "ab" * 20),
    model=WORD,
    max_input_tokens=UINT32,
    max_output_tokens=UINT32,
    price_in_atto=UINT128,
    price_cached_atto=UINT128,
    price_out_atto=UINT128,
    expires_at=st.integers(0, 2**64 - 1),
    request_digest=WORD,
)


@given(TICKETS)
def test_the_header_is_the_canonical_json_of_the_signed_ticket(ticket: Ticket) -> None:
    signature = sign_ticket(ticket, GATEWAY, DOMAIN.separator())
    header = ticket_header(ticket, signature)
    raw = base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4))
    assert raw == canonical_json(ticket_json(ticket, signature))
    assert Ticket.from_json(json.loads(raw)).signed_by(DOMAIN.separator(), signature) == GATEWAY.address


def wanted(offering: Any, **changes: Any) -> dict[str, Any]:
    request = {
        "provider": offering.owner,
        "model": offering.model,
        "max_input_tokens": 100,
        "max_output_tokens": 20,
        "request_digest": "0x" + request_digest(SALT, BODY).hex(),
    }
    return request | changes


async def ask(town: Town, requests: Any, key: str = KEY) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.post(
            f"{town.url}/v1/tickets", json={"requests": requests}, headers={"authorization": f"Bearer {key}"}
        )


async def call(provider: Any, ticket: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Call the provider directly; returns its receipt and body."""
    header = base64.urlsafe_b64encode(canonical_json(ticket)).rstrip(b"=").decode()
    async with httpx2.AsyncClient() as client:
        answer = await client.post(
            f"{provider.endpoint}/v1/chat/completions",
            content=BODY,
            headers={"x-bonded-ticket": header, "x-bonded-salt": SALT.hex()},
        )
    assert answer.status_code == 200, answer.text
    sealed = answer.headers["x-bonded-receipt"]
    return json.loads(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))), answer.content


async def post(town: Town, value: dict[str, Any]) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.post(f"{town.url}/v1/receipts", json=value)


async def test_no_key_no_ticket(town) -> None:
    provider = await town.add()
    assert (await ask(town, [wanted(provider)], key="sk-bonded-wrong")).status_code == 401
    assert town.books.holds == []


@pytest.mark.parametrize("requests", [None, [], {}, "x", [{}] * 65])
async def test_a_list_of_another_form_is_refused(town, requests: Any) -> None:
    await town.add()
    assert (await ask(town, requests)).status_code == 400


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"provider": "0x12"}, "invalid_value"),
        ({"provider": "0x" + "99" * 20}, "model_not_found"),
        ({"model": "other"}, "model_not_found"),
        ({"model": 5}, "invalid_value"),
        ({"max_input_tokens": 0}, "invalid_value"),
        ({"max_input_tokens": "5"}, "invalid_value"),
        ({"max_output_tokens": 10**9}, "invalid_value"),
        ({"max_output_tokens": -1}, "invalid_value"),
        ({"request_digest": "0x12"}, "invalid_value"),
        ({"request_digest": None}, "invalid_value"),
    ],
)
async def test_a_bad_request_gets_its_own_error_beside_the_tickets_of_others(town, change: Any, code: str) -> None:
    provider = await town.add()
    answer = await ask(town, [wanted(provider, **change), wanted(provider)])
    bad, good = answer.json()["tickets"]
    assert bad["error"]["code"] == code
    assert good["provider"] == provider.owner
    assert len(town.books.holds) == 1


async def test_a_ticket_above_the_balance_is_refused(town) -> None:
    provider = await town.add()
    town.books.purse.put_in = 1_000
    answer = await ask(town, [wanted(provider)])
    assert answer.json()["tickets"][0]["error"]["code"] == "insufficient_quota"


async def test_a_direct_call_is_paid_by_the_receipt_its_caller_posts(town) -> None:
    provider = await town.add()
    [ticket] = (await ask(town, [wanted(provider)])).json()["tickets"]
    assert Ticket.from_json(ticket).most_atto() == town.books.held_atto
    receipt, body = await call(provider, ticket)
    for _ in range(2):
        answer = await post(town, receipt | {"ttft_ms": 12, "itl_us": 34})
        assert (answer.status_code, answer.json()) == (200, {"accepted": True})
    [attempt] = town.books.posted
    assert attempt.receipt.response_digest == hashlib.sha256(SALT + body).digest()
    assert (attempt.countersignature.ttft_ms, attempt.countersignature.itl_us) == (12, 34)
    assert town.books.held_atto == 0


async def test_a_free_receipt_is_recorded_and_frees_the_hold(town) -> None:
    provider = await town.add(behaviour="failed_receipt")
    [ticket] = (await ask(town, [wanted(provider)])).json()["tickets"]
    receipt, _ = await call(provider, ticket)
    assert (await post(town, receipt | {"ttft_ms": None, "itl_us": None})).status_code == 200
    assert statuses(town) == ["provider_error"]
    assert town.books.held_atto == 0


@pytest.mark.parametrize("behaviour", ["wrong_signature", "wrong_charge", "too_many_tokens"])
async def test_a_receipt_that_lies_is_refused(town, behaviour: str) -> None:
    provider = await town.add(behaviour=behaviour)
    [ticket] = (await ask(town, [wanted(provider)])).json()["tickets"]
    receipt, _ = await call(provider, ticket)
    answer = await post(town, receipt | {"ttft_ms": 1, "itl_us": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "receipt_refused")
    assert town.books.posted == []


@pytest.mark.parametrize("times", [{"ttft_ms": -1}, {"itl_us": 2**32}, {"ttft_ms": "1"}, {"ttft_ms": 1.5}])
async def test_times_that_are_none_are_refused(town, times: dict[str, Any]) -> None:
    provider = await town.add()
    [ticket] = (await ask(town, [wanted(provider)])).json()["tickets"]
    receipt, _ = await call(provider, ticket)
    assert (await post(town, receipt | times)).status_code == 400
    assert (await post(town, receipt)).status_code == 200


@pytest.mark.parametrize("patience", [Patience(ticket_s=1)])
async def test_an_expired_ticket_is_of_no_use_at_the_provider(town) -> None:
    provider = await town.add()
    [ticket] = (await ask(town, [wanted(provider)])).json()["tickets"]
    assert ticket["expiresAt"] <= time.time() + 1
    stale = ticket | {"expiresAt": int(time.time()) - 1}
    with pytest.raises(AssertionError, match="bad_ticket"):
        await call(provider, stale)


async def test_an_unused_ticket_frees_its_hold_when_it_expires(town) -> None:
    provider = await town.add()
    await ask(town, [wanted(provider)] * 3)
    assert town.books.held_atto > 0
    later = time.time() + QUICK.hold_s + 1
    town.desk.clock = lambda: later
    assert expire_tickets(town.desk) == 3
    assert town.books.held_atto == 0


@pytest.mark.parametrize(("direct", "recorded"), [(1, "provider_error"), (2, "idle")])
async def test_a_provider_whose_places_others_have_tickets_for_is_full_without_fault(town, direct, recorded) -> None:
    provider = await town.add(990_000, behaviour="refuse_full", slots=2)
    await town.add()
    await ask(town, [wanted(provider)] * direct)
    await town.client().chat.completions.create(model="mock-model", messages=[{"role": "user", "content": "hello"}])
    assert statuses(town) == [recorded, "served"], "one direct ticket and this request are two jobs, not three"


async def test_a_ticket_of_another_key_is_not_accepted_by_the_provider(town) -> None:
    provider = await town.add()
    [ticket] = (await ask(town, [wanted(provider)])).json()["tickets"]
    forged = ticket_json(
        Ticket.from_json(ticket), sign_ticket(Ticket.from_json(ticket), Signer(b"\x33" * 32), DOMAIN.separator())
    )
    with pytest.raises(AssertionError, match="bad_ticket"):
        await call(provider, forged)


async def test_a_charge_above_64_bits_is_read_exactly(town) -> None:
    provider = await town.add(prices=(10**18, 10**18, 10**19))
    town.books.purse.put_in = 10**24
    town.books.purse.caps = (type(town.books.purse.caps[0])(10**24, 0),)
    [ticket] = (await ask(town, [wanted(provider)])).json()["tickets"]
    receipt, _ = await call(provider, ticket)
    assert receipt["receipt"]["chargeAtto"] > 2**64
    assert (await post(town, receipt)).status_code == 200
    assert town.books.charged_atto == Receipt.from_json(receipt["receipt"]).charge_atto
    assert town.books.posted[0].receipt.status == Status.SERVED
