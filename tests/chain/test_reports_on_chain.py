"""Reports read back from events: at every step of their way, and from nodes that alter or withhold logs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts import leaves
from contracts.chain import Chain
from contracts.errors import HistoryDamaged, ReportMissing
from contracts.event_types import Charged, Event, ProviderRegistered, ReportSigned, ReportSubmitted
from contracts.events import fetch, of_type, topic_of
from contracts.history import read_history, read_report, read_signed
from contracts.views import ReportProgress

from .stage import Stage
from .world import World

pytestmark = pytest.mark.chain
_NOTHING = ReportProgress()


@pytest.fixture
async def stage(world: World) -> Stage:
    return await Stage.build(world)


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
        assert found.report == report and found.missing == frozenset()
        assert found.signed == leaves.report_digest(report, stage.domain)
        assert found.signers == tuple(one.address for one in stage.verifiers[:2])
        assert found.submitted.contract_name == "EpochLedger" and found.record.activated
    history = await read_history(chain, at)
    assert [one.report for one in history.reports] == submitted
    assert [one.epoch for one in history.activations] == [0, 1]
    assert [(one.customer, one.amount) for one in history.credits] == [
        (one.customer, one.amount) for report in submitted for one in report.credits
    ]
    assert [one.pools for one in history.pools] == [report.pools for report in submitted]
    later = await read_history(chain, at, history.reports[0].submitted.block_number + 1)
    assert [one.report.epoch for one in later.reports] == [1]
    assert later.reports[0].report == submitted[1]


async def test_a_report_is_read_as_far_as_it_came(stage: Stage, chain: Chain) -> None:
    await stage.end_epoch(0)
    report = await stage.crowded(0, 600)
    lists = ("leaves", "charges", "credits", "pools", "payees")

    async def check(*there: str) -> None:
        for found in (
            await read_report(chain, 0, await chain.head()),
            *(await read_history(chain, await chain.head())).reports,
        ):
            assert found.signed == leaves.report_digest(report, stage.domain)
            assert found.missing == set(lists) - set(there)
            assert found.report == replace(report, **{name: () for name in found.missing})

    calls = stage.epochs.submission(report, stage.signatures(report))
    assert len(calls) == 4
    for call, there in zip(calls, ((), (), ("leaves",), ("leaves", "charges")), strict=True):
        await stage.world.do(stage.deployer, call)
        await check(*there)
    stage.world.control.pass_time(5)
    await stage.world.do(stage.deployer, stage.epochs.activate(report))
    await check("leaves", "charges", "payees")
    credits, pools = stage.epochs.pushes(report, await stage.epochs.report_progress(0, await chain.head()))
    await stage.world.do(stage.deployer, pools)
    await check("leaves", "charges", "payees", "pools")
    await stage.world.do(stage.deployer, credits)
    await check(*lists)


async def test_a_report_that_was_cancelled_and_handed_in_again_is_read_once(stage: Stage, chain: Chain) -> None:
    await stage.end_epoch(0)
    first = await stage.report(0)
    calls = (stage.epochs.submit(first, stage.signatures(first)), stage.epochs.completion(first, _NOTHING)[1])
    for call in calls:
        await stage.world.do(stage.deployer, call)
    stage.world.control.pass_time(5)
    await stage.world.do(stage.customers[0], stage.epochs.cancel(0))
    digest = leaves.report_digest(first, stage.domain).digest(stage.domain.separator())
    for call in stage.epochs.refunds(digest, leaves.movements(first), first.charges):
        await stage.world.do(stage.deployer, call)
    with pytest.raises(ReportMissing):
        await read_report(chain, 0, await chain.head())
    (call,) = stage.epochs.submission(first, stage.signatures(first))
    await stage.world.do(stage.deployer, call)
    await stage.activate(first)
    at = await chain.head()
    assert (await read_report(chain, 0, at)).report == first
    history = await read_history(chain, at)
    assert [one.report for one in history.reports] == [first]
    assert len(history.cancellations) == len(history.refunds) == 1


@pytest.mark.parametrize(
    ("of", "to", "told"),
    [
        (f"{700_000:06x}04010205", f"{999_999:06x}04010205", "do not hash to the root"),
        ("0401020501", "0401020502", "cannot be read"),
        ("57" * 32, "58" * 32, "not the report that the verifiers signed"),
        (f"{600:064x}", f"{599:064x}", "the charges of epoch 0 in the events do not sum"),
    ],
    ids=["a leaf", "a malformed leaf", "the state", "a charge"],
)
async def test_a_node_that_alters_a_log_is_found_out(stage: Stage, chain: Chain, of: str, to: str, told: str) -> None:
    await stage.submit(0)
    _alter(chain, of, to)
    with pytest.raises(HistoryDamaged, match=told):
        await read_report(chain, 0, await chain.head())


async def test_a_node_that_renames_a_customer_is_found_out_when_all_is_in(stage: Stage, chain: Chain) -> None:
    await stage.activate(await stage.submit(0))
    one = stage.customers[0].address[2:]
    _alter(chain, one, "ee" * 20)
    with pytest.raises(HistoryDamaged, match="move something else than the verifiers signed"):
        await read_report(chain, 0, await chain.head())


async def test_what_was_signed_is_read_back_without_the_rest(stage: Stage, chain: Chain) -> None:
    """From its submission on, and after the same report was cancelled and came in again."""
    with pytest.raises(ReportMissing, match="no report of epoch 0"):
        await read_signed(chain, 0, await chain.head())
    await stage.end_epoch(0)
    report = await stage.report(0)
    signed = leaves.report_digest(report, stage.domain)
    handing_in = stage.epochs.submit(report, stage.signatures(report))
    await stage.world.do(stage.deployer, handing_in)
    submitted = await chain.head()
    stage.world.control.pass_time(5)
    await stage.world.do(stage.customers[0], stage.epochs.cancel(0))
    with pytest.raises(ReportMissing, match="no report of epoch 0"):
        await read_signed(chain, 0, await chain.head())
    await stage.world.do(stage.deployer, handing_in)
    for at in (submitted, await chain.head()):
        assert await read_signed(chain, 0, at) == signed


@pytest.mark.parametrize("word", ["e1" * 32, "57" * 32, "12" * 32], ids=["evidence", "state", "rules"])
async def test_a_node_that_alters_what_was_signed_is_found_out(stage: Stage, chain: Chain, word: str) -> None:
    await stage.submit(0)
    _alter(chain, word, "ee" * 32)
    with pytest.raises(HistoryDamaged, match="not the report that the verifiers signed"):
        await read_signed(chain, 0, await chain.head())


@pytest.mark.parametrize("kind", [ReportSubmitted, ReportSigned])
async def test_a_node_that_withholds_what_was_signed_is_found_out(
    stage: Stage, chain: Chain, kind: type[Event]
) -> None:
    await stage.submit(0)
    honest = chain.logs

    async def withheld(*arguments: object) -> list[dict[str, object]]:
        logs = await honest(*arguments)  # type: ignore[arg-type]
        return [log for log in logs if log["topics"][0] != "0x" + topic_of(kind).hex()]

    chain.logs = withheld  # type: ignore[method-assign,assignment]
    with pytest.raises(HistoryDamaged, match="is missing: ask another RPC endpoint"):
        await read_signed(chain, 0, await chain.head())


@pytest.mark.parametrize("kind", range(8))
async def test_a_node_that_withholds_a_log_is_found_out(stage: Stage, chain: Chain, kind: int) -> None:
    await stage.activate(await stage.submit(0))
    honest = chain.logs
    topics: list[str] = []

    async def withheld(*arguments: object) -> list[dict[str, object]]:
        logs = await honest(*arguments)  # type: ignore[arg-type]
        topics.extend(sorted({log["topics"][0] for log in logs}))
        return [log for log in logs if log["topics"][0] != topics[kind]]

    chain.logs = withheld  # type: ignore[method-assign,assignment]
    with pytest.raises(HistoryDamaged, match=r"is missing|do not sum"):
        await read_report(chain, 0, await chain.head())
    assert len(topics) == 8


async def test_events_are_fetched_in_chain_order_in_chunks_of_any_size(stage: Stage, chain: Chain) -> None:
    await stage.submit(0)
    head = await chain.head()
    whole = await fetch(chain, 0, head.number)
    order = [(one.at.block_number, one.at.log_index) for one in whole]
    assert order == sorted(order) and len(whole) > 15
    for chunk in (1, 3, 7):
        assert await fetch(chain, 0, head.number, chunk=chunk) == whole
    assert [type(one) for one in await fetch(chain, 0, head.number, kinds=[ProviderRegistered])] == [ProviderRegistered]
    charged = of_type(whole, Charged)
    assert [(one.customer, one.amount, one.balance_after) for one in charged] == [
        (stage.customers[0].address, 600, 4_400),
        (stage.customers[1].address, 400, 4_600),
    ]
    escrow: list[Event] = await fetch(chain, 0, head.number, names=["JobEscrow"])
    assert {one.at.contract_name for one in escrow} == {"JobEscrow"}
    tokens = await fetch(chain, 0, head.number, names=["PaymentToken"])
    assert {one.at.contract_name for one in tokens} == {"PaymentToken"}
    assert len(of_type(whole, ReportSubmitted)) == 1


def _alter(chain: Chain, of: str, to: str) -> None:
    honest = chain.logs

    async def altered(*arguments: object) -> list[dict[str, object]]:
        logs = await honest(*arguments)  # type: ignore[arg-type]
        told = str([(log["data"], log["topics"]) for log in logs])
        assert of in told
        return [
            {**log, "data": log["data"].replace(of, to), "topics": [one.replace(of, to) for one in log["topics"]]}
            for log in logs
        ]

    chain.logs = altered  # type: ignore[method-assign,assignment]
