"""What the request path asks about customers: keys, balances, holds. All of it in memory, synchronous and journaled.

A customer's spendable amount is what the chain says was put in, less what is thawing, held, or used and not charged
yet; within an epoch it is also bounded by the cap the customer set. The chain's part is refreshed in the background
from the ledger; holds and charges of this process are its own. One gateway process per database serves a customer's
money; its holds that were open when it died are voided when it starts again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.types import Timing
from marketplace.caps import Cap, cap_for, read_caps
from marketplace.db import Database
from marketplace.errors import BondedError
from marketplace.journal import Journal, Kind, Line
from marketplace.ledger import customer_books
from marketplace.models import api_keys, attempts
from marketplace.rates import UNLIMITED, Rates
from rewards.types import Attempt
from scheduler.classes import CLASSES

_PREFIX = "sk-bonded-"
_NAME_MOST = 64


class UnknownKey(BondedError):
    """The API key is not known: make one on the dashboard or with `bonded customer keys create`."""


class RevokedKey(BondedError):
    """The API key was revoked: make a new one."""


class BalanceTooLow(BondedError):
    """The balance does not cover the most this request can cost: deposit more, or ask for fewer tokens."""

    def __init__(self, available_atto: int, needed_atto: int) -> None:
        super().__init__(
            f"The balance that can be spent is {available_atto} atto, this request may cost {needed_atto}: deposit "
            "more (`bonded customer deposit`) or lower max_tokens."
        )
        self.available_atto = available_atto
        self.needed_atto = needed_atto


class CapReached(BondedError):
    """The cap that the customer set for an epoch would be passed: raise it, or wait for the next epoch."""

    def __init__(self, left_atto: int, needed_atto: int) -> None:
        super().__init__(
            f"Of the cap for this epoch {left_atto} atto are left, this request may cost {needed_atto}: raise the cap "
            "(`bonded customer cap`) or wait for the next epoch."
        )
        self.left_atto = left_atto
        self.needed_atto = needed_atto


class HoldResolved(BondedError):
    """A hold was posted or voided already; each is resolved once."""


class BadKeyName(BondedError):
    """A key's name has 1 to 64 characters."""


class UnknownClass(BondedError):
    """A key's class is realtime, standard, batch or background."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who an API key belongs to."""

    customer: str
    key_id: int
    name: str
    service_class: str = "standard"
    rates: Rates = UNLIMITED


@dataclass(slots=True)
class Hold:
    """An amount set aside for one job until it is posted or voided. `resolution` is empty until then."""

    customer: str
    job: bytes
    most_atto: int
    expires_at: float
    resolution: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """A customer's money at this moment, in atto."""

    escrow_atto: int
    thawing_atto: int
    held_atto: int
    uncharged_atto: int
    available_atto: int
    cap_left_atto: int


@dataclass(slots=True)
class _Purse:
    """One customer: `put_in`, `thawing`, `charged` and `caps` from the chain; `spent` and `held` our own.

    `spent` is everything ever used; `by_epoch` what of it belongs to epochs that may not be charged yet.
    """

    put_in: int = 0
    thawing: int = 0
    charged: int = 0
    spent: int = 0
    held: int = 0
    by_epoch: dict[int, int] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()


