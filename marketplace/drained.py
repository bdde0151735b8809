"""Apply a segment of the journal inside the database: one COPY, then statements over all of its lines at once.

The lines lie in a table that only this connection sees and that is empty again after the transaction. A hold that ends
in the segment in which it began is entered resolved; one that began earlier is updated. What was applied before is left
out, and what contradicts the ledger is refused, as in `ledger`, whose transfers these are:

    hold   available → held          post   held → accrued, the rest held → available
"""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.journal import COLUMNS
from marketplace.ledger import LedgerRefused, resolve_holds

_COPY_BYTES = 1 << 20
_MAKE = text(
    f"CREATE TEMP TABLE IF NOT EXISTS drained ({', '.join(f'{name} {kind}' for name, kind in COLUMNS)}) "
    "ON COMMIT DELETE ROWS"
)
_CLEAR = text("DELETE FROM drained")  # of what the same transaction may have entered before
_COPY = f"COPY drained ({', '.join(name for name, _ in COLUMNS)}) FROM STDIN"
_TWO_ENDS = text(
    "SELECT job FROM drained WHERE kind IN ('post', 'void') GROUP BY job "
    "HAVING min(kind) <> max(kind) OR min(amount) <> max(amount) LIMIT 1"
)
_TRANSFERS = """
INSERT INTO ledger_transfers (key, debit, credit, amount)
SELECT one.key, 'customer:' || customer || one.debit, 'customer:' || customer || one.credit, one.amount
FROM {source} AS ended, encode(job, 'hex') AS digits, LATERAL (VALUES {moves}) AS one (key, debit, credit, amount)
WHERE one.amount > 0
"""
_OPENING = "('hold:' || digits, '\\:available', '\\:held', held)"
_ENDING = (
    "('post:' || digits, '\\:held', '\\:accrued', spent), ('rest:' || digits, '\\:held', '\\:available', held - spent)"
)
_OPEN = text(
    f"""
WITH ended AS (SELECT DISTINCT job, kind, amount FROM drained WHERE kind IN ('post', 'void')),
opened AS (
  INSERT INTO ledger_holds (job, gateway, customer, amount, resolution)
  SELECT DISTINCT ON (begun.job) begun.job, :gateway, begun.customer, begun.amount,
    CASE ended.kind WHEN 'post' THEN 'posted' WHEN 'void' THEN 'voided' END
  FROM drained AS begun LEFT JOIN ended ON ended.job = begun.job AND ended.amount <= begun.amount
  WHERE begun.kind = 'hold'
  ON CONFLICT (job) DO NOTHING RETURNING job, customer, amount AS held, resolution),
both_ends AS (
  SELECT opened.job, opened.customer, held, CASE WHEN resolution IS NULL THEN NULL ELSE ended.amount END AS spent
  FROM opened LEFT JOIN ended USING (job))
{_TRANSFERS.format(source="both_ends", moves=f"{_OPENING}, {_ENDING}")}
"""  # noqa: S608 (our own words)
)
_RESOLVE = text(
    f"""
WITH ended AS (
  UPDATE ledger_holds AS kept SET resolution = CASE line.kind WHEN 'post' THEN 'posted' ELSE 'voided' END
  FROM drained AS line
  WHERE line.kind IN ('post', 'void') AND kept.job = line.job AND kept.resolution IS NULL
    AND line.amount <= kept.amount
  RETURNING kept.job, kept.customer, kept.amount AS held, line.amount AS spent)
{_TRANSFERS.format(source="ended", moves=_ENDING)}
"""  # noqa: S608
)
_UNRESOLVED = text(
    "SELECT DISTINCT line.job, line.kind, line.amount FROM drained AS line LEFT JOIN ledger_holds AS kept USING (job) "
    "WHERE line.kind IN ('post', 'void') AND kept.resolution IS DISTINCT FROM "
    "CASE line.kind WHEN 'post' THEN 'posted' ELSE 'voided' END"
)
_ATTEMPT = (
    "job, attempt, customer, provider, model, status, slot, input_tokens, cached_tokens, output_tokens, ttft_ms, itl_us"
)
_STORE = text(
    f"INSERT INTO attempts ({_ATTEMPT}, epoch, charge, line) "  # noqa: S608
    f"SELECT {_ATTEMPT}, slot / :slots_per_epoch, amount, line || chr(10) FROM drained "
    "WHERE line IS NOT NULL AND slot >= :first_open ON CONFLICT (job, attempt) DO NOTHING"
)
_LATE = text("SELECT line || chr(10) FROM drained WHERE line IS NOT NULL AND slot < :first_open")


async def copy_lines(connection: AsyncConnection, raw: bytes) -> None:
    """Bring a segment's lines into the database.

    Raises psycopg's DataError for lines that are none, and OperationalError when the database is away.
    """
    await connection.execute(_MAKE)
    await connection.execute(_CLEAR)
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        async with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            for start in range(0, len(raw), _COPY_BYTES):
                await copy.write(raw[start : start + _COPY_BYTES])
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        await connection.invalidate()
        raise OperationalError(_COPY, None, error) from error


async def open_and_resolve(connection: AsyncConnection, gateway: str) -> None:
    """Enter the holds of the lines and resolve those that end; raises LedgerRefused and leaves it to the caller to
    roll back."""
    twice = (await connection.execute(_TWO_ENDS)).scalar()
    if twice is not None:
        raise LedgerRefused(f"the journal resolves the hold for job {bytes(twice).hex()} in two ways")
    await connection.execute(_OPEN, {"gateway": gateway})
    await connection.execute(_RESOLVE)
    left = await connection.execute(_UNRESOLVED)
    await resolve_holds(connection, {bytes(row.job): int(row.amount) if row.kind == "post" else None for row in left})


async def store_attempts(connection: AsyncConnection, first_open: int, slots_per_epoch: int) -> list[str]:
    """Enter the attempts of epochs that are open from slot `first_open` on; returns the lines of all others."""
    await connection.execute(_STORE, {"first_open": first_open, "slots_per_epoch": slots_per_epoch})
    return [line for (line,) in await connection.execute(_LATE, {"first_open": first_open})] if first_open else []
