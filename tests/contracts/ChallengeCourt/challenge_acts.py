"""What the tests of all grounds share: an honest bad day, and a check of everything that a sustained challenge does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.contracts.ChallengeCourt.attested import FULL, Case, measured
from tests.contracts.SlashingCourt.acts import BOND, CANCELLED, VERIFIER_BOND, Purses, shares, stage
from tests.contracts.support.market import STAKE, Market
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import plain

DOWN = (1 << 40) - 1
"""Two thirds of the epoch: level 4, which takes eight stake tokens."""
UP = FULL & ~DOWN
LOST = 8 * STAKE
TENTH = VERIFIER_BOND // 10
LEVEL = {"slash_level": 4}
SERVED = 7
"""The ground that blames nobody: the proposer, here `market.fresh`, has its bond back."""


def bad_day(market: Market, provider: Any = None, epoch: int = 0, **parts: Any) -> Any:
    """Return what two verifiers measured of a provider that was down most of the time."""
    downs = parts.pop("downs", {0: DOWN, 1: DOWN})
    return measured(market, provider or market.small, epoch, downs, **parts)


def challenge(case: Case, function: str, *arguments: Any) -> Any:
    """Challenge as bob."""
    return getattr(case.market.challenges, function)(*arguments, {"from": case.market.bob})


def refusal(case: Case, function: str, *arguments: Any) -> tuple[Any, ...]:
    """Return with which error a challenge is refused."""
    return refused(getattr(case.market.challenges, function), *arguments, sender=case.market.bob)


def sustain(
    case: Case,
    ground: int,
    function: str,
    *arguments: Any,
    wrong: Sequence[str] | None = None,
    part: int = TENTH,
    lost: int = LOST,
) -> Any:
    """Challenge, and check the report or the slash, every bond, every purse and every event.

    `wrong` are those who pay `part` each: the two who signed, unless somebody else is named.
    """
    market, challenger = case.market, case.market.bob
    wrong = market.signers() if wrong is None else wrong
    purses = Purses(market, challenger, case.provider, market.fresh, market.court)
    before = market.ledger.record(case.report.epoch)
    tx = challenge(case, function, *arguments)

    taken = part * len(wrong)
    vindicated = min(taken, lost)
    to_prover, burned = shares(taken - vindicated, 200_000, 300_000)
    moved = {
        str(case.provider): vindicated,
        str(challenger): to_prover,
        "fire": burned,
        "fund": taken - vindicated - to_prover - burned,
        "verifiers": -taken,
    }
    if case.slash_id:
        moved |= {"bonds": -BOND, str(market.court): -BOND}
        if ground == SERVED:
            moved[str(market.fresh)] = BOND
        else:
            moved[str(challenger)] += BOND // 2
            moved["fire"] += BOND // 2
    assert purses.moved() == {name: amount for name, amount in moved.items() if amount}
    assert dict(tx.events["ChallengeSustained"]) == {
        "epoch": case.report.epoch,
        "provider": case.provider,
        "ground": ground,
        "challenger": challenger,
        "slashId": case.slash_id,
    }
    punished = [event["verifier"] for event in tx.events["VerifierSlashed"]] if wrong else []
    assert punished == list(wrong) and not any(market.verifiers.isMember(one) for one in wrong)
    _check_undone(case, before, tx)
    return tx


def _check_undone(case: Case, before: Any, tx: Any) -> None:
    market, epoch = case.market, case.report.epoch
    if case.slash_id:
        assert stage(market, case.slash_id) == CANCELLED and market.ledger.record(epoch) == before
        assert tx.events["SlashCancelled"]["by"] == market.challenges
        return
    assert market.ledger.record(epoch)["digest"] == "0x" + 64 * "0", "the epoch is reported anew"
    assert market.ledger.nextEpoch() == epoch
    assert tx.events["ReportCancelled"]["by"] == market.challenges


def arguments_with(case: Case, one: Any) -> tuple[Any, ...]:
    """Return the first three arguments with another measured leaf, and the proof of the right one."""
    return case.target(), plain(one), case.proof()
