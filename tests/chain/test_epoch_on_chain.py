"""A whole epoch on the real contracts, through the wrappers: what is sent, read, and read back from events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts import leaves
from contracts.chain import Chain
from contracts.errors import ContractRefused, HistoryDamaged, ReportMissing
from contracts.event_types import Charged, Claimed, Compensated, ProviderRegistered, ReportSubmitted, SlashExecuted
from contracts.events import fetch, of_type
from contracts.gathering import gather_facts
from contracts.history import read_history, read_report
from contracts.types import CustomerRecord, HardwareClass, OperatorRecord, ProviderRecord, ProviderStatus

from .stage import OFFER, UNIT, Stage
from .world import World

pytestmark = pytest.mark.chain


@pytest.fixture
async def stage(world: World) -> Stage:
    return await Stage.build(world)


async def test_the_contract_hashes_a_report_as_python_does(stage: Stage, chain: Chain) -> None:
    at = await chain.head()
    domain = chain.deployment.domain()
    assert await stage.epochs.domain_separator(at) == domain.separator()
    report = await stage.report(0)
    for leaf_count in range(4):
        many = tuple(replace(report.leaves[0], provider="0x" + bytes([i + 1]).hex() * 20) for i in range(leaf_count))
        one = replace(report, leaves=many)
        message = leaves.report_digest(one, domain)
        assert await stage.epochs.struct_hash(one, at) == message.struct_hash()
        assert await stage.epochs.report_digest(one, at) == message.digest(domain.separator())
    for epoch in (0, 1, 2**64 - 1):
        hashed = leaves.leaf_hash(chain.chain_id, stage.epochs.address, epoch, report.leaves[0])
        assert await stage.epochs.leaf_hash(epoch, report.leaves[0], at) == hashed


async def test_a_report_is_refused_with_the_numbers_that_disagree(stage: Stage) -> None:
    await stage.end_epoch(0)
    report = await stage.report(0)
    short = replace(report, charges=report.charges[:1])
    with pytest.raises(ContractRefused) as caught:
        await stage.world.do(stage.deployer, stage.epochs.submit(short, stage.signatures(short)))
    assert caught.value.error_name == "WrongSum"
    assert caught.value.arguments == {"name": "charges", "stated": 1_000, "computed": 600}

    with pytest.raises(ContractRefused) as caught:
        await stage.world.do(stage.deployer, stage.epochs.submit(report, stage.signatures(report)[:1]))
    assert (caught.value.error_name, caught.value.arguments) == ("TooFewSigners", {"signers": 1, "quorum": 2})

    greedy = replace(report, epoch=1)
    with pytest.raises(ContractRefused, match=r"WrongEpoch\(epoch=1, expected=0\)"):
        await stage.world.do(stage.deployer, stage.epochs.submit(greedy, stage.signatures(greedy)))


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
        ),
    )
    view = await stage.staking.provider(owner, at)
    assert view is not None and view.region == "local" and view.slashed_total == 0
    assert await stage.staking.provider(stage.hot.address, at) is None
    assert await stage.staking.provider_of_signer(stage.hot.address, at) == owner
    assert await stage.staking.provider_of_signer(owner, at) is None
    assert await stage.staking.is_active(owner, at)

    first, second = (one.address for one in stage.customers)
    assert await stage.escrow.records(0, at) == (
        CustomerRecord(first, 5_000, 0, 2_000),
        CustomerRecord(second, 5_000, 0, 2_000),
    )
    assert [one.record(0) for one in await stage.escrow.customers(at)] == list(await stage.escrow.records(0, at))
    assert await stage.operators.members(at) == tuple(
        OperatorRecord(one.address, f"http://127.0.0.1:{number + 2}", 5_000 * UNIT, True)
        for number, one in enumerate(stage.verifiers)
    )
    assert await stage.operators.member(owner, at) is None


async def test_a_lowered_cap_holds_from_the_next_epoch_on_in_both_readings(stage: Stage, chain: Chain) -> None:
    await stage.world.do(stage.customers[0], stage.escrow.set_cap(5))
    at = await chain.head()
    for epoch in (0, 1, 7):
        read = await stage.escrow.records(epoch, at)
        assert read[0].cap == (2_000 if epoch == 0 else 5)
        assert tuple(one.record(epoch) for one in await stage.escrow.customers(at)) == read


async def test_unbonds_are_listed_until_they_are_withdrawn(stage: Stage, chain: Chain) -> None:
    await stage.world.do(stage.provider, stage.staking.unbond(40 * UNIT))
    (unbond,) = await stage.staking.unbonds(stage.provider.address, await chain.head())
    assert unbond.amount == 40 * UNIT and not unbond.matured
    stage.world.control.pass_time(121)
    at = await chain.head()
    assert await stage.staking.withdrawable(stage.provider.address, at) == 40 * UNIT
    assert (await stage.staking.unbonds(stage.provider.address, at))[0].matured
    await stage.world.do(stage.provider, stage.staking.withdraw())
    assert await stage.staking.unbonds(stage.provider.address, await chain.head()) == ()
    assert (await stage.staking.totals(await chain.head())).stake == 260 * UNIT


async def test_an_epoch_goes_from_commitment_to_slash(stage: Stage, chain: Chain) -> None:
    commitment = b"\xc0" * 32
    await stage.world.do(stage.verifiers[0], stage.operators.commit_seed(0, commitment))
    facts = await gather_facts(chain, 0, await chain.head())
    assert facts.commitments == {
        one.address: commitment if i == 0 else bytes(32) for i, one in enumerate(stage.verifiers)
    }
    assert (facts.decimals, facts.stake_decimals, facts.quorum, facts.previous) == (6, 18, 2, bytes(32))
    assert facts.incentive_fund == 9_000_000 and facts.rules.provider_ppm == 940_000
    assert facts.timing.slots_per_epoch == 60 and len(facts.providers) == 1 and len(facts.customers) == 2
    with pytest.raises(ReportMissing, match="epoch 0"):
        await gather_facts(chain, 1, await chain.head())

    report = await stage.submit(0)
    at = await chain.head()
    leaf = report.leaves[0]
    hashes = leaves.leaf_hashes(chain.chain_id, stage.epochs.address, report)
    proof = leaves.proof(hashes, 0)
    record = await stage.epochs.record(0, at)
    assert record is not None and record.root == leaves.root(hashes)
    assert record.credits_hash == leaves.credits_hash(report.credits)
    assert record.payees_hash == leaves.payees_hash(report.payees)
    assert record.totals == report.totals and not record.activated
    assert await stage.epochs.verify_leaf(0, leaf, proof, at)
    assert not await stage.epochs.verify_leaf(0, replace(leaf, strikes=2), proof, at)
    assert (await stage.epochs.books(at)).pending == 1_007
    assert [one.balance for one in await stage.escrow.customers(at)] == [4_400, 4_600]

    with pytest.raises(ContractRefused) as caught:
        await stage.world.do(stage.deployer, stage.epochs.activate(0, report.credits, report.payees))
    assert caught.value.error_name == "NotYetActive"
    await stage.activate(report)
    at = await chain.head()
    assert [one.balance for one in await stage.escrow.customers(at)] == [4_460, 4_640]
    assert (await stage.escrow.funds(at)).sla_fund == 20
    progress = await stage.epochs.progress(at)
    assert (progress.next_epoch, progress.next_activation, progress.current_epoch) == (1, 1, 1)
    assert await stage.epochs.owed(stage.verifiers[0].address, at) == 10

    claimed = await stage.world.do(stage.deployer, stage.epochs.claim(leaf, 0, proof))
    event = claimed.event(Claimed)
    assert (event.provider, event.fees, event.incentive) == (stage.provider.address, 840, 7)
    assert await stage.epochs.claimed(stage.provider.address, await chain.head()) == (840, 7)
    with pytest.raises(ContractRefused, match="NothingToClaim"):
        await stage.world.do(stage.deployer, stage.epochs.claim(leaf, 0, proof))

    await stage.world.do(stage.deployer, stage.court.propose(0, leaf, proof, stage.harmed))
    (slash,) = await stage.court.slashes(await chain.head())
    assert (slash.id, slash.level, slash.amount, slash.executed_at) == (1, 5, 20 * UNIT, 0)
    assert await stage.court.slash_of(stage.provider.address, 0, await chain.head()) == 1
    stage.world.control.pass_time(7)
    executed = await stage.world.do(stage.deployer, stage.court.execute(1, stage.harmed))
    event_ = executed.event(SlashExecuted)
    assert (event_.taken, event_.to_harmed, event_.to_sla_fund, event_.burned) == (
        20 * UNIT,
        10 * UNIT,
        4 * UNIT,
        6 * UNIT,
    )
    paid = of_type(executed.events, Compensated)
    assert [(one.customer, one.amount) for one in paid] == [
        (stage.customers[0].address, 6 * UNIT),
        (stage.customers[1].address, 4 * UNIT),
    ]
    at = await chain.head()
    view = await stage.staking.provider(stage.provider.address, at)
    assert view is not None and view.status == ProviderStatus.JAILED and view.slashed_total == 20 * UNIT
    assert await stage.court.slash(2, at) is None
    assert sum(one.compensation for one in await stage.escrow.customers(at)) == 10 * UNIT


async def test_reports_are_read_back_whole_from_events(stage: Stage, chain: Chain) -> None:
    with pytest.raises(ReportMissing, match="no report of epoch 0"):
        await read_report(chain, 0, await chain.head())
    submitted = [await stage.submit(0)]
    await stage.activate(submitted[0])
    submitted.append(await stage.submit(1))
    await stage.activate(submitted[1])
    at = await chain.head()
    for report in submitted:
        found = await read_report(chain, report.epoch, at)
        assert found.report == report
        assert found.signers == tuple(one.address for one in stage.verifiers[:2])
        assert found.submitted.contract_name == "EpochLedger" and found.record.activated
    history = await read_history(chain, at)
    assert [one.report for one in history.reports] == submitted
    assert [one.epoch for one in history.activations] == [0, 1]
    assert [(one.customer, one.amount) for one in history.credits] == [
        (one.customer, one.amount) for report in submitted for one in report.credits
    ]
    later = await read_history(chain, at, history.reports[0].submitted.block_number + 1)
    assert [one.report.epoch for one in later.reports] == [1]
    assert later.reports[0].report == submitted[1]


@pytest.mark.parametrize(
    ("of", "to", "told"),
    [
        (f"{700_000:064x}", f"{999_999:064x}", "do not hash to the root"),
        ("57" * 32, "58" * 32, "not the report that the verifiers signed"),
        (f"{600:064x}", f"{599:064x}", "not the report that the verifiers signed"),
    ],
    ids=["a leaf", "the state", "a charge"],
)
async def test_a_node_that_alters_a_log_is_found_out(stage: Stage, chain: Chain, of: str, to: str, told: str) -> None:
    await stage.submit(0)
    honest = chain.logs

    async def altered(*arguments: object) -> list[dict[str, object]]:
        logs = await honest(*arguments)  # type: ignore[arg-type]
        assert any(of in log["data"] for log in logs)
        return [{**log, "data": log["data"].replace(of, to)} for log in logs]

    chain.logs = altered  # type: ignore[method-assign,assignment]
    with pytest.raises(HistoryDamaged, match=told):
        await read_report(chain, 0, await chain.head())


async def test_a_node_that_withholds_a_log_is_found_out(stage: Stage, chain: Chain) -> None:
    await stage.submit(0)
    honest = chain.logs

    async def withheld(*arguments: object) -> list[dict[str, object]]:
        return (await honest(*arguments))[:2]  # type: ignore[arg-type]

    chain.logs = withheld  # type: ignore[method-assign,assignment]
    with pytest.raises(HistoryDamaged, match="is missing"):
        await read_report(chain, 0, await chain.head())


async def test_events_are_fetched_in_chain_order_in_chunks_of_any_size(stage: Stage, chain: Chain) -> None:
    await stage.submit(0)
    head = await chain.head()
    whole = await fetch(chain, 0, head.number)
    assert len(whole) == 18
    order = [(one.at.block_number, one.at.log_index) for one in whole]
    assert order == sorted(order)
    for chunk in (1, 3, 7):
        assert await fetch(chain, 0, head.number, chunk=chunk) == whole
    assert [type(one) for one in await fetch(chain, 0, head.number, kinds=[ProviderRegistered])] == [ProviderRegistered]
    charged = of_type(whole, Charged)
    assert [(one.customer, one.amount, one.balance_after) for one in charged] == [
        (stage.customers[0].address, 600, 4_400),
        (stage.customers[1].address, 400, 4_600),
    ]
    assert {one.at.contract_name for one in await fetch(chain, 0, head.number, names=["JobEscrow"])} == {"JobEscrow"}
    tokens = await fetch(chain, 0, head.number, names=["PaymentToken"])
    assert {one.at.contract_name for one in tokens} == {"PaymentToken"}
    assert len(of_type(whole, ReportSubmitted)) == 1
