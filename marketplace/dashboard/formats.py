"""Template filters: how addresses, amounts and shares are written for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

ATTO = 18
_MOST_DECIMALS = 6


def short(value: str) -> str:
    """Shorten a hexadecimal string to its ends: 0x12345678…9abc."""
    return value if len(value) <= 14 else f"{value[:8]}…{value[-4:]}"


def units(value: int, decimals: int) -> str:
    """Write token units as a decimal number without trailing zeros: units(1500000, 6) is 1.5."""
    return _plain(Decimal(value).scaleb(-decimals))


def atto(value: int) -> str:
    """Write an amount in atto, to eight decimals at most; anything smaller shows as < 0.00000001."""
    exact = Decimal(value).scaleb(-ATTO)
    shown = exact.quantize(Decimal("1e-8"), rounding="ROUND_DOWN")
    return "< 0.00000001" if exact and not shown else _plain(shown)


def cut(value: str) -> str:
    """Cut a decimal number after its sixth decimal, and show that it was cut."""
    whole, _, decimals = value.partition(".")
    return value if len(decimals) <= _MOST_DECIMALS else f"{whole}.{decimals[:_MOST_DECIMALS]}…"


def percent(value_ppm: int | None) -> str:
    """Write parts per million as a percentage with two decimals: 995000 is 99.50 %."""
    return "–" if value_ppm is None else f"{value_ppm / 10_000:.2f} %"


def moment(value: datetime) -> str:
    """Write a time to the minute, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def unix(value: int) -> str:
    """Write a unix time to the minute, in UTC."""
    return moment(datetime.fromtimestamp(value, UTC)) + " UTC"


def span(seconds: int) -> str:
    """Write a duration in its largest whole unit: span(129600) is 36 hours, span(90) is 90 seconds."""
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"


def thousands(value: int) -> str:
    """Write a count with its thousands apart: 1234567 is 1,234,567."""
    return f"{value:,}"


def words(value: str) -> str:
    """Write an identifier as words: provider_error is provider error."""
    return value.replace("_", " ")


def _plain(value: Decimal) -> str:
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


FILTERS: dict[str, Callable[..., str]] = {
    "short": short,
    "units": units,
    "atto": atto,
    "percent": percent,
    "words": words,
    "cut": cut,
    "moment": moment,
    "unix": unix,
    "span": span,
    "thousands": thousands,
}
