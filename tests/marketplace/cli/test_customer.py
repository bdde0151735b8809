"""`bonded customer` on a real chain and gateway: what it refuses, what it sends once, and what it shows."""

from __future__ import annotations

import json

import openai
import pytest

from contracts.escrow import Escrow
from contracts.tokens import Token
from tests.marketplace.cli.commands import MakePerson, Person
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

UNIT = 10**6


class Purse:
    """What the chain says somebody has, in token units."""

    def __init__(self, settled: Settled, person: Person) -> None:
        async def read() -> tuple[int, int, int, int, int]:
            chain = settled.market.chain
            head = await chain.head()
            view = await Escrow(chain).customer(person.address, head)
            token = Token(chain, "PaymentToken")
            spender = chain.deployment.address("JobEscrow")
            return (
                await token.balance(person.address, head),
                view.balance,
                view.thawing,
                view.cap_next if view.cap_next_from else view.cap,
                await token.allowance(person.address, spender, head),
            )

        self.pocket, self.escrow, self.thawing, self.cap, self.allowance = settled.do(read())
        self.sent = settled.control.mined_count(person.address)


@pytest.fixture
def rich(settled: Settled, fresh: Person) -> Person:
    """Return somebody with a hundred payment tokens."""
    settled.give_pay(fresh.address, 100)
    return fresh


def test_a_deposit_above_what_one_has_is_refused_with_both_numbers(settled: Settled, rich: Person):
    words = rich.fails("customer", "deposit", "100.000001", "--yes", code=1)
    assert "holds 100 DUSD" in words and "100.000001" in words and "send tokens" in words
    assert Purse(settled, rich).sent == 0


@pytest.mark.parametrize("amount", ["0", "-1", "x", "NaN", "inf", "1.0000001"])
def test_an_amount_that_is_none_is_wrong_usage(settled: Settled, rich: Person, amount: str):
    words = rich.says("customer", "deposit", "--yes", "--", amount, code=2)
    assert "amount" in words or "more digits" in words
    assert Purse(settled, rich).sent == 0


def test_nothing_is_sent_unasked(settled: Settled, rich: Person):
    assert "moves money" in rich.fails("customer", "deposit", "10", code=2)
    assert Purse(settled, rich).sent == 0


def test_a_dry_run_names_what_it_would_send_and_sends_nothing(settled: Settled, rich: Person):
    told = rich.json("customer", "deposit", "10", "--dry-run")
    assert [call.split("(")[0] for call in told["would_send"]] == [
        "PaymentToken.approve", "JobEscrow.deposit", "JobEscrow.setCap",
    ]  # fmt: skip
    assert told["deposit"] == "10 DUSD" and told["most per epoch"] == "10 DUSD" and told["gas"] > 20_000
    assert "JobEscrow.deposit" in rich.says("customer", "deposit", "10", "--dry-run")
    purse = Purse(settled, rich)
    assert (purse.sent, purse.pocket, purse.escrow) == (0, 100 * UNIT, 0)


def test_a_deposit_moves_the_money_once_and_sets_the_cap(settled: Settled, rich: Person):
    done = rich.json("customer", "deposit", "10.5", "--yes")
    assert set(done["transactions"]) == {"approve", "deposit", "cap"} and done["sent_before"] == []
    purse = Purse(settled, rich)
    assert (purse.pocket, purse.escrow, purse.cap, purse.allowance) == (89_500_000, 10_500_000, 10_500_000, 0)
    rich.json("customer", "deposit", "10.5", "--yes")
    purse = Purse(settled, rich)
    assert (purse.escrow, purse.cap) == (21_000_000, 10_500_000), "the same command again is a new deed, once shown"
    rich.json("customer", "deposit", "1", "--cap", "3", "--yes")
    assert Purse(settled, rich).cap == 3 * UNIT, "a cap that was asked for is set, lower ones too"


