"""Keep a batch line's charge back until its answer is stored, so that both become true in one transaction.

For an ordinary request the charge is journaled before the answer's end goes out: the customer has its bytes. A line's
answer goes to the database, and a gateway that died between the two would have charged for an answer that is lost and
then serve the line, and charge it, again. So the charge of a line is not journaled: hold, charge and attempt are
entered where and when the answer is. Until then the hold stands; a gateway that starts anew voids it and serves the
line again.
"""

from __future__ import annotations

from marketplace.accounts import Account, Accounts, Hold
from marketplace.journal import Kind, Line
from rewards.types import Attempt


class KeptBooks:
    """The accounts as serving sees them for one line. `posted`: the hold and the attempt that is to be charged."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.posted: tuple[Hold, Attempt] | None = None

    def authenticate(self, token: str) -> Account:
        """Return whose key this is."""
        return self._accounts.authenticate(token)

    def spendable_atto(self, customer: str) -> int:
        """Return the most that a hold may set aside at this moment."""
        return self._accounts.spendable_atto(customer)

    def hold(self, customer: str, job: bytes, most_atto: int, expires_at: float) -> Hold:
        """Set an amount aside, journaled."""
        return self._accounts.hold(customer, job, most_atto, expires_at)

    def post(self, hold: Hold, attempt: Attempt) -> None:
        """Remember the charge; `lines` are what is written of it."""
        self.posted = (hold, attempt)

    def record(self, attempt: Attempt) -> None:
        """Keep an attempt that costs nothing, journaled."""
        self._accounts.record(attempt)

    def void(self, hold: Hold) -> None:
        """Release a hold, journaled."""
        self._accounts.void(hold)

    def lines(self) -> list[Line]:
        """Return hold, charge and attempt as the ledger is told, nothing if nothing is to be charged."""
        if self.posted is None:
            return []
        hold, attempt = self.posted
        return [
            Line(Kind.HOLD, hold.job, hold.customer, hold.most_atto),
            Line(Kind.POST, hold.job, hold.customer, attempt.receipt.charge_atto, attempt),
        ]

    def close(self, stored: bool) -> None:
        """Bring the accounts in memory up to date: the charge is in the database, or it never will be."""
        if self.posted is None:
            return
        hold, attempt = self.posted
        if stored:
            self._accounts.note_posted(hold, attempt)
        else:
            self._accounts.void(hold)
