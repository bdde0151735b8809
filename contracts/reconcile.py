"""Compare the outbox with the chain and do what is missing: the pass made at start and at every block.

For each open intent, in order of nonce, with `latest` and `final` the sender's nonces at head and final block:

| the chain says | then |
| --- | --- |
| a transaction of it has a receipt, in a final block | final, or reverted |
| … in a later block | mined |
| none, but it was mined | reorganised: unmined, and the same bytes are sent again |
| none, and its nonce < final | a foreign transaction has its nonce for good: a new nonce, signed anew |
| none, and its nonce < latest | a foreign transaction has it, not for good: wait |
| none, its nonce is next, too many blocks passed | replaced, at an eighth more |
| none, and the pool lacks it | the same bytes are sent again |

Where `latest` is below a nonce that counted as final, the chain was reorganised deeper than finality: those intents are
taken up again.

Before a new nonce is given, the final nonce was read first and the receipts after it, from an endpoint that has that
final block: a transaction of ours that took the nonce would have shown its receipt. So no deed is ever done twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from eth_account import Account

from contracts.calls import Call
from contracts.chain import Chain, Finality, block_id
from contracts.errors import ContractRefused, FeeCapReached, RpcRefused
from contracts.fees import FeePolicy, Price, assert_replaces, covers, first_price, replacement_price
from contracts.outbox import Inclusion, Intent, IntentState, Outbox, SignedTransaction
from contracts.preflight import read_market, simulate
from contracts.signing import Signer
from contracts.types import Checkpoint

log = structlog.get_logger("outbox")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one pass sees of the chain, in this order of reading: head, final block, then the rest at once."""

    head: Checkpoint
    final: Checkpoint
    final_nonce: int
    latest_nonce: int
    inclusions: dict[bytes, Inclusion]
    pooled: set[bytes]


