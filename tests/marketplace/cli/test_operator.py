"""`bonded operator` beside a settled marketplace: funding once, the books as exit code, what epochs wait for."""

from __future__ import annotations

import pytest

from contracts.epochs import Epochs
from contracts.escrow import Escrow
from contracts.tokens import Token
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.ledger import ESCROW, Transfer, account, post
from tests.marketplace.cli.commands import Person
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


def funds(settled: Settled, payer: str) -> tuple[int, int, int]:
    """Return incentive fund, SLA fund, and what the payer has left, in token units."""

    async def read() -> tuple[int, int, int]:
        chain = settled.market.chain
        head = await chain.head()
        sla = (await Escrow(chain).funds(head)).sla_fund
        return await Epochs(chain).incentive_fund(head), sla, await Token(chain, "PaymentToken").balance(payer, head)

    return settled.do(read())


def test_funding_without_the_money_sends_nothing(settled: Settled, fresh: Person):
    settled.give_pay(fresh.address, 5)
    words = fresh.fails("operator", "fund", "--incentives", "3", "--sla", "2.000001", "--yes", code=1)
    assert "holds 5 DUSD" in words and "5.000001" in words
    assert "--incentives or --sla" in fresh.fails("operator", "fund", "--yes", code=2)
    assert settled.control.mined_count(fresh.address) == 0


def test_funding_under_one_intent_pays_once(settled: Settled, fresh: Person):
    settled.give_pay(fresh.address, 5)
    incentives, sla, _ = funds(settled, fresh.address)
    command = ("operator", "fund", "--incentives", "3", "--sla", "2", "--intent", "start", "--yes")
    first = fresh.json(*command)
    assert funds(settled, fresh.address) == (incentives + 3 * 10**6, sla + 2 * 10**6, 0)
    sent = settled.control.mined_count(fresh.address)
    again = fresh.json(*command)
    assert again["sent_before"] == ["incentives", "SLA fund"]
    assert again["transactions"]["SLA fund"] == first["transactions"]["SLA fund"]
    assert funds(settled, fresh.address) == (incentives + 3 * 10**6, sla + 2 * 10**6, 0)
    assert settled.control.mined_count(fresh.address) == sent


def test_the_books_of_the_settled_marketplace_hold(settled: Settled, fresh: Person):
    told = fresh.json("operator", "check")
    assert told["equal"] is True and len(told["lines"]) >= 14
    assert {line["what"] for line in told["lines"]} >= {
        "charges of receipts = used in the ledger", "leaves: cumulative fees = claimed + still claimable",
    }  # fmt: skip
    assert "DIFFERENT" not in fresh.says("operator", "check")


def test_one_atto_too_many_in_the_ledger_is_exit_code_five(settled: Settled, fresh: Person):
    there, back = ESCROW, account(settled.customers[0].address, "available")

    async def move(key: str, debit: str, credit: str) -> None:
        async with settled.database.begin() as connection:
            await post(connection, [Transfer(key, debit, credit, 1)])

    settled.do(move("forged", there, back))
    try:
        lines = fresh.json("operator", "check", code=5)["lines"]
        wrong = [line["what"] for line in lines if line["ours"] != line["theirs"]]
        assert "customers whose ledger is not their escrow on chain" in wrong
        assert "DIFFERENT" in fresh.says("operator", "check", code=5)
    finally:
        settled.do(move("forged back", back, there))
    assert fresh.json("operator", "check")["equal"] is True


def test_status_shows_each_epoch_and_what_stands_in_its_way(settled: Settled, fresh: Person):
    told = fresh.json("operator", "status")
    assert told["epochs"][:2] == [{"epoch": e, "step": "done", "problem": ""} for e in (0, 1)]
    settled.do(EpochSteps(settled.database).note(1, "waits for [red]rain[/]"))
    try:
        assert "waits for [red]rain[/]" in fresh.says("operator", "status")
    finally:
        settled.do(EpochSteps(settled.database).reach(1, Step.DONE))
    assert fresh.json("operator", "migrate") == {"migrated": True}


def test_settings_that_cannot_be_used_are_all_named(fresh: Person, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BONDED_REFRESH_S", "-1")
    monkeypatch.setenv("BONDED_ACTIVE_MOST", "many")
    words = fresh.says("operator", "gateway", code=1)
    assert "BONDED_REFRESH_S" in words and "BONDED_ACTIVE_MOST" in words
