"""`bonded customer batch` against a running gateway: a signed-in wallet, no API key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.marketplace.cli.commands import MakePerson, Person
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


@pytest.fixture
def alice(settled: Settled, person: MakePerson) -> Person:
    return person(settled.customers[0])


def write(folder: Path, count: int, **more: object) -> Path:
    """Write an input file of so many requests."""
    path = folder / "night.jsonl"
    lines = [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "mock-model", "messages": [{"role": "user", "content": "x"}], "max_tokens": 3} | more,
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def ended(person: Person, batch: str) -> dict:
    """Ask until the batch has ended; each question signs in anew and takes its time."""
    for _ in range(200):
        found = person.json("customer", "batch", "status", batch)
        if found["status"] in ("completed", "failed", "expired", "cancelled"):
            return found
    raise AssertionError(found)


def test_a_batch_is_submitted_followed_and_its_answers_written(alice: Person, tmp_path: Path):
    file = write(tmp_path, 5)
    made = alice.json("customer", "batch", "submit", str(file), "--metadata", "night=1")
    assert made["status"] == "validating" and made["metadata"] == {"night": "1"}
    assert ended(alice, made["id"])["request_counts"] == {"total": 5, "completed": 5, "failed": 0}
    told = alice.json("customer", "batch", "results", made["id"], "--into", str(tmp_path))
    assert told["error"] is None
    rows = [json.loads(line) for line in Path(told["output"]).read_text().splitlines()]
    assert sorted(row["custom_id"] for row in rows) == [f"line-{number}" for number in range(5)]
    assert {row["response"]["status_code"] for row in rows} == {200}
    assert "5 of 5" in alice.says("customer", "batch", "status", made["id"])
    assert made["id"] in alice.says("customer", "batch", "status")
    assert made["id"] in [one["id"] for one in alice.json("customer", "batch", "status")["batches"]]
    assert "output.jsonl" in alice.says("customer", "batch", "results", made["id"], "--into", str(tmp_path))
    assert "cannot be cancelled" in alice.fails("customer", "batch", "cancel", made["id"], code=1)
    assert not list(tmp_path.glob("*.part"))


def test_bad_lines_are_shown_with_their_numbers(alice: Person, tmp_path: Path):
    made = alice.json("customer", "batch", "submit", str(write(tmp_path, 2, model="gpt-4")))
    assert ended(alice, made["id"])["status"] == "failed"
    shown = alice.says("customer", "batch", "status", made["id"])
    assert "line 1: " in shown and "line 2: " in shown and "model_not_found" in shown


def test_a_batch_can_be_cancelled_and_results_before_its_end_are_none(settled: Settled, alice: Person, tmp_path: Path):
    settled.live.gap_s, before = 0.2, settled.live.gap_s
    try:
        made = alice.json("customer", "batch", "submit", str(write(tmp_path, 2_000)))
        words = alice.fails("customer", "batch", "results", made["id"], code=1)
        assert "ask again later" in words
        assert alice.json("customer", "batch", "cancel", made["id"])["status"] == "cancelling"
        assert ended(alice, made["id"])["status"] == "cancelled"
    finally:
        settled.live.gap_s = before


def test_somebody_elses_batch_is_not_there(alice: Person, fresh: Person, tmp_path: Path):
    made = alice.json("customer", "batch", "submit", str(write(tmp_path, 1)))
    for command in ("status", "results", "cancel"):
        assert "You have no batch" in fresh.fails("customer", "batch", command, made["id"], code=1)
    assert "no batches yet" in fresh.says("customer", "batch", "status")
    ended(alice, made["id"])


def test_wrong_usage_is_named(alice: Person, tmp_path: Path):
    assert "no metadata" in alice.fails(
        "customer", "batch", "submit", str(write(tmp_path, 1)), "--metadata", "night", code=2
    )
    alice.says("customer", "batch", "submit", str(tmp_path / "none.jsonl"), code=2)
    assert "endpoint must be" in alice.fails(
        "customer", "batch", "submit", str(write(tmp_path, 1)), "--endpoint", "/v1/responses", code=1
    )
