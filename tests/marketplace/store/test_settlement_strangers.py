"""One stranger must not stop settlement: odd keys, odd answers, verifiers that leave, customers that are short."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts.devnet import Devnet
from contracts.epochs import Epochs
from contracts.errors import ContractRefused
from contracts.event_types import ReportSubmitted
from contracts.events import fetch
from contracts.leaves import report_digest
from contracts.operators import Operators
from contracts.signing import Signer
from contracts.types import OperatorRecord
from marketplace.attestations import _caught, _message
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.indexer import Indexer
from rewards.replay import replay
from tests.marketplace.store.market import UNIT, Market, market


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def town(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    async with market(devnet, database, tmp_path) as made:
        await Indexer(made.database, made.chain, UNIT).follow()
        yield made


async def _tick(town: Market, times: int = 1) -> None:
    for _ in range(times):
        async with town.settler() as settler:
            await settler.tick()
        await town.pass_time(2)


async def _step(town: Market, epoch: int) -> Step:
    row = await EpochSteps(town.database).get(epoch)
    assert row is not None
    return row.step


async def _reports(town: Market) -> list[ReportSubmitted]:
    head = await town.chain.head()
    return await fetch(town.chain, town.chain.deployment.block, head.number, kinds=[ReportSubmitted])  # type: ignore[return-value]


async def test_a_receipt_of_a_key_that_nobody_knows_any_more_is_left_out_and_named(town: Market) -> None:
    provider = next(iter(town.hot))
    known, town.hot[provider] = town.hot[provider], Signer(b"\x77" * 32)
    slot = 30
    stray = town.attempt(slot, provider, town.customers[0].address, 7_000)
    town.hot[provider] = known
    await town.enter([stray], slot)
    await town.live_through(0)
    await _tick(town, 12)
    row = await EpochSteps(town.database).get(0)
    assert row is not None and row.reached(Step.SUBMITTED)
    assert any(stray.receipt.job.hex() in words for words in row.data["left_out"])
    assert (await replay(0, town.chain, town.store)).difference is None


async def test_a_signature_of_a_verifier_that_left_is_not_handed_in(town: Market) -> None:
    await town.live_through(0)
    steps = EpochSteps(town.database)

    async with town.settler() as settler:
        submit = settler.sender.submit

        async def leave_first(intent: str, call: object, **given: object) -> object:
            if intent.startswith("report:") and not left:
                left.append(town.verifier_keys[0].address)
                raise ConnectionError("killed before the report was sent")
            return await submit(intent, call, **given)  # type: ignore[arg-type]

        left: list[str] = []
        settler.sender.submit = leave_first  # type: ignore[method-assign, assignment]
        await settler.tick()
    assert left and await _step(town, 0) is Step.SIGNED
    await steps.reach(
        0, Step.SIGNED, signatures=(await steps.get(0)).data["signatures"] | {"0x" + "12" * 20: "00" * 65}
    )  # type: ignore[union-attr]
    await _tick(town, 2)
    assert [event.epoch for event in await _reports(town)] == [0]


async def test_another_report_of_the_same_evidence_that_came_first_is_not_taken_for_ours(town: Market) -> None:
    """A quorum that signed a second report of what it saw: what goes into force is theirs, so ours does not go on."""
    await town.live_through(0)

    async def killed(intent: str, call: object, **given: object) -> object:
        raise ConnectionError("killed before the report was sent")

    async with town.settler() as settler:
        settler.sender.submit = killed  # type: ignore[method-assign, assignment]
        await settler.tick()
        row = await EpochSteps(town.database).get(0)
        assert row is not None and row.step is Step.SIGNED
        ours = (await settler.settled.read(bytes.fromhex(row.data["evidence"]))).report
    theirs = dataclasses.replace(ours, state=b"\x01" * 32)
    domain = town.chain.deployment.domain()
    digest = report_digest(theirs, domain).digest(domain.separator())
    signers = sorted(town.verifier_keys[:2], key=lambda key: key.address)
    (call,) = Epochs(town.chain).submission(theirs, [key.sign(digest) for key in signers])
    await town.do(town.deployer, call)
    await _tick(town, 2)
    row = await EpochSteps(town.database).get(0)
    assert row is not None and row.step is Step.SIGNED
    assert "another report of epoch 0 stands on chain" in row.problem
    assert [event.state for event in await _reports(town)] == [theirs.state]


async def test_an_answer_too_deep_to_read_counts_as_no_answer() -> None:
    async def deep() -> object:
        import json

        return json.loads(b"[" * 200_000)

    assert isinstance(await _caught(deep()), str)
    assert _message(b"[" * 200_000).startswith("[[[")


async def test_an_epoch_that_an_escrow_does_not_cover_any_more_is_started_over_from_a_new_checkpoint(
    town: Market,
) -> None:
    await town.live_through(0)
    async with town.settler() as settler:
        submit = settler.sender.submit
        refusals: list[str] = []

        async def refuse_once(intent: str, call: object, **given: object) -> object:
            if intent.startswith("report:") and not refusals:
                refusals.append(intent)
                raise ContractRefused("JobEscrow", "ChargeAboveBalance", {"customer": "0x" + "11" * 20})
            return await submit(intent, call, **given)  # type: ignore[arg-type]

        settler.sender.submit = refuse_once  # type: ignore[method-assign, assignment]
        await settler.tick()
    assert refusals and await _step(town, 0) is Step.OPEN
    await _tick(town, 3)
    assert [event.epoch for event in await _reports(town)] == [0]
    assert (await replay(0, town.chain, town.store)).difference is None


async def test_only_members_of_this_moment_are_asked_and_counted(town: Market) -> None:
    at = await town.chain.head()
    async with town.settler() as settler:
        members, quorum = await settler._members(at)
    expected = [m for m in await Operators(town.chain, "Verifiers").members(at) if m.active]
    assert members == expected and quorum == 2
    assert all(isinstance(member, OperatorRecord) for member in members)
    assert dataclasses.asdict(members[0])["bond"] > 0
    assert await Epochs(town.chain).record(0, at) is None
