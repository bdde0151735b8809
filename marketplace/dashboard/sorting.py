"""Sort and filter the table of providers by what stands in the page's address, so that it works without scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from marketplace.api.views import ProviderRow

ON_A_PAGE = 100
_KEYS: Mapping[str, Callable[[ProviderRow], int | str | None]] = {
    "provider": lambda row: row.provider,
    "price": lambda row: row.price_out_atto,
    "score": lambda row: row.score_ppm,
    "uptime": lambda row: row.uptime_ppm,
    "success": lambda row: row.success_ppm,
    "ttft": lambda row: row.ttft_p95_ms,
    "stake": lambda row: row.stake_units,
    "delegated": lambda row: row.delegated_units,
    "strikes": lambda row: row.strikes,
}
_LARGEST_FIRST = frozenset(("score", "uptime", "success", "stake", "delegated"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the reader wants to see: a column to sort by, "down" or "up", filters ("" for any), and the page from 0."""

    sort: str = "score"
    order: str = ""
    model: str = ""
    region: str = ""
    work: str = ""
    page: int = 0

    @property
    def descending(self) -> bool:
        """Say whether the largest comes first."""
        return self.order == "down" if self.order in ("up", "down") else self.sort in _LARGEST_FIRST

    def link(self, **changes: object) -> str:
        """Return the address of this page with some of it changed; what is as usual is left out."""
        values = {name: getattr(self, name) for name in ("sort", "order", "model", "region", "work", "page")} | changes
        return "/dashboard/providers?" + urlencode({name: value for name, value in values.items() if value})

    def column(self, name: str) -> str:
        """Return where the head of a column leads: sort by it, or turn its order round."""
        if name != self.sort:
            return self.link(sort=name, order="", page=0)
        return self.link(order="up" if self.descending else "down", page=0)


def arrange(rows: Sequence[ProviderRow], wanted: Wanted) -> tuple[list[ProviderRow], int]:
    """Return the rows of the page that is wanted, and how many there are in all. Rows without a value come last."""
    key = _KEYS.get(wanted.sort, _KEYS["score"])
    kept = [row for row in rows if _fits(row, wanted)]
    known = [row for row in kept if key(row) is not None]
    known.sort(key=lambda row: (key(row), row.provider), reverse=wanted.descending)
    ordered = known + [row for row in kept if key(row) is None]
    start = wanted.page * ON_A_PAGE
    return ordered[start : start + ON_A_PAGE], len(ordered)


def _fits(row: ProviderRow, wanted: Wanted) -> bool:
    return (
        (not wanted.model or wanted.model in row.models)
        and (not wanted.region or wanted.region == row.region)
        and (not wanted.work or (wanted.work == "serving") == (not row.problem))
    )
