"""What everybody may see: providers, epoch reports, and where the marketplace stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from contracts.event_types import Slashed
from contracts.types import UNMEASURED_BUCKET, Leaf
from marketplace.api.reports import Submitted, newest_complete, read_leaves, read_submissions
from marketplace.api.slashes import newest_slashes
from marketplace.api.source import Source, events_named
from marketplace.api.views import EpochDetail, EpochRow, LeafRow, LineRow, ProviderRow, StatusView
from marketplace.models import chain_blocks
from rewards.measurement import BUCKET_UPPER_MS

_MOST_EPOCHS = 500


class PublicReads:
    """Queries that need no session."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def providers(self, only: str = "") -> list[ProviderRow]:
        """Return every provider with its offer, its stake, its line in the last report and its newest slash.

        `only`: this one alone, if it is registered.
        """
        async with self._source.database.begin() as connection:
            epoch, published = await newest_complete(connection)
            slashes = await newest_slashes(connection)
            slashed: dict[str, int] = {}
            for row in await events_named(connection, Slashed.__name__):
                taken = int(row.fields["from_stake"]) + int(row.fields["from_unbonding"])
                slashed[row.fields["provider"]] = slashed.get(row.fields["provider"], 0) + taken
        leaves = {leaf.provider: leaf for leaf in published}
        return [
            _provider(
                entry,
                leaves.get(entry["provider"]),
                epoch,
                slashed.get(entry["provider"], 0),
                slashes.get(entry["provider"], ""),
            )
            for entry in self._source.services.directory.snapshot()
            if not only or entry["provider"] == only
        ]

    async def epochs(self) -> list[EpochRow]:
        """Return the submitted reports, newest first; cancelled ones too."""
        async with self._source.database.begin() as connection:
            return [epoch_row(one) for one in await read_submissions(connection, _MOST_EPOCHS)]

    async def epoch(self, epoch: int) -> EpochDetail | None:
        """Return an epoch's report with its lines; None while none stands."""
        async with self._source.database.begin() as connection:
            standing = [one for one in await read_submissions(connection, 2, epoch) if one.standing]
            if not standing:
                return None
            leaves = await read_leaves(connection, standing[0])
            before = [one for one in await read_submissions(connection, 2, epoch - 1) if one.standing]
            earlier = {leaf.provider: leaf for leaf in await read_leaves(connection, before[0])} if before else {}
        return EpochDetail(epoch_row(standing[0]), tuple(_leaf(leaf, earlier.get(leaf.provider)) for leaf in leaves))

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
            epoch_s=source.timing.slots_per_epoch * source.timing.slot_s,
            slot_s=source.timing.slot_s,
            providers=source.services.directory.provider_count,
            payment_decimals=tokens.payment_decimals,
            stake_decimals=tokens.stake_decimals,
            payment_symbol=tokens.payment_symbol,
            stake_symbol=tokens.stake_symbol,
            lines=tuple(LineRow(*line) for line in desk.flow.lines()),
        )


def _provider(entry: dict[str, Any], leaf: Leaf | None, epoch: int, slashed: int, slash: str) -> ProviderRow:
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
        delegated_units=entry["delegated"],
        commission_ppm=entry["commission_ppm"],
        epoch=epoch if leaf else None,
        standing=leaf.standing if leaf else None,
        score_ppm=leaf.score_ppm if leaf else None,
        uptime_ppm=leaf.uptime_ppm if leaf else None,
        success_ppm=leaf.success_ppm if leaf else None,
        ttft_p95_ms=bucket_ms(leaf.ttft_p95_bucket) if leaf else None,
        strikes=leaf.strikes if leaf else None,
        slashed_units=slashed,
        slash=slash,
    )


def epoch_row(one: Submitted) -> EpochRow:
    """Return a submission as a row of the table of epochs."""
    totals = one.fields["totals"]
    return EpochRow(
        epoch=one.epoch,
        state=one.state,
        leaves=int(one.fields["leaf_count"]),
        charged_units=int(totals["charged"]),
        provider_fees_units=int(totals["provider_fees"]),
        incentive_units=int(totals["incentive"]),
        pools_units=int(totals["pools"]),
        credits_units=int(totals["credits"]),
        evidence=one.fields["evidence"],
        root=one.fields["root"],
        transaction="0x" + one.tx_hash.hex(),
    )


def _leaf(leaf: Leaf, before: Leaf | None) -> LeafRow:
    return LeafRow(
        provider=leaf.provider,
        fees_units=leaf.cumulative_fees - (before.cumulative_fees if before else 0),
        incentive_units=leaf.cumulative_incentive - (before.cumulative_incentive if before else 0),
        uptime_ppm=leaf.uptime_ppm,
        ttft_p95_ms=bucket_ms(leaf.ttft_p95_bucket),
        success_ppm=leaf.success_ppm,
        verification_ppm=leaf.verification_ppm,
        score_ppm=leaf.score_ppm,
        strikes=leaf.strikes,
        standing=leaf.standing,
        slash_level=leaf.slash_level,
        measured=leaf.measured,
    )


def bucket_ms(bucket: int) -> int | None:
    """Return a bucket's upper bound; the last, open one is given as twice the bound before it."""
    if bucket == UNMEASURED_BUCKET:
        return None
    return BUCKET_UPPER_MS[bucket] if bucket < len(BUCKET_UPPER_MS) else 2 * BUCKET_UPPER_MS[-1]
