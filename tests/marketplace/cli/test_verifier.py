"""`bonded verifier` on a real chain: the bond, the set, what is owed, and leaving with everything."""

from __future__ import annotations

import pytest

from contracts.operators import Operators
from contracts.tokens import Token
from tests.marketplace.cli.commands import MakePerson, Person
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

ENDPOINT = "http://127.0.0.1:7"


def member(settled: Settled, address: str):
    async def read():
        chain = settled.market.chain
        return await Operators(chain, "Verifiers").member(address, await chain.head())

    return settled.do(read())


def held(settled: Settled, token: str, address: str) -> int:
    async def read() -> int:
        chain = settled.market.chain
        return await Token(chain, token).balance(address, await chain.head())

    return settled.do(read())


def test_nobody_joins_without_the_bond(settled: Settled, fresh: Person):
    words = fresh.fails("verifier", "join", ENDPOINT, "--yes", code=1)
    assert "the bond is 5,000 DSTK" in words and "holds 0" in words
    assert settled.control.mined_count(fresh.address) == 0


def test_who_is_no_member_can_neither_leave_nor_withdraw_nor_claim(settled: Settled, fresh: Person):
    for command in ("leave", "withdraw"):
        assert fresh.fails("verifier", command, "--yes", code=3), command
        assert fresh.fails("verifier", command, "--dry-run", code=3), command
    assert fresh.json("verifier", "claim", "--yes") == {"verifier": fresh.address, "owed": 0}
    assert settled.control.mined_count(fresh.address) == 0


def test_the_set_has_a_size_and_who_comes_too_late_is_told(settled: Settled, fresh: Person):
    settled.give_stake(fresh.address, 5_000)
    words = fresh.fails("verifier", "join", ENDPOINT, "--yes", code=3)
    assert "3" in words
    assert held(settled, "StakeToken", fresh.address) == 5_000 * 10**18, "the bond was not taken"


def test_a_verifier_claims_leaves_waits_and_gets_its_bond_back(settled: Settled, person: MakePerson):
    old = person(settled.market.verifier_keys[2])
    status = old.json("verifier", "status")
    assert status["member"] is True and status["bond"] == "5,000 DSTK" and status["owed"].endswith(" DUSD")
    assert status["owed"] != "0 DUSD"
    before = held(settled, "PaymentToken", old.address)
    assert old.json("verifier", "claim", "--dry-run")["owed"] == status["owed"]
    assert held(settled, "PaymentToken", old.address) == before
    old.json("verifier", "claim", "--yes")
    gained = held(settled, "PaymentToken", old.address) - before
    assert gained > 0 and f"{gained / 10**6:.6f}".rstrip("0") in status["owed"]
    assert old.json("verifier", "claim", "--yes")["owed"] == 0

    old.json("verifier", "leave", "--dry-run")
    assert member(settled, old.address).active
    old.json("verifier", "leave", "--yes")
    assert not member(settled, old.address).active
    assert old.json("verifier", "status")["member"] is False
    assert old.fails("verifier", "leave", "--yes", code=3)
    assert old.fails("verifier", "withdraw", "--yes", code=3), "the bond waits for its unbonding time"

    young = person(settled.newcomer)
    settled.give_stake(young.address, 5_000)
    assert "Verifiers.join" in young.says("verifier", "join", ENDPOINT, "--dry-run")
    assert member(settled, young.address) is None
    done = young.json("verifier", "join", ENDPOINT, "--yes")
    assert set(done["transactions"]) == {"approve", "join"}
    assert member(settled, young.address).active and member(settled, young.address).endpoint == ENDPOINT
    assert young.json("verifier", "join", ENDPOINT, "--yes") == {"verifier": young.address, "member": True}
    assert "a verifier already" in young.says("verifier", "join", ENDPOINT, "--yes")

    settled.control.pass_time(121)
    old.json("verifier", "withdraw", "--yes")
    assert held(settled, "StakeToken", old.address) == 5_000 * 10**18
    assert old.fails("verifier", "withdraw", "--yes", code=3)

    # everybody changes back: the marketplace is the whole session's
    young.json("verifier", "leave", "--yes")
    back = old.json("verifier", "join", settled_endpoint(settled, 2), "--yes")
    assert set(back["transactions"]) == {"approve", "join"}
    assert member(settled, old.address).active


def settled_endpoint(settled: Settled, number: int) -> str:
    return f"http://127.0.0.1:{settled.market.servers[number].port}"


def test_status_needs_a_key_but_no_password(settled: Settled, person: MakePerson):
    someone = person(settled.market.verifier_keys[0])
    someone.password = "forgotten"
    shown = someone.says("verifier", "status")
    assert someone.address in shown and "5,000 DSTK" in shown and "seed committed" in shown


def test_running_without_an_api_key_says_how_to_get_one(fresh: Person):
    words = fresh.says(
        "verifier", "run", "--folder", str(fresh.folder), "--api-key-file", str(fresh.folder / "none"),
        "--evidence", "x", code=1,
    )  # fmt: skip
    assert "bonded customer keys create" in words
