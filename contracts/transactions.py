"""The one place that sends transactions: simulate, price, reserve, sign, send, replace, wait, confirm.

A deed is named by an intent id. Submitting an id that was submitted before, by this process or by one that died, sends
nothing again: it waits for, or returns, what the first submission came to. The order of steps is what makes it so:

    simulate → reserve a nonce and store the intent → sign and store the bytes → send → wait until mined → until final

A crash before the second arrow leaves nothing; after it, `reconcile` takes up the intent where it stands.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import structlog

from contracts.calls import Call
from contracts.chain import Chain, Finality
from contracts.errors import (
    ChainUnavailable,
    CheckpointGone,
    ContractRefused,
    ContractsError,
    IntentConflict,
    IntentDropped,
    ReceiptMissing,
    RpcRefused,
    StillWaiting,
    TransactionReverted,
)
from contracts.event_types import Event
from contracts.events import decode_log
from contracts.fees import FeePolicy, first_price
from contracts.outbox import Draft, Inclusion, Intent, IntentState, Outbox
from contracts.preflight import Simulation, check_funds, simulate
from contracts.reconcile import Reconciler
from contracts.revert import refusal
from contracts.signing import Signer

E = TypeVar("E", bound=Event)

log = structlog.get_logger("outbox")

_MOST_WAIT_S = 8.0


class Until(Enum):
    """How long `submit` waits."""

    MINED = "mined"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an intent came to. `sent` is False when an earlier submission of the id had been stored before."""

    intent_id: str
    hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int
    fee_wei: int
    events: tuple[Event, ...]
    final: bool
    sent: bool

    def event(self, kind: type[E]) -> E:
        """Return the one event of a class; raises KeyError unless there is exactly one."""
        found = [one for one in self.events if isinstance(one, kind)]
        if len(found) != 1:
            raise KeyError(f"{self.intent_id} emitted {len(found)} {kind.__name__}, not one")
        return found[0]


