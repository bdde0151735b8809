"""Epochs settled on a real chain replay to the wei, and a stranger finds every lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.chain import Chain, Finality
from contracts.challenges import Challenges
from contracts.devnet import Devnet
from contracts.errors import ReportMissing
from contracts.leaves import movements, report_digest
from contracts.testing import deploy
from contracts.types import Totals
from rewards.blobs import FolderStore
from rewards.chain_inputs import collect
from rewards.errors import CheckpointRefused, EvidenceDamaged, EvidenceMissing
from rewards.evidence import read_bundle, read_manifest, write_bundle
from rewards.replay import recompute, replay
from rewards.settlement import settle

from .market import COMMISSION_PPM, Market

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


async def test_epochs_on_a_real_chain_replay_equal_before_and_after_they_are_in_force(market: Market) -> None:
    net = market.net
    dead, other, resting, backed = net.provider_names
    runs = ({dead: range(10, 60)}, {resting: range(20, 40), other: range(1)}, {})
    settled = []
    for epoch, down in enumerate(runs):
        settled.append(await market.run_epoch(epoch, down=down))
        steps: dict[str, int] = {}
        result = await replay(epoch, market.chain, market.store, _noting(steps))
        assert result.difference is None and result.equal
        assert result.report == settled[-1].report and result.settlement is not None
        assert result.settlement.report == settled[-1].report and result.attempts == 20
        assert list(steps) == [
            "reading the report", "reading the evidence", "reading the chain at the checkpoint",
            "checking signatures", "settling",
        ]  # fmt: skip
        await market.activate(settled[-1].report)
        assert (await replay(epoch, market.chain, market.store)).equal
    first, second, third = (one.report for one in settled)
    assert first.leaves[0].slash_level == 4 and first.totals.credits > 0
    assert [harm.provider for harm in first.harms] == [dead]
    # Twenty slots of maintenance were declared on the chain, so being away in them is no failure.
    assert second.leaves[2].uptime_ppm == 10**6 and settled[1].measured[2].duty[0].bit_count() == 40
    assert second.previous == report_digest(first, market.chain.deployment.domain()).struct_hash()
    for one, commission in ((first, 0), (second, 0), (third, COMMISSION_PPM)):
        before = next((r.leaves[3].cumulative_incentive for r in (second, first) if r.epoch == one.epoch - 1), 0)
        (pool,) = one.pools
        whole = pool.amount + one.leaves[3].cumulative_incentive - before
        assert (pool.provider, pool.amount) == (backed, whole * 600 * (10**6 - commission) // (800 * 10**6))


async def test_what_the_chain_computes_from_a_measured_leaf_is_what_the_report_says(market: Market) -> None:
    settled = await market.run_epoch(0, down={market.net.provider_names[0]: range(10, 60)})
    challenges = Challenges(market.chain)
    at = await market.chain.checkpoint()
    for leaf, measured in zip(settled.report.leaves, settled.measured, strict=True):
        computed = await challenges.compute(measured, at)
        assert computed == (leaf.uptime_ppm, leaf.ttft_p95_bucket, leaf.measured)


async def test_a_report_that_is_not_complete_replays_and_settles_nothing_after_it(market: Market) -> None:
    at = await market.end_of(0)
    inputs = await market.inputs(0, market.net.attempts(0, 20, most_atto=10**17), {}, at)
    settled = settle(inputs)
    assert settled.report.charges
    report = market.publish(inputs, settled.report, whole=False)
    assert (await replay(0, market.chain, market.store)).equal
    at = await market.end_of(1)
    with pytest.raises(CheckpointRefused, match="the report of epoch 0 lacks leaves or charges"):
        await collect(market.chain, 1, at)
    sender = market.devnet.accounts[0].address
    progress = await market.epochs.report_progress(0, at)
    for call in market.epochs.completion(report, progress):
        market.send(sender, call)
    market.control.mine(3)
    assert (await collect(market.chain, 1, await market.chain.checkpoint())).opening_state == report.state


async def test_an_epoch_is_settled_anew_only_when_charges_of_its_cancelled_report_are_back(market: Market) -> None:
    at = await market.end_of(0)
    inputs = await market.inputs(0, market.net.attempts(0, 20, most_atto=10**17), {}, at)
    report = market.publish(inputs, settle(inputs).report, whole=False)
    sender, domain = market.devnet.accounts[0].address, market.chain.deployment.domain()
    progress = await market.epochs.report_progress(0, await market.chain.checkpoint())
    charging = market.epochs.completion(report, progress)[-1]
    assert "takeCharges" in str(charging)
    market.send(sender, charging)
    market.control.pass_time(10)
    market.send(sender, market.epochs.cancel(0))
    market.control.mine(3)
    cancelled = await market.chain.checkpoint()
    with pytest.raises(CheckpointRefused, match=f"charges of {report.totals.charged} units of a cancelled report"):
        await collect(market.chain, 0, cancelled)
    with pytest.raises(ReportMissing):
        await replay(0, market.chain, market.store)
    digest = report_digest(report, domain).digest(domain.separator())
    for call in market.epochs.refunds(digest, movements(report), report.charges):
        market.send(sender, call)
    market.control.mine(3)
    again = await market.run_epoch(0)
    assert again.report.charges == report.charges and again.report.checkpoint_block > cancelled.number
    assert (await replay(0, market.chain, market.store)).equal


async def test_a_flipped_byte_and_a_lost_blob_are_named(market: Market) -> None:
    settled = await market.run_epoch(0)
    files = read_manifest(market.store, settled.report.evidence).files
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
