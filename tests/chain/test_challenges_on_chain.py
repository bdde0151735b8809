"""Challenges and proofs on the real contracts: refused where there is no fault, heard where there is one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.calls import Call
from contracts.chain import Chain
from contracts.challenges import Served
from contracts.errors import ContractRefused
from contracts.event_types import (
    BondSlashed,
    ChallengeSustained,
    DaysEquivocated,
    ReceiptsEquivocated,
    SlashCancelled,
    SlashExecuted,
    VerifierSlashed,
)
from contracts.messages import Countersignature, Message, ProbeDay, Receipt, Status
from contracts.operators import Operators
from contracts.signing import Signer
from contracts.types import ProviderStatus, Report, SlashStage

from .stage import UNIT, Stage
from .world import World

pytestmark = pytest.mark.chain
DOWN_SLOT = 30


@pytest.fixture
async def stage(world: World) -> Stage:
    return await Stage.build(world)


def signed(stage: Stage, signer: Signer, message: Message) -> bytes:
    """Sign a message in the stage's domain."""
    return signer.sign(message.digest(stage.domain.separator()))


def receipt(stage: Stage) -> Receipt:
    """Return a receipt for work in a slot that counts as down."""
    return Receipt(
        job=b"\x70" * 32,
        attempt=0,
        provider=stage.provider.address,
        model=b"\x0d" * 32,
        slot=DOWN_SLOT,
        input_tokens=10,
        cached_tokens=0,
        output_tokens=5,
        ttft_ms=100,
        itl_us=2_000,
        charge_atto=10**12,
        request_digest=b"\x9e" * 32,
        response_digest=b"\x9f" * 32,
        status=Status.SERVED,
    )


async def refused(stage: Stage, call: Call, told: str) -> None:
    """Expect a call to be refused."""
    with pytest.raises(ContractRefused, match=told):
        await stage.world.do(stage.customers[0], call)


async def slashed(stage: Stage) -> Report:
    """Bring a report into force and propose the slash it leads to."""
    report = await stage.submit(0)
    await stage.activate(report)
    await stage.bond()
    await stage.world.do(stage.deployer, stage.court.propose(0, report.leaves[0], stage.target(report).proof))
    return report


async def test_no_ground_is_heard_against_an_honest_report(stage: Stage) -> None:
    first = await stage.submit(0)
    report = await stage.submit(1)
    target, before = stage.target(report), stage.target(first)
    found, challenges = stage.measured(1), stage.challenges
    day = found.days[0]
    same = ProbeDay(found.provider, 1, day.up, day.histogram)
    work = receipt(stage)
    counter = Countersignature(work.struct_hash(), stage.customers[0].address, 60 + DOWN_SLOT, 1, 1)
    signature = signed(stage, stage.hot, work)
    gateway = signed(stage, stage.deployer, counter)
    for call, told in (
        (challenges.signatures(target, found, ()), r"NoFault\(ground=1\)"),
        (challenges.computation(target, found, ()), r"NoFault\(ground=2\)"),
        (challenges.duty(target, found, (), DOWN_SLOT), r"NoFault\(ground=3\)"),
        (challenges.void(target, found, (), DOWN_SLOT, [], []), r"NoFault\(ground=4\)"),
        (challenges.equivocation(target, found, (), 0, same, day.signature), r"NoFault\(ground=5\)"),
        (challenges.equivocation(target, found, (), 3, same, day.signature), r"DayNotFound\(index=3, length=3\)"),
        (challenges.leaf(target), r"NoFault\(ground=6\)"),
        (challenges.sequence(target, before.leaf, before.proof), r"NoFault\(ground=6\)"),
        (challenges.served(target, found, (), [Served(work, signature, counter, gateway)]), r"NothingToUndo\(epoch=1"),
        (challenges.duty(target, found, (), 60), r"SlotOutsideEpoch\(slot=60, slots=60\)"),
        (challenges.leaf(replace(target, signers=target.signers[:1])), "WrongSigners"),
        (challenges.leaf(replace(target, leaf=replace(target.leaf, strikes=3))), "NotInRoot"),
        (challenges.computation(target, replace(found, served=found.duty), ()), "NotMeasured"),
        (challenges.computation(target, found, (bytes(32),)), "NotMeasured"),
    ):
        await refused(stage, call, told)


