"""Providers, delegators, customers and operators on the real contracts: what is read of them, and fees at risk."""

from __future__ import annotations

import pytest

from contracts import fees_at_risk
from contracts.chain import Chain
from contracts.errors import ContractRefused, ReportIncomplete
from contracts.event_types import CommissionSet, Rebonded, SessionSet, Undelegated
from contracts.gathering import gather_facts
from contracts.messages import Hardware
from contracts.types import (
    CustomerRecord,
    FeesAtRisk,
    HardwareClass,
    OperatorRecord,
    ProviderRecord,
    ProviderStatus,
    Window,
)

from .stage import OFFER, UNIT, Stage
from .world import World

pytestmark = pytest.mark.chain


@pytest.fixture
async def stage(world: World) -> Stage:
    return await Stage.build(world)


async def test_actors_are_read_as_they_registered(stage: Stage, chain: Chain) -> None:
    at = await chain.head()
    owner = stage.provider.address
    assert await stage.staking.providers(at) == (
        ProviderRecord(
            provider=owner,
            signer=stage.hot.address,
            endpoint="http://127.0.0.1:1",
            hardware_class=HardwareClass.CPU,
            units=1,
            weight=1,
            offer_digest=OFFER,
            status=ProviderStatus.ACTIVE,
            registered_at=(await stage.staking.views(at))[0].registered_at,
            stake=300 * UNIT,
            required_stake=200 * UNIT,
            delegated=100 * UNIT,
            commission_ppm=0,
        ),
    )
    view = await stage.staking.provider(owner, at)
    assert view is not None and view.region == "local" and view.slashed_total == 0
    assert await stage.staking.provider(stage.hot.address, at) is None
    assert await stage.staking.provider_of_signer(stage.hot.address, at) == owner
    assert await stage.staking.provider_of_signer(owner, at) is None
    assert await stage.staking.is_active(owner, at)
    settings = await stage.staking.settings(at)
    assert (settings.unbonding_s, settings.base_stake) == (120, 200 * UNIT)
    assert (settings.notice_s, settings.maintenance_s) == (10, 600)

    first, second = (one.address for one in stage.customers)
    assert await stage.escrow.records(0, at) == (
        CustomerRecord(first, 5_000, 0, 2_000),
        CustomerRecord(second, 5_000, 0, 2_000),
    )
    assert await stage.operators.members(at) == tuple(
        OperatorRecord(one.address, f"http://127.0.0.1:{number + 2}", 5_000 * UNIT, True)
        for number, one in enumerate(stage.verifiers)
    )
    assert await stage.operators.member(owner, at) is None
    assert await stage.operators.was_member(stage.verifiers[0].address, at.time, at.time + 1, at)
    assert not await stage.operators.was_member(owner, 0, at.time + 1, at)


async def test_lowered_caps_hold_from_the_epoch_after_the_next_on_each(stage: Stage, chain: Chain) -> None:
    customer, other = stage.customers
    stage.world.control.pass_time(61)
    await stage.world.do(customer, stage.escrow.set_cap(50))
    view = await stage.escrow.customer(customer.address, await chain.head())
    assert (view.cap, view.cap_next, view.cap_next_from) == (2_000, 50, 2)
    await stage.end_epoch(0)
    await stage.world.do(customer, stage.escrow.set_cap(3))
    at = await chain.head()
    for epoch, cap in ((0, 2_000), (1, 2_000), (2, 50), (3, 3), (7, 3)):
        assert [one.cap for one in await stage.escrow.records(epoch, at)] == [cap, 2_000]
        assert await stage.escrow.cap_for(customer.address, epoch, at) == cap
    assert (await stage.escrow.customer(other.address, at)).cap_next_from == 0


async def test_a_session_key_acts_for_its_customer_until_it_is_taken_back(stage: Stage, chain: Chain) -> None:
    customer, key = stage.customers[0], stage.world.devnet.accounts[9]
    expires_at = (await chain.head()).time + 3_600
    set_ = await stage.world.do(customer, stage.escrow.set_session(key.address, expires_at, 3_000))
    event = set_.event(SessionSet)
    assert (event.customer, event.key, event.expires_at, event.most_cap) == (
        customer.address,
        key.address,
        expires_at,
        3_000,
    )
    session = await stage.escrow.session_of(key.address, await chain.head())
    assert session is not None
    assert (session.customer, session.expires_at, session.most_cap) == (customer.address, expires_at, 3_000)
    with pytest.raises(ContractRefused, match=r"CapAboveSession\(cap=3001, mostCap=3000\)"):
        await stage.world.do(key, stage.escrow.set_cap_by_session(3_001))
    await stage.world.do(key, stage.escrow.set_cap_by_session(2_500))
    assert await stage.escrow.cap_for(customer.address, 0, await chain.head()) == 2_500
    await stage.world.do(customer, stage.escrow.set_session(key.address, 0, 0))
    assert await stage.escrow.session_of(key.address, await chain.head()) is None
    assert await stage.escrow.session_of(customer.address, await chain.head()) is None


