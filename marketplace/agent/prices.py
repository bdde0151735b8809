"""Prices as people write them, turned exactly into atto of the payment currency per token."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_DECIMALS = 12
_ATTO_PER_TOKEN_OF_ONE_PER_MILLION = 10**_DECIMALS


def atto_per_token(per_million: str) -> int:
    """Turn a price per million tokens into atto per token: "0.15" is 150_000_000_000.

    Raises ValueError when the text is no number, is negative, or has more than twelve decimals (it would not be exact).
    """
    try:
        value = Decimal(per_million)
    except InvalidOperation:
        raise ValueError(f"{per_million!r} is not a price per million tokens, like 0.15") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"a price per million tokens cannot be {per_million}")
    # shifting the exponent is exact; multiplying would round to the context's 28 digits
    _, digits, exponent = value.as_tuple()
    shifted = Decimal((0, digits, int(exponent) + _DECIMALS))
    if shifted != shifted.to_integral_value():
        raise ValueError(f"{per_million} has more than twelve decimals and would not be exact")
    return int(shifted)


def per_million(atto: int) -> str:
    """Write atto per token as the price of a million tokens, without losing a digit."""
    whole, rest = divmod(atto, _ATTO_PER_TOKEN_OF_ONE_PER_MILLION)
    return f"{whole}.{rest:012d}".rstrip("0").rstrip(".")
