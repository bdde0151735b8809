"""What an outbox must remember so that a deed is done once: the intents of one key on one chain.

An **intent** is a call under an id its author chose. It goes

    prepared → signed → broadcast → mined → final
                                  ↖       ↘ reverted      (mined, final, but the contract reverted)
                         (reorganised)
    dropped: its nonce went to a foreign transaction for good, and the contract refuses the call since

and has a list of signed transactions, oldest first. All with the intent's present nonce compete for that one nonce:
all but the newest are **replaced**, any one of them may be mined, at most one can be. `contracts.transactions.Sender`
drives it; this module holds the rows, what each step permits, and the Protocol that stores implement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from contracts.calls import Call
from contracts.errors import OutboxMisused


class IntentState(StrEnum):
    """Where an intent stands; the last three are ends, until a reorganisation deeper than finality takes one back."""

    PREPARED = "prepared"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    MINED = "mined"
    FINAL = "final"
    REVERTED = "reverted"
    DROPPED = "dropped"

    @property
    def ended(self) -> bool:
        """Say whether nothing is left to do."""
        return self in (IntentState.FINAL, IntentState.REVERTED, IntentState.DROPPED)


@dataclass(frozen=True, slots=True)
class Draft:
    """An intent before it has a nonce. `label` is `Contract.function`, `gas` the limit every signature will carry."""

    intent_id: str
    to: str
    data: bytes
    value: int
    label: str
    gas: int

    @classmethod
    def of(cls, intent_id: str, call: Call, gas: int) -> Draft:
        """Return the draft of a call."""
        return cls(intent_id, call.to, call.data, call.value, call.label, gas)


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """Bytes that may be broadcast any number of times: the same bytes always have the same hash."""

    nonce: int
    hash: bytes
    raw: bytes
    most_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where a transaction was mined; `ok` is False when it reverted, `fee_wei` is what it cost."""

    hash: bytes
    block_number: int
    block_hash: bytes
    ok: bool
    gas_used: int
    fee_wei: int


@dataclass(frozen=True, slots=True)
class Intent:
    """A row of the outbox. `broadcast_block`: the head when its newest transaction was last sent."""

    draft: Draft
    nonce: int
    state: IntentState
    transactions: tuple[SignedTransaction, ...] = ()
    broadcast_block: int | None = None
    inclusion: Inclusion | None = None
    reason: str = ""

    @property
    def intent_id(self) -> str:
        """Return the id its author chose."""
        return self.draft.intent_id

    @property
    def rivals(self) -> tuple[SignedTransaction, ...]:
        """Return the transactions that compete for the present nonce, the newest last."""
        return tuple(one for one in self.transactions if one.nonce == self.nonce)

    @property
    def replaced(self) -> tuple[SignedTransaction, ...]:
        """Return every transaction but the one that counts."""
        return tuple(one for one in self.transactions if one is not self.newest)

    @property
    def newest(self) -> SignedTransaction | None:
        """Return the newest transaction with the present nonce."""
        rivals = self.rivals
        return rivals[-1] if rivals else None

    def is_for(self, call: Call) -> bool:
        """Say whether the intent is this very call."""
        return (self.draft.to, self.draft.data, self.draft.value) == (call.to, call.data, call.value)

    # ------------------------------------------------------------------ the steps, which stores apply and keep

    def with_signed(self, transaction: SignedTransaction) -> Intent:
        """Add a signature, the first or a replacement."""
        unmined = self.state in (IntentState.PREPARED, IntentState.SIGNED, IntentState.BROADCAST)
        self._permit("signed", unmined and transaction.nonce == self.nonce)
        signed = (*self.transactions, transaction)
        return replace(self, state=IntentState.SIGNED, transactions=signed, broadcast_block=None)

    def with_broadcast(self, block: int) -> Intent:
        """Note that the newest transaction was sent while `block` was the head."""
        self._permit("broadcast", self.state in (IntentState.SIGNED, IntentState.BROADCAST))
        return replace(self, state=IntentState.BROADCAST, broadcast_block=block)

    def with_mined(self, inclusion: Inclusion) -> Intent:
        """Note where one of its transactions was mined, the first time or again after a reorganisation."""
        self._permit("mined", not self.state.ended and self._owns(inclusion))
        return replace(self, state=IntentState.MINED, inclusion=inclusion)

    def with_unmined(self) -> Intent:
        """Note that a reorganisation threw its transaction out of the chain."""
        self._permit("unmined", self.state is IntentState.MINED)
        return replace(self, state=IntentState.BROADCAST, inclusion=None, broadcast_block=None)

    def with_final(self, inclusion: Inclusion) -> Intent:
        """Note that its inclusion is final."""
        self._permit("final", not self.state.ended and self._owns(inclusion))
        state = IntentState.FINAL if inclusion.ok else IntentState.REVERTED
        return replace(self, state=state, inclusion=inclusion)

    def with_reopened(self) -> Intent:
        """Take back its end: the chain was reorganised deeper than what counted as final."""
        self._permit("reopened", self.state in (IntentState.FINAL, IntentState.REVERTED))
        return replace(self, state=IntentState.MINED)

    def with_nonce(self, nonce: int, gas: int) -> Intent:
        """Begin again with another nonce; what was signed for the old one is kept and can never be mined."""
        self._permit("given another nonce", not self.state.ended and self.inclusion is None and nonce > self.nonce)
        return replace(
            self, draft=replace(self.draft, gas=gas), nonce=nonce, state=IntentState.PREPARED, broadcast_block=None
        )

    def with_dropped(self, reason: str) -> Intent:
        """Give up."""
        self._permit("dropped", not self.state.ended and self.inclusion is None)
        return replace(self, state=IntentState.DROPPED, reason=reason)

    def _owns(self, inclusion: Inclusion) -> bool:
        return any(one.hash == inclusion.hash for one in self.rivals)

    def _permit(self, step: str, allowed: bool) -> None:
        if not allowed:
            raise OutboxMisused(f"intent {self.intent_id} is {self.state} with nonce {self.nonce}: it cannot be {step}")