async def test_unbonds_are_listed_until_they_are_withdrawn(stage: Stage, chain: Chain) -> None:
    risk = await fees_at_risk.gather(chain, stage.provider.address, await chain.head())
    assert risk == FeesAtRisk()
    await stage.world.do(stage.provider, stage.staking.unbond(60 * UNIT, risk))
    back = await stage.world.do(stage.provider, stage.staking.rebond(20 * UNIT))
    assert back.event(Rebonded).amount == 20 * UNIT
    (unbond,) = await stage.staking.unbonds(stage.provider.address, await chain.head())
    assert unbond.amount == 40 * UNIT and not unbond.matured
    stage.world.control.pass_time(121)
    at = await chain.head()
    assert await stage.staking.withdrawable(stage.provider.address, at) == 40 * UNIT
    assert (await stage.staking.unbonds(stage.provider.address, at))[0].matured
    await stage.world.do(stage.provider, stage.staking.withdraw())
    assert await stage.staking.unbonds(stage.provider.address, await chain.head()) == ()
    assert (await stage.staking.totals(await chain.head())).stake == 260 * UNIT


async def test_fees_of_open_reports_lock_ten_times_their_worth(stage: Stage, chain: Chain) -> None:
    owner, gather = stage.provider.address, fees_at_risk.gather
    report = await stage.submit(0)
    risk = await gather(chain, owner, await chain.head())
    assert (risk.newest, risk.closed) == (report.leaves[0], None)
    # 840 of 1,000,000 units a stake token, ten times
    locked = 10 * 840 * UNIT // 1_000_000
    assert await stage.staking.locked_for(owner, risk, await chain.head()) == locked
    with pytest.raises(ContractRefused, match=rf"FeesLocked\(stakeAfter={locked - 1}, locked={locked}\)"):
        await stage.world.do(stage.provider, stage.staking.unbond(300 * UNIT - locked + 1, risk))
    with pytest.raises(ContractRefused, match="WrongLeaf"):
        await stage.world.do(stage.provider, stage.staking.unbond(1, FeesAtRisk()))
    await stage.world.do(stage.provider, stage.staking.unbond(UNIT, risk))

    await stage.activate(report)
    stage.world.control.pass_time(13)
    assert await gather(chain, owner, await chain.head()) == FeesAtRisk()
    second = await stage.submit(1)
    risk = await gather(chain, owner, await chain.head())
    assert (risk.newest, risk.closed_epoch, risk.closed) == (second.leaves[0], 0, report.leaves[0])
    assert await stage.staking.locked_for(owner, risk, await chain.head()) == locked
    await stage.world.do(stage.provider, stage.staking.unbond(299 * UNIT - locked, risk))
    assert (await stage.staking.totals(await chain.head())).stake == locked


async def test_fees_at_risk_wait_for_the_leaves_of_the_newest_report(stage: Stage, chain: Chain) -> None:
    await stage.end_epoch(0)
    report = await stage.report(0)
    await stage.world.do(stage.deployer, stage.epochs.submit(report, stage.signatures(report)))
    with pytest.raises(ReportIncomplete, match="the report of epoch 0 is on the chain without all its leaves"):
        await fees_at_risk.gather(chain, stage.provider.address, await chain.head())
    # whoever was in no list while the epoch ran has nothing to show, staked or not
    newcomer = stage.world.devnet.accounts[9]
    await stage.world.do(newcomer, stage.world.stake.mint(newcomer.address, 500 * UNIT))
    await stage.world.do(newcomer, stage.world.stake.approve(stage.staking.address, 500 * UNIT))
    signer = "0x" + "51" * 20
    await stage.world.do(newcomer, stage.staking.register(signer, 0, 1, OFFER, "local", "http://127.0.0.1:9"))
    for staked in (100, 200):
        await stage.world.do(newcomer, stage.staking.stake(staked * UNIT))
        risk = await fees_at_risk.gather(chain, newcomer.address, await chain.head())
        assert risk == FeesAtRisk()
        await stage.world.do(newcomer, stage.staking.unbond(UNIT, risk))
    stranger = await fees_at_risk.gather(chain, stage.customers[0].address, await chain.head())
    assert stranger == FeesAtRisk()


