"""Epochs settled on a real chain replay to the wei, and a stranger finds every lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.chain import Chain, Finality
from contracts.devnet import Devnet
from contracts.errors import ReportMissing
from contracts.leaves import report_digest
from contracts.testing import deploy
from contracts.types import Totals
from rewards.blobs import FolderStore
from rewards.chain_inputs import collect
from rewards.errors import CheckpointRefused, EvidenceDamaged, EvidenceMissing
from rewards.evidence import read_bundle, read_manifest, write_bundle
from rewards.replay import recompute, replay
from rewards.settlement import settle

from .market import Market

pytestmark = pytest.mark.chain


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def chain(devnet: Devnet) -> AsyncIterator[Chain]:
    deployment = deploy(devnet)
    async with await Chain.connect([devnet.url], deployment, finality=Finality.depth(2)) as connected:
        yield connected


@pytest.fixture
async def market(devnet: Devnet, chain: Chain, tmp_path: Path) -> Market:
    made = Market(devnet, chain, tmp_path)
    await made.set_up()
    return made


def _noting(steps: dict[str, int]) -> Callable[[str, int, int], None]:
    def note(step: str, done: int, _all: int) -> None:
        steps[step] = done

    return note


async def test_two_epochs_on_a_real_chain_replay_equal(market: Market) -> None:
    dead = market.net.provider_names[0]
    first = await market.run_epoch(0, down={dead: range(10, 60)})
    second = await market.run_epoch(1)
    for epoch, settled in enumerate((first, second)):
        steps: dict[str, int] = {}
        result = await replay(epoch, market.chain, market.store, _noting(steps))
        assert result.difference is None and result.equal
        assert result.report == settled.report and result.settlement is not None
        assert result.settlement.report == settled.report and result.attempts == 20
        assert list(steps) == [
            "reading the report", "reading the evidence", "reading the chain at the checkpoint",
            "checking signatures", "settling",
        ]  # fmt: skip
    assert first.report.leaves[0].slash_level == 4 and first.report.totals.credits > 0
    domain = market.chain.deployment.domain()
    assert second.report.previous == report_digest(first.report, domain).struct_hash()


async def test_a_flipped_byte_and_a_lost_blob_are_named(market: Market) -> None:
    settled = await market.run_epoch(0)
    files, _ = read_manifest(market.store, settled.report.evidence)
    for name, entry in files.items():
        path = market.store.path / entry.sha256.hex()
        good = path.read_bytes()
        path.write_bytes(good[:20] + bytes([good[20] ^ 1]) + good[21:])
        with pytest.raises(EvidenceDamaged, match=f"^{name}"):
            await replay(0, market.chain, market.store)
        path.unlink()
        with pytest.raises(EvidenceMissing, match=f"^{name}"):
            await replay(0, market.chain, market.store)
        path.write_bytes(good)
    assert (await replay(0, market.chain, market.store)).equal


async def test_a_quorum_that_lies_by_one_unit_is_found_out(market: Market) -> None:
    at = await market.end_of(0)
    inputs = await market.inputs(0, market.net.attempts(0, 20), {}, at)
    honest = settle(inputs).report
    victim, friend = honest.leaves[0], honest.leaves[1]
    assert victim.cumulative_fees > 0
    lie = replace(
        honest,
        leaves=(
            replace(victim, cumulative_fees=victim.cumulative_fees - 1),
            replace(friend, cumulative_fees=friend.cumulative_fees + 1),
            *honest.leaves[2:],
        ),
    )
    market.publish(inputs, lie)
    result = await replay(0, market.chain, market.store)
    assert result.difference is not None
    assert result.difference.where == f"report.leaves[{victim.provider}].cumulative_fees"
    assert (result.difference.ours, result.difference.theirs) == (
        str(victim.cumulative_fees), str(victim.cumulative_fees - 1),
    )  # fmt: skip
    assert result.settlement is not None and result.settlement.report.leaves == honest.leaves


async def test_evidence_with_other_facts_than_the_chains_is_found_out(market: Market) -> None:
    at = await market.end_of(0)
    inputs = await market.inputs(0, market.net.attempts(0, 20), {}, at)
    rich = replace(inputs, incentive_fund=inputs.incentive_fund + 1)
    market.publish(rich, settle(rich).report)
    result = await replay(0, market.chain, market.store)
    assert result.difference is not None and result.difference.where == "inputs.json.incentive_fund"


async def test_a_report_json_that_differs_from_the_chain_is_found_out(market: Market) -> None:
    at = await market.end_of(0)
    inputs = await market.inputs(0, market.net.attempts(0, 20), {}, at)
    honest = settle(inputs).report
    bundled = write_bundle(market.store, inputs, replace(honest, state=b"\x01" * 32))
    assert (await recompute(read_bundle(market.store, bundled.evidence), market.chain)).difference is not None
    result = await recompute(
        read_bundle(market.store, write_bundle(market.store, inputs, honest).evidence), market.chain
    )
    assert result.equal


async def test_a_verifier_recomputes_before_the_report_is_on_the_chain(market: Market) -> None:
    at = await market.end_of(0)
    inputs = await market.inputs(0, market.net.attempts(0, 20), {}, at)
    bundle = read_bundle(market.store, write_bundle(market.store, inputs, settle(inputs).report).evidence)
    assert (await recompute(bundle, market.chain)).equal
    with pytest.raises(ReportMissing):
        await replay(0, market.chain, market.store)
    for changes, where in (
        ({"checkpoint_hash": b"\x01" * 32}, "report.checkpoint_hash"),
        ({"checkpoint_block": at.number + 1_000}, "report.checkpoint_block"),
        ({"checkpoint_block": at.number - 1}, "report.checkpoint_hash"),
    ):
        forged = replace(bundle, report=replace(bundle.report, **changes))  # type: ignore[arg-type]
        result = await recompute(forged, market.chain)
        assert result.difference is not None and result.difference.where == where
    paid = replace(bundle.report.totals, treasury=bundle.report.totals.treasury + 1)
    assert isinstance(paid, Totals)
    result = await recompute(replace(bundle, report=replace(bundle.report, totals=paid)), market.chain)
    assert result.difference is not None and result.difference.where == "report.totals.treasury"


async def test_a_checkpoint_before_the_end_or_before_the_last_report_is_refused(market: Market) -> None:
    with pytest.raises(CheckpointRefused, match="epoch 0 ends at"):
        await collect(market.chain, 0, await market.chain.checkpoint())
    at = await market.end_of(1)
    with pytest.raises(CheckpointRefused, match="the report of epoch 0 is not on the chain"):
        await collect(market.chain, 1, at)


async def test_the_golden_folder_is_no_evidence_of_this_chain(market: Market, tmp_path: Path) -> None:
    await market.run_epoch(0)
    with pytest.raises(EvidenceMissing, match=r"^manifest"):
        await replay(0, market.chain, FolderStore(tmp_path / "elsewhere"))
