"""Write many rows with one statement: each column travels as one array, so a batch costs one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

_DIALECT = postgresql.dialect()


async def insert_new(
    connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], unique: Sequence[str]
) -> set[Any]:
    """Insert rows, all of the same columns, and leave out those whose `unique` columns are known.

    Returns the first unique column of the new ones.
    """
    if not rows:
        return set()
    columns = tuple(rows[0])
    arrays = {name: [row[name] for row in rows] for name in columns}
    found = await connection.execute(_insert(table, columns, tuple(unique)), arrays)
    return {key for (key,) in found}


def arrays_of(table: Table, columns: Sequence[str]) -> str:
    """Return `unnest(…)` over parameters named like the columns, of the columns' types."""
    kinds = {name: table.c[name].type.compile(_DIALECT) for name in columns}
    return f"unnest({', '.join(f'CAST(:{name} AS {kind}[])' for name, kind in kinds.items())})"


@cache
def _insert(table: Table, columns: tuple[str, ...], unique: tuple[str, ...]) -> TextClause:
    # names come from our own tables, values travel as parameters
    return text(
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT * FROM {arrays_of(table, columns)} "  # noqa: S608
        f"ON CONFLICT ({', '.join(unique)}) DO NOTHING RETURNING {unique[0]}"
    )
