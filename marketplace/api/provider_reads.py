"""Everything public about one provider: its reports and slashes, what of its stake is locked, how it was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.event_types import LeavesPublished, Rebonded, RulesSet, Unbonded, UnbondMatured, UnbondVoided
from contracts.leaves import LEAF_BYTES, unpack
from contracts.types import Leaf
from marketplace.api.measured_days import Days, DayView
from marketplace.api.public_reads import PublicReads, bucket_ms
from marketplace.api.reports import Submitted, event_epoch, read_submissions
from marketplace.api.slashes import SlashRow, read_slashes
from marketplace.api.source import Source, events_named
from marketplace.api.views import ProviderRow
from marketplace.models import chain_events
from rewards.blobs import source_at

_EPOCHS = 30
_LOCK_EVENTS = (Unbonded, UnbondMatured, UnbondVoided, Rebonded)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A provider's line in one report, with what that epoch alone brought it."""

    epoch: int
    state: str
    evidence: str
    fees_units: int
    incentive_units: int
    uptime_ppm: int
    success_ppm: int
    verification_ppm: int
    score_ppm: int
    ttft_p95_bucket: int
    ttft_p95_ms: int | None
    strikes: int
    standing: int
    slash_level: int
    measured: bool


@dataclass(frozen=True, slots=True)
class LockRow:
    """Stake on its way out: how much, and from which unix time on it is its owner's."""

    id: int
    amount_units: int
    release_at: int


@dataclass(frozen=True, slots=True)
class ProviderDetail:
    """One provider. `history` newest first; `day` is the newest measured epoch, None where no evidence is at hand."""

    row: ProviderRow
    history: tuple[HistoryRow, ...]
    slashes: tuple[SlashRow, ...]
    locks: tuple[LockRow, ...]
    day: DayView | None
    ttft_target_ms: int


class ProviderReads:
    """Queries about one provider."""

    def __init__(self, source: Source) -> None:
        self._source = source
        settings = source.services.settings
        place = settings.evidence or str(settings.data_folder / "evidence")
        self._days = Days(source_at(place), source.timing.slots_per_epoch)

    async def provider(self, provider: str) -> ProviderDetail | None:
        """Return everything about a provider, None if nobody of this address is registered."""
        row = next(iter(await PublicReads(self._source).providers(provider or "nobody")), None)
        if row is None:
            return None
        async with self._source.database.begin() as connection:
            history = await _history(connection, provider)
            slashes = tuple(one for one in await read_slashes(connection) if one.provider == provider)
            locks = await _locks(connection, provider)
            rules = await events_named(connection, RulesSet.__name__)
        target_ms = int(rules[-1].fields["rules"]["ttft_target_ms"]) if rules else 0
        measured = next((one for one in history if one.measured), None)
        day = await self._days.of(measured.evidence, provider) if measured else None
        return ProviderDetail(row, history, slashes, locks, day, target_ms)


async def _history(connection: AsyncConnection, provider: str) -> tuple[HistoryRow, ...]:
    reports = [one for one in await read_submissions(connection, _EPOCHS + 1) if one.standing]
    leaves = await _leaves_of(connection, provider, reports)
    rows = []
    for one, earlier in zip(reports, [*reports[1:], None], strict=True):
        leaf = leaves.get(one.epoch)
        if leaf is not None:
            rows.append(_row(one, leaf, leaves.get(earlier.epoch) if earlier else None))
    return tuple(rows[:_EPOCHS])


async def _leaves_of(connection: AsyncConnection, provider: str, reports: list[Submitted]) -> dict[int, Leaf]:
    """Return one provider's leaf of each report; the database cuts it out of the packed ones."""
    packed = chain_events.c.fields["packed"].astext
    at = func.nullif(func.strpos(packed, provider.removeprefix("0x")), 0)
    if not reports:
        return {}
    oldest = min(one.id for one in reports)
    found = await connection.execute(
        select(event_epoch, chain_events.c.id, cast(func.substr(packed, at, 2 * LEAF_BYTES), Text))
        .where(
            chain_events.c.name == LeavesPublished.__name__,
            chain_events.c.id > oldest,
            event_epoch.in_([one.epoch for one in reports]),
        )
        .order_by(chain_events.c.id)
    )
    submitted = {one.epoch: one.id for one in reports}
    return {epoch: unpack(bytes.fromhex(leaf)) for epoch, number, leaf in found if leaf and number > submitted[epoch]}


def _row(one: Submitted, leaf: Leaf, before: Leaf | None) -> HistoryRow:
    return HistoryRow(
        epoch=one.epoch,
        state=one.state,
        evidence=one.fields["evidence"],
        fees_units=leaf.cumulative_fees - (before.cumulative_fees if before else 0),
        incentive_units=leaf.cumulative_incentive - (before.cumulative_incentive if before else 0),
        uptime_ppm=leaf.uptime_ppm,
        success_ppm=leaf.success_ppm,
        verification_ppm=leaf.verification_ppm,
        score_ppm=leaf.score_ppm,
        ttft_p95_bucket=leaf.ttft_p95_bucket,
        ttft_p95_ms=bucket_ms(leaf.ttft_p95_bucket),
        strikes=leaf.strikes,
        standing=leaf.standing,
        slash_level=leaf.slash_level,
        measured=leaf.measured,
    )


async def _locks(connection: AsyncConnection, provider: str) -> tuple[LockRow, ...]:
    """Return what was unbonded and is neither out, back, nor slashed away; a slash of the pool is not subtracted."""
    open_: dict[str, LockRow] = {}
    for row in await events_named(connection, *[kind.__name__ for kind in _LOCK_EVENTS]):
        fields: dict[str, Any] = row.fields
        if fields["provider"] != provider:
            continue
        if row.name == Unbonded.__name__:
            open_[fields["id"]] = LockRow(int(fields["id"]), int(fields["amount"]), int(fields["release_at"]))
        elif row.name == Rebonded.__name__ and fields["id"] in open_:
            left = open_[fields["id"]].amount_units - int(fields["amount"])
            open_[fields["id"]] = replace(open_[fields["id"]], amount_units=left)
        else:
            open_.pop(fields["id"], None)
    return tuple(one for one in open_.values() if one.amount_units > 0)
