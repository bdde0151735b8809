"""Hold an implementation of `contracts.outbox.Outbox` to what the Protocol says.

In a test module (pytest-asyncio in its automatic mode):

    class TestMyOutbox(OutboxConformance):
        async def make(self) -> Outbox: ...                     # a new one, empty, for SENDER and CHAIN_KEY
        async def reopen(self, outbox: Outbox) -> Outbox: ...   # what a new process would open after this one died
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from contracts.errors import OutboxMisused
from contracts.outbox import Draft, Inclusion, Intent, IntentState, Outbox, SignedTransaction

SENDER = "0x" + "5e" * 20
CHAIN_KEY = "31337:0x" + "ab" * 32


def draft(name: str = "one") -> Draft:
    """Return a draft with every field set to something."""
    return Draft(name, "0x" + "11" * 20, bytes(range(256)), 10**20, "EpochLedger.claimOwed", 90_000)


def signature(nonce: int, number: int = 1) -> SignedTransaction:
    """Return signed bytes, different for each number."""
    return SignedTransaction(nonce, bytes((number,)) * 32, b"\x02raw" + bytes((number,)), 30 * 10**9 + number, number)


def inclusion(transaction: SignedTransaction, block: int = 7, *, ok: bool = True) -> Inclusion:
    """Return a place in a block for a transaction."""
    return Inclusion(transaction.hash, block, block.to_bytes(32), ok, 21_000, 10**15)


class OutboxConformance:
    """Tests of an outbox; the two methods below say how to make one."""

    async def make(self) -> Outbox:
        """Return a new, empty outbox of SENDER on CHAIN_KEY."""
        raise NotImplementedError

    async def reopen(self, outbox: Outbox) -> Outbox:
        """Return the outbox that a new process finds."""
        raise NotImplementedError

    async def test_refuses_a_step_of_an_unknown_intent(self) -> None:
        outbox = await self.make()
        place = inclusion(signature(0))
        await _refused(outbox.signed("x", signature(0)))
        await _refused(outbox.broadcast("x", 1))
        await _refused(outbox.mined("x", place))
        await _refused(outbox.unmined("x"))
        await _refused(outbox.final("x", place))
        await _refused(outbox.renonce("x", 1, 1))
        await _refused(outbox.dropped("x", "why"))
        assert await outbox.get("x") is None
        await outbox.close()

    async def test_refuses_a_step_that_the_state_does_not_permit(self) -> None:
        outbox = await self.make()
        await outbox.prepare(draft(), 5)
        await _refused(outbox.broadcast("one", 1))
        await _refused(outbox.unmined("one"))
        await _refused(outbox.mined("one", inclusion(signature(5))))
        await _refused(outbox.signed("one", signature(6)))
        await outbox.signed("one", signature(5))
        await _refused(outbox.mined("one", inclusion(signature(5, 9))))
        await outbox.broadcast("one", 1)
        mined = await outbox.mined("one", inclusion(signature(5)))
        await _refused(outbox.signed("one", signature(5, 2)))
        await _refused(outbox.renonce("one", 9, 1))
        await _refused(outbox.dropped("one", "why"))
        assert await outbox.get("one") == mined
        await outbox.final("one", inclusion(signature(5)))
        await _refused(outbox.broadcast("one", 2))
        await _refused(outbox.final("one", inclusion(signature(5))))
        await _refused(outbox.mined("one", inclusion(signature(5))))
        await outbox.close()

    async def test_an_id_is_prepared_once(self) -> None:
        outbox = await self.make()
        first = await outbox.prepare(draft(), 5)
        assert (first.nonce, first.state, first.draft) == (5, IntentState.PREPARED, draft())
        other = Draft("one", "0x" + "22" * 20, b"", 0, "JobEscrow.withdraw", 1)
        assert await outbox.prepare(other, 77) == first
        again = await self.reopen(outbox)
        assert await again.prepare(other, 77) == first
        assert (await again.prepare(draft("two"), 0)).nonce == 6
        await again.close()

    async def test_no_nonce_is_given_twice(self) -> None:
        outbox = await self.make()
        given = await asyncio.gather(*[outbox.prepare(draft(str(i)), 3) for i in range(20)])
        assert sorted(one.nonce for one in given) == list(range(3, 23))
        assert (await outbox.prepare(draft("far"), 100)).nonce == 100
        outbox = await self.reopen(outbox)
        assert (await outbox.prepare(draft("next"), 50)).nonce == 101
        moved = await outbox.renonce("0", 4, 70_000)
        assert (moved.nonce, moved.draft.gas, moved.state) == (102, 70_000, IntentState.PREPARED)
        assert (await outbox.prepare(draft("last"), 0)).nonce == 103
        await outbox.close()

    async def test_every_step_is_there_after_a_crash(self) -> None:
        outbox = await self.make()
        first, second, later = signature(5, 1), signature(5, 2), signature(8, 3)
        steps: list[Callable[[], Awaitable[Intent]]] = [
            lambda: outbox.prepare(draft(), 5),
            lambda: outbox.signed("one", first),
            lambda: outbox.broadcast("one", 10),
            lambda: outbox.signed("one", second),
            lambda: outbox.broadcast("one", 13),
            lambda: outbox.mined("one", inclusion(first)),
            lambda: outbox.mined("one", inclusion(second, 8)),
            lambda: outbox.unmined("one"),
            lambda: outbox.broadcast("one", 15),
            lambda: outbox.renonce("one", 8, 95_000),
            lambda: outbox.signed("one", later),
            lambda: outbox.broadcast("one", 20),
            lambda: outbox.mined("one", inclusion(later, 21, ok=False)),
            lambda: outbox.final("one", inclusion(later, 21, ok=False)),
        ]
        for step in steps:
            after = await step()
            outbox = await self.reopen(outbox)
            assert await outbox.get("one") == after
        found = await outbox.get("one")
        assert found is not None
        assert found.state is IntentState.REVERTED and found.inclusion == inclusion(later, 21, ok=False)
        assert found.transactions == (first, second, later) and found.replaced == (first, second)
        assert found.draft.gas == 95_000
        await outbox.close()

    async def test_lists_what_is_open_by_nonce(self) -> None:
        outbox = await self.make()
        for number, name in enumerate("abcd"):
            await outbox.prepare(draft(name), number)
        await outbox.renonce("a", 0, 1)
        await outbox.dropped("b", "given up")
        await outbox.signed("c", signature(2))
        await outbox.final("c", inclusion(signature(2)))
        outbox = await self.reopen(outbox)
        assert [one.intent_id for one in await outbox.open_intents()] == ["d", "a"]
        dropped = await outbox.get("b")
        assert dropped is not None and (dropped.state, dropped.reason) == (IntentState.DROPPED, "given up")
        await outbox.close()

    async def test_takes_back_the_ends_that_were_reorganised_away(self) -> None:
        outbox = await self.make()
        for number, name in enumerate("abcd"):
            await outbox.prepare(draft(name), number)
            await outbox.signed(name, signature(number))
        for number, name in enumerate("abc"):
            await outbox.final(name, inclusion(signature(number), ok=name != "b"))
        assert await outbox.reopen(3) == []
        assert [one.intent_id for one in await outbox.reopen(1)] == ["b", "c"]
        outbox = await self.reopen(outbox)
        assert [one.intent_id for one in await outbox.open_intents()] == ["b", "c", "d"]
        taken: Intent | None = await outbox.get("b")
        assert taken is not None and taken.state is IntentState.MINED
        assert taken.inclusion == inclusion(signature(1), ok=False)
        assert (await outbox.unmined("b")).broadcast_block is None
        await outbox.close()


async def _refused(step: Awaitable[Intent]) -> None:
    try:
        await step
    except OutboxMisused:
        return
    raise AssertionError("a step was permitted that the Protocol forbids")