class Reconciler:
    """Drives the open intents of one outbox. `notes` says per intent what it waits for, for people."""

    def __init__(self, chain: Chain, signer: Signer, outbox: Outbox, fees: FeePolicy, finality: Finality) -> None:
        self._chain = chain
        self._signer = signer
        self._outbox = outbox
        self._fees = fees
        self._finality = finality
        self._seen: bytes | None = None
        self._untaken: set[str] = set()
        self.notes: dict[str, str] = {}
        self.capped: dict[str, FeeCapReached] = {}
        self.refused: dict[str, ContractRefused] = {}

    async def run_once(self) -> list[Intent]:
        """Make one pass; returns the intents still open. Skipped while the head is the same and all are sent."""
        head = await self._chain.head()
        if head.hash != self._seen:
            await self._outbox.reopen(await self._chain.nonce(self._signer.address, head))
        intents = await self._outbox.open_intents()
        sent = all(one.state in (IntentState.BROADCAST, IntentState.MINED) for one in intents)
        if intents and not (head.hash == self._seen and sent and not self._untaken):
            facts = await self._look(intents, head)
            for intent in intents:
                await self._settle(intent, facts)
            intents = await self._outbox.open_intents()
        self._seen = head.hash
        return intents

    async def begin(self, intent: Intent, head: Checkpoint, price: Price) -> Intent:
        """Sign a prepared intent and send it."""
        intent = await self._sign(intent, price)
        await self._send(intent, intent.rivals[-1], head)
        return intent

    # ------------------------------------------------------------------------------------------------------- looking

    async def _look(self, intents: list[Intent], head: Checkpoint) -> Facts:
        final = await self._chain.checkpoint(self._finality)
        sender = self._signer.address
        (final_nonce,) = await self._chain.batch_at([("eth_getTransactionCount", [sender, block_id(final)])], final)
        hashes = [one.hash for intent in intents for one in intent.rivals]
        newest = [intent.rivals[-1].hash for intent in intents if intent.rivals]
        answers = await self._chain.batch_at(
            [
                ("eth_getTransactionCount", [sender, "latest"]),
                *[("eth_getTransactionReceipt", ["0x" + one.hex()]) for one in hashes],
                *[("eth_getTransactionByHash", ["0x" + one.hex()]) for one in newest],
            ],
            final,
        )
        for answer in (final_nonce, *answers):
            if isinstance(answer, RpcRefused):
                raise answer
        receipts, known = answers[1 : 1 + len(hashes)], answers[1 + len(hashes) :]
        return Facts(
            head=head,
            final=final,
            final_nonce=int(final_nonce, 16),
            latest_nonce=int(answers[0], 16),
            inclusions={one: read_inclusion(raw) for one, raw in zip(hashes, receipts, strict=True) if raw is not None},
            pooled={one for one, raw in zip(newest, known, strict=True) if raw is not None},
        )

    # ------------------------------------------------------------------------------------------------------ settling

    async def _settle(self, intent: Intent, facts: Facts) -> None:
        inclusion = next((facts.inclusions[one.hash] for one in intent.rivals if one.hash in facts.inclusions), None)
        if inclusion is not None:
            self.capped.pop(intent.intent_id, None)
            self._untaken.discard(intent.intent_id)
            if inclusion.block_number <= facts.final.number:
                await self._outbox.final(intent.intent_id, inclusion)
                self.notes.pop(intent.intent_id, None)
            elif intent.inclusion != inclusion:
                await self._outbox.mined(intent.intent_id, inclusion)
                self.notes[intent.intent_id] = f"mined in block {inclusion.block_number}, not final"
            return

        again = intent.newest
        if intent.inclusion is not None:
            log.warning("reorganised away", intent=intent.intent_id, block=intent.inclusion.block_number)
            again = next(one for one in intent.rivals if one.hash == intent.inclusion.hash)
            intent = await self._outbox.unmined(intent.intent_id)

        if facts.final_nonce > intent.nonce:
            await self._begin_anew(intent, facts)
        elif facts.latest_nonce > intent.nonce:
            self.notes[intent.intent_id] = f"nonce {intent.nonce} was used by another wallet, which is not final"
        elif again is None:
            await self._begin_at_market(intent, facts.head)
        elif self._is_stuck(intent, facts):
            await self._replace(intent, facts)
        elif again.hash not in facts.pooled:
            await self._send(intent, again, facts.head)

    def _is_stuck(self, intent: Intent, facts: Facts) -> bool:
        """Say whether the next transaction to be mined is not, because it offers too little."""
        waited = facts.head.number - (facts.head.number if intent.broadcast_block is None else intent.broadcast_block)
        return intent.nonce == facts.latest_nonce and waited >= self._fees.bump_after_blocks

    async def _begin_anew(self, intent: Intent, facts: Facts) -> None:
        """Give an intent whose nonce is gone for good another one, or give it up if the contract refuses it since."""
        draft = intent.draft
        contract, _, function = draft.label.partition(".")
        call = Call(contract, function, draft.to, draft.data, draft.value)
        try:
            simulation = await simulate(self._chain, self._signer.address, call)
        except ContractRefused as refused:
            self.refused[intent.intent_id] = refused
            reason = f"another wallet used nonce {intent.nonce}, and since then {refused}"
            await self._outbox.dropped(intent.intent_id, reason)
            return
        log.warning("nonce used by another wallet", intent=intent.intent_id, nonce=intent.nonce)
        intent = await self._outbox.renonce(intent.intent_id, facts.latest_nonce, simulation.gas)
        await self._begin_at_market(intent, facts.head)

    async def _begin_at_market(self, intent: Intent, head: Checkpoint) -> None:
        try:
            price = first_price(intent.intent_id, await read_market(self._chain), self._fees)
        except FeeCapReached as error:
            self._cap(intent, error)
        else:
            await self.begin(intent, head, price)

    async def _replace(self, intent: Intent, facts: Facts) -> None:
        before = intent.rivals[-1]
        offered = Price(before.most_fee_wei, before.tip_wei)
        market = await read_market(self._chain)
        try:
            price = replacement_price(intent.intent_id, offered, market, self._fees)
        except FeeCapReached as error:
            if not covers(offered, market):
                self._cap(intent, error)
            if before.hash not in facts.pooled:
                await self._send(intent, before, facts.head)
            return
        assert_replaces(price, offered)
        intent = await self._sign(intent, price)
        await self._send(intent, intent.rivals[-1], facts.head)

    def _cap(self, intent: Intent, error: FeeCapReached) -> None:
        log.warning("fee cap reached", intent=intent.intent_id, needed_wei=error.needed_wei, most_wei=error.most_wei)
        self.capped[intent.intent_id] = error
        self.notes[intent.intent_id] = str(error)

    # ------------------------------------------------------------------------------------------- signing and sending

    async def _sign(self, intent: Intent, price: Price) -> Intent:
        draft = intent.draft
        signed = Account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain.chain_id,
                "nonce": intent.nonce,
                "to": bytes.fromhex(draft.to[2:]),
                "value": draft.value,
                "data": draft.data,
                "gas": draft.gas,
                "maxFeePerGas": price.most_fee_wei,
                "maxPriorityFeePerGas": price.tip_wei,
            },
            self._signer.secret(),
        )
        transaction = SignedTransaction(
            nonce=intent.nonce,
            hash=bytes(signed.hash),
            raw=bytes(signed.raw_transaction),
            most_fee_wei=price.most_fee_wei,
            tip_wei=price.tip_wei,
        )
        return await self._outbox.signed(intent.intent_id, transaction)

    async def _send(self, intent: Intent, transaction: SignedTransaction, head: Checkpoint) -> None:
        """Send signed bytes; what the node refuses is tried again at the next pass, and dearer when it stays so."""
        self._untaken.discard(intent.intent_id)
        try:
            await self._chain.send_raw(transaction.raw)
        except RpcRefused as refused:
            # a node that has the bytes already refuses them too, each in its own words: ask it instead of reading them
            known = await self._chain.request("eth_getTransactionByHash", ["0x" + transaction.hash.hex()])
            if known is None:
                self._untaken.add(intent.intent_id)
                self.notes[intent.intent_id] = refused.message
                log.info("not taken by the node", intent=intent.intent_id, reason=refused.message)
        if intent.broadcast_block is None:
            # sending the same bytes once more does not put off their replacement
            await self._outbox.broadcast(intent.intent_id, head.number)


def read_inclusion(raw: dict[str, Any]) -> Inclusion:
    """Read where a transaction was mined from its raw receipt."""
    gas_used = int(raw["gasUsed"], 16)
    return Inclusion(
        hash=bytes.fromhex(raw["transactionHash"][2:]),
        block_number=int(raw["blockNumber"], 16),
        block_hash=bytes.fromhex(raw["blockHash"][2:]),
        ok=raw["status"] == "0x1",
        gas_used=gas_used,
        fee_wei=gas_used * int(raw.get("effectiveGasPrice", "0x0"), 16),
    )