async def test_a_served_slot_cancels_the_slash_it_led_to(stage: Stage, chain: Chain) -> None:
    gateway, gateways = stage.world.devnet.accounts[9], Operators(chain, "Gateways")
    await stage.world.do(gateway, stage.world.stake.mint(gateway.address, 5_000 * UNIT))
    await stage.world.do(gateway, stage.world.stake.approve(gateways.address, 5_000 * UNIT))
    await stage.world.do(gateway, gateways.join("http://127.0.0.1:7"))
    report = await slashed(stage)
    target, found, work = stage.target(report), stage.measured(0), receipt(stage)
    counter = Countersignature(work.struct_hash(), stage.customers[0].address, DOWN_SLOT, 120, 2_100)
    signature, countersignature = signed(stage, stage.hot, work), signed(stage, gateway, counter)
    strange = signed(stage, stage.deployer, counter)
    for shown in ([], [Served(work, signature, counter, strange)]):
        await refused(stage, stage.challenges.served(target, found, (), shown), r"NoFault\(ground=7\)")
    call = stage.challenges.served(target, found, (), [Served(work, signature, counter, countersignature)])
    heard = await stage.world.do(stage.provider, call)
    event = heard.event(ChallengeSustained)
    assert (event.ground, event.slash_id, event.challenger) == (7, 1, stage.provider.address)
    assert heard.event(SlashCancelled).id == 1
    slash = await stage.court.slash(1, await chain.head())
    assert slash is not None and slash.stage is SlashStage.CANCELLED
    assert len(await stage.operators.members(await chain.head())) == 3


async def test_two_probe_days_cost_a_verifier_its_whole_bond(stage: Stage, chain: Chain) -> None:
    liar = stage.verifiers[0]
    one = ProbeDay(stage.provider.address, 0, (1, 0, 0, 0, 0, 0), 0)
    other = replace(one, up=(3, 0, 0, 0, 0, 0))
    signatures = signed(stage, liar, one), signed(stage, liar, other)
    await refused(stage, stage.court.prove_probe_days(one, signatures[0], one, signatures[0]), "NotEquivocal")
    shown = stage.court.prove_probe_days(one, signatures[0], other, signatures[1])
    proven = await stage.world.do(stage.customers[0], shown)
    event = proven.event(DaysEquivocated)
    assert (event.verifier, event.provider, event.epoch) == (liar.address, stage.provider.address, 0)
    assert proven.event(VerifierSlashed).taken == 5_000 * UNIT
    assert (proven.event(BondSlashed).operator, proven.event(BondSlashed).bond_after) == (liar.address, 0)
    assert liar.address not in {one.operator for one in await stage.operators.members(await chain.head())}


async def test_two_receipts_for_one_attempt_are_slashed_at_once(stage: Stage, chain: Chain) -> None:
    stage.world.control.pass_time(100)
    one = receipt(stage)
    other = replace(one, charge_atto=2 * one.charge_atto)
    signatures = signed(stage, stage.hot, one), signed(stage, stage.hot, other)
    await refused(stage, stage.court.prove_receipts(one, signatures[0], one, signatures[0]), "NotEquivocal")
    wrong = signed(stage, stage.deployer, other)
    await refused(stage, stage.court.prove_receipts(one, signatures[0], other, wrong), "WrongSigner")
    shown = stage.court.prove_receipts(one, signatures[0], other, signatures[1])
    proven = await stage.world.do(stage.customers[0], shown)
    event = proven.event(ReceiptsEquivocated)
    assert (event.job, event.attempt, event.prover) == (one.job, 0, stage.customers[0].address)
    taken = proven.event(SlashExecuted)
    assert (taken.taken, taken.to_prover) == (50 * UNIT, 10 * UNIT)
    assert await stage.world.stake.balance(stage.customers[0].address, await chain.head()) == 10 * UNIT
    view = await stage.staking.provider(stage.provider.address, await chain.head())
    assert view is not None and view.status == ProviderStatus.REMOVED
    slash = await stage.court.slash(1, await chain.head())
    assert slash is not None and (slash.code, slash.stage) == (9, SlashStage.EXECUTED)
