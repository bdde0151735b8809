"""Numbers that come in from outside, within what the database's columns can hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

_BIGINT_MOST = 2**63 - 1

PathNumber = Annotated[int, Path(ge=0, le=_BIGINT_MOST)]
"""A row's or an epoch's number in a path."""
RowNumber = Annotated[int | None, Query(ge=0, le=_BIGINT_MOST)]
"""Where the next page begins."""
