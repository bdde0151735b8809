"""A whole epoch on the real contracts, through the wrappers: what is sent, what is read, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts import leaves, measured
from contracts.chain import Chain
from contracts.errors import ContractRefused, ReportMissing
from contracts.event_types import (
    BondSettled,
    ChallengeSustained,
    Charged,
    ChargeReturned,
    Claimed,
    Compensated,
    CompensationClosed,
    ReportCancelled,
    ReportCompleted,
    RewardsClaimed,
    SlashExecuted,
    SlashProposed,
)
from contracts.events import of_type
from contracts.gathering import gather_facts
from contracts.history import read_history
from contracts.types import LimitsRecord, ProviderStatus, SlashStage
from contracts.views import Breaker, ReportProgress

from .stage import UNIT, Stage
from .world import World

pytestmark = pytest.mark.chain


@pytest.fixture
async def stage(world: World) -> Stage:
    return await Stage.build(world)


async def test_the_contracts_hash_a_report_as_python_does(stage: Stage, chain: Chain) -> None:
    at = await chain.head()
    assert await stage.epochs.domain_separator(at) == stage.domain.separator()
    report = await stage.report(0)
    for leaf_count in range(4):
        many = tuple(replace(report.leaves[0], provider="0x" + bytes([i + 1]).hex() * 20) for i in range(leaf_count))
        one = replace(report, leaves=many, harms=report.harms[: leaf_count % 2])
        message = leaves.report_digest(one, stage.domain)
        assert await stage.epochs.struct_hash(one, at) == message.struct_hash()
        assert await stage.epochs.report_digest(one, at) == message.digest(stage.domain.separator())
    for epoch in (0, 1, 2**64 - 1):
        hashed = leaves.leaf_hash(chain.chain_id, stage.epochs.address, epoch, report.leaves[0])
        assert await stage.epochs.leaf_hash(epoch, report.leaves[0], at) == hashed
        found = stage.measured(epoch)
        for one_leaf in (found, replace(found, days=())):
            hashed = measured.measured_hash(chain.chain_id, stage.epochs.address, epoch, one_leaf)
            assert await stage.challenges.measured_hash(epoch, one_leaf, at) == hashed


async def test_the_challenge_court_computes_what_the_leaf_says(stage: Stage, chain: Chain) -> None:
    at, found = await chain.head(), stage.measured(0)
    assert await stage.challenges.compute(found, at) == (400_000, 4, True)
    assert await stage.challenges.compute(replace(found, served=found.duty), at) == (1_000_000, 4, True)
    assert await stage.challenges.compute(replace(found, days=found.days[:1]), at) == (1_000_000, 255, False)


async def test_a_report_is_refused_with_the_numbers_that_disagree(stage: Stage) -> None:
    await stage.end_epoch(0)
    report = await stage.report(0)
    short = replace(report, charges=report.charges[:1])
    (call,) = stage.epochs.submission(short, stage.signatures(short))
    with pytest.raises(ContractRefused) as caught:
        await stage.world.do(stage.deployer, call)
    assert caught.value.error_name == "WrongSum"
    assert caught.value.arguments == {"name": "charges", "stated": 1_000, "computed": 600}

    (call,) = stage.epochs.submission(report, stage.signatures(report)[:1])
    with pytest.raises(ContractRefused) as caught:
        await stage.world.do(stage.deployer, call)
    assert (caught.value.error_name, caught.value.arguments) == ("TooFewSigners", {"signers": 1, "quorum": 2})

    greedy = replace(report, epoch=1)
    with pytest.raises(ContractRefused, match=r"WrongEpoch\(epoch=1, expected=0\)"):
        await stage.world.do(stage.deployer, stage.epochs.submit(greedy, stage.signatures(greedy)))


async def test_rules_and_limits_are_read_as_they_were_set(stage: Stage, chain: Chain) -> None:
    stage.world.control.pass_time(61)
    rules = replace(await stage.clock.rules(0, await chain.head()), incentive_per_epoch=77)
    limits = LimitsRecord(5_000, 4_000, 3_000, 2_000_000, 100_000)
    await stage.world.do(stage.deployer, stage.clock.set_rules(rules))
    await stage.world.do(stage.deployer, stage.clock.set_limits(limits))
    at = await chain.head()
    assert (await stage.clock.rules(0, at)).incentive_per_epoch == 5_000_000
    assert await stage.clock.rules(1, at) == rules
    assert await stage.clock.limits(at) == limits
    settings = await stage.clock.settings(at)
    assert (settings.report_delay_s, settings.activation_delay_s) == (0, 4)
    assert settings.timing == await stage.clock.timing(at) and settings.timing.slots_per_epoch == 60
    with pytest.raises(ContractRefused, match="AccessManagedUnauthorized"):
        await stage.world.do(stage.provider, stage.clock.set_limits(limits))


async def test_a_pause_is_seen_and_ends_early(stage: Stage, chain: Chain) -> None:
    state = await stage.guardian.state(await chain.head())
    assert (state.paused, state.paused_until, state.next_pause_at) == (False, 0, 0)
    with pytest.raises(ContractRefused, match="AccessManagedUnauthorized"):
        await stage.world.do(stage.provider, stage.guardian.pause(20))
    assert await stage.guardian.most_pause_s(await chain.head()) == 30
    await stage.world.do(stage.deployer, stage.guardian.pause(30))
    at = await chain.head()
    state = await stage.guardian.state(at)
    assert (state.paused, state.paused_until, state.next_pause_at) == (True, at.time + 30, at.time + 30 * 86_400)
    with pytest.raises(ContractRefused, match=rf"StillPaused\(until={at.time + 30}\)"):
        await stage.world.do(stage.customers[0], stage.escrow.deposit(stage.customers[0].address, 1))
    await stage.world.do(stage.customers[0], stage.escrow.request_withdrawal(1))
    await stage.world.do(stage.deployer, stage.guardian.unpause())
    await stage.world.do(stage.customers[0], stage.escrow.deposit(stage.customers[0].address, 1))
    assert not (await stage.guardian.state(await chain.head())).paused


async def test_an_epoch_goes_from_commitment_to_claims(stage: Stage, chain: Chain) -> None:
    commitment = b"\xc0" * 32
    await stage.world.do(stage.verifiers[0], stage.operators.commit_seed(0, commitment))
    facts = await gather_facts(chain, 0, await chain.head())
    assert facts.commitments == {
        one.address: commitment if i == 0 else bytes(32) for i, one in enumerate(stage.verifiers)
    }
    assert (facts.decimals, facts.stake_decimals, facts.quorum, facts.previous) == (6, 18, 2, bytes(32))
    assert facts.incentive_fund == 9_000_000 and facts.rules.provider_ppm == 940_000
    assert facts.timing.slots_per_epoch == 60 and len(facts.providers) == 1 and len(facts.customers) == 2
    assert facts.maintenance == ()
    with pytest.raises(ReportMissing, match="epoch 0"):
        await gather_facts(chain, 1, await chain.head())

    report = await stage.submit(0)
    at = await chain.head()
    leaf, target = report.leaves[0], stage.target(report)
    record = await stage.epochs.record(0, at)
    assert record is not None and record.root == leaves.root(
        leaves.leaf_hashes(chain.chain_id, stage.epochs.address, report)
    )
    assert record.movements == leaves.movements_hash(leaves.movements(report))
    assert record.measurements == report.measurements and record.leaf_count == 1
    assert record.totals == report.totals and not record.activated
    assert (record.submitted_at, record.completed_at, record.activates_at) == (at.time, at.time, at.time + 4)
    assert await stage.epochs.report_progress(0, at) == ReportProgress(1, 1, 0, 0)
    assert await stage.epochs.harmed_root(0, leaf.provider, at) == leaves.harm_root(stage.harmed)
    assert await stage.epochs.verify_leaf(0, leaf, target.proof, at)
    assert not await stage.epochs.verify_leaf(0, replace(leaf, strikes=2), target.proof, at)
    assert (await stage.epochs.books(at)).pending == 1_010
    assert [one.balance for one in await stage.escrow.customers(at)] == [4_400, 4_600]

    (call,) = stage.epochs.activation(report)
    with pytest.raises(ContractRefused, match="NotYetActive"):
        await stage.world.do(stage.deployer, call)
    await stage.activate(report)
    at = await chain.head()
    assert [one.balance for one in await stage.escrow.customers(at)] == [4_460, 4_640]
    assert (await stage.escrow.funds(at)).sla_fund == 20
    progress = await stage.epochs.progress(at)
    assert (progress.next_epoch, progress.next_activation, progress.current_epoch) == (1, 1, 1)
    assert await stage.epochs.report_progress(0, at) == ReportProgress(1, 1, 1, 1)
    assert await stage.epochs.owed(stage.verifiers[0].address, at) == 10

    claimed = await stage.world.do(stage.deployer, stage.epochs.claim(leaf, 0, target.proof))
    event = claimed.event(Claimed)
    assert (event.provider, event.fees, event.incentive) == (stage.provider.address, 840, 7)
    at = await chain.head()
    assert await stage.epochs.claimed(stage.provider.address, at) == (840, 7)
    assert await stage.epochs.claimed_through(stage.provider.address, at) == 1
    with pytest.raises(ContractRefused, match="NothingToClaim"):
        await stage.world.do(stage.deployer, stage.epochs.claim(leaf, 0, target.proof))

    position = await stage.delegation.position(stage.provider.address, stage.delegator.address, at)
    assert (position.amount, position.rewards, position.unbonding) == (100 * UNIT, 3, 0)
    paid = await stage.world.do(stage.delegator, stage.delegation.claim_rewards(stage.provider.address))
    assert paid.event(RewardsClaimed).amount == 3
    assert await stage.world.payment.balance(stage.delegator.address, await chain.head()) == 3


async def test_a_slash_goes_from_proposal_to_compensation(stage: Stage, chain: Chain) -> None:
    report = await stage.submit(0)
    await stage.activate(report)
    target = stage.target(report)
    propose = stage.court.propose(0, report.leaves[0], target.proof)
    with pytest.raises(ContractRefused):
        await stage.world.do(stage.deployer, propose)
    await stage.bond()
    bond = await stage.court.bond_for(20 * UNIT, await chain.head())
    assert bond == 10 * UNIT == (await stage.court.settings(await chain.head())).least_bond
    proposed = (await stage.world.do(stage.deployer, propose)).event(SlashProposed)
    assert (proposed.id, proposed.code, proposed.amount, proposed.bond) == (1, 5, 20 * UNIT, bond)
    assert proposed.harmed == leaves.harm_root(stage.harmed)
    at = await chain.head()
    (slash,) = await stage.court.slashes(at)
    assert slash == await stage.court.slash(1, at) and await stage.court.slash(2, at) is None
    assert (slash.stage, slash.queued, slash.proposer) == (SlashStage.OPEN, True, stage.deployer.address)
    assert await stage.court.slash_of(stage.provider.address, 0, at) == 1
    # a twentieth of all stake, own and delegated or not, is less than this one slash
    breaker = await stage.court.breaker(at)
    assert breaker == Breaker(20 * UNIT, 15 * UNIT)
    assert await stage.court.books(at) == (bond, 0)

    stage.world.control.pass_time(7)
    with pytest.raises(ContractRefused, match=r"Queued\(id=1\)"):
        await stage.world.do(stage.deployer, stage.court.execute(1))
    await stage.world.do(stage.deployer, stage.court.release(1))
    done = await stage.world.do(stage.deployer, stage.court.execute(1))
    event = done.event(SlashExecuted)
    assert (event.taken, event.to_harmed, event.to_prover) == (20 * UNIT, 10 * UNIT, 0)
    assert (event.to_sla_fund, event.burned) == (4 * UNIT, 6 * UNIT)
    assert done.event(BondSettled).to_poster == bond
    at = await chain.head()
    view = await stage.staking.provider(stage.provider.address, at)
    assert view is not None and view.status == ProviderStatus.JAILED and view.slashed_total == 20 * UNIT
    assert await stage.court.books(at) == (0, 10 * UNIT)

    (page,) = leaves.harm_pages(stage.harmed)
    assert not await stage.court.page_given(1, 0, at)
    compensate = stage.court.compensate(1, page, leaves.page_proof(stage.harmed, 0))
    paid = await stage.world.do(stage.deployer, compensate)
    assert [(one.customer, one.amount) for one in of_type(paid.events, Compensated)] == [
        (stage.customers[0].address, 6 * UNIT),
        (stage.customers[1].address, 4 * UNIT),
    ]
    assert paid.event(CompensationClosed).dust == 0
    with pytest.raises(ContractRefused, match=r"PageGiven\(id=1, index=0\)"):
        await stage.world.do(stage.deployer, compensate)
    at = await chain.head()
    assert await stage.court.books(at) == (0, 0) and await stage.court.page_given(1, 0, at)
    assert sum(one.compensation for one in await stage.escrow.customers(at)) == 10 * UNIT


async def test_a_contested_slash_is_ruled_on_or_lapses(stage: Stage, chain: Chain) -> None:
    report = await stage.submit(0)
    await stage.activate(report)
    await stage.bond()
    await stage.world.do(stage.deployer, stage.court.propose(0, report.leaves[0], stage.target(report).proof))
    await stage.world.do(stage.customers[0], stage.world.stake.mint(stage.customers[0].address, 10 * UNIT))
    await stage.world.do(stage.customers[0], stage.world.stake.approve(stage.court.address, 10 * UNIT))
    await stage.world.do(stage.customers[0], stage.court.contest(1, b"\x0c" * 32))
    slash = await stage.court.slash(1, await chain.head())
    assert slash is not None and slash.stage is SlashStage.CONTESTED
    assert slash.contestant == stage.customers[0].address
    with pytest.raises(ContractRefused, match="AccessManagedUnauthorized"):
        await stage.world.do(stage.provider, stage.court.rule(1, False))
    with pytest.raises(ContractRefused, match="RulingPending"):
        await stage.world.do(stage.provider, stage.court.lapse(1))
    stage.world.control.pass_time(7)
    await stage.world.do(stage.provider, stage.court.lapse(1))
    slash = await stage.court.slash(1, await chain.head())
    assert slash is not None and slash.stage is SlashStage.CANCELLED
    history = await read_history(chain, await chain.head())
    assert [one.contestant for one in history.contests] == [stage.customers[0].address]
    assert [one.id for one in history.dropped] == [1] and history.slashes == ()


async def test_a_challenged_report_is_cancelled_returned_and_made_anew(stage: Stage, chain: Chain) -> None:
    await stage.end_epoch(0)
    honest = await stage.report(0)
    wrong = replace(honest, leaves=(replace(honest.leaves[0], uptime_ppm=390_000),))
    (call,) = stage.epochs.submission(wrong, stage.signatures(wrong))
    await stage.world.do(stage.deployer, call)
    target, found = stage.target(wrong), stage.measured(0)
    with pytest.raises(ContractRefused, match="NoFault"):
        await stage.world.do(stage.provider, stage.challenges.signatures(target, found, ()))
    challenged = await stage.world.do(stage.provider, stage.challenges.computation(target, found, ()))
    event = challenged.event(ChallengeSustained)
    assert (event.epoch, event.provider, event.ground, event.slash_id) == (0, stage.provider.address, 2, 0)
    cancelled = challenged.event(ReportCancelled)
    digest = leaves.report_digest(wrong, stage.domain).digest(stage.domain.separator())
    assert (cancelled.digest, cancelled.to_refund) == (digest, 1_000)
    at = await chain.head()
    assert await stage.epochs.record(0, at) is None and await stage.epochs.refunds_due(at) == 1_000

    with pytest.raises(ContractRefused, match=r"RefundsDue\(amount=1000\)"):
        await stage.world.do(stage.deployer, stage.epochs.submit(honest, stage.signatures(honest)))
    (refund,) = stage.epochs.refunds(digest, leaves.movements(wrong), wrong.charges)
    returned = await stage.world.do(stage.customers[0], refund)
    assert [(one.customer, one.amount) for one in of_type(returned.events, ChargeReturned)] == [
        (one.customer, one.amount) for one in wrong.charges
    ]
    assert [one.balance for one in await stage.escrow.customers(await chain.head())] == [5_000, 5_000]
    assert await stage.epochs.refunds_due(await chain.head()) == 0
    # two of three verifiers signed it: they are out, and the set needs three
    assert len(await stage.operators.members(await chain.head())) == 1
    history = await read_history(chain, await chain.head())
    assert history.reports == () and [one.epoch for one in history.cancellations] == [0]
    assert {one.verifier for one in history.verifier_slashes} == {one.address for one in stage.verifiers[:2]}
    assert [one.ground for one in history.challenges] == [2] and len(history.returned) == 2


async def test_a_report_of_many_leaves_comes_in_step_by_step(stage: Stage, chain: Chain) -> None:
    await stage.end_epoch(0)
    report = await stage.crowded(0, 1_100)
    calls = stage.epochs.submission(report, stage.signatures(report))
    assert [call.function for call in calls] == ["submit", *["publishLeaves"] * 3, "takeCharges"]
    for call in calls[:2]:
        await stage.world.do(stage.deployer, call)
    at = await chain.head()
    record = await stage.epochs.record(0, at)
    assert record is not None and (record.leaf_count, record.completed_at) == (1_100, 0)
    progress = await stage.epochs.report_progress(0, at)
    assert progress == ReportProgress(1, 0, 0, 0)
    rest = stage.epochs.completion(report, progress)
    assert rest == calls[2:]
    with pytest.raises(ContractRefused, match=r"WrongChunk\(chunk=2, expected=1\)"):
        await stage.world.do(stage.deployer, rest[1])
    last = [await stage.world.do(stage.deployer, call) for call in rest][-1]
    assert len(of_type(last.events, Charged)) == 2
    at = await chain.head()
    assert last.event(ReportCompleted).activates_at == at.time + 4
    done = await stage.epochs.report_progress(0, at)
    assert done == ReportProgress(3, 1, 0, 0) and stage.epochs.completion(report, done) == ()
    for index in (0, 511, 512, 1_099):
        target = stage.target(report, index)
        assert await stage.epochs.verify_leaf(0, target.leaf, target.proof, at)


async def test_an_epoch_in_which_nothing_happened_is_complete_at_once(stage: Stage, chain: Chain) -> None:
    await stage.end_epoch(0)
    report = await stage.report(0)
    nothing = replace(
        report,
        totals=replace(report.totals, **dict.fromkeys(type(report.totals).__dataclass_fields__, 0)),
        leaves=(),
        measurements=bytes(32),
        charges=(),
        credits=(),
        pools=(),
        payees=(),
        harms=(),
    )
    calls = (*stage.epochs.submission(nothing, stage.signatures(nothing)), *stage.epochs.activation(nothing))
    assert [call.function for call in calls] == ["submit", "activate"]
    await stage.world.do(stage.deployer, calls[0])
    record = await stage.epochs.record(0, await chain.head())
    assert record is not None and record.completed_at == record.submitted_at and record.root == bytes(32)
    stage.world.control.pass_time(5)
    await stage.world.do(stage.deployer, calls[1])
    record = await stage.epochs.record(0, await chain.head())
    assert record is not None and record.activated
