"""The decision log: what was decided can be decided again from it, and it never costs the service."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from marketplace.gateway.decisions import DecisionLog
from scheduler.decide import decide
from scheduler.decision import Decision, Refusal
from scheduler.log import entry, replay
from scheduler.testing import make_job, make_market, make_pool


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def make_decision() -> Decision:
    made = decide(make_market(make_pool(5)), make_job(1), random.Random(1), 0.0)
    assert isinstance(made, Decision)
    return made


def test_a_decision_is_made_again_from_its_line(tmp_path: Path) -> None:
    made = make_decision()
    log = DecisionLog(tmp_path)
    log.note(made)
    assert log.flush() == 1
    [line] = lines(tmp_path)
    assert replay(line).provider == made.provider
    assert entry(replay(line)) == line


def test_a_refusal_is_written_with_its_counts(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    log.note(Refusal("job", "model", {"model": 3}, 0, False))
    log.flush()
    assert lines(tmp_path) == [
        {"refusal": {"job": "job", "rule": "model", "counts": {"model": 3}, "wait_ms": 0, "retryable": False}}
    ]


def test_what_does_not_fit_is_counted_and_left_out(tmp_path: Path) -> None:
    made = make_decision()
    log = DecisionLog(tmp_path)
    for _ in range(700):
        log.note(made)
    log.flush()
    assert lines(tmp_path)[-1] == {"left_out": 500}
    assert log.flush() == 0


def test_files_rotate_and_the_oldest_is_deleted(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, file_bytes=10, files=3)
    for number in range(6):
        log.note(Refusal(str(number), "model", {}, 0, False))
        log.flush()
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(kept) == {"decisions.jsonl", "decisions.1.jsonl", "decisions.2.jsonl"}
    assert '"job":"5"' in kept["decisions.jsonl"]
    assert '"job":"3"' in kept["decisions.2.jsonl"]
