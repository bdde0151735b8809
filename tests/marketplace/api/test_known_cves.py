"""CVE-2026-114612 (a customer becomes an administrator) and CVE-2026-42203 (templates run), tried on control API and
dashboard."""

from __future__ import annotations

import pytest

from tests.marketplace.api.visitor import Visitor
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

SPELL = "{{7*'7'}}{% for x in range(3) %}{{ cycler.__init__.__globals__ }}{% endfor %}"


def test_cve_2026_42203_a_name_that_is_a_template_is_shown_as_it_was_written(settled: Settled, alice: Visitor):
    made = alice.post("/api/keys", json={"name": SPELL[:64]})
    assert made.status_code == 201
    with Visitor(settled.url) as browser:
        browser.sign_in(settled.customers[0])
        page = browser.get("/dashboard/keys").text
    assert "{{7*&#39;7&#39;}}" in page and "7777777" not in page and "__builtins__" not in page
    alice.delete(f"/api/keys/{made.json()['id']}")


@pytest.mark.parametrize(
    "extra",
    [
        {"customer": "0x" + "ee" * 20},
        {"user_role": "proxy_admin", "role": "admin", "is_admin": True},
        {"budget": 10**30, "available_atto": 10**30, "balance": 10**30},
        {"id": 1, "digest": "00", "hint": "mine", "revoked": None},
    ],
)
def test_cve_2026_114612_fields_that_were_not_asked_for_change_nothing(settled: Settled, alice: Visitor, extra: dict):
    before = alice.get("/api/balance").json()
    made = alice.post("/api/keys", json={"name": "plain"} | extra).json()
    account = settled.services.accounts.authenticate(made["key"])
    assert (account.customer, account.service_class) == (settled.customers[0].address, "standard")
    assert alice.get("/api/balance").json() == before
    alice.delete(f"/api/keys/{made['id']}")


def test_cve_2026_114612_an_api_key_opens_no_account(settled: Settled, alice: Visitor):
    made = alice.post("/api/keys", json={"name": "narrow"}).json()
    with Visitor(settled.url) as thief:
        thief.headers["authorization"] = f"Bearer {made['key']}"
        for method, path in (
            ("GET", "/api/balance"),
            ("GET", "/api/keys"),
            ("POST", "/api/keys"),
            ("DELETE", f"/api/keys/{made['id']}"),
            ("GET", "/api/receipts"),
            ("GET", "/api/provider/why-not"),
        ):
            assert thief.request(method, path, json={"name": "more"}).status_code == 401, path
    alice.delete(f"/api/keys/{made['id']}")


def test_cve_2026_114612_one_customer_never_acts_for_another(settled: Settled, alice: Visitor, bob: Visitor):
    made = alice.post("/api/keys", json={"name": "mine"}).json()
    assert bob.delete(f"/api/keys/{made['id']}").status_code == 404
    job = alice.get("/api/receipts").json()["receipts"][0]["job"]
    assert bob.get(f"/api/receipts/{job}").status_code == 404
    for header in ("x-customer", "x-forwarded-user", "x-bonded-customer"):
        answer = bob.get("/api/balance", headers={header: settled.customers[0].address})
        assert answer.json()["customer"] == settled.customers[1].address
    for name in ("customer", "user_id", "as"):
        answer = bob.get("/api/balance", params={name: settled.customers[0].address})
        assert answer.json()["customer"] == settled.customers[1].address
    alice.delete(f"/api/keys/{made['id']}")


def test_cve_2026_114612_a_session_cannot_be_written_by_hand(settled: Settled, alice: Visitor):
    token = alice.headers["authorization"].removeprefix("Bearer ")
    payload, stamp, code = token.rsplit(".", 2)
    forged = (
        f"{payload}.{stamp}.{code[:-2]}AA",
        f"{payload}x.{stamp}.{code}",
        f"{payload}.AAAAAA.{code}",
        payload,
        ".",
    )
    with Visitor(settled.url) as thief:
        for one in forged:
            thief.headers["authorization"] = f"Bearer {one}"
            assert thief.get("/api/balance").status_code == 401