async def test_declared_windows_are_gathered_for_the_epochs_they_touch(stage: Stage, chain: Chain) -> None:
    timing = await stage.clock.timing(await chain.head())
    first, last = timing.epoch_start(1) + 30, timing.epoch_start(2) + 10
    await stage.world.do(stage.provider, stage.staking.declare_maintenance(first, last))
    await stage.world.do(stage.provider, stage.staking.declare_maintenance(last + 5, last + 6))
    await stage.world.do(stage.provider, stage.staking.cancel_maintenance(1))
    await stage.submit(0)
    await stage.submit(1)
    at, owner = await chain.head(), stage.provider.address
    assert (await gather_facts(chain, 0, at)).maintenance == ()
    for epoch in (1, 2):
        assert (await gather_facts(chain, epoch, at)).maintenance == ((owner, (Window(first, last),)),)
    assert await stage.staking.maintenance(owner, last, last + 10, at) == ()


async def test_what_is_delegated_is_gathered_with_the_commission_of_the_epoch(stage: Stage, chain: Chain) -> None:
    owner = stage.provider.address
    await stage.world.do(stage.deployer, stage.world.stake.mint(stage.deployer.address, UNIT))
    event = (await stage.world.do(stage.provider, stage.delegation.set_commission(150_000))).event(CommissionSet)
    assert (event.provider, event.ppm, event.from_epoch) == (owner, 150_000, 2)
    await stage.submit(0)
    await stage.submit(1)
    await stage.end_epoch(2)
    at = await chain.head()
    assert [(await gather_facts(chain, epoch, at)).providers[0].commission_ppm for epoch in (1, 2)] == [0, 150_000]
    assert [one.commission_ppm for one in await stage.staking.providers(at)] == [150_000]

    pool = await stage.delegation.pool(owner, at)
    assert (pool.delegated, pool.shares, pool.unbonding) == (100 * UNIT, 100 * UNIT, 0)
    out = await stage.world.do(stage.delegator, stage.delegation.undelegate(owner, 30 * UNIT))
    assert out.event(Undelegated).amount == 30 * UNIT
    at = await chain.head()
    assert (await gather_facts(chain, 2, at)).providers[0].delegated == 70 * UNIT
    totals = await stage.delegation.totals(at)
    assert (totals.delegated, totals.unbonding) == (70 * UNIT, 30 * UNIT)
    stage.world.control.pass_time(150)
    await stage.world.do(stage.delegator, stage.delegation.withdraw(owner))
    assert await stage.world.stake.balance(stage.delegator.address, await chain.head()) == 30 * UNIT


async def test_measured_hardware_sets_the_requirement(stage: Stage, chain: Chain) -> None:
    owner = stage.provider.address
    await stage.end_epoch(0)
    message = Hardware(owner, 0, HardwareClass.T4, 2)
    signatures = [one.sign(message.digest(stage.domain.separator())) for one in stage.verifiers[:2]]
    with pytest.raises(ContractRefused, match="TooFewSigners"):
        await stage.world.do(
            stage.deployer, stage.staking.measure_hardware(owner, 0, HardwareClass.T4, 2, signatures[:1])
        )
    await stage.world.do(stage.deployer, stage.staking.measure_hardware(owner, 0, HardwareClass.T4, 2, signatures))
    (record,) = await stage.staking.providers(await chain.head())
    assert (record.hardware_class, record.units, record.weight) == (HardwareClass.T4, 2, 3)
    assert record.required_stake == 600 * UNIT and not await stage.staking.is_active(owner, await chain.head())


async def test_what_verifiers_measured_is_committed_before_it_is_shown(stage: Stage, chain: Chain) -> None:
    first = stage.verifiers[0]
    with pytest.raises(ContractRefused, match="OutsideCommitWindow"):
        await stage.world.do(first, stage.operators.commit_days(0, b"\xda" * 32))
    with pytest.raises(ContractRefused, match="ZeroCommitment"):
        await stage.world.do(first, stage.operators.commit_seed(0, bytes(32)))
    names = [one.address for one in stage.verifiers]
    assert await stage.operators.days_commitments(names, 0, await chain.head()) == dict.fromkeys(names, bytes(32))
