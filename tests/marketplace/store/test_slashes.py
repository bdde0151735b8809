"""Slashes on their way through the court: bonds that are missing, contests, silence, and what others did already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.court import Court
from contracts.devnet import Devnet
from contracts.event_types import BondSettled, Event, SlashCancelled, SlashExecuted, SlashProposed
from contracts.events import fetch, of_type
from contracts.history import read_report
from contracts.leaves import leaf_hashes, proof
from contracts.signing import Signer
from contracts.tokens import Token
from contracts.types import SlashStage
from contracts.views import SlashView
from marketplace.books import check_books
from marketplace.db import Database
from marketplace.epoch_steps import EpochProgress, EpochSteps, Step
from marketplace.indexer import Indexer
from tests.marketplace.store.market import UNIT, WHOLE, Market, market

SLASH_ID = 1


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def town(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    async with market(devnet, database, tmp_path) as made:
        await Indexer(made.database, made.chain, UNIT).follow()
        yield made


async def _tick_to(town: Market, *steps: Step) -> EpochProgress:
    """Tick until epoch 0 stands at one of these steps, and return its row."""
    for _ in range(60):
        await Indexer(town.database, town.chain, UNIT).follow()
        async with town.settler() as settler:
            await settler.tick()
        row = await EpochSteps(town.database).get(0)
        assert row is not None
        if row.step in steps:
            return row
        await town.pass_time(1)
    raise AssertionError(f"epoch 0 did not come to {steps}: {await EpochSteps(town.database).all()}")


async def _slash(town: Market) -> SlashView:
    found = await Court(town.chain).slash(SLASH_ID, await town.chain.head())
    assert found is not None
    return found


async def _events(town: Market) -> list[Event]:
    return await fetch(town.chain, town.chain.deployment.block, (await town.chain.head()).number)


async def _with_bond(town: Market, who: Signer, call: Any) -> None:
    """Send a call of the court as somebody who has just been given its bond."""
    court, stake = Court(town.chain), Token(town.chain, "StakeToken")
    bond = await court.bond_for(0, await town.chain.head())
    await town.do(who, stake.mint(who.address, bond))
    await town.do(who, stake.approve(court.address, bond))
    await town.do(who, call)


async def test_a_proposer_without_its_bond_says_what_is_missing_and_goes_on_when_it_is_there(town: Market) -> None:
    stake, settler = Token(town.chain, "StakeToken"), town.settler_key
    await town.do(settler, stake.transfer(town.deployer.address, 5_000 * WHOLE))
    await town.live_through(0)
    await _tick_to(town, Step.ACTIVATED)
    async with town.settler() as one:
        await one.tick()
    row = await EpochSteps(town.database).get(0)
    assert row is not None and row.step is Step.ACTIVATED
    assert f"a bond of {10 * WHOLE} stake-token units, {settler.address} holds 0" in row.problem
    await town.do(town.deployer, stake.transfer(settler.address, 10 * WHOLE))
    await _tick_to(town, Step.DONE)
    assert await stake.balance(settler.address, await town.chain.head()) == 10 * WHOLE, "the bond came back"
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []


async def test_a_slash_that_somebody_else_proposed_is_taken_up_without_a_bond(town: Market) -> None:
    await town.live_through(0)
    await _tick_to(town, Step.SUBMITTED)
    await town.pass_time(5)
    async with town.settler() as settler:
        settler.slashes.propose = _never  # type: ignore[method-assign]
        await settler.tick()
    report = (await read_report(town.chain, 0, await town.chain.head())).report
    domain = town.chain.deployment.domain()
    hashes = leaf_hashes(domain.chain_id, domain.epoch_ledger, report)
    index = next(i for i, leaf in enumerate(report.leaves) if leaf.provider == town.dead)
    call = Court(town.chain).propose(0, report.leaves[index], proof(hashes, index))
    await _with_bond(town, town.devnet.accounts[18], call)
    await _tick_to(town, Step.DONE)
    (proposed,) = of_type(await _events(town), SlashProposed)
    assert proposed.proposer == town.devnet.accounts[18].address
    assert len(of_type(await _events(town), SlashExecuted)) == 1


async def _never(*_: Any) -> Any:
    raise ConnectionError("the process was killed before it proposed")


async def test_a_contested_slash_waits_for_the_arbitrator_and_its_silence_ends_it(town: Market) -> None:
    await town.live_through(0)
    await _tick_to(town, Step.PROPOSED)
    await _with_bond(town, town.devnet.accounts[18], Court(town.chain).contest(SLASH_ID, b"\x01" * 32))
    contested = await _slash(town)
    assert contested.stage is SlashStage.CONTESTED
    async with town.settler() as settler:
        await settler.tick()
    row = await EpochSteps(town.database).get(0)
    assert row is not None and row.step is Step.PROPOSED
    assert f"contested: the arbitrator has until {contested.rule_by}" in row.problem
    await _tick_to(town, Step.DONE)
    assert (await _slash(town)).stage is SlashStage.CANCELLED
    events = await _events(town)
    assert len(of_type(events, SlashCancelled)) == 1 and of_type(events, SlashExecuted) == []
    assert sum(one.to_poster for one in of_type(events, BondSettled)) == 20 * WHOLE, "nobody was judged"
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []


async def test_a_slash_that_the_arbitrator_upheld_is_executed(town: Market) -> None:
    await town.live_through(0)
    await _tick_to(town, Step.PROPOSED)
    await _with_bond(town, town.devnet.accounts[18], Court(town.chain).contest(SLASH_ID, b"\x01" * 32))
    await town.do(town.deployer, Court(town.chain).rule(SLASH_ID, True))
    await _tick_to(town, Step.DONE)
    done = await _slash(town)
    assert done.stage is SlashStage.EXECUTED and done.taken > 0 and done.pages_given == 1
    assert [line for line in await check_books(town.database, town.chain) if not line.equal] == []


async def test_a_slash_that_was_not_upheld_ends_its_epoch_without_taking_anything(town: Market) -> None:
    await town.live_through(0)
    await _tick_to(town, Step.PROPOSED)
    await _with_bond(town, town.devnet.accounts[18], Court(town.chain).contest(SLASH_ID, b"\x01" * 32))
    await town.do(town.deployer, Court(town.chain).rule(SLASH_ID, False))
    await _tick_to(town, Step.DONE)
    assert (await _slash(town)).stage is SlashStage.CANCELLED
    assert of_type(await _events(town), SlashExecuted) == []
