"""Put a report together again from the events that carry it, and hold it against what the contract keeps.

The signed part is held against the struct hash, the leaves against the root, and what the report moves against its hash
of movements, so a node that alters a log is found out. Payees appear with the activation, credits and pools when they
are pushed; until all is in, amounts are held against their sums only. No web3 here.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from contracts import leaves as hashing
from contracts.errors import HistoryDamaged, MalformedLeaf
from contracts.event_types import (
    Charged,
    Credited,
    CreditsPushed,
    Event,
    LeavesPublished,
    PoolsPushed,
    Position,
    ReportActivated,
    ReportSigned,
    ReportSubmitted,
)
from contracts.events import of_type
from contracts.messages import Domain, ReportDigest
from contracts.types import Charge, Credit, Leaf, Payee, Pool, Report
from contracts.views import EpochRecord, ReportProgress

SOURCES = ("EpochLedger", "JobEscrow")
"""The contracts whose events make up a report."""
SIGNED_PARTS: tuple[type[Event], ...] = (ReportSubmitted, ReportSigned)
"""They carry every word that was signed."""
REPORT_PARTS: tuple[type[Event], ...] = (
    *SIGNED_PARTS,
    LeavesPublished,
    Charged,
    ReportActivated,
    CreditsPushed,
    Credited,
    PoolsPushed,
)

E = TypeVar("E", bound=Event)
Amount = TypeVar("Amount", Charge, Credit, Pool, Payee)


@dataclass(frozen=True, slots=True)
class PublishedReport:
    """A report as far as it stands on the chain.

    `missing` names the lists of `report` that are not all published yet and are left empty: of leaves, charges,
    credits, pools and payees. `signed` is the whole message that the verifiers signed, known from the submission on.
    """

    report: Report
    missing: frozenset[str]
    signed: ReportDigest
    signers: tuple[str, ...]
    record: EpochRecord
    submitted: Position


class ReportEvents:
    """Events of REPORT_PARTS in chain order, of one report or of many, sorted by the report they belong to."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._of: defaultdict[int, list[Event]] = defaultdict(list)
        for event in events:
            self._of[getattr(event, "epoch", -1)].append(event)
        self._credits = _credits(events)

    def enough(self, epoch: int, record: EpochRecord, progress: ReportProgress) -> bool:
        """Say whether everything of a report that came in so far is here, so that no later block need be read."""
        if not of_type(self._of[epoch], ReportSubmitted):
            return False
        found = self._parts(epoch, record)
        return (
            record.completed_at > 0
            and len(of_type(found, LeavesPublished)) == progress.leaf_chunks
            and sum(one.amount for one in of_type(found, Charged)) == record.totals.charged
            and len(of_type(found, ReportActivated)) == record.activated
            and len(of_type(found, CreditsPushed)) == progress.credit_chunks
            and len(of_type(found, PoolsPushed)) == progress.pool_chunks
        )

    def holds_signed(self, epoch: int, record: EpochRecord) -> bool:
        """Say whether both events that carry what was signed are here."""
        return bool(of_type(self._parts(epoch, record), ReportSigned))

    def signed(self, epoch: int, record: EpochRecord) -> ReportDigest:
        """Return the message that was signed; raises HistoryDamaged if it does not hash to what the contract keeps."""
        found = self._parts(epoch, record)
        message = _message(_last(found, ReportSubmitted, epoch), _last(found, ReportSigned, epoch))
        if message.struct_hash() != record.struct_hash:
            raise HistoryDamaged(f"the events of epoch {epoch} are not the report that the verifiers signed")
        return message

    def publish(self, domain: Domain, epoch: int, record: EpochRecord, progress: ReportProgress) -> PublishedReport:
        """Return a report as its events tell it; raises HistoryDamaged if they do not add up to what is kept of it."""
        found, message = self._parts(epoch, record), self.signed(epoch, record)
        submitted, signed = _last(found, ReportSubmitted, epoch), _last(found, ReportSigned, epoch)
        totals, missing = record.totals, set[str]()

        def listed(name: str, items: list[Amount], total: int, complete: bool) -> tuple[Amount, ...]:
            rest = total - sum(one.amount for one in items)
            if rest < 0 or (rest and complete):
                raise HistoryDamaged(f"the {name} of epoch {epoch} in the events do not sum to the report's {total}")
            if rest:
                missing.add(name)
            return () if rest else tuple(items)

        chunks = _counted(found, LeavesPublished, progress.leaf_chunks, epoch)
        lines = _leaves(chunks, epoch)
        if len(lines) < record.leaf_count:
            lines = ()
            missing.add("leaves")
        charged = [Charge(one.customer, one.amount) for one in of_type(found, Charged)]
        activated = _counted(found, ReportActivated, int(record.activated), epoch)
        pushed = _counted(found, CreditsPushed, progress.credit_chunks, epoch)
        pools = _counted(found, PoolsPushed, progress.pool_chunks, epoch)
        report = Report(
            epoch=epoch,
            previous=message.previous,
            evidence=message.evidence,
            state=message.state,
            rules=message.rules,
            checkpoint_block=message.checkpoint_block,
            checkpoint_hash=message.checkpoint_hash,
            totals=submitted.totals,
            leaves=lines,
            measurements=message.measurements,
            charges=listed("charges", charged, totals.charged, record.completed_at > 0),
            credits=listed(
                "credits", [one for push in pushed for one in self._credits[epoch, push.chunk]], totals.credits, False
            ),
            pools=listed("pools", [one for push in pools for one in push.pools], totals.pools, False),
            payees=listed(
                "payees", [one for event in activated for one in event.payees], totals.verifier_fees, record.activated
            ),
            harms=submitted.harms,
        )
        if "leaves" not in missing:
            hashes = hashing.leaf_hashes(domain.chain_id, domain.epoch_ledger, report)
            if hashing.root(hashes) != record.root:
                raise HistoryDamaged(f"the leaves of epoch {epoch} in the events do not hash to the root on the chain")
        moved = {"charges", "credits", "pools", "payees"}
        if not missing & moved and hashing.movements_hash(hashing.movements(report)) != record.movements:
            raise HistoryDamaged(f"the events of epoch {epoch} move something else than the verifiers signed")
        return PublishedReport(report, frozenset(missing), message, signed.signers, record, submitted.at)

    def _parts(self, epoch: int, record: EpochRecord) -> list[Event]:
        """Return the events of the report that stands, from its submission on; a cancelled one's came before."""
        events = self._of[epoch]
        starts = [i for i, one in enumerate(events) if isinstance(one, ReportSubmitted) and one.digest == record.digest]
        return events[starts[-1] :] if starts else []


