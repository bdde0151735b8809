"""What everybody may see: providers, epochs and the status, the same as on the chain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.chain import Chain
from contracts.deployment import Deployment
from contracts.history import read_report
from contracts.signing import checksum_address
from marketplace.db import Database
from tests.marketplace.api.test_sign_in import refusal
from tests.marketplace.api.visitor import Visitor
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


def test_epochs_are_the_reports_on_chain_newest_first(settled: Settled, visitor: Visitor):
    rows = visitor.get("/api/epochs").json()["epochs"]
    assert [row["epoch"] for row in rows] == [1, 0]
    for row in rows:
        published = settled.do(_report(settled, row["epoch"]))
        totals = published.report.totals
        assert row["state"] == "active" and row["leaves"] == len(published.report.leaves) == 6
        assert int(row["charged_units"]) == totals.charged > 0
        assert int(row["provider_fees_units"]) == totals.provider_fees
        assert int(row["credits_units"]) == totals.credits > 0
        assert int(row["incentive_units"]) == totals.incentive
        assert row["evidence"] == "0x" + published.report.evidence.hex()
        assert row["root"] == "0x" + published.record.root.hex()
        assert row["transaction"] == "0x" + published.submitted.tx_hash.hex()


def test_an_epochs_lines_are_its_leaves_less_those_before(settled: Settled, visitor: Visitor):
    detail = visitor.get("/api/epochs/1").json()
    now = {leaf.provider: leaf for leaf in settled.do(_report(settled, 1)).report.leaves}
    before = {leaf.provider: leaf for leaf in settled.do(_report(settled, 0)).report.leaves}
    assert {row["provider"] for row in detail["leaves"]} == set(now)
    for row in detail["leaves"]:
        leaf, earlier = now[row["provider"]], before[row["provider"]]
        assert int(row["fees_units"]) == leaf.cumulative_fees - earlier.cumulative_fees
        assert int(row["incentive_units"]) == leaf.cumulative_incentive - earlier.cumulative_incentive
        assert (row["uptime_ppm"], row["score_ppm"], row["slash_level"]) == (
            leaf.uptime_ppm, leaf.score_ppm, leaf.slash_level,
        )  # fmt: skip
    assert sum(int(row["fees_units"]) for row in detail["leaves"]) == int(detail["row"]["provider_fees_units"])
    [dead] = [row for row in detail["leaves"] if row["provider"] == settled.market.dead]
    assert dead["slash_level"] == 4 and dead["ttft_p95_ms"] is None and dead["strikes"] == 2
    assert (dead["standing"], dead["measured"]) == (now[dead["provider"]].standing, True)


async def _report(settled: Settled, epoch: int):
    chain = settled.market.chain
    return await read_report(chain, epoch, await chain.head())


@pytest.mark.parametrize("epoch", ["2", "9223372036854775807"])
def test_an_epoch_without_a_report_is_not_found(visitor: Visitor, epoch: str):
    assert refusal(visitor.get(f"/api/epochs/{epoch}")) == (404, "not_found")


@pytest.mark.parametrize("epoch", ["-1", "x", "1.5", "9223372036854775808", "0x1"])
def test_an_epoch_that_is_none_is_refused(visitor: Visitor, epoch: str):
    assert refusal(visitor.get(f"/api/epochs/{epoch}")) == (422, "invalid_request")


def test_providers_show_offer_stake_slashes_and_why_somebody_gets_no_work(settled: Settled, visitor: Visitor):
    rows = {row["provider"]: row for row in visitor.get("/api/providers").json()["providers"]}
    assert len(rows) == 6
    live = rows[settled.live_owner.address]
    assert live["problem"] == "" and live["models"] == ["mock-model"] and live["region"] == "local"
    assert live["price_in_atto"] == live["price_out_atto"] == str(10**12)
    assert live["stake_units"] == str(300 * 10**18) and live["required_units"] == str(200 * 10**18)
    dead = rows[settled.market.dead]
    assert int(dead["slashed_units"]) == 16 * 10**18 and int(dead["stake_units"]) == 284 * 10**18
    assert dead["epoch"] == 1 and dead["uptime_ppm"] < 100_000 and dead["problem"]
    hostile = rows[settled.hostile_owner.address]
    assert "<script>" in hostile["problem"] and hostile["models"] == []


def test_status_says_where_clock_chain_and_market_stand(settled: Settled, visitor: Visitor):
    settled.index()
    status = visitor.get("/api/status").json()
    timing = settled.market.timing
    assert status["chain_id"] == 31337 and status["providers"] == 1
    assert status["epoch"] == status["slot"] // timing.slots_per_epoch > 1
    assert 0 <= status["seconds_to_next_epoch"] <= 60
    assert (status["payment_symbol"], status["payment_decimals"]) == ("DUSD", 6)
    assert (status["stake_symbol"], status["stake_decimals"]) == ("DSTK", 18)
    assert status["block"] > 50
    [line] = status["lines"]
    assert line["places"] > 0 and [line[band] for band in ("realtime", "standard", "batch", "background")] == [0] * 4


def test_an_address_is_written_as_wallets_want_it(visitor: Visitor):
    address = "0x" + "ab" * 20
    assert visitor.get(f"/api/checksum/{address}").json() == {"address": checksum_address(address)}
    assert refusal(visitor.get("/api/checksum/0x12")) == (400, "bad_address")


def test_what_does_not_exist_is_said_in_shape(visitor: Visitor):
    assert refusal(visitor.get("/api/nothing")) == (404, "not_found")
    assert refusal(visitor.get("/nothing")) == (404, "not_found")
    assert refusal(visitor.delete("/api/status")) == (405, "method_not_allowed")


def test_every_answer_is_guarded(visitor: Visitor):
    for path in ("/api/status", "/api/balance", "/dashboard/sign-in", "/dashboard/static/bonded.css", "/nothing"):
        headers = visitor.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin", path
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store"), path


def test_the_description_of_the_api_lists_what_the_protocol_names(visitor: Visitor):
    paths = visitor.get("/api/openapi.json").json()["paths"]
    named = {
        "/api/auth/nonce", "/api/auth/session", "/api/balance", "/api/keys", "/api/keys/{key_id}", "/api/usage",
        "/api/receipts", "/api/receipts/{job}", "/api/credits", "/api/providers", "/api/epochs", "/api/epochs/{epoch}",
        "/api/status",
    }  # fmt: skip
    assert named <= set(paths)
    protocol = Path("docs/protocol.md").read_text()
    for path in named:
        assert path.replace("{key_id}", "{id}").replace("{epoch}", "{n}") in protocol


def test_a_database_that_is_away_is_said_and_nothing_of_it_is_told(settled: Settled):
    away = Database("postgresql+psycopg://nobody:secret@127.0.0.1:1/nothing")
    with settled.serving(replace(settled.services, database=away)) as url, Visitor(url) as visitor:
        answer = visitor.get("/api/epochs")
        assert refusal(answer) == (503, "unavailable")
        assert "secret" not in answer.text and "psycopg" not in answer.text
        page = visitor.get("/dashboard/epochs")
        assert page.status_code == 503 and "Not at this moment" in page.text and "secret" not in page.text


def test_a_chain_that_is_away_is_needed_for_no_page_but_the_first(settled: Settled):
    async def away() -> Chain:
        return await Chain.connect([settled.devnet.url], Deployment.read(settled.deployment_path))

    chain = settled.do(away())
    with settled.serving(replace(settled.services, chain=chain)) as url, Visitor(url) as visitor:
        assert visitor.get("/api/status").status_code == 200
        settled.do(chain.close())
        assert visitor.get("/api/status").status_code == 200
    with settled.serving(replace(settled.services, chain=chain)) as url, Visitor(url) as visitor:
        assert visitor.get("/api/epochs").status_code == 200


def test_amounts_travel_as_decimal_strings(visitor: Visitor):
    for row in visitor.get("/api/providers").json()["providers"]:
        for name, value in row.items():
            if name.endswith(("_units", "_atto")):
                assert value is None or (isinstance(value, str) and str(int(value)) == value), name
    assert json.loads(visitor.get("/api/epochs/0").text)["row"]["epoch"] == 0
