"""Acts of the court's tests; each checks what it did to bonds and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.contracts.support import reports
from tests.contracts.support.market import BURN_ADDRESS, STAKE, Market
from tests.contracts.support.reports import make_leaf

REQUIRED = 200 * STAKE
"""Required stake of the small provider."""
BOND = 10 * STAKE
VERIFIER_BOND = 5_000 * STAKE
CHALLENGE, ARBITRATION = 6, 6
DAY = 24 * 3600
NONE, OPEN, CONTESTED, UPHELD, EXECUTED, CANCELLED = range(6)
REASON = bytes(31) + b"\x07"
NOBODY = "0x" + 40 * "0"


def settled(market: Market, level: int, provider: Any = None, **parts: Any) -> Any:
    """Bring a report into force in which a provider, the small one if nobody is named, has a level."""
    provider = provider or market.small
    others = [make_leaf(other) for other in (market.small, market.large) if other != provider]
    return market.settle([make_leaf(provider, level=level), *others], **parts)


def opened(market: Market, level: int = 4, provider: Any = None, **parts: Any) -> int:
    """Open a slash of a level, proposed by `fresh`; returns its id."""
    report = settled(market, level, provider, **parts)
    return market.propose(report, provider or market.small, proposer=market.fresh)


def harmed(market: Market, weights: Mapping[Any, int], level: int = 4, size: int = 200) -> tuple[int, list[Any]]:
    """Open a slash whose harmed customers are named by pages; returns its id and the pages."""
    pages = reports.harm_pages(weights, size)
    return opened(market, level, harms={market.small: reports.harm_root(pages)}), pages


def contested(market: Market, level: int = 4, **parts: Any) -> int:
    """Open a slash and have the provider contest it."""
    slash_id = opened(market, level, **parts)
    contest(market, slash_id, market.small)
    return slash_id


def contest(market: Market, slash_id: int, by: Any) -> Any:
    """Contest a slash; checks that a bond like the proposer's came in."""
    held, bonds = market.stake_token.balanceOf(by), market.court.totalBonds()
    tx = market.court.contest(slash_id, REASON, {"from": by})
    bond = market.court.slash(slash_id)["bond"]
    assert market.stake_token.balanceOf(by) == held - bond
    assert market.court.totalBonds() == bonds + bond
    return tx


def stage(market: Market, slash_id: int) -> int:
    """Return where a slash stands."""
    return int(market.court.slash(slash_id)["stage"])


class Purses:
    """The stake tokens of some accounts, the fire, the SLA fund and the court's bonds, to tell what moved."""

    def __init__(self, market: Market, *who: Any) -> None:
        self.market, self.who = market, who
        self.before = self._now()

    def _now(self) -> dict[str, int]:
        market = self.market
        balances = {str(one): market.stake_token.balanceOf(one) for one in self.who}
        return balances | {
            "fire": market.stake_token.balanceOf(BURN_ADDRESS),
            "fund": market.escrow.stakeSlaFund(),
            "bonds": market.court.totalBonds(),
            "verifiers": market.verifiers.totalBonds(),
        }

    def moved(self) -> dict[str, int]:
        """Return by how much each changed, leaving out what did not."""
        now = self._now()
        return {name: now[name] - value for name, value in self.before.items() if now[name] != value}


def bond_events(tx: Any) -> list[tuple[Any, ...]]:
    """Return (poster, back to it, winner, to winner, burned) of every bond that left."""
    if "BondSettled" not in tx.events:
        return []
    names = ("poster", "toPoster", "winner", "toWinner", "burned")
    return [tuple(event[name] for name in names) for event in tx.events["BondSettled"]]


def shares(amount: int, *ppms: int) -> list[int]:
    """Return parts of an amount, each rounded down."""
    return [amount * ppm // 1_000_000 for ppm in ppms]


def addresses(people: Sequence[Any]) -> list[str]:
    """Return people's addresses."""
    return [str(person) for person in people]
