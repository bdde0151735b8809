"""Remember tickets whose receipt is still to come, each with the hold that pays for it.

Two kinds: direct tickets, which a customer took to a provider itself, and attempts whose customer left, for which the
provider's agent posts what was delivered. Each is resolved once: by an accepted receipt, or voided when its time is
up. What was resolved is remembered for a while, so that a receipt that is posted again gets the same answer.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from contracts.messages import Ticket
from marketplace.accounts import Hold
from marketplace.errors import BondedError

RESOLVED_MOST = 20_000
_Key = TypeVar("_Key")


class UnknownTicket(BondedError):
    """No ticket of this job and attempt is open: it was never given out by this gateway, or it expired."""


class ReceiptConflict(BondedError):
    """This attempt was settled with another receipt; the first one stands."""


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """A ticket that waits for its receipt until `until` (unix seconds).

    `signers`: keys the provider may sign with. `text_bound` and the times are the gateway's own observation, None for
    a direct ticket. `hold` belongs to this entry alone.
    """

    ticket: Ticket
    customer: str
    hold: Hold
    signers: frozenset[str]
    until: float
    text_bound: int | None = None
    ttft_ms: int | None = None
    itl_us: int | None = None


class OpenTickets:
    """All open tickets of a gateway, by job and attempt."""

    def __init__(self) -> None:
        self._open: dict[tuple[bytes, int], OpenTicket] = {}
        self._resolved: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        self._waiting: Counter[str] = Counter()
        self._at: Counter[tuple[str, bytes]] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, entry: OpenTicket) -> None:
        """Take over an entry and its hold. All entries wait equally long, so they expire in the order they come."""
        self._open[entry.ticket.job, entry.ticket.attempt] = entry
        self._waiting[entry.customer] += 1
        self._at[entry.ticket.provider, entry.ticket.model] += 1

    def find(self, job: bytes, attempt: int, receipt_hash: bytes) -> OpenTicket | None:
        """Return the entry that a receipt belongs to, None if this very receipt was accepted before.

        Raises UnknownTicket and ReceiptConflict.
        """
        key = (job, attempt)
        settled = self._resolved.get(key)
        if settled is not None:
            if settled == receipt_hash:
                return None
            raise ReceiptConflict("this attempt was settled with another receipt")
        entry = self._open.get(key)
        if entry is None:
            raise UnknownTicket("no open ticket has this job and attempt")
        return entry

    def resolve(self, entry: OpenTicket, receipt_hash: bytes) -> None:
        """Take an entry out for good, with the receipt that settled it."""
        self._remove(entry)
        self.remember(entry.ticket, receipt_hash)

    def remember(self, ticket: Ticket, receipt_hash: bytes) -> None:
        """Note with which receipt an attempt was settled."""
        self._resolved[ticket.job, ticket.attempt] = receipt_hash
        if len(self._resolved) > RESOLVED_MOST:
            self._resolved.popitem(last=False)

    def expire(self, now: float) -> Iterator[OpenTicket]:
        """Take out and give back the entries whose time is up; the caller voids their holds."""
        while self._open and (oldest := next(iter(self._open.values()))).until <= now:
            self._remove(oldest)
            yield oldest

    def waiting_for(self, customer: str) -> int:
        """Count the open tickets of a customer."""
        return self._waiting[customer]

    def at(self, provider: str, model: bytes) -> int:
        """Count the open tickets by which a provider may be serving a model; `model` is the weights digest."""
        return self._at[provider, model]

    def _remove(self, entry: OpenTicket) -> None:
        del self._open[entry.ticket.job, entry.ticket.attempt]
        _less(self._waiting, entry.customer)
        _less(self._at, (entry.ticket.provider, entry.ticket.model))


def _less(counter: Counter[_Key], key: _Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
