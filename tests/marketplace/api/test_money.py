"""A customer's money over HTTP: balance, receipts, usage and what came back, each to its owner alone."""

from __future__ import annotations

from collections import Counter

import openai
import pytest

from contracts.escrow import Escrow
from contracts.history import read_history
from tests.marketplace.api.test_sign_in import refusal
from tests.marketplace.api.visitor import Visitor
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


def chat(settled: Settled, customer: Visitor, most: int = 10) -> None:
    """Ask the live provider once, as this customer."""
    key = customer.post("/api/keys", json={"name": "test"}).json()["key"]
    with openai.OpenAI(api_key=key, base_url=f"{settled.url}/v1", max_retries=0) as client:
        client.chat.completions.create(
            model="mock-model", messages=[{"role": "user", "content": "hello"}], max_tokens=most
        )


def all_receipts(customer: Visitor, limit: int = 1000) -> list[dict]:
    """Page through a customer's receipts."""
    found, before = [], ""
    while True:
        page = customer.get(f"/api/receipts?limit={limit}{before}").json()
        found += page["receipts"]
        if page["before"] is None:
            return found
        assert len(page["receipts"]) == limit
        before = f"&before={page['before']}"


def test_the_balance_is_the_chains_less_what_was_used(settled: Settled, alice: Visitor):
    chat(settled, alice)
    shown = alice.wait_for("/api/balance", lambda answer: int(answer["held_atto"]) == 0)
    view = settled.do(Escrow(settled.market.chain).customer(settled.customers[0].address, settled.do(head(settled))))
    assert int(shown["escrow_units"]) == view.balance and int(shown["cap_units"]) == view.cap == 10**8
    assert int(shown["compensation_units"]) == view.compensation > 0
    used = int(shown["uncharged_atto"])
    assert used > 0 and int(shown["available_atto"]) == view.balance * 10**12 - used
    charged = 10**8 + credited(settled, alice) - view.balance
    assert alice.wait_for("/api/receipts", lambda answer: answer["receipts"][0]["epoch"] > 1)
    spent = sum(int(row["charge_atto"]) for row in all_receipts(alice))
    assert spent == charged * 10**12 + used


async def head(settled: Settled):
    return await settled.market.chain.head()


def credited(settled: Settled, customer: Visitor) -> int:
    """Sum what came back in payment tokens."""
    return sum(
        int(r["amount_units"]) for r in customer.get("/api/credits").json()["credits"] if r["token"] == "payment"
    )


def test_a_stranger_has_nothing_and_is_told_so(stranger: Visitor):
    shown = stranger.get("/api/balance").json()
    assert {name: value for name, value in shown.items() if value != "0"} == {"customer": shown["customer"]}
    assert stranger.get("/api/keys").json() == {"keys": []}
    assert stranger.get("/api/usage").json() == {"usage": []}
    assert stranger.get("/api/credits").json() == {"credits": []}
    assert stranger.get("/api/receipts").json() == {"receipts": [], "before": None}


def test_a_receipt_is_shown_to_its_customer_and_to_nobody_else(alice: Visitor, bob: Visitor, stranger: Visitor):
    [newest, *_] = alice.get("/api/receipts").json()["receipts"]
    shown = alice.get(f"/api/receipts/{newest['job']}").json()["receipts"]
    assert newest in shown
    assert alice.get(f"/api/receipts/{newest['job'].removeprefix('0x')}").json()["receipts"] == shown
    for other in (bob, stranger):
        assert refusal(other.get(f"/api/receipts/{newest['job']}")) == (404, "not_found")
        assert newest["job"] not in {row["job"] for row in other.get("/api/receipts").json()["receipts"]}


@pytest.mark.parametrize("job", ["0x" + "00" * 32, "nothing", "0x", "0x12", "%20", "0x" + "zz" * 32])
def test_a_job_that_never_was_has_no_receipt(alice: Visitor, job: str):
    assert refusal(alice.get(f"/api/receipts/{job}")) == (404, "not_found")


def test_receipts_come_in_pages_newest_first_and_none_twice(alice: Visitor):
    whole = all_receipts(alice)
    assert len(whole) >= 8
    for limit in (1, 3, len(whole), len(whole) + 1):
        assert all_receipts(alice, limit) == whole
    assert all(set(row) == set(whole[0]) for row in whole)
    slots = [row["slot"] for row in whole]
    assert slots[0] >= slots[-1] and max(Counter((row["job"], row["attempt"]) for row in whole).values()) == 1


@pytest.mark.parametrize("query", ["before=-1", "before=x", "before=9223372036854775808", "limit=x", "before=1.5"])
def test_a_page_that_is_none_is_refused(alice: Visitor, query: str):
    assert refusal(alice.get(f"/api/receipts?{query}")) == (422, "invalid_request")


@pytest.mark.parametrize(("limit", "most"), [(0, 1), (-5, 1), (10**9, 1000)])
def test_the_size_of_a_page_is_bounded(alice: Visitor, limit: int, most: int):
    rows = alice.get(f"/api/receipts?limit={limit}").json()["receipts"]
    assert 1 <= len(rows) <= most


def test_usage_adds_up_to_the_receipts(alice: Visitor):
    receipts, usage = all_receipts(alice), alice.get("/api/usage").json()["usage"]
    assert sum(int(row["charge_atto"]) for row in usage) == sum(int(row["charge_atto"]) for row in receipts)
    assert sum(row["attempts"] for row in usage) == len(receipts)
    assert sum(row["served"] for row in usage) == sum(row["status"] == "served" for row in receipts)
    assert sum(row["output_tokens"] for row in usage) == sum(row["output_tokens"] for row in receipts)
    assert [row["day"] for row in usage] == sorted((row["day"] for row in usage), reverse=True)


def test_what_came_back_names_the_provider_the_epoch_and_the_rule(settled: Settled, alice: Visitor):
    rows = alice.get("/api/credits").json()["credits"]
    history = settled.do(_history(settled))
    me, dead = settled.customers[0].address, settled.market.dead
    expected = {("payment", c.amount, c.at.tx_hash.hex()) for c in history.credits if c.customer == me}
    expected |= {("stake", c.amount, c.at.tx_hash.hex()) for c in history.compensations if c.customer == me}
    assert len(expected) == 4
    assert {(r["token"], int(r["amount_units"]), r["transaction"].removeprefix("0x")) for r in rows} == expected
    assert {row["provider"] for row in rows} == {dead}
    assert sorted((row["token"], row["epoch"]) for row in rows) == [
        ("payment", 0), ("payment", 1), ("stake", 0), ("stake", 1),
    ]  # fmt: skip
    rules = {row["token"]: row["rule"] for row in rows}
    assert "service level" in rules["payment"] and "slashed at level 4" in rules["stake"]


async def _history(settled: Settled):
    chain = settled.market.chain
    return await read_history(chain, await chain.head())
