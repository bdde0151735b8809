"""Numbers and names that come in from outside, within what the database's columns can hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from starlette.exceptions import HTTPException

_BIGINT_MOST = 2**63 - 1

PathNumber = Annotated[int, Path(ge=0, le=_BIGINT_MOST)]
"""A row's or an epoch's number in a path."""
RowNumber = Annotated[int | None, Query(ge=0, le=_BIGINT_MOST)]
"""Where the next page begins."""
_JOB_DIGITS = 64


def job_bytes(text: str) -> bytes | None:
    """Return the 32 bytes of a job's name, with or without 0x; None for a text that names none."""
    digits = text.removeprefix("0x").lower()
    named = len(digits) == _JOB_DIGITS and set(digits) <= set("0123456789abcdef")
    return bytes.fromhex(digits) if named else None


def job_number(text: str) -> bytes:
    """Return the 32 bytes of a job's name, with or without 0x; raises HTTPException 400."""
    found = job_bytes(text)
    if found is None:
        raise HTTPException(400, "a job is named by 32 bytes in hex, as in receipts and in x-bonded-job")
    return found
