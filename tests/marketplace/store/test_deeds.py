"""A deed that the chain undid is done again under the next turn's name; one that was done is never done twice."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.calls import Call
from contracts.errors import ContractRefused, IntentDropped, TransactionReverted
from contracts.transactions import Until
from marketplace.deeds import Deeds

CALL = Call("EpochLedger", "activate", "0x" + "11" * 20, b"\x01")


class FakeSender:
    """Sends nothing; `ends` says what each intent comes to, and what was asked for is kept."""

    address = "0x" + "22" * 20

    def __init__(self, **ends: Exception) -> None:
        self.ends = ends
        self.asked: list[str] = []

    async def submit(self, intent: str, call: Call, *, until: Until, timeout_s: float) -> Any:
        self.asked.append(intent)
        if intent in self.ends:
            raise self.ends[intent]
        return intent


def deeds(sender: FakeSender) -> Deeds:
    return Deeds(sender)  # type: ignore[arg-type]


def reverted(intent: str) -> TransactionReverted:
    return TransactionReverted(intent, bytes(32), None)


async def test_a_reverted_or_dropped_turn_is_followed_by_the_next() -> None:
    sender = FakeSender(**{"a": reverted("a"), "a~1": IntentDropped("a~1", "the fee cap was reached")})
    assert await deeds(sender).until_done("a", CALL) == "a~2"  # type: ignore[comparison-overlap]
    assert await deeds(sender).until_done("a", CALL) == "a~2"  # type: ignore[comparison-overlap]
    assert sender.asked == ["a", "a~1", "a~2"] * 2, "after a restart the same turns lead to the one that was done"


async def test_a_refusal_of_the_simulation_ends_it_and_leaves_nothing() -> None:
    refused = ContractRefused("EpochLedger", "StillPaused", {})
    sender = FakeSender(**{"a": reverted("a"), "a~1": refused})
    with pytest.raises(ContractRefused):
        await deeds(sender).until_done("a", CALL)
    assert sender.asked == ["a", "a~1"]


async def test_turns_come_to_an_end() -> None:
    sender = FakeSender(**{"a": reverted("a"), **{f"a~{n}": reverted(f"a~{n}") for n in range(1, 20)}})
    with pytest.raises(TransactionReverted):
        await deeds(sender).until_done("a", CALL)
    assert len(sender.asked) == 8


async def test_once_is_once() -> None:
    sender = FakeSender(**{"a": reverted("a")})
    with pytest.raises(TransactionReverted):
        await deeds(sender).once("a", CALL)
    assert sender.asked == ["a"]


async def test_several_calls_are_named_by_what_they_do_and_their_chunk_and_one_by_the_intent_alone() -> None:
    sender = FakeSender()
    chunks = tuple(Call("L", "takeCharges", CALL.to, bytes([n]), arguments={"chunk": n}) for n in (1, 2))
    await deeds(sender).all_until_done("report:0:ab", (CALL, *chunks))
    assert sender.asked == ["report:0:ab:activate", "report:0:ab:takeCharges:1", "report:0:ab:takeCharges:2"]
    sender.asked.clear()
    await deeds(sender).all_until_done("report:0:ab", chunks[1:])
    assert sender.asked == ["report:0:ab:takeCharges:2"], "the rest of a list is named as the whole was"
    sender.asked.clear()
    await deeds(sender).all_until_done("activate:0:ab", (Call("L", "multicall", CALL.to, b"\x02"),))
    assert sender.asked == ["activate:0:ab"]
