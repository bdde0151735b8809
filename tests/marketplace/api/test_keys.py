"""API keys over HTTP: shown once, kept as a hash, dead at once when revoked, and nobody else's."""

from __future__ import annotations

import asyncio
import hashlib

import openai
import pytest
from sqlalchemy import select

from marketplace import accounts as accounts_module
from marketplace.accounts import RevokedKey
from marketplace.models import api_keys
from marketplace.rates import Rates
from tests.marketplace.api.test_sign_in import refusal
from tests.marketplace.api.visitor import Visitor
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


def rows_of(settled: Settled) -> list:
    async def read() -> list:
        async with settled.database.begin() as connection:
            return list((await connection.execute(select(api_keys))).all())

    return settled.do(read())


def answers(settled: Settled, key: str) -> bool:
    """Say whether a key may ask for the models."""
    with openai.OpenAI(api_key=key, base_url=f"{settled.url}/v1", max_retries=0) as client:
        try:
            client.models.list()
        except openai.AuthenticationError:
            return False
        return True


def test_a_key_is_shown_once_and_kept_as_a_hash(settled: Settled, alice: Visitor):
    made = alice.post("/api/keys", json={"name": "laptop"})
    assert made.status_code == 201
    key, key_id = made.json()["key"], made.json()["id"]
    assert key.startswith("sk-bonded-") and len(key) > 40
    listed = next(row for row in alice.get("/api/keys").json()["keys"] if row["id"] == key_id)
    limits = {"requests_per_minute", "tokens_per_minute"}
    assert set(listed) == {"id", "name", "hint", "service_class", "created", "revoked"} | limits
    assert [listed[limit] for limit in limits] == [None, None]
    assert listed["name"] == "laptop" and listed["revoked"] is None and listed["created"].endswith("+00:00")
    assert key not in alice.get("/api/keys").text and key not in alice.get("/dashboard/keys").text
    row = next(row for row in rows_of(settled) if row.id == key_id)
    assert bytes(row.digest) == hashlib.sha256(key.encode()).digest()
    assert key not in repr(row) and key[20:40] not in listed["hint"]


def test_the_class_of_a_key_is_the_customers_choice_and_decides_how_its_requests_wait(settled: Settled, alice: Visitor):
    made = alice.post("/api/keys", json={"name": "voice", "service_class": "realtime"}).json()
    assert settled.services.accounts.authenticate(made["key"]).service_class == "realtime"
    plain = alice.post("/api/keys", json={"name": "plain"}).json()
    listed = {row["id"]: row["service_class"] for row in alice.get("/api/keys").json()["keys"]}
    assert (listed[made["id"]], listed[plain["id"]]) == ("realtime", "standard")


def test_a_class_that_is_none_is_refused(alice: Visitor):
    answer = alice.post("/api/keys", json={"name": "voice", "service_class": "urgent"})
    assert refusal(answer) == (400, "refused") and "realtime, standard, batch or background" in answer.text


def test_a_key_works_at_once_and_is_dead_at_once_when_revoked(settled: Settled, alice: Visitor):
    made = alice.post("/api/keys", json={"name": "short-lived"}).json()
    assert answers(settled, made["key"])
    for _ in range(2):
        assert alice.delete(f"/api/keys/{made['id']}").json() == {"id": made["id"], "revoked": True}
        assert not answers(settled, made["key"])
    listed = {row["id"]: row for row in alice.get("/api/keys").json()["keys"]}
    assert listed[made["id"]]["revoked"] is not None


def test_a_refresh_under_way_neither_revives_a_revoked_key_nor_loses_a_new_one(
    settled: Settled, alice: Visitor, monkeypatch: pytest.MonkeyPatch
):
    old = alice.post("/api/keys", json={"name": "old"}).json()
    accounts = settled.services.accounts
    real = accounts_module.customer_books
    reading, going_on = asyncio.Event(), asyncio.Event()

    async def slow(connection):
        found = await real(connection)
        reading.set()
        await going_on.wait()
        return found

    async def overlap() -> str:
        monkeypatch.setattr(accounts_module, "customer_books", slow)
        refresh = asyncio.create_task(accounts.refresh())
        await reading.wait()
        await accounts.revoke_key(settled.customers[0].address, old["id"])
        _, new = await accounts.create_key(settled.customers[0].address, "new")
        going_on.set()
        await refresh
        with pytest.raises(RevokedKey):
            accounts.authenticate(old["key"])
        assert accounts.authenticate(new).name == "new"
        return new

    new = settled.do(overlap())
    assert not answers(settled, old["key"]) and answers(settled, new)


def test_a_key_of_somebody_else_can_neither_be_seen_nor_revoked(settled: Settled, alice: Visitor, bob: Visitor):
    made = alice.post("/api/keys", json={"name": "mine"}).json()
    assert made["id"] not in [row["id"] for row in bob.get("/api/keys").json()["keys"]]
    assert refusal(bob.delete(f"/api/keys/{made['id']}")) == (404, "not_found")
    assert answers(settled, made["key"])


@pytest.mark.parametrize("key_id", [0, -1, 2**63 - 1, 2**63, 10**40, "x"])
def test_a_key_that_does_not_exist_is_not_revoked(alice: Visitor, key_id):
    assert refusal(alice.delete(f"/api/keys/{key_id}"))[0] in (404, 422)


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 65}, {"name": 5}, {"name": None}, []])
def test_a_name_that_is_none_is_refused(alice: Visitor, body):
    assert refusal(alice.post("/api/keys", json=body)) == (422, "invalid_request")


def test_a_key_keeps_the_limits_it_was_made_with(settled: Settled, alice: Visitor):
    limits = {"requests_per_minute": 30, "tokens_per_minute": 60_000}
    made = alice.post("/api/keys", json={"name": "small", **limits}).json()
    listed = next(row for row in alice.get("/api/keys").json()["keys"] if row["id"] == made["id"])
    assert {name: listed[name] for name in limits} == limits
    settled.do(settled.services.accounts.refresh())
    assert settled.services.accounts.authenticate(made["key"]).rates == Rates(30, 60_000)


@pytest.mark.parametrize("limit", [0, -1, 2**60])
def test_a_limit_that_is_none_is_refused(alice: Visitor, limit):
    assert refusal(alice.post("/api/keys", json={"name": "x", "requests_per_minute": limit})) == (400, "refused")
    assert refusal(alice.post("/api/keys", json={"name": "x", "tokens_per_minute": limit})) == (400, "refused")


def test_a_name_of_blanks_is_refused(alice: Visitor):
    assert refusal(alice.post("/api/keys", json={"name": "   "})) == (400, "refused")


def test_a_simple_request_of_another_site_makes_no_key(visitor: Visitor, settled: Settled):
    visitor.sign_in(settled.customers[0])
    before = len(visitor.get("/api/keys").json()["keys"])
    for headers in ({"content-type": "text/plain"}, {}):
        request = visitor.build_request("POST", "/api/keys", content=b'{"name": "evil"}', headers=headers)
        assert refusal(visitor.send(request))[0] == 422
    assert len(visitor.get("/api/keys").json()["keys"]) == before
