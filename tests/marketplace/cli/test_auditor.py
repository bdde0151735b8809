"""`bonded auditor` without key, account or database: history from the chain alone, and replay to the unit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from contracts.devnet import Devnet
from contracts.testing import deploy
from marketplace.evidence_server import create_evidence_server
from marketplace.gateway.server import HttpServer
from rewards.blobs import FolderStore
from rewards.evidence import read_manifest
from tests.marketplace.cli.commands import Person
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


@pytest.fixture
def auditor(fresh: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Return somebody whose key is gone, to show that none is needed."""
    fresh.keystore.unlink()
    return fresh


@pytest.fixture
def copied(settled: Settled, tmp_path: Path) -> Path:
    """Return a copy of the evidence that a test may spoil."""
    return Path(shutil.copytree(settled.evidence, tmp_path / "evidence"))


def report_of(auditor: Person, epoch: int) -> dict:
    return next(
        one["report"] for one in auditor.json("auditor", "history")["reports"] if one["report"]["epoch"] == epoch
    )


def test_history_is_what_the_contracts_say(settled: Settled, auditor: Person):
    told = auditor.json("auditor", "history")
    assert [one["report"]["epoch"] for one in told["reports"]] == [0, 1]
    assert all(len(one["signers"]) >= 2 for one in told["reports"])
    assert [(s["provider"], s["taken"]) for s in told["slashes"]] == [(settled.market.dead, 8 * 10**18)] * 2
    assert len(told["credits"]) == len(told["compensations"]) == 4
    totals = [one["report"]["totals"] for one in told["reports"]]
    assert sum(row["amount"] for row in told["credits"]) == sum(one["credits"] for one in totals) > 0
    shown = auditor.says("auditor", "history")
    for words in ("Epoch reports", "Claims of providers", "Service-level credits", "Slashes executed", "Compensation"):
        assert words in shown
    assert settled.market.dead in shown and settled.customers[0].address in shown


def test_every_epoch_replays_equal(settled: Settled, auditor: Person):
    told = auditor.json("auditor", "replay", "--all", "--evidence", str(settled.evidence))
    assert [(row["epoch"], row["equal"], row["attempts"], row["leaves"]) for row in told["replays"]] == [
        (0, True, 9, 6), (1, True, 9, 6),
    ]  # fmt: skip
    shown = auditor.says("auditor", "replay", "1", "0", "--evidence", str(settled.evidence))
    assert shown.count("EQUAL") == 2 and "DIFFERENT" not in shown


def test_it_replays_from_an_evidence_server_too(settled: Settled, auditor: Person):
    async def serve() -> HttpServer:
        server = HttpServer(create_evidence_server(settled.evidence), "127.0.0.1", 0)
        await server.start()
        return server

    server = settled.do(serve())
    try:
        told = auditor.json("auditor", "replay", "0", "--evidence", f"http://127.0.0.1:{server.port}")
        assert told["replays"][0]["equal"] is True
    finally:
        settled.do(server.stop(0.1))
    told = auditor.json("auditor", "replay", "0", "--evidence", f"http://127.0.0.1:{server.port}", code=5)
    assert told["replays"][0]["where"] == "evidence" and "refused" in told["replays"][0]["words"]


def test_a_flipped_byte_in_any_file_is_named_and_the_other_epochs_are_replayed_all_the_same(
    settled: Settled, auditor: Person, copied: Path
):
    evidence = bytes.fromhex(report_of(auditor, 0)["evidence"][2:])
    files = read_manifest(FolderStore(copied), evidence).files
    assert {"inputs.json", "attempts.jsonl", "attestations.jsonl", "state.json", "report.json"} <= set(files)
    for name, entry in files.items():
        path = copied / entry.sha256.hex()
        good = path.read_bytes()
        path.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        bad, equal = auditor.json("auditor", "replay", "--all", "--evidence", str(copied), code=5)["replays"]
        assert not bad["equal"] and bad["words"].startswith(name), bad
        assert equal["equal"] is True
        shown = auditor.says("auditor", "replay", "0", "--evidence", str(copied), code=5)
        assert "REFUSED" in shown and name in shown
        path.write_bytes(good)
    assert auditor.json("auditor", "replay", "0", "--evidence", str(copied))["replays"][0]["equal"]


def test_evidence_that_is_missing_is_named(settled: Settled, auditor: Person, tmp_path: Path):
    told = auditor.json("auditor", "replay", "0", "--evidence", str(tmp_path / "nowhere"), code=5)
    assert told["replays"][0]["words"].startswith("manifest")


def test_an_epoch_without_a_report_is_said(settled: Settled, auditor: Person):
    assert "epoch 2" in auditor.fails("auditor", "replay", "2", "--evidence", str(settled.evidence), code=1)
    assert "--all" in auditor.says("auditor", "replay", code=2)
    auditor.says("auditor", "replay", "--evidence", "x", "--", "-1", code=2)


def test_a_chain_without_reports_has_an_empty_history(auditor: Person, tmp_path: Path):
    with Devnet.start() as devnet:
        deploy(devnet).write(tmp_path / "empty.json")
        where = ("--rpc", devnet.url, "--deployment", str(tmp_path / "empty.json"))
        assert auditor.json("auditor", "history", *where)["reports"] == []
        assert auditor.json("auditor", "replay", "--all", *where) == {"replays": []}
        assert "no epoch has been reported yet" in auditor.says("auditor", "replay", "--all", *where)


def test_another_chain_than_the_deployments_is_refused(auditor: Person, tmp_path: Path, settled: Settled):
    value = json.loads(settled.deployment_path.read_text())
    value["chain_id" if "chain_id" in value else "chainId"] = 1
    (tmp_path / "other.json").write_text(json.dumps(value))
    words = auditor.fails("auditor", "history", "--deployment", str(tmp_path / "other.json"), code=1)
    assert "31337" in words and "1" in words


def test_an_honest_history_gives_no_challenge_with_or_without_evidence(settled: Settled, auditor: Person):
    assert auditor.json("auditor", "challenge", "0", "1") == {"challenges": []}
    told = auditor.says("auditor", "challenge", "0", "1", "--evidence", str(settled.evidence))
    assert "nothing in these reports would be judged wrong" in told
    assert "epoch 2" in auditor.fails("auditor", "challenge", "2", code=1)


def test_honesty_shows_every_provider_and_needs_no_samples_where_none_were_compared(settled: Settled, auditor: Person):
    told = auditor.json("auditor", "honesty", "0", "--evidence", str(settled.evidence))
    leaves = [leaf["provider"] for leaf in report_of(auditor, 0)["leaves"]]
    assert [row["provider"] for row in told["blind"]] == leaves
    assert told["compared"] == [] and not any(told["levels"].values())
    assert "Times to the first token" in auditor.says("auditor", "honesty", "0", "--evidence", str(settled.evidence))
