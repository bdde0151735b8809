"""The queries behind the control API and the dashboard: a customer's own rows, and what is public of the history.

Everything comes from the database and from what the gateway holds in memory; no page waits for the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Date, Integer, case, cast, func, literal_column, select

from contracts.event_types import Compensated, CompensationWithdrawn, Credited, ReportActivated, ReportSubmitted
from contracts.event_types import Slashed as SlashedEvent
from contracts.messages import Status
from contracts.types import UNMEASURED_BUCKET
from marketplace.api.views import (
    BalanceView,
    CreditRow,
    EpochDetail,
    EpochRow,
    KeyView,
    LeafRow,
    ProviderRow,
    ReceiptRow,
    StatusView,
    UsageRow,
)
from marketplace.caps import cap_for, read_caps
from marketplace.gateway.services import Services
from marketplace.models import api_keys, attempts, chain_blocks, chain_events
from rewards.measurement import BUCKET_UPPER_MS

_MOST_EPOCHS = 500


class Reads:
    """Read models of one gateway. Amounts are whole units or atto as the views say."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        self._timing = services.timing
        self._tokens: tuple[int, int, str, str] | None = None

    async def balance(self, customer: str) -> BalanceView:
        """Return a customer's money at this moment."""
        now = self._services.accounts.balance(customer)
        unit = 10 ** (18 - (await self._token_facts())[0])
        async with self._database.begin() as connection:
            caps = (await read_caps(connection)).get(customer, ())
            moved = await connection.execute(
                select(
                    func.coalesce(
                        func.sum(
                            case(
                                (chain_events.c.name == Compensated.__name__, 1),
                                else_=-1,
                            )
                            * cast(chain_events.c.fields["amount"].astext, _numeric())
                        ),
                        0,
                    )
                ).where(
                    chain_events.c.name.in_((Compensated.__name__, CompensationWithdrawn.__name__)),
                    chain_events.c.fields["customer"].astext == customer,
                )
            )
            compensation = int(moved.scalar_one())
        return BalanceView(
            customer=customer,
            escrow_units=now.escrow_atto // unit,
            thawing_units=now.thawing_atto // unit,
            available_atto=now.available_atto,
            held_atto=now.held_atto,
            uncharged_atto=now.uncharged_atto,
            cap_units=cap_for(caps, self._epoch()),
            compensation_units=compensation,
        )

    async def keys(self, customer: str) -> list[KeyView]:
        """Return a customer's keys, newest first."""
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(api_keys).where(api_keys.c.customer == customer).order_by(api_keys.c.id.desc())
            )
            return [KeyView(row.id, row.name, row.hint, row.created, row.revoked) for row in found]

    async def usage(self, customer: str) -> list[UsageRow]:
        """Return a customer's usage by day and model, newest first."""
        day = cast(attempts.c.at.op("AT TIME ZONE")(literal_column("'UTC'")), Date)
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(
                    day.label("day"),
                    attempts.c.model,
                    func.count().label("attempts"),
                    func.sum(cast(attempts.c.status == Status.SERVED, Integer)).label("served"),
                    func.sum(attempts.c.input_tokens).label("input_tokens"),
                    func.sum(attempts.c.output_tokens).label("output_tokens"),
                    func.sum(attempts.c.charge).label("charge"),
                )
                .where(attempts.c.customer == customer)
                .group_by(day, attempts.c.model)
                .order_by(day.desc())
            )
            return [
                UsageRow(
                    row.day.isoformat(),
                    self._model_name(bytes(row.model)),
                    row.attempts,
                    int(row.served),
                    int(row.input_tokens),
                    int(row.output_tokens),
                    int(row.charge),
                )
                for row in found
            ]

    async def receipts(self, customer: str, limit: int, before: int | None) -> tuple[list[ReceiptRow], int | None]:
        """Return a customer's receipts, newest first, and where the next page begins (None at the end)."""
        query = select(attempts).where(attempts.c.customer == customer).order_by(attempts.c.id.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(attempts.c.id < before)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        more = rows[limit - 1].id if len(rows) > limit else None
        return [self._receipt(row) for row in rows[:limit]], more

    async def receipts_of_job(self, customer: str, job: str) -> list[ReceiptRow]:
        """Return the receipts of one of the customer's own jobs, in order of attempt; none for other people's."""
        try:
            raw = bytes.fromhex(job.removeprefix("0x"))
        except ValueError:
            return []
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(attempts)
                .where(attempts.c.customer == customer, attempts.c.job == raw)
                .order_by(attempts.c.attempt)
            )
            return [self._receipt(row) for row in found]

    async def credits(self, customer: str) -> list[CreditRow]:
        """Return the service-level credits a customer got, newest first."""
        async with self._database.begin() as connection:
            found = (
                await connection.execute(
                    select(chain_events.c.fields, chain_events.c.tx_hash)
                    .where(
                        chain_events.c.name == Credited.__name__, chain_events.c.fields["customer"].astext == customer
                    )
                    .order_by(chain_events.c.id.desc())
                )
            ).all()
            activations = await connection.execute(
                select(chain_events.c.tx_hash, chain_events.c.fields).where(
                    chain_events.c.name == ReportActivated.__name__
                )
            )
            epochs = {bytes(row.tx_hash): int(row.fields["epoch"]) for row in activations}
        return [
            CreditRow(
                epoch=epochs.get(bytes(row.tx_hash), -1),
                provider=row.fields["provider"],
                amount_units=int(row.fields["amount"]),
                rule="the provider missed its service level",
                transaction="0x" + bytes(row.tx_hash).hex(),
            )
            for row in found
        ]

    async def providers(self) -> list[ProviderRow]:
        """Return every provider with its offer, its stake and its line in the last report."""
        async with self._database.begin() as connection:
            last = (
                await connection.execute(
                    select(chain_events.c.fields)
                    .where(chain_events.c.name == ReportSubmitted.__name__)
                    .order_by(chain_events.c.id.desc())
                    .limit(1)
                )
            ).scalar()
            slashed: dict[str, int] = {}
            found = await connection.execute(
                select(chain_events.c.fields).where(chain_events.c.name == SlashedEvent.__name__)
            )
            for (fields,) in found:
                taken = int(fields["from_stake"]) + int(fields["from_unbonding"])
                slashed[fields["provider"]] = slashed.get(fields["provider"], 0) + taken
        leaves = {leaf["provider"]: leaf for leaf in last["leaves"]} if last else {}
        epoch = int(last["epoch"]) if last else None
        return [
            self._provider(entry, leaves.get(entry["provider"]), epoch, slashed)
            for entry in self._services.directory.snapshot()
        ]

    async def epochs(self) -> list[EpochRow]:
        """Return the reported epochs, newest first."""
        async with self._database.begin() as connection:
            reports = (
                await connection.execute(
                    select(chain_events.c.fields, chain_events.c.tx_hash)
                    .where(chain_events.c.name == ReportSubmitted.__name__)
                    .order_by(chain_events.c.id.desc())
                    .limit(_MOST_EPOCHS)
                )
            ).all()
            active = await self._activated(connection)
        return [_epoch_row(row.fields, bytes(row.tx_hash), active) for row in reports]

    async def epoch(self, epoch: int) -> EpochDetail | None:
        """Return an epoch with its lines; None while it is not reported."""
        async with self._database.begin() as connection:
            found = (
                await connection.execute(
                    select(chain_events.c.fields, chain_events.c.tx_hash)
                    .where(
                        chain_events.c.name == ReportSubmitted.__name__,
                        chain_events.c.fields["epoch"].astext.in_((str(epoch), str(epoch - 1))),
                    )
                    .order_by(chain_events.c.id)
                )
            ).all()
            active = await self._activated(connection)
        by_epoch = {int(row.fields["epoch"]): row for row in found}
        if epoch not in by_epoch:
            return None
        row, before = by_epoch[epoch], by_epoch.get(epoch - 1)
        earlier = {leaf["provider"]: leaf for leaf in before.fields["leaves"]} if before else {}
        leaves = tuple(_leaf_row(leaf, earlier.get(leaf["provider"])) for leaf in row.fields["leaves"])
        return EpochDetail(_epoch_row(row.fields, bytes(row.tx_hash), active), leaves)

    async def status(self) -> StatusView:
        """Return where clock, chain and market stand."""
        pay, stake, pay_symbol, stake_symbol = await self._token_facts()
        async with self._database.begin() as connection:
            block = (await connection.execute(select(func.max(chain_blocks.c.number)))).scalar()
        slot = self._services.desk.slot()
        epoch = self._timing.epoch_of_slot(slot)
        left = self._timing.epoch_end(epoch) - self._services.desk.clock()
        return StatusView(
            chain_id=self._services.domain.chain_id,
            block=int(block or 0),
            epoch=epoch,
            slot=slot,
            seconds_to_next_epoch=max(0, int(left)),
            providers=self._services.directory.provider_count,
            payment_decimals=pay,
            stake_decimals=stake,
            payment_symbol=pay_symbol,
            stake_symbol=stake_symbol,
        )

    async def _token_facts(self) -> tuple[int, int, str, str]:
        """Return decimals and symbols of payment and stake token; they never change, so they are read once."""
        if self._tokens is None:
            from contracts.tokens import Token

            chain = self._services.chain
            head = await chain.head()
            pay, stake = Token(chain, "PaymentToken"), Token(chain, "StakeToken")
            self._tokens = (
                await pay.decimals(head),
                await stake.decimals(head),
                await pay.symbol(head),
                await stake.symbol(head),
            )
        return self._tokens

    async def _activated(self, connection: Any) -> set[int]:
        found = await connection.execute(
            select(chain_events.c.fields["epoch"].astext).where(chain_events.c.name == ReportActivated.__name__)
        )
        return {int(epoch) for (epoch,) in found}

    def _epoch(self) -> int:
        return self._timing.epoch_of_slot(self._services.desk.slot())

    def _model_name(self, digest: bytes) -> str:
        """Return the digest of the weights; names are the providers' own and may change."""
        return "0x" + digest.hex()

    def _receipt(self, row: Any) -> ReceiptRow:
        return ReceiptRow(
            job="0x" + bytes(row.job).hex(),
            attempt=row.attempt,
            provider=row.provider,
            model=self._model_name(bytes(row.model)),
            status=Status(row.status).name.lower(),
            slot=row.slot,
            epoch=row.epoch,
            input_tokens=row.input_tokens,
            cached_tokens=row.cached_tokens,
            output_tokens=row.output_tokens,
            ttft_ms=row.ttft_ms,
            itl_us=row.itl_us,
            charge_atto=int(row.charge),
        )

    def _provider(
        self, entry: dict[str, Any], leaf: dict[str, Any] | None, epoch: int | None, slashed: dict[str, int]
    ) -> ProviderRow:
        models: Sequence[dict[str, Any]] = entry["models"]
        return ProviderRow(
            provider=entry["provider"],
            endpoint=entry["endpoint"],
            region=entry["region"],
            hardware=entry["hardware_class"],
            units=entry["units"],
            status=entry["status"],
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


def _epoch_row(fields: dict[str, Any], transaction: bytes, active: set[int]) -> EpochRow:
    totals, epoch = fields["totals"], int(fields["epoch"])
    return EpochRow(
        epoch=epoch,
        state="active" if epoch in active else "waiting for activation",
        leaves=len(fields["leaves"]),
        charged_units=int(totals["charged"]),
        provider_fees_units=int(totals["provider_fees"]),
        incentive_units=int(totals["incentive"]),
        credits_units=int(totals["credits"]),
        evidence=fields["evidence"],
        root=fields["root"],
        transaction="0x" + transaction.hex(),
    )


def _leaf_row(leaf: dict[str, Any], before: dict[str, Any] | None) -> LeafRow:
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


def _numeric() -> Any:
    from marketplace.models import ATTO

    return ATTO
