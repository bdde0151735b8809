"""`bonded customer session`: a second key signs in as its customer at the running gateway, until it is revoked."""

from __future__ import annotations

import pytest

from contracts.escrow import Escrow
from contracts.views import SessionView
from marketplace.api import session_keys
from tests.marketplace.api.visitor import Visitor
from tests.marketplace.cli.commands import MakePerson, Person
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


def session_of(settled: Settled, key: str) -> SessionView | None:
    async def read() -> SessionView | None:
        chain = settled.market.chain
        return await Escrow(chain).session_of(key, await chain.head())

    return settled.do(read())


def test_a_session_key_signs_in_as_its_customer_until_it_is_revoked(
    settled: Settled, person: MakePerson, fresh: Person, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(session_keys, "_FRESH_S", 0.0)
    customer = person(settled.customers[1])
    assert "own" in customer.fails("customer", "session", "set", customer.address, "--yes", code=1)
    assert "no session key of" in customer.fails("customer", "session", "revoke", fresh.address, "--yes", code=1)
    assert "KeyTaken" in customer.fails("customer", "session", "set", settled.customers[0].address, "--yes", code=3)
    shown = customer.json("customer", "session", "set", fresh.address, "--days", "2", "--most-cap", "5", "--dry-run")
    assert shown["may set the cap up to"] == "5 DUSD" and session_of(settled, fresh.address) is None

    customer.json("customer", "session", "set", fresh.address, "--days", "2", "--most-cap", "5", "--yes")
    known = session_of(settled, fresh.address)
    assert known is not None and (known.customer, known.most_cap) == (customer.address, 5 * 10**6)
    with Visitor(settled.url) as visitor:
        answer = visitor.sign_in(fresh.signer)
        assert answer.json()["customer"] == customer.address
        assert visitor.get("/api/balance").json()["customer"] == customer.address
        assert visitor.get("/dashboard", follow_redirects=False).status_code == 200

        customer.json("customer", "session", "revoke", fresh.address, "--yes")
        assert session_of(settled, fresh.address) is None
        ended = visitor.get("/api/balance")
        assert ended.status_code == 401 and "expired or was revoked" in ended.json()["error"]["message"]
        assert visitor.get("/dashboard", follow_redirects=False).status_code in (302, 303, 307)
        assert visitor.sign_in(fresh.signer).json()["customer"] == fresh.address, "its own, which is empty"
        assert visitor.get("/api/balance").json()["escrow_units"] == "0"
