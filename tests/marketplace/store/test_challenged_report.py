"""A quorum signs a lie: a stranger finds it, one transaction undoes it, the liars pay, and settlement goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.calls import Call
from contracts.chain import Chain
from contracts.devnet import Devnet
from contracts.epochs import Epochs
from contracts.event_types import (
    ChallengeSustained,
    Charged,
    ChargeReturned,
    Event,
    ReportActivated,
    ReportCancelled,
    ReportSubmitted,
    VerifierSlashed,
)
from contracts.events import fetch, of_type
from contracts.leaves import report_digest
from contracts.types import Leaf, Report
from marketplace.books import check_books
from marketplace.cli.challenges import find_challenges
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.indexer import Indexer
from marketplace.settlement import Settler
from rewards.replay import replay
from tests.marketplace.store.crowd import as_account
from tests.marketplace.store.market import UNIT, Market, market


class Stopped(BaseException):
    """The process ended here."""


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def town(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    async with market(devnet, database, tmp_path) as made:
        await Indexer(made.database, made.chain, UNIT).follow()
        yield made


async def _events(town: Market) -> list[Event]:
    head = await town.chain.head()
    return await fetch(town.chain, town.chain.deployment.block, head.number)


async def _honest_report(town: Market) -> Report:
    """Settle epoch 0 up to its signatures, and return the report that would have been handed in."""

    def stop_before_the_report(settler: Settler) -> None:
        async def trapped(intent: str, call: Any, **given: Any) -> Any:
            raise Stopped(intent)

        settler.sender.submit = trapped  # type: ignore[method-assign]

    async with town.settler(stop_before_the_report) as settler:
        with pytest.raises(Stopped):
            await settler.tick()
        row = await settler.steps.get(0)
        assert row is not None and row.step is Step.SIGNED
        return (await settler._read(row.data)).report


def _lie(report: Report, provider: str, **changes: Any) -> Report:
    leaves: tuple[Leaf, ...] = tuple(
        replace(leaf, **changes) if leaf.provider == provider else leaf for leaf in report.leaves
    )
    return replace(report, leaves=leaves)


async def _hand_in(town: Market, report: Report) -> list[str]:
    """Let two verifiers sign a report and a stranger hand it in; returns the signers."""
    domain = town.chain.deployment.domain()
    digest = report_digest(report, domain).digest(domain.separator())
    signers = sorted(town.verifier_keys[:2], key=lambda one: one.address)
    for call in Epochs(town.chain).submission(report, [one.sign(digest) for one in signers]):
        await town.do(town.devnet.accounts[18], call)
    return [one.address for one in signers]


async def test_a_healthy_provider_called_down_is_vindicated_by_a_stranger_and_settlement_goes_on(town: Market) -> None:
    await town.live_through(0)
    honest, victim = await _honest_report(town), town.providers[0].address
    lie = _lie(honest, victim, uptime_ppm=400_000, slash_level=4, strikes=1)
    liars = await _hand_in(town, lie)
    assert len(of_type(await _events(town), ReportSubmitted)) == 1

    assert await find_challenges(town.chain, 0, None) == [], "the leaf alone does not contradict itself"
    (found,) = await find_challenges(town.chain, 0, town.store)
    assert (found.epoch, found.provider, found.ground) == (0, victim, 2)
    stranger = "0x" + "ab" * 20
    as_account(town, stranger, Call("ChallengeCourt", "challenge", found.to, found.data))
    events = await _events(town)
    (sustained,) = of_type(events, ChallengeSustained)
    assert (sustained.challenger, sustained.provider, sustained.ground) == (stranger, victim, 2)
    assert sorted(one.verifier for one in of_type(events, VerifierSlashed)) == liars

    for key in town.devnet.accounts[17:19]:
        await town.recruit(key)
    for _ in range(60):
        await Indexer(town.database, town.chain, UNIT).follow()
        async with town.settler() as settler:
            settler.settings = settler.settings.model_copy(update={"attestation_wait_s": 0.0})
            await settler.tick()
        row = await EpochSteps(town.database).get(0)
        if row is not None and row.step is Step.DONE:
            break
        await town.pass_time(2)
    events = await _events(town)
    assert [one.epoch for one in of_type(events, ReportActivated)] == [0]
    assert len(of_type(events, ReportSubmitted)) == 2 and len(of_type(events, ReportCancelled)) == 1
    net: Counter[str] = Counter({one.customer: 0 for one in of_type(events, Charged)})
    for one in of_type(events, Charged):
        net[one.customer] += one.amount
    for back in of_type(events, ChargeReturned):
        net[back.customer] -= back.amount
    assert net == Counter({one.customer: one.amount for one in honest.charges}), "everybody paid once, what is due"
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []
    assert (await replay(0, town.chain, town.store)).difference is None
    assert await find_challenges(town.chain, 0, town.store) == []


@pytest.mark.parametrize(
    ("changes", "ground"),
    [
        ({"slash_level": 4}, 6),  # harsher than an uptime of the whole calls for
        ({"measured": False, "slash_level": 2}, 6),
        ({"ttft_p95_bucket": 15}, 2),
    ],
)
async def test_a_leaf_that_is_wrong_in_itself_is_found_by_its_ground(
    town: Market, changes: dict[str, Any], ground: int
) -> None:
    await town.live_through(0)
    honest, victim = await _honest_report(town), town.providers[0].address
    await _hand_in(town, _lie(honest, victim, **changes))
    found = await find_challenges(town.chain, 0, town.store)
    assert (victim, ground) in {(one.provider, one.ground) for one in found}
    assert {one.provider for one in found} == {victim}, "nobody else is accused"


async def test_an_honest_report_gives_no_challenge(town: Market) -> None:
    await town.live_through(0)
    await _hand_in(town, await _honest_report(town))
    chain: Chain = town.chain
    assert await find_challenges(chain, 0, town.store) == []
