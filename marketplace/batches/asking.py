"""Read what a request to the routes of files and batches asks for; refuse what OpenAI's API would refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from marketplace.batches.store import WINDOW, Order
from marketplace.batches.upload import check_kept
from marketplace.gateway.asgi import Scope
from marketplace.gateway.errors import invalid
from marketplace.gateway.inquiry import PATHS

_PAIRS_MOST, _NAME_MOST, _VALUE_MOST = 16, 64, 512


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted."""

    after: str | None
    limit: int
    ascending: bool
    purpose: str | None


def read_page(scope: Scope, limit_default: int, limit_most: int) -> Page:
    """Read the query of a list; raises ApiError 400."""
    query = {name: values[-1] for name, values in parse_qs(scope.get("query_string", b"").decode("latin-1")).items()}
    digits = query.get("limit", str(limit_default))
    if not (digits.isascii() and digits.isdigit() and len(digits) < 9 and 1 <= int(digits) <= limit_most):
        raise invalid(f"limit must be a whole number from 1 to {limit_most}.", "limit")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise invalid("order must be asc or desc.", "order")
    purpose = query.get("purpose")
    if purpose is not None and not purpose.isprintable():
        raise invalid("purpose must be the purpose of a file.", "purpose")
    return Page(query.get("after"), int(digits), order == "asc", purpose)


def read_order(customer: str, body: dict[str, Any]) -> Order:
    """Read what a batch is to be; raises ApiError 400."""
    file = body.get("input_file_id")
    if type(file) is not str:
        raise invalid("input_file_id must name a file that was uploaded for a batch.", "input_file_id")
    endpoint = body.get("endpoint")
    if endpoint not in PATHS:
        raise invalid(f"endpoint must be one of {', '.join(PATHS)}.", "endpoint")
    if body.get("completion_window") != WINDOW:
        raise invalid(f"completion_window must be {WINDOW!r}.", "completion_window")
    return Order(customer, file, endpoint, _metadata(body.get("metadata")), _kept(body.get("output_expires_after")))


def _metadata(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    fits = type(value) is dict and len(value) <= _PAIRS_MOST
    if not fits or not all(_text(name, _NAME_MOST) and _text(text, _VALUE_MOST) for name, text in value.items()):
        raise invalid(
            f"metadata must be at most {_PAIRS_MOST} pairs of texts, names up to {_NAME_MOST} and values up to "
            f"{_VALUE_MOST} characters.",
            "metadata",
        )
    return dict(value)


def _text(value: Any, most: int) -> bool:
    return type(value) is str and len(value) <= most and "\0" not in value


def _kept(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not dict or value.get("anchor") != "created_at":
        raise invalid("output_expires_after must be an object with anchor 'created_at'.", "output_expires_after")
    return check_kept(value.get("seconds"), "output_expires_after")