def test_the_same_intent_never_pays_twice_whatever_is_left(settled: Settled, rich: Person):
    command = ("customer", "deposit", "60", "--intent", "first", "--yes")
    first = rich.json(*command)
    sent = Purse(settled, rich).sent
    again = rich.json(*command)
    assert again["transactions"]["deposit"] == first["transactions"]["deposit"] and again["sent_before"] == ["deposit"]
    purse = Purse(settled, rich)
    assert (purse.sent, purse.pocket, purse.escrow, purse.allowance) == (sent, 40 * UNIT, 60 * UNIT, 0)
    words = rich.fails("customer", "deposit", "10", "--intent", "first", "--yes", code=1)
    assert "choose a new intent id" in words
    assert Purse(settled, rich).sent == sent


def test_a_deposit_broken_off_before_it_was_shown_is_taken_up_and_not_repeated(
    settled: Settled, rich: Person, monkeypatch: pytest.MonkeyPatch
):
    from marketplace.cli import payment

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(payment, "print_json", dies)
        rich.says("customer", "deposit", "70", "--yes", "--json", code=130)
    assert Purse(settled, rich).escrow == 70 * UNIT
    told = rich.json("customer", "deposit", "70", "--yes")
    assert told["sent_before"] == ["deposit"]
    purse = Purse(settled, rich)
    assert (purse.escrow, purse.pocket) == (70 * UNIT, 30 * UNIT)
    assert "holds 30 DUSD" in rich.fails("customer", "deposit", "70", "--yes", code=1), "shown, so this is a new deed"


def test_the_cap_can_be_raised_lowered_and_closed(settled: Settled, rich: Person):
    rich.json("customer", "cap", "5", "--dry-run")
    assert Purse(settled, rich).cap == 0
    for amount, units in (("5", 5 * UNIT), ("2", 2 * UNIT), ("0", 0), ("5", 5 * UNIT)):
        assert rich.json("customer", "cap", amount, "--yes")["most per epoch"].split()[0] == amount
        assert Purse(settled, rich).cap == units


def test_withdrawing_thaws_first_and_pays_when_the_time_has_come(settled: Settled, rich: Person):
    rich.json("customer", "deposit", "50", "--yes")
    assert "nothing is thawing" in rich.fails("customer", "withdraw", "--yes", code=1)
    assert "nothing is thawing" in rich.fails("customer", "withdraw", "--cancel", "--yes", code=1)
    assert "only 50 DUSD" in rich.fails("customer", "withdraw", "50.000001", "--yes", code=1)
    assert "130 s" in rich.json("customer", "withdraw", "20", "--dry-run")["free after"]
    assert Purse(settled, rich).thawing == 0
    rich.json("customer", "withdraw", "20", "--yes")
    assert Purse(settled, rich).thawing == 20 * UNIT
    assert "only 30 DUSD" in rich.fails("customer", "withdraw", "31", "--yes", code=1)
    assert "still thawing for" in rich.fails("customer", "withdraw", "--yes", code=1)
    settled.control.pass_time(131)
    rich.json("customer", "withdraw", "--yes")
    purse = Purse(settled, rich)
    assert (purse.pocket, purse.escrow, purse.thawing) == (70 * UNIT, 30 * UNIT, 0)
    assert "nothing is thawing" in rich.fails("customer", "withdraw", "--yes", code=1)


def test_a_thaw_can_be_stopped_and_deeds_do_not_mix(settled: Settled, rich: Person):
    rich.json("customer", "deposit", "5", "--yes")
    rich.json("customer", "withdraw", "5", "--yes")
    for mixed in (("5", "--cancel"), ("--compensation", "--cancel"), ("5", "--compensation")):
        assert "three different deeds" in rich.fails("customer", "withdraw", *mixed, "--yes", code=2)
    assert rich.json("customer", "withdraw", "--cancel", "--yes")["stops thawing"] == "5 DUSD"
    assert Purse(settled, rich).thawing == 0


def test_a_withdrawal_under_one_intent_happens_once(settled: Settled, rich: Person):
    rich.json("customer", "deposit", "5", "--yes")
    thaw = ("customer", "withdraw", "5", "--intent", "thaw-1", "--yes")
    assert rich.json(*thaw)["sent_before"] == []
    assert rich.json(*thaw)["sent_before"] == ["thaw"]
    settled.control.pass_time(131)
    take = ("customer", "withdraw", "--intent", "take-1", "--yes")
    assert rich.json(*take)["sent_before"] == []
    assert rich.json(*take)["sent_before"] == ["withdraw"]
    purse = Purse(settled, rich)
    assert (purse.pocket, purse.escrow) == (100 * UNIT, 0)


