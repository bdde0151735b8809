"""A customer rates a receipt by API and command line; the settled epochs carry what was thought of them."""

from __future__ import annotations

import pytest

from rewards.evidence import read_bundle
from tests.marketplace.api.visitor import Visitor, program
from tests.marketplace.cli.commands import MakePerson
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


def test_a_receipt_is_rated_once_and_shows_it(settled: Settled, person: MakePerson):
    customer = person(settled.customers[1])
    rows = customer.json("customer", "receipts")["receipts"]
    one = next(row for row in rows if row["stars"] is None and row["charge_atto"] != "0")
    given = customer.json("customer", "rate", one["job"], "4")
    assert (given["provider"], given["stars"], given["attempt"]) == (one["provider"], 4, one["attempt"])
    assert "given once" in customer.fails("customer", "rate", one["job"], "5", code=1)
    other = next(row for row in rows if row["job"] != one["job"] and row["charge_atto"] != "0")
    assert "has 1 of 5" in customer.says("customer", "rate", other["job"], "1")
    alice = program(settled.url, settled.customers[1])
    try:
        assert alice.get(f"/api/receipts/{one['job']}").json()["receipts"][0]["stars"] == 4
        assert alice.post(f"/api/receipts/{one['job']}/rating", json={"stars": 4}).status_code == 409
        assert alice.post(f"/api/receipts/{one['job']}/rating", json={"stars": 6}).status_code == 422
        assert alice.post("/api/receipts/0x12/rating", json={"stars": 4}).status_code == 400
    finally:
        alice.close()


def test_nobody_rates_what_another_paid_for(settled: Settled, person: MakePerson):
    job = person(settled.customers[0]).json("customer", "receipts")["receipts"][0]["job"]
    assert "you paid for" in person(settled.outsider).fails("customer", "rate", job, "1", code=1)
    assert "you paid for" in person(settled.customers[1]).fails("customer", "rate", job, "1", code=1)


def test_the_evidence_has_the_sum_and_neither_job_nor_customer(settled: Settled):
    with Visitor(settled.url) as visitor:
        [epoch] = [one for one in visitor.get("/api/epochs").json()["epochs"] if one["epoch"] == 1]
    bundle = read_bundle(settled.market.store, bytes.fromhex(epoch["evidence"].removeprefix("0x")))
    [day] = bundle.inputs.rating_days
    assert (day.day.provider, day.day.customers, day.day.sum_ppm) == (settled.rated.provider, 1, 500_000)
    assert day.gateway == settled.market.gateway.address
    told = repr(day)
    assert bytes(settled.rated.job).hex() not in told and settled.customers[0].address not in told
