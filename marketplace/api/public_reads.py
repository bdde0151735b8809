"""What everybody may see: providers, epoch reports, and where the marketplace stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.event_types import ReportActivated, ReportSubmitted, Slashed
from contracts.types import UNMEASURED_BUCKET
from marketplace.api.source import Source, events_named, transaction
from marketplace.api.views import EpochDetail, EpochRow, LeafRow, ProviderRow, StatusView
from marketplace.models import chain_blocks, chain_events
from rewards.measurement import BUCKET_UPPER_MS

_MOST_EPOCHS = 500


class PublicReads:
    """Queries that need no session."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def providers(self) -> list[ProviderRow]:
        """Return every provider with its offer, its stake and its line in the last report."""
        async with self._source.database.begin() as connection:
            last = (
                await connection.execute(
                    select(chain_events.c.fields)
                    .where(chain_events.c.name == ReportSubmitted.__name__)
                    .order_by(chain_events.c.id.desc())
                    .limit(1)
                )
            ).scalar()
            slashed: dict[str, int] = {}
            for row in await events_named(connection, Slashed.__name__):
                taken = int(row.fields["from_stake"]) + int(row.fields["from_unbonding"])
                slashed[row.fields["provider"]] = slashed.get(row.fields["provider"], 0) + taken
        leaves = {leaf["provider"]: leaf for leaf in last["leaves"]} if last else {}
        epoch = int(last["epoch"]) if last else None
        return [
            _provider(entry, leaves.get(entry["provider"]), epoch, slashed)
            for entry in self._source.services.directory.snapshot()
        ]

    async def epochs(self) -> list[EpochRow]:
        """Return the reported epochs, newest first."""
        async with self._source.database.begin() as connection:
            found = await connection.execute(
                select(chain_events.c.fields, chain_events.c.tx_hash)
                .where(chain_events.c.name == ReportSubmitted.__name__)
                .order_by(chain_events.c.id.desc())
                .limit(_MOST_EPOCHS)
            )
            reports = found.all()
            active = await _activated(connection)
        return [_epoch(row, active) for row in reports]

    async def epoch(self, epoch: int) -> EpochDetail | None:
        """Return an epoch with its lines; None while it is not reported."""
        async with self._source.database.begin() as connection:
            found = await connection.execute(
                select(chain_events.c.fields, chain_events.c.tx_hash)
                .where(
                    chain_events.c.name == ReportSubmitted.__name__,
                    chain_events.c.fields["epoch"].astext.in_((str(epoch), str(epoch - 1))),
                )
                .order_by(chain_events.c.id)
            )
            by_epoch = {int(row.fields["epoch"]): row for row in found}
            active = await _activated(connection)
        if epoch not in by_epoch:
            return None
        row, before = by_epoch[epoch], by_epoch.get(epoch - 1)
        earlier = {leaf["provider"]: leaf for leaf in before.fields["leaves"]} if before else {}
        leaves = tuple(_leaf(leaf, earlier.get(leaf["provider"])) for leaf in row.fields["leaves"])
        return EpochDetail(_epoch(row, active), leaves)

    async def status(self) -> StatusView:
        """Return where clock, chain and market stand."""
        source = self._source
        tokens = await source.tokens()
        async with source.database.begin() as connection:
            block = (await connection.execute(select(func.max(chain_blocks.c.number)))).scalar()
        desk = source.services.desk
        epoch = source.epoch()
        return StatusView(
            chain_id=source.services.domain.chain_id,
            block=int(block or 0),
            epoch=epoch,
            slot=desk.slot(),
            seconds_to_next_epoch=max(0, int(source.timing.epoch_end(epoch) - desk.clock())),
            providers=source.services.directory.provider_count,
            payment_decimals=tokens.payment_decimals,
            stake_decimals=tokens.stake_decimals,
            payment_symbol=tokens.payment_symbol,
            stake_symbol=tokens.stake_symbol,
        )


async def _activated(connection: AsyncConnection) -> set[int]:
    return {int(row.fields["epoch"]) for row in await events_named(connection, ReportActivated.__name__)}


def _provider(
    entry: dict[str, Any], leaf: dict[str, Any] | None, epoch: int | None, slashed: dict[str, int]
) -> ProviderRow:
    models: Sequence[dict[str, Any]] = entry["models"]
    return ProviderRow(
        provider=entry["provider"],
        endpoint=entry["endpoint"],
        region=entry["region"],
        hardware=entry["hardware_class"],
        units=entry["units"],
        status=entry["status"],
        problem=entry["problem"],
        models=tuple(model["id"] for model in models),
        price_in_atto=models[0]["price_in_atto"] if models else None,
        price_out_atto=models[0]["price_out_atto"] if models else None,
        stake_units=entry["stake"],
        required_units=entry["required_stake"],
        epoch=epoch if leaf else None,
        score_ppm=int(leaf["score_ppm"]) if leaf else None,
        uptime_ppm=int(leaf["uptime_ppm"]) if leaf else None,
        success_ppm=int(leaf["success_ppm"]) if leaf else None,
        ttft_p95_ms=_bucket_ms(int(leaf["ttft_p95_bucket"])) if leaf else None,
        strikes=int(leaf["strikes"]) if leaf else None,
        slashed_units=slashed.get(entry["provider"], 0),
    )


def _epoch(row: Any, active: set[int]) -> EpochRow:
    totals, epoch = row.fields["totals"], int(row.fields["epoch"])
    return EpochRow(
        epoch=epoch,
        state="active" if epoch in active else "waiting for activation",
        leaves=len(row.fields["leaves"]),
        charged_units=int(totals["charged"]),
        provider_fees_units=int(totals["provider_fees"]),
        incentive_units=int(totals["incentive"]),
        credits_units=int(totals["credits"]),
        evidence=row.fields["evidence"],
        root=row.fields["root"],
        transaction=transaction(row),
    )


def _leaf(leaf: dict[str, Any], before: dict[str, Any] | None) -> LeafRow:
    return LeafRow(
        provider=leaf["provider"],
        fees_units=int(leaf["cumulative_fees"]) - (int(before["cumulative_fees"]) if before else 0),
        incentive_units=int(leaf["cumulative_incentive"]) - (int(before["cumulative_incentive"]) if before else 0),
        uptime_ppm=int(leaf["uptime_ppm"]),
        ttft_p95_ms=_bucket_ms(int(leaf["ttft_p95_bucket"])),
        success_ppm=int(leaf["success_ppm"]),
        verification_ppm=int(leaf["verification_ppm"]),
        score_ppm=int(leaf["score_ppm"]),
        strikes=int(leaf["strikes"]),
        slash_level=int(leaf["slash_level"]),
    )


def _bucket_ms(bucket: int) -> int | None:
    """Return a bucket's upper bound; the last, open one is given as twice the bound before it."""
    if bucket == UNMEASURED_BUCKET:
        return None
    return BUCKET_UPPER_MS[bucket] if bucket < len(BUCKET_UPPER_MS) else 2 * BUCKET_UPPER_MS[-1]
