"""The decision log: what was decided can be decided again from it, and it never costs the service."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from marketplace.gateway.decisions import DecisionLog, read, replay_folder
from scheduler.decide import decide
from scheduler.decision import Decision, Refusal
from scheduler.log import entry, replay
from scheduler.testing import make_job, make_market, make_pool
from scheduler.types import Demand
from tests.marketplace.gateway.conftest import Town


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
    refusal = Refusal("job", "model", {"model": 3}, 0, False, Demand("m", frozenset({"chat"}), "eu", 10**19), 7, 8, 9)
    log.note(refusal)
    log.flush()
    [line] = lines(tmp_path)
    assert line["refused"] == {"rule": "model", "counts": {"model": 3}, "wait_ms": 0, "retryable": False}
    assert read(line) == refusal


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


async def test_every_decision_of_real_traffic_is_made_again_bit_by_bit(town: Town, tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log")
    town.matching._note = log.note
    for score in (900_000, 800_000, 700_000):
        await town.add(score)
    client = town.client()
    for number in range(30):
        messages = [{"role": "user", "content": "tell me " * (number + 1)}]
        await client.chat.completions.create(model=town.providers[0].model, messages=messages, max_tokens=1 + number)
    with pytest.raises(Exception, match="context"):
        await client.chat.completions.create(model=town.providers[0].model, messages=messages, max_tokens=900_000)
    log.flush()
    replayed = replay_folder(tmp_path / "log")
    assert (replayed.equal, replayed.refusals, replayed.left_out, replayed.wrong) == (30, 1, 0, [])
    jobs = {attempt.receipt.job.hex() for attempt in town.books.posted}
    assert jobs == {one["job"] for one in lines(tmp_path / "log") if "refused" not in one}


def test_a_log_that_was_altered_is_found_out_line_by_line(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    for _ in range(5):
        log.note(make_decision())
    log.flush()
    path = tmp_path / "decisions.jsonl"
    written = path.read_text().splitlines()
    told = [json.loads(line) for line in written]
    told[1]["costs"][0] = 1.0
    told[2]["session"], told[2]["remark"] = "other", "not ours"
    written[1:4] = [json.dumps(told[1]), json.dumps(told[2]), "{"]
    path.write_text("\n".join(written) + "\n" + '{"cut": "off')
    replayed = replay_folder(tmp_path)
    assert replayed.equal == 2
    assert [reason.split(":")[0] for reason in replayed.wrong] == [
        f"decisions.jsonl, line {number}" for number in (2, 3, 4)
    ]
    with pytest.raises(FileNotFoundError, match="no decision log"):
        replay_folder(tmp_path / "elsewhere")


async def test_a_job_is_found_before_and_after_it_is_written_and_in_older_files(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, file_bytes=10, files=3)
    assert await log.find("0") is None and await log.newest(5) == []
    for number in range(4):
        log.note(Refusal(str(number), "model", {}, 0, False))
        found = await log.find(str(number))
        assert found is not None and found.job == str(number)
        log.flush()
    assert [one is not None for one in [await log.find(str(number)) for number in range(4)]] == [
        False,
        True,
        True,
        True,
    ]
    log.note(Refusal("4", "model", {}, 0, False))
    assert [one.job for one in await log.newest(2)] == ["4", "3"]


async def test_the_newest_are_read_from_the_end_of_a_long_file(tmp_path: Path) -> None:
    log, made = DecisionLog(tmp_path), make_decision()
    path = tmp_path / "decisions.jsonl"
    line = orjson.dumps(entry(made)) + b"\n"
    path.write_bytes(line * (1 + (3 << 20) // len(line)))
    log.note(Refusal("last", "model", {}, 0, False))
    log.flush()
    newest = await log.newest(3)
    assert [one.job for one in newest] == ["last", made.job, made.job]
