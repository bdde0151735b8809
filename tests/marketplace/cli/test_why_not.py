"""`bonded provider why-not` and `bonded operator decisions` against a running gateway."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.marketplace.api.visitor import Visitor, program
from tests.marketplace.cli.commands import MakePerson
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


def ask(settled: Settled, most: int) -> tuple[int, str]:
    """Send a request of the first customer; returns status and job."""
    alice = program(settled.url, settled.customers[0])
    try:
        key = alice.post("/api/keys", json={"name": "why"}).json()["key"]
    finally:
        alice.close()
    answer = httpx2.post(
        f"{settled.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        json={"model": settled.live.model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": most},
        trust_env=False,
    )
    return answer.status_code, answer.headers["x-bonded-job"]


def test_a_provider_asks_with_its_owner_key_or_its_hot_key(settled: Settled, person: MakePerson):
    status, job = ask(settled, 5)
    assert status == 200
    for signer in (settled.live_owner, settled.live.signer):
        told = person(signer).json("provider", "why-not", "--job", job)
        assert (told["provider"], told["outcome"], told["model"]) == (
            settled.live_owner.address, "won", settled.live.model,
        )  # fmt: skip
        assert int(told["terms_atto"]["total"]) > 0 and told["gaps_atto"] == {}
    assert "won" in person(settled.live_owner).says("provider", "why-not", "--job", job)


def test_the_rule_that_kept_a_job_away_is_named_and_of_late_it_is_counted(settled: Settled, person: MakePerson):
    status, job = ask(settled, 900_000)
    assert status == 400
    live = person(settled.live_owner)
    told = live.json("provider", "why-not", "--job", job)
    assert (told["found"], told["outcome"], told["rule"]) == ("refusal", "excluded", "context")
    assert told["need"] == 900_000 > told["has"]
    assert "longer than the context you offer" in live.says("provider", "why-not", "--job", job)
    lately = live.json("provider", "why-not")
    assert lately["rules"]["context"] >= 1 and lately["decisions"] >= sum(lately["rules"].values())
    assert "context" in live.says("provider", "why-not")


def test_nobody_else_is_told_and_an_unknown_job_is_said_to_be_unknown(settled: Settled, person: MakePerson):
    with Visitor(settled.url) as visitor:
        assert visitor.get("/api/provider/why-not").status_code == 401
    words = person(settled.outsider).fails("provider", "why-not", code=1)
    assert "neither owner nor hot key" in words
    live = person(settled.live_owner)
    assert "does not have this job" in live.fails("provider", "why-not", "--job", "0x" + "ab" * 32, code=1)
    assert "32 bytes in hex" in live.fails("provider", "why-not", "--job", "0xabc", code=1)


def test_the_operator_replays_the_whole_log(settled: Settled, person: MakePerson):
    assert ask(settled, 5)[0] == 200
    log = settled.data_folder / "decisions" / "decisions.jsonl"
    settled.services.decisions.flush()
    operator = person(settled.outsider)
    told = operator.json("operator", "decisions")
    assert told["equal"] >= 1 and told["wrong"] == []
    folder = operator.folder / "altered"
    folder.mkdir()
    lines = [line for line in log.read_text().splitlines() if "refused" not in line]
    (folder / "decisions.jsonl").write_text(lines[-1].replace('"provider":"0x', '"provider":"0y') + "\n")
    assert "1 do not" in operator.says("operator", "decisions", "--folder", str(folder), code=5)
    assert json.loads(lines[-1])["provider"] == settled.live_owner.address
    assert "no decision log" in operator.fails("operator", "decisions", "--folder", str(folder / "none"), code=2)
