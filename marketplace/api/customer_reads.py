"""A customer's own rows: balance, keys, usage, receipts, and what came back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Date, Integer, and_, case, cast, func, literal_column, or_, select

from contracts.event_types import (
    Compensated,
    CompensationWithdrawn,
    Credited,
    CreditsPushed,
    PageCompensated,
    SlashProposed,
)
from contracts.messages import Status
from marketplace.api.bounds import job_bytes
from marketplace.api.source import Source, transaction
from marketplace.api.views import BalanceView, CreditRow, KeyView, ReceiptRow, UsageRow
from marketplace.caps import cap_for, read_caps
from marketplace.models import ATTO, api_keys, attempts, chain_events, ratings

_RATED = select(attempts, ratings.c.stars).outerjoin(
    ratings, and_(ratings.c.job == attempts.c.job, ratings.c.attempt == attempts.c.attempt)
)


class CustomerReads:
    """Queries about one customer, who is named in each of them."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def balance(self, customer: str) -> BalanceView:
        """Return a customer's money at this moment."""
        source = self._source
        now = source.services.accounts.balance(customer)
        unit = 10 ** (18 - (await source.tokens()).payment_decimals)
        sign = case((chain_events.c.name == Compensated.__name__, 1), else_=-1)
        amount = cast(chain_events.c.fields["amount"].astext, ATTO)
        async with source.database.begin() as connection:
            caps = (await read_caps(connection)).get(customer, ())
            compensation = await connection.execute(
                select(func.coalesce(func.sum(sign * amount), 0)).where(
                    chain_events.c.name.in_((Compensated.__name__, CompensationWithdrawn.__name__)),
                    chain_events.c.fields["customer"].astext == customer,
                )
            )
        return BalanceView(
            customer=customer,
            escrow_units=now.escrow_atto // unit,
            thawing_units=now.thawing_atto // unit,
            available_atto=now.available_atto,
            held_atto=now.held_atto,
            uncharged_atto=now.uncharged_atto,
            cap_units=cap_for(caps, source.epoch()),
            compensation_units=int(compensation.scalar_one()),
        )

    async def keys(self, customer: str) -> list[KeyView]:
        """Return a customer's keys, newest first."""
        async with self._source.database.begin() as connection:
            found = await connection.execute(
                select(api_keys).where(api_keys.c.customer == customer).order_by(api_keys.c.id.desc())
            )
            return [
                KeyView(
                    row.id,
                    row.name,
                    row.hint,
                    row.service_class,
                    row.requests_per_minute or None,
                    row.tokens_per_minute or None,
                    row.created,
                    row.revoked,
                )
                for row in found
            ]

    async def usage(self, customer: str) -> list[UsageRow]:
        """Return a customer's usage by day and model, newest first."""
        day = cast(attempts.c.at.op("AT TIME ZONE")(literal_column("'UTC'")), Date)
        async with self._source.database.begin() as connection:
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
                .order_by(day.desc(), attempts.c.model)
            )
            return [
                UsageRow(
                    row.day.isoformat(),
                    _model(row),
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
        query = _RATED.where(attempts.c.customer == customer).order_by(attempts.c.id.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(attempts.c.id < before)
        async with self._source.database.begin() as connection:
            rows = (await connection.execute(query)).all()
        more = rows[limit - 1].id if len(rows) > limit else None
        return [_receipt(row) for row in rows[:limit]], more

    async def receipts_of_job(self, customer: str, job: str) -> list[ReceiptRow]:
        """Return the receipts of one of the customer's own jobs, in order of attempt; none for other people's."""
        raw = job_bytes(job)
        if raw is None:
            return []
        async with self._source.database.begin() as connection:
            found = await connection.execute(
                _RATED.where(attempts.c.customer == customer, attempts.c.job == raw).order_by(attempts.c.attempt)
            )
            return [_receipt(row) for row in found]

    async def credits(self, customer: str) -> list[CreditRow]:
        """Return what a customer got back, newest first: service-level credits, and its parts of slashes."""
        own = chain_events.c.fields["customer"].astext == customer
        async with self._source.database.begin() as connection:
            found = await connection.execute(
                select(chain_events.c.name, chain_events.c.fields, chain_events.c.tx_hash)
                .where(chain_events.c.name.in_((Credited.__name__, Compensated.__name__)), own)
                .order_by(chain_events.c.id.desc())
            )
            rows = found.all()
            moved = {bytes(row.tx_hash) for row in rows}
            causes = await connection.execute(
                select(chain_events.c.name, chain_events.c.fields, chain_events.c.tx_hash).where(
                    or_(
                        and_(
                            chain_events.c.name.in_((CreditsPushed.__name__, PageCompensated.__name__)),
                            chain_events.c.tx_hash.in_(moved),
                        ),
                        chain_events.c.name == SlashProposed.__name__,
                    )
                )
            )
            cause = _Causes(causes.all())
        return [cause.credit(row) if row.name == Credited.__name__ else cause.compensation(row) for row in rows]


class _Causes:
    """Why money came back: credits of a report pushed, or a page of a slash's harmed, in the same transaction."""

    def __init__(self, rows: Any) -> None:
        self._epochs: dict[bytes, int] = {}
        self._slashes: dict[bytes, str] = {}
        self._proposed: dict[str, dict[str, Any]] = {}
        for row in rows:
            if row.name == CreditsPushed.__name__:
                self._epochs[bytes(row.tx_hash)] = int(row.fields["epoch"])
            elif row.name == PageCompensated.__name__:
                self._slashes[bytes(row.tx_hash)] = row.fields["id"]
            else:
                self._proposed[row.fields["id"]] = row.fields

    def credit(self, row: Any) -> CreditRow:
        return CreditRow(
            epoch=self._epochs.get(bytes(row.tx_hash)),
            provider=row.fields["provider"],
            amount_units=int(row.fields["amount"]),
            token="payment",  # noqa: S106  a kind of money
            rule="the provider missed its service level",
            transaction=transaction(row),
        )

    def compensation(self, row: Any) -> CreditRow:
        proposed = self._proposed.get(self._slashes.get(bytes(row.tx_hash), ""), {})
        return CreditRow(
            epoch=int(proposed["epoch"]) if proposed else None,
            provider=proposed.get("provider", ""),
            amount_units=int(row.fields["amount"]),
            token="stake",  # noqa: S106  a kind of money
            rule=f"the provider was slashed at level {proposed['code']}" if proposed else "a provider was slashed",
            transaction=transaction(row),
        )


def _model(row: Any) -> str:
    """Return the digest of the weights; names are the providers' own and may change."""
    return "0x" + bytes(row.model).hex()


def _receipt(row: Any) -> ReceiptRow:
    return ReceiptRow(
        job="0x" + bytes(row.job).hex(),
        attempt=row.attempt,
        provider=row.provider,
        model=_model(row),
        status=Status(row.status).name.lower(),
        slot=row.slot,
        epoch=row.epoch,
        input_tokens=row.input_tokens,
        cached_tokens=row.cached_tokens,
        output_tokens=row.output_tokens,
        ttft_ms=row.ttft_ms,
        itl_us=row.itl_us,
        charge_atto=int(row.charge),
        stars=row.stars,
    )