class Outbox(Protocol):
    """A durable store of the intents of one sender on one chain (`Chain.key`).

    Every method that changes something returns the row as it is afterwards, and returns only when it is durable: after
    a crash of process or machine a new instance gives the same row. A method is atomic: it happened or it did not.
    Each is `Intent.with_…` applied to the stored row, whose OutboxMisused it passes on; an unknown id is OutboxMisused.
    Two instances on one sender and chain must not be open at once: opening the second raises OutboxLocked.
    `contracts.testing_outbox.OutboxConformance` holds an implementation to this.
    """

    sender: str
    chain_key: str

    async def get(self, intent_id: str) -> Intent | None:
        """Return the row of an id, or None."""
        ...

    async def open_intents(self) -> list[Intent]:
        """Return the rows that have not ended, in ascending order of nonce."""
        ...

    async def prepare(self, draft: Draft, least_nonce: int) -> Intent:
        """Reserve a nonce and store the row, in one step.

        The nonce is `least_nonce`, or one above the highest nonce that any row ever had, whichever is greater. If the
        id is known already, its row is returned and nothing else happens, even when the drafts differ.
        """
        ...

    async def signed(self, intent_id: str, transaction: SignedTransaction) -> Intent:
        """Store signed bytes before they are sent (`Intent.with_signed`)."""
        ...

    async def broadcast(self, intent_id: str, block: int) -> Intent:
        """Store that the newest transaction was sent (`Intent.with_broadcast`)."""
        ...

    async def mined(self, intent_id: str, inclusion: Inclusion) -> Intent:
        """Store where it was mined (`Intent.with_mined`)."""
        ...

    async def unmined(self, intent_id: str) -> Intent:
        """Store that it was reorganised away (`Intent.with_unmined`)."""
        ...

    async def final(self, intent_id: str, inclusion: Inclusion) -> Intent:
        """Store its end on the chain (`Intent.with_final`)."""
        ...

    async def reopen(self, least_nonce: int) -> list[Intent]:
        """Take back the end of every final or reverted row with this nonce or a higher one (`Intent.with_reopened`)."""
        ...

    async def renonce(self, intent_id: str, least_nonce: int, gas: int) -> Intent:
        """Reserve another nonce for a row, chosen as in `prepare` (`Intent.with_nonce`)."""
        ...

    async def dropped(self, intent_id: str, reason: str) -> Intent:
        """Store that it was given up (`Intent.with_dropped`)."""
        ...

    async def close(self) -> None:
        """Release the lock."""
        ...