def _credits(events: Sequence[Event]) -> dict[tuple[int, int], list[Credit]]:
    """Return the credits of each chunk by epoch and chunk.

    The escrow's events name no epoch. Within a transaction credits stand in the order of the chunks that were pushed,
    and a chunk's event tells its sum: so many credits are its own.
    """
    waiting: defaultdict[bytes, deque[Credited]] = defaultdict(deque)
    for event in of_type(events, Credited):
        waiting[event.at.tx_hash].append(event)
    found: dict[tuple[int, int], list[Credit]] = {}
    for push in of_type(events, CreditsPushed):
        rest, own = push.amount, list[Credit]()
        while rest > 0 and waiting[push.at.tx_hash]:
            one = waiting[push.at.tx_hash].popleft()
            own.append(Credit(one.customer, one.provider, one.amount))
            rest -= one.amount
        if rest:
            raise HistoryDamaged(f"the credits of epoch {push.epoch} in the events do not sum to what was pushed")
        found[push.epoch, push.chunk] = own
    return found


def _message(submitted: ReportSubmitted, signed: ReportSigned) -> ReportDigest:
    return ReportDigest(
        epoch=submitted.epoch,
        previous=signed.previous,
        evidence=submitted.evidence,
        state=submitted.state,
        rules=submitted.rules,
        checkpoint_block=signed.checkpoint_block,
        checkpoint_hash=signed.checkpoint_hash,
        totals=hashing.totals_hash(submitted.totals),
        leaves=submitted.root,
        leaf_count=submitted.leaf_count,
        measurements=submitted.measurements,
        movements=submitted.movements,
        harms=hashing.harms_hash(submitted.harms),
    )


def _leaves(chunks: Sequence[LeavesPublished], epoch: int) -> tuple[Leaf, ...]:
    try:
        return tuple(leaf for chunk in chunks for leaf in hashing.unpack_all(chunk.packed))
    except MalformedLeaf as error:
        raise HistoryDamaged(f"the leaves of epoch {epoch} in the events cannot be read: {error}") from error


def _last(found: Sequence[Event], kind: type[E], epoch: int) -> E:
    events = of_type(found, kind)
    if not events:
        raise HistoryDamaged(f"an event of the report of epoch {epoch} is missing: ask another RPC endpoint")
    return events[-1]


def _counted(found: Sequence[Event], kind: type[E], count: int, epoch: int) -> list[E]:
    events = of_type(found, kind)
    if len(events) != count:
        raise HistoryDamaged(f"an event of the report of epoch {epoch} is missing: ask another RPC endpoint")
    return events
