"""The rules and limits of the tests' deployment."""

from __future__ import annotations

from typing import Any

from tests.contracts.support.market import PAY

RULES = (940_000, 20_000, 20_000, 20_000, 5 * PAY, 10**6, 2_000, 4)
LIMITS = (10**15, 10**15, 10**15, 100_000_000, 1_000_000)


def changed(values: tuple[Any, ...], index: int, value: int) -> tuple[Any, ...]:
    """Return the values with one of them replaced."""
    return (*values[:index], value, *values[index + 1 :])