class Accounts:
    """The customers of one gateway process.

    `unit_atto` is one token unit in atto; `slot` returns the slot at this moment.
    """

    def __init__(
        self, database: Database, journal: Journal, timing: Timing, unit_atto: int, slot: Callable[[], int]
    ) -> None:
        self._database = database
        self._journal = journal
        self._timing = timing
        self._unit = unit_atto
        self._slot = slot
        self._purses: dict[str, _Purse] = {}
        self._keys: dict[bytes, Account] = {}
        self._revoked: set[bytes] = set()
        self._key_changes = 0

    # the request path

    def authenticate(self, token: str) -> Account:
        """Return whose key this is; raises UnknownKey or RevokedKey."""
        digest = hashlib.sha256(token.encode()).digest()
        account = self._keys.get(digest)
        if account is not None:
            return account
        if digest in self._revoked:
            raise RevokedKey(RevokedKey.__doc__)
        raise UnknownKey(UnknownKey.__doc__)

    def hold(self, customer: str, job: bytes, most_atto: int, expires_at: float) -> Hold:
        """Set an amount aside; raises BalanceTooLow or CapReached."""
        purse = self._purse(customer)
        available = _available(purse)
        if most_atto > available:
            raise BalanceTooLow(available, most_atto)
        left = self._cap_left(purse, expires_at)
        if most_atto > left:
            raise CapReached(left, most_atto)
        self._journal.append(Line(Kind.HOLD, job, customer, most_atto))
        purse.held += most_atto
        return Hold(customer, job, most_atto, expires_at)

    def _purse(self, customer: str) -> _Purse:
        found = self._purses.get(customer)
        if found is None:
            found = self._purses[customer] = _Purse()
        return found

    def post(self, hold: Hold, attempt: Attempt) -> None:
        """Turn a hold into the charge of a served attempt; the rest is free at once. Raises HoldResolved."""
        charge = attempt.receipt.charge_atto
        if charge > hold.most_atto:
            raise HoldResolved(f"the charge of {charge} atto is above the hold of {hold.most_atto}")
        _check_open(hold, "posted")
        # written first: when that fails, hold and purse are as they were and the call can be repeated
        self._journal.append(Line(Kind.POST, hold.job, hold.customer, charge, attempt))
        self.note_posted(hold, attempt)

    def note_posted(self, hold: Hold, attempt: Attempt) -> None:
        """Take a charge into memory that stands in the journal or in the database. Raises HoldResolved."""
        _check_open(hold, "posted")
        charge = attempt.receipt.charge_atto
        purse = self._purses[hold.customer]
        epoch = self._timing.epoch_of_slot(attempt.countersignature.slot)
        hold.resolution = "posted"
        purse.held -= hold.most_atto
        purse.spent += charge
        purse.by_epoch[epoch] = purse.by_epoch.get(epoch, 0) + charge

    def record(self, attempt: Attempt) -> None:
        """Keep an attempt that costs nothing, as evidence; a hold is not touched."""
        if attempt.receipt.charge_atto:
            raise HoldResolved("an attempt with a charge is posted to its hold, not recorded")
        self._journal.append(Line(Kind.RECORD, attempt.receipt.job, attempt.countersignature.customer, 0, attempt))

    def void(self, hold: Hold) -> None:
        """Release a hold entirely; raises HoldResolved."""
        _check_open(hold, "voided")
        self._journal.append(Line(Kind.VOID, hold.job, hold.customer))
        hold.resolution = "voided"
        self._purses[hold.customer].held -= hold.most_atto

    def spendable_atto(self, customer: str) -> int:
        """Return the most that a hold may set aside at this moment, as far as balance and this epoch's cap say."""
        purse = self._purses.get(customer)
        return 0 if purse is None else max(0, min(_available(purse), self._cap_left(purse)))

    def balance(self, customer: str) -> Balance:
        """Return a customer's money at this moment."""
        purse = self._purses.get(customer, _Purse())
        return Balance(
            escrow_atto=purse.put_in - purse.charged,
            thawing_atto=purse.thawing,
            held_atto=purse.held,
            uncharged_atto=purse.spent - purse.charged,
            available_atto=max(0, _available(purse)),
            cap_left_atto=max(0, self._cap_left(purse)),
        )

    def _cap_left(self, purse: _Purse, until: float = 0.0) -> int:
        """Return what may still be held under the caps of the running epoch and of those a hold may last into.

        What is held at an epoch's end may be charged in the next, where a cap that was lowered counts. A carry of up to
        a unit is allowed for.
        """
        epoch = self._epoch()
        left = self._cap_of(purse, epoch)
        if purse.caps and purse.caps[-1].from_epoch > epoch:
            last = self._timing.epoch_of_slot(self._timing.slot_at(until))
            later = (cap.from_epoch for cap in purse.caps if epoch < cap.from_epoch <= last)
            left = min([left, *(self._cap_of(purse, one) for one in later)])
        return left - purse.held

    def _cap_of(self, purse: _Purse, epoch: int) -> int:
        cap = cap_for(purse.caps, epoch) * self._unit
        return cap - purse.by_epoch.get(epoch, 0) - (self._unit - 1 if cap else 0)

    def _epoch(self) -> int:
        return self._timing.epoch_of_slot(self._slot())

    # keys

    async def create_key(
        self, customer: str, name: str, service_class: str = "standard", rates: Rates = UNLIMITED
    ) -> tuple[int, str]:
        """Make an API key; returns (id, secret). The secret is kept nowhere. Raises BadKeyName or UnknownClass."""
        if service_class not in CLASSES:
            raise UnknownClass(UnknownClass.__doc__)
        name = name.strip()
        if not 1 <= len(name) <= _NAME_MOST:
            raise BadKeyName(BadKeyName.__doc__)
        secret = _PREFIX + secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).digest()
        async with self._database.begin() as connection:
            key_id = (
                await connection.execute(
                    insert(api_keys)
                    .values(
                        customer=customer,
                        name=name,
                        digest=digest,
                        hint=f"{secret[:14]}…{secret[-4:]}",
                        service_class=service_class,
                        requests_per_minute=rates.requests,
                        tokens_per_minute=rates.tokens,
                    )
                    .returning(api_keys.c.id)
                )
            ).scalar_one()
        self._keys[digest] = Account(customer, key_id, name, service_class, rates)
        self._key_changes += 1
        return key_id, secret

    async def revoke_key(self, customer: str, key_id: int) -> None:
        """Revoke a customer's own key at once; raises UnknownKey when it has no such key."""
        async with self._database.begin() as connection:
            digest = (
                await connection.execute(
                    update(api_keys)
                    .where(api_keys.c.id == key_id, api_keys.c.customer == customer)
                    .values(revoked=func.coalesce(api_keys.c.revoked, func.now()))
                    .returning(api_keys.c.digest)
                )
            ).scalar()
        if digest is None:
            raise UnknownKey(f"you have no key {key_id}")
        self._keys.pop(bytes(digest), None)
        self._revoked.add(bytes(digest))
        self._key_changes += 1

    # background

    async def load(self) -> None:
        """Read keys and balances at start, after the journal was drained and stale holds were voided."""
        await self.refresh()
        async with self._database.begin() as connection:
            books = await customer_books(connection)
            by_epoch = await _spent_by_epoch(connection, max(0, self._epoch() - 1))
        for customer, one in books.items():
            purse = self._purses.setdefault(customer, _Purse())
            purse.spent, purse.held = one.credited, one.held
            purse.by_epoch = by_epoch.get(customer, {})

    async def refresh(self) -> None:
        """Read what others changed: keys, deposits, withdrawals, credits, charges, caps."""
        changes = self._key_changes
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(
                    api_keys.c.digest,
                    api_keys.c.customer,
                    api_keys.c.id,
                    api_keys.c.name,
                    api_keys.c.service_class,
                    api_keys.c.requests_per_minute,
                    api_keys.c.tokens_per_minute,
                    api_keys.c.revoked,
                )
            )
            rows = found.all()
            books = await customer_books(connection)
            caps = await read_caps(connection)
        if changes == self._key_changes:  # else these rows are older than what is known, and the next ones count
            self._revoked = {bytes(row.digest) for row in rows if row.revoked is not None}
            self._keys = {
                bytes(row.digest): Account(
                    row.customer,
                    row.id,
                    row.name,
                    row.service_class,
                    Rates(row.requests_per_minute, row.tokens_per_minute),
                )
                for row in rows
                if row.revoked is None
            }
        oldest = self._epoch() - 1
        for customer, one in books.items():
            purse = self._purses.setdefault(customer, _Purse())
            # escrow = available + held + accrued + thawing, so this is free of what our undrained lines will move
            purse.put_in = one.escrow + one.charged
            purse.thawing = one.thawing
            purse.charged = one.charged
            purse.by_epoch = {epoch: atto for epoch, atto in purse.by_epoch.items() if epoch >= oldest}
        for customer, one_cap in caps.items():
            self._purses.setdefault(customer, _Purse()).caps = one_cap


def _check_open(hold: Hold, resolution: str) -> None:
    if hold.resolution:
        raise HoldResolved(f"the hold for job {hold.job.hex()} is {hold.resolution}, it cannot be {resolution} too")


def _available(purse: _Purse) -> int:
    return purse.put_in - purse.thawing - purse.spent - purse.held


async def _spent_by_epoch(connection: AsyncConnection, first: int) -> dict[str, dict[int, int]]:
    found = await connection.execute(
        select(attempts.c.customer, attempts.c.epoch, func.sum(attempts.c.charge))
        .where(attempts.c.epoch >= first)
        .group_by(attempts.c.customer, attempts.c.epoch)
    )
    sums: dict[str, dict[int, int]] = {}
    for customer, epoch, atto in found:
        sums.setdefault(customer, {})[epoch] = int(atto)
    return sums
