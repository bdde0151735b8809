"""Receipts that a report did not know: a stranger finds how many undo a slash, and brings no fewer and no more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts.calls import Call
from contracts.court import Court
from contracts.devnet import Devnet
from contracts.event_types import ChallengeSustained
from contracts.events import fetch, of_type
from contracts.types import SlashStage
from marketplace.cli.challenges import BadReceipts, find_challenges, read_receipts
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.indexer import Indexer
from rewards.attempt_lines import write_line
from tests.marketplace.store.crowd import as_account
from tests.marketplace.store.market import UNIT, Market, market

SLASH_ID = 1
HALF = 30
"""Slots of an epoch of sixty that have to be up so that no level 4 follows."""


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def slashed(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    """Give a test a market in which the dead provider's slash is open, and nobody goes on with it."""
    async with market(devnet, database, tmp_path) as town:
        await town.live_through(0)
        for _ in range(60):
            await Indexer(town.database, town.chain, UNIT).follow()
            async with town.settler() as settler:
                await settler.tick()
            row = await EpochSteps(town.database).get(0)
            if row is not None and row.step is Step.PROPOSED:
                break
            await town.pass_time(1)
        yield town


async def test_a_slash_falls_to_as_many_receipts_as_its_level_rests_on(slashed: Market, tmp_path: Path) -> None:
    town = slashed
    kept = [town.attempt(slot, town.dead, town.customers[0].address, UNIT) for slot in range(60)]
    path = tmp_path / "kept.jsonl"
    path.write_text("".join(write_line(one) for one in kept))
    assert read_receipts(path) == kept
    assert await find_challenges(town.chain, 0, town.store) == [], "nothing in the report is wrong"
    assert await find_challenges(town.chain, 0, town.store, kept[20:25]) == [], "five slots are not enough"

    (found,) = await find_challenges(town.chain, 0, town.store, read_receipts(path))
    assert (found.epoch, found.provider, found.ground) == (0, town.dead, 7)
    shown = int(found.words.split()[4])
    assert 5 < shown <= HALF, "with the slots that were up already they make half of the epoch"
    fewer = [one for one in kept if one.countersignature.slot >= 60 - shown + 1]
    assert await find_challenges(town.chain, 0, town.store, fewer) == [], "one less is one too few"

    stranger = "0x" + "ab" * 20
    as_account(town, stranger, Call("ChallengeCourt", "challenge", found.to, found.data))
    head = await town.chain.head()
    (heard,) = of_type(await fetch(town.chain, town.chain.deployment.block, head.number), ChallengeSustained)
    assert (heard.challenger, heard.provider, heard.ground, heard.slash_id) == (stranger, town.dead, 7, SLASH_ID)
    slash = await Court(town.chain).slash(SLASH_ID, head)
    assert slash is not None and slash.stage is SlashStage.CANCELLED
    assert await find_challenges(town.chain, 0, town.store, kept) == [], "there is nothing left to undo"


@pytest.mark.parametrize("line", ["", "{}", "[]", "nonsense", json.dumps({"receipt": 1})])
def test_what_is_no_attempt_is_refused_with_its_file(tmp_path: Path, line: str) -> None:
    path = tmp_path / "kept.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(BadReceipts, match=r"kept\.jsonl is not readable as attempts\.jsonl"):
        read_receipts(path)