class Sender:
    """Sends with one key through one outbox. Safe to be used by many tasks of one process at once."""

    def __init__(
        self,
        chain: Chain,
        signer: Signer,
        outbox: Outbox,
        *,
        fees: FeePolicy | None = None,
        finality: Finality | None = None,
        poll_s: float = 0.5,
    ) -> None:
        if (outbox.sender, outbox.chain_key) != (signer.address, chain.key):
            raise ContractsError(
                f"this outbox is of {outbox.sender} on {outbox.chain_key}, not of {signer.address} on {chain.key}"
            )
        self.address = signer.address
        self._chain = chain
        self._outbox = outbox
        self._fees = fees or FeePolicy()
        self._poll_s = poll_s
        self._reconciler = Reconciler(chain, signer, outbox, self._fees, finality or chain.finality)
        self._turn = asyncio.Lock()

    async def simulate(self, call: Call) -> Simulation:
        """Try a call without sending it; raises ContractRefused or RpcRefused."""
        return await simulate(self._chain, self.address, call)

    async def submit(
        self, intent_id: str, call: Call, *, until: Until = Until.MINED, timeout_s: float | None = None
    ) -> Outcome:
        """Do a deed once, and return what it came to.

        Raises, with nothing stored: ContractRefused, InsufficientFunds, FeeCapReached, RpcRefused, ChainUnavailable.
        Raises, with the intent stored: TransactionReverted and IntentDropped are its ends; after FeeCapReached and
        StillWaiting (`timeout_s`) it stays open, and submitting the same id again waits on. While the chain cannot be
        reached a stored intent waits. IntentConflict: the id names another call.
        """
        async with self._turn:
            intent = await self._outbox.get(intent_id)
            known = intent is not None
            if intent is None:
                await self._begin(intent_id, call)
            elif not intent.is_for(call):
                raise IntentConflict(intent_id, intent.draft.label, str(call))
        return await self._wait(intent_id, until, timeout_s, sent=not known)

    async def outcome(self, intent_id: str) -> Outcome | None:
        """Return what an intent came to, None while it is unknown or not mined; raises as `submit` for bad ends."""
        intent = await self._outbox.get(intent_id)
        return None if intent is None else await self._outcome(intent, Until.MINED, sent=False)

    async def reconcile(self) -> list[Intent]:
        """Compare the outbox with the chain and do what is missing; returns the intents still open."""
        async with self._turn:
            return await self._reconciler.run_once()

    async def run(self) -> None:
        """Reconcile at every block until cancelled: what a long-lived process keeps running beside its work."""
        wait_s = self._poll_s
        while True:
            try:
                await self.reconcile()
                wait_s = self._poll_s
            except (ChainUnavailable, CheckpointGone, RpcRefused) as error:
                log.warning("cannot reconcile", error=str(error))
                wait_s = min(2 * wait_s, _MOST_WAIT_S)
            await asyncio.sleep(wait_s)

    # ------------------------------------------------------------------------------------------------------ steps

    async def _begin(self, intent_id: str, call: Call) -> None:
        simulation = await self.simulate(call)
        price = first_price(intent_id, simulation.market, self._fees)
        draft = Draft.of(intent_id, call, simulation.gas)
        await check_funds(self._chain, self.address, draft, price.most_fee_wei)
        head = await self._chain.head()
        intent = await self._outbox.prepare(draft, simulation.nonce)
        try:
            await self._reconciler.begin(intent, head, price)
        except ChainUnavailable as error:
            # it is stored: the wait that follows sends it as soon as the chain is back
            self._reconciler.notes[intent_id] = str(error)

    async def _wait(self, intent_id: str, until: Until, timeout_s: float | None, *, sent: bool) -> Outcome:
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        wait_s, notes = self._poll_s, self._reconciler.notes
        while True:
            try:
                await self.reconcile()
                wait_s = self._poll_s
            except (ChainUnavailable, CheckpointGone, RpcRefused) as error:
                notes[intent_id] = str(error)
                wait_s = min(2 * wait_s, _MOST_WAIT_S)
            intent = await self._outbox.get(intent_id)
            if intent is None:
                raise ContractsError(f"the outbox lost intent {intent_id}: restore it from a backup")
            try:
                outcome = await self._outcome(intent, until, sent=sent)
            except (ChainUnavailable, CheckpointGone) as error:
                notes[intent_id], outcome = str(error), None
            if outcome is not None:
                return outcome
            capped = self._reconciler.capped.pop(intent_id, None)
            if capped is not None:
                raise capped
            if deadline is not None and loop.time() >= deadline:
                raise StillWaiting(intent_id, intent.state, notes.get(intent_id, ""))
            await asyncio.sleep(wait_s)

    async def _outcome(self, intent: Intent, until: Until, *, sent: bool) -> Outcome | None:
        """Return the outcome of an intent that has come as far as was asked; raises what it failed with."""
        if intent.state is IntentState.DROPPED:
            refused = self._reconciler.refused.get(intent.intent_id)
            raise IntentDropped(intent.intent_id, intent.reason) from refused
        inclusion = intent.inclusion
        if inclusion is None or (until is Until.FINAL and not intent.state.ended):
            return None
        if not inclusion.ok:
            raise TransactionReverted(intent.intent_id, inclusion.hash, await self._why(intent, inclusion))
        (receipt,) = await self._chain.receipts([inclusion.hash])
        if receipt is None:
            if intent.state is IntentState.FINAL:
                raise ReceiptMissing(intent.intent_id, inclusion.hash)
            return None
        return Outcome(
            intent_id=intent.intent_id,
            hash=inclusion.hash,
            block_number=inclusion.block_number,
            block_hash=inclusion.block_hash,
            gas_used=inclusion.gas_used,
            fee_wei=inclusion.fee_wei,
            events=self._events(receipt),
            final=intent.state is IntentState.FINAL,
            sent=sent,
        )

    def _events(self, receipt: dict[str, Any]) -> tuple[Event, ...]:
        found = (decode_log(self._chain.deployment, raw) for raw in receipt["logs"])
        return tuple(one for one in found if one is not None)

    async def _why(self, intent: Intent, inclusion: Inclusion) -> ContractRefused | None:
        """Ask what the contract says on top of the block before, and of the block itself; None where no node can tell.

        The second is for what an earlier transaction of the same block brought about.
        """
        draft = intent.draft
        transaction = {"from": self.address, "to": draft.to, "data": "0x" + draft.data.hex(), "value": hex(draft.value)}
        for block in (inclusion.block_number - 1, inclusion.block_number):
            try:
                await self._chain.request("eth_call", [transaction, hex(block)])
            except RpcRefused as error:
                return refusal(error, draft.label.partition(".")[0], draft.label)
        return None
