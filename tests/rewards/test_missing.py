"""A receipt that is left out of the evidence shows: a later receipt of the same provider names it."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.messages import Status
from rewards.missing import KEPT, follow
from rewards.settlement import settle
from rewards.testing import Network
from rewards.types import Attempt, EpochState, Missing, Settlement

SLOTS = 60


def _job(number: int) -> bytes:
    return number.to_bytes(32)


def _chain(net: Network, count: int) -> list[Attempt]:
    """Let a provider serve job after job over three epochs, each receipt naming the job before."""
    slots = [epoch * SLOTS + index * SLOTS // count for epoch in range(3) for index in range(count)]
    return [
        net.attempt(
            net.provider_names[0],
            net.customer_names[0],
            slot,
            job=_job(number),
            charge_atto=10**12,
            taken=_job(number - 1) if number > 1 else bytes(32),
        )
        for number, slot in enumerate(slots, 1)
    ]


def _settled(net: Network, attempts: list[Attempt]) -> list[Settlement]:
    settled: list[Settlement] = []
    for epoch in range(3):
        opening: dict[str, EpochState] = {}
        if settled:
            opening["opening"] = replace(settled[-1].closing, report=bytes([epoch]) * 32)
        own = [one for one in attempts if one.countersignature.slot // SLOTS == epoch]
        settled.append(settle(net.inputs(epoch, attempts=own, **opening)))
    return settled


def test_nothing_is_missing_where_nothing_was_left_out() -> None:
    net = Network(providers=2, slots=SLOTS)
    settled = _settled(net, _chain(net, 6))
    assert [one.missing for one in settled] == [(), (), ()]
    assert not any(state.awaited for one in settled for state in one.closing.providers)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 11))
def test_whichever_receipt_is_left_out_is_named_with_the_next_epoch(left_out: int) -> None:
    net = Network(providers=2, slots=SLOTS)
    chain = _chain(net, 6)
    settled = _settled(net, [one for one in chain if one.receipt.job != _job(left_out)])
    named = [one for each in settled for one in each.missing]
    assert named == [Missing(net.provider_names[0], _job(left_out))]
    awaiting = next(one for one in chain if one.receipt.taken == _job(left_out)).countersignature.slot // SLOTS
    assert settled[awaiting + 1].missing, "the epoch after the one in which it was awaited says so"
    assert [line for line in settled[awaiting + 1].lines if line.rule == "receipts named and not there"]


def test_a_whole_epoch_left_out_shows_with_the_first_receipt_after_it() -> None:
    net = Network(providers=2, slots=SLOTS)
    kept = [one for one in _chain(net, 6) if one.countersignature.slot // SLOTS != 1]
    assert [state.awaited for state in _settled(net, kept)[2].closing.providers if state.awaited] == [(_job(12),)]


def test_a_receipt_that_is_countersigned_an_epoch_late_is_not_missing() -> None:
    net = Network(providers=2, slots=SLOTS)
    chain = _chain(net, 6)
    late = chain[2].receipt
    counter = replace(chain[2].countersignature, slot=SLOTS + 1)
    settled = _settled(net, [*chain[:2], replace(chain[2], countersignature=counter), *chain[3:]])
    assert settled[0].closing.providers and any(late.job in one.awaited for one in settled[0].closing.providers)
    assert [one.missing for one in settled] == [(), (), ()]


def test_a_refused_receipt_is_there_as_the_failure_that_the_gateway_recorded() -> None:
    net = Network(providers=2, slots=SLOTS)
    chain = _chain(net, 6)
    name, customer = net.provider_names[0], net.customer_names[0]
    slot = chain[3].countersignature.slot
    refused = net.attempt(name, customer, slot, job=_job(4), status=Status.PROVIDER_ERROR, signed=False)
    assert [one.missing for one in _settled(net, [*chain[:3], refused, *chain[4:]])] == [(), (), ()]


def test_what_is_kept_of_a_provider_has_a_bound_whatever_it_signs() -> None:
    rng = random.Random(1)
    unnamed: tuple[bytes, ...] = ()
    awaited: tuple[bytes, ...] = ()
    for _ in range(3):
        jobs = {rng.randbytes(32): slot for slot in range(1_000)}
        found = follow(unnamed, awaited, jobs, {rng.randbytes(32) for _ in range(1_000)})
        assert len(found.unnamed) == len(found.awaited) == KEPT
        assert len(found.missing) == 1_000 - KEPT + len(awaited)
        unnamed, awaited = found.unnamed, found.awaited


def test_parallel_work_and_two_gateways_leave_nothing_missing() -> None:
    rng = random.Random(2)
    handed: list[bytes] = []
    jobs: dict[bytes, int] = {}
    named: set[bytes] = set()
    running: list[bytes] = []
    for slot in range(5_000):
        if handed and rng.random() < 0.9:
            named.add(handed.pop(0))
        running.append(rng.randbytes(32))
        jobs[running[-1]] = slot
        while len(running) > 16 or (running and rng.random() < 0.4):
            handed.append(running.pop(rng.randrange(len(running))))
    found = follow((), (), jobs, named)
    assert found.awaited == found.missing == () and set(found.unnamed) <= jobs.keys() - named