def test_compensation_is_taken_at_any_time_and_once(settled: Settled, person: MakePerson, rich: Person):
    assert "no compensation" in rich.fails("customer", "withdraw", "--compensation", "--yes", code=1)
    bob = person(settled.customers[1])
    told = bob.json("customer", "withdraw", "--compensation", "--yes")
    assert told["compensation"].endswith(" DSTK") and float(told["compensation"].split()[0]) > 1
    assert "no compensation" in bob.fails("customer", "withdraw", "--compensation", "--yes", code=1)
    settled.index()
    assert bob.json("customer", "balance")["compensation_units"] == "0"


def test_a_customer_makes_lists_and_revokes_keys_at_the_gateway(settled: Settled, person: MakePerson):
    alice = person(settled.customers[0])
    made = alice.json("customer", "keys", "create", "terminal")
    with openai.OpenAI(api_key=made["key"], base_url=f"{settled.url}/v1", max_retries=0) as client:
        client.chat.completions.create(model="mock-model", messages=[{"role": "user", "content": "x"}], max_tokens=5)
        assert made["id"] in [row["id"] for row in alice.json("customer", "keys", "list")["keys"]]
        assert "terminal" in alice.says("customer", "keys", "list")
        assert alice.json("customer", "keys", "revoke", str(made["id"])) == {"id": made["id"], "revoked": True}
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert "you have no key" in alice.fails("customer", "keys", "revoke", "999999", code=1)
    shown = alice.says("customer", "keys", "create", "once")
    assert "sk-bonded-" in shown and "shown once" in shown


def test_balance_usage_receipts_and_credits_are_shown_to_people_in_whole_tokens(settled: Settled, person: MakePerson):
    alice = person(settled.customers[0])
    raw = alice.json("customer", "balance")
    assert raw["customer"] == alice.address and int(raw["escrow_units"]) > 90 * UNIT
    shown = alice.says("customer", "balance")
    assert "available" in shown and "99.99" in shown and "DUSD" in shown and "atto" not in shown
    assert len(alice.json("customer", "receipts", "--limit", "3")["receipts"]) == 3
    assert "DUSD" in alice.says("customer", "receipts") and "served" in alice.says("customer", "receipts")
    assert "output tokens" in alice.says("customer", "usage")
    back = alice.says("customer", "credits")
    assert "0.000011 DUSD" in back and "DSTK" in back and "slashed at level 4" in back


def test_somebody_without_anything_is_told_so(fresh: Person):
    assert "no receipts yet" in fresh.says("customer", "receipts")
    assert "no credits yet" in fresh.says("customer", "credits")
    assert fresh.json("customer", "balance")["available_atto"] == "0"


def test_a_gateway_or_chain_that_is_not_there_is_named(fresh: Person):
    words = fresh.fails("customer", "balance", "--gateway", "http://127.0.0.1:1", code=4)
    assert "http://127.0.0.1:1" in words and "--gateway" in words
    assert "127.0.0.1:1" in fresh.fails("customer", "deposit", "1", "--rpc", "http://127.0.0.1:1", "--yes", code=4)


def test_a_key_that_is_missing_or_does_not_open_is_named(fresh: Person, tmp_path):
    assert "no keystore" in fresh.fails("customer", "balance", "--keystore", str(tmp_path / "none.json"), code=1)
    (tmp_path / "password").write_text("wrong")
    words = fresh.fails("customer", "balance", "--password-file", str(tmp_path / "password"), code=1)
    assert "password" in words.lower()


def test_two_commands_with_one_key_at_once_do_not_mix(settled: Settled, rich: Person):
    from contracts.file_outbox import FileOutbox

    held = FileOutbox.open(rich.folder, sender=rich.address, chain_key=settled.market.chain.key)
    try:
        assert "used by" in rich.fails("customer", "deposit", "1", "--yes", code=1)
    finally:
        settled.do(held.close())
    assert json.loads(rich.says("customer", "deposit", "1", "--yes", "--json"))["sent_before"] == []
