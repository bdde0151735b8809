"""Test whether a provider's answers come from the same model as a reference's: two samples, one exact p-value.

The statistic is the maximum mean discrepancy with a Hamming kernel over characters, after "Model Equality Testing:
Which Model Is This API Serving?" (Gao, Liang, Guestrin, 2024; arXiv 2410.20247). Two answers to one prompt are as alike
as the number of places in which they hold the same character, both cut or filled up to `LENGTH`. For a prompt with
`n` answers y of the provider and `m` answers z of the reference

    MMD² = Σ k(y,y') / n² + Σ k(z,z') / m² - 2 Σ k(y,z) / (n·m)

and the statistic is the sum over prompts, each rounded down to steps of LENGTH / GRID places.

If both serve the same model, every way of dealing the `n + m` answers of a prompt into y and z is as likely as the one
that was seen, whatever the answers are. The p-value is the share of all deals, over all prompts at once, whose
statistic is at least the one seen. It is exact: the distribution of a sum is the product of the prompts' distributions,
which are multiplied here as polynomials packed into integers. So there is no random number, no rounding of a
probability and nothing to trust: who has the answers has the p-value, to the last digit.

Example: one prompt, y = ("b",), z = ("a", "a", "a"). Four deals are possible; only the one seen sets "b" apart, so the
p-value is 1/4, and no number of such z makes one answer to one prompt prove anything by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

LENGTH = 96
GRID = 64
PPB = 1_000_000_000
MOST_DEALS = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """All answers to one prompt: of the provider, at least one, and of the reference, at least two."""

    provider: tuple[str, ...]
    reference: tuple[str, ...]


@dataclass(frozen=True)
class Equality:
    """What a test came to: `at_least` of `deals` equally likely deals are as far apart as what was seen, or farther."""

    completions: int
    at_least: int
    deals: int

    @cached_property
    def p_ppb(self) -> int:
        """Return the p-value in parts per billion, rounded up, so that it is never zero."""
        return -(-self.at_least * PPB // self.deals)


def compare(asked: Sequence[Asked]) -> Equality:
    """Test all prompts together; without any prompt nothing is proven and the p-value is one.

    Raises ValueError for a prompt without an answer of the provider, with fewer than two of the reference, or with
    more than `MOST_DEALS` deals.
    """
    sums, deals, seen, offset = 1, 1, 0, 0
    spread = [_deals(one) for one in asked]
    bits = sum(values.total().bit_length() for _, values in spread)
    width = 8 * (bits // 8 + 1)
    for found, values in spread:
        lowest = min(values)
        seen += found
        offset += lowest
        deals *= values.total()
        # a polynomial packed into an integer: the coefficient of x^s, `width` bits wide, counts deals with sum s
        sums = sum((sums * times) << (width * (value - lowest)) for value, times in values.items())
    at_least = sums >> (width * (seen - offset))
    return Equality(sum(len(one.provider) for one in asked), _total(at_least, width), deals)


def likeness(one: str, other: str) -> int:
    """Count the places, of `LENGTH`, in which two answers hold the same character or have both ended."""
    one, other = one[:LENGTH], other[:LENGTH]
    same = sum(map(str.__eq__, one, other))
    return same + LENGTH - max(len(one), len(other))


def _deals(asked: Asked) -> tuple[int, Counter[int]]:
    """Return the statistic of one prompt as seen, and that of every deal with how often it occurs."""
    n, m = len(asked.provider), len(asked.reference)
    if n < 1 or m < 2:
        raise ValueError(f"a prompt needs an answer of the provider and two of the reference, not {n} and {m}")
    if comb(n + m, n) > MOST_DEALS:
        raise ValueError(f"{n} answers among {n + m} can be dealt in {comb(n + m, n)} ways, {MOST_DEALS} are the most")
    texts = (*asked.provider, *asked.reference)
    alike = [[likeness(one, other) for other in texts] for one in texts]
    rows = [sum(row) for row in alike]
    everything = sum(rows)
    values = Counter(_statistic(deal, alike, rows, everything, n, m) for deal in combinations(range(n + m), n))
    return _statistic(tuple(range(n)), alike, rows, everything, n, m), values


def _statistic(
    deal: tuple[int, ...], alike: Sequence[Sequence[int]], rows: Sequence[int], everything: int, n: int, m: int
) -> int:
    """Return n²·m²·MMD² of a deal in steps of LENGTH / GRID, rounded down; `deal` are the places of y."""
    inside = sum(alike[i][j] for i in deal for j in deal)
    across = sum(rows[i] for i in deal) - inside
    outside = everything - inside - 2 * across
    return (m * m * inside + n * n * outside - 2 * n * m * across) * GRID // (n * n * m * m * LENGTH)


def _total(packed: int, width: int) -> int:
    """Add up the coefficients of a polynomial packed into an integer, each `width` bits, a whole number of bytes."""
    raw, step = packed.to_bytes(-(-packed.bit_length() // 8), "little"), width // 8
    return sum(int.from_bytes(raw[at : at + step], "little") for at in range(0, len(raw), step))
