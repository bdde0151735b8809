"""A verifier through a short epoch against real sockets: one agent serves, one is gone, one is out of tickets."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.messages import Domain
from contracts.signing import Signer
from contracts.types import Timing
from rewards.measurement import join_words, unpack_histogram
from rewards.verifier import service
from rewards.verifier.attestation import read_document
from rewards.verifier.challenge import Greedy, Pool, Sampled
from rewards.verifier.plan import commitment, epoch_seed
from rewards.verifier.probe import Verdict
from rewards.verifier.samples import read_samples
from rewards.verifier.service import Bursts, TicketRefused, Verifier
from rewards.verifier.store import Measurement, MeasurementStore
from rewards.verifier.testing import HonestAgent, MemorySurroundings, SocketTransport, record

SEPARATOR = Domain(31337, "0x" + "ee" * 20).separator()
UP, GONE, POOR = (Signer(bytes((n,)) * 32) for n in (1, 2, 3))
VERIFIER = Signer(b"\x04" * 32)
MASTER = b"\x05" * 32


class Surroundings(MemorySurroundings):
    """Refuses tickets for one provider."""

    async def ticket(self, provider: str, *rest: Any):
        if provider == POOR.address:
            raise TicketRefused("balance too low")
        return await super().ticket(provider, *rest)


class FixedPool:
    """A pool that is the same for every epoch."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def make(self, seed: bytes) -> Pool:
        return self._pool


async def test_an_epoch_is_committed_probed_and_attested(tmp_path: Path):
    timing = Timing(genesis=int(time.time()) + 2, slot_s=1, slots_per_epoch=5)
    agent = HonestAgent(UP, SEPARATOR, "Hello there, traveller")
    known = Greedy(b'{"model":"m","messages":[]}', 4, "Hello there, friend")
    pool = Pool(b"\x06" * 32, (known,) * 5, (Sampled(b'{"model":"m","messages":[1]}', 4, ("Hello",) * 3),) * 5)
    async with agent.serving() as endpoint:
        surroundings = Surroundings(
            timing,
            SEPARATOR,
            1,
            [record(UP, endpoint), record(GONE, "http://127.0.0.1:1"), record(POOR, endpoint)],
            Signer(b"\x09" * 32),
        )
        verifier = Verifier(
            VERIFIER, MASTER, MeasurementStore(tmp_path), surroundings, SocketTransport(), FixedPool(pool)
        )
        task = asyncio.create_task(verifier.run())
        try:
            assert verifier.attestation(0) is None
            while len(verifier.store.read(0)) < 15 or time.time() < timing.epoch_end(0):
                await asyncio.sleep(0.1)
            shown = verifier.attestation(0)
            assert shown is not None
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    read = read_document(shown, VERIFIER.address, 0, SEPARATOR)
    days, canaries = read.probe_days, read.canary_days
    assert surroundings.committed[0] == commitment(read.seed) == commitment(epoch_seed(MASTER, 0))
    by_provider = {signed.day.provider: signed.day for signed in days}
    assert set(by_provider) == {UP.address, GONE.address}
    assert join_words(by_provider[UP.address].up) == 0b11111
    assert sum(unpack_histogram(by_provider[UP.address].histogram)) == 5
    assert join_words(by_provider[GONE.address].up) == 0
    assert len(surroundings.handed_in) == 5
    asked_canaries = sum(1 for body in agent.asked if body == {"model": "m", "messages": []})
    assert [(signed.day.asked, signed.day.passed) for signed in canaries] == (
        [(asked_canaries, asked_canaries)] if asked_canaries else []
    )
    checked, gone = sorted(read.check_days, key=lambda one: one.day.provider != UP.address)
    assert gone.day.tries == gone.day.failed_tries == 5
    assert checked.day.completions == sum(1 for body in agent.asked if body == {"model": "m", "messages": [1]}) > 0
    with verifier.store.blobs.open("samples", checked.day.samples, 1 << 20) as opened:
        samples = read_samples(opened.read(), checked.day.samples)
    assert samples.test().p_ppb == checked.day.model_ppb
    assert {answer for one in samples.compared for answer in one.provider} == {"Hello there, traveller"}


async def test_a_burst_loads_every_provider_at_its_moment_and_is_attested(tmp_path: Path):
    timing = Timing(genesis=int(time.time()) + 2, slot_s=1, slots_per_epoch=4)
    async with HonestAgent(UP, SEPARATOR, "Hello").serving() as endpoint:
        records = [record(UP, endpoint), record(GONE, "http://127.0.0.1:1")]
        surroundings = MemorySurroundings(timing, SEPARATOR, 1, records, Signer(b"\x09" * 32))
        verifier = Verifier(
            VERIFIER, MASTER, MeasurementStore(tmp_path), surroundings, SocketTransport(), bursts=Bursts(1, 3, 10**8)
        )
        await living(verifier, lambda: bool(verifier.store.bursts(0)) and time.time() >= timing.epoch_end(0))
    ((rate, expected),) = verifier.store.bursts(0)[UP.address]
    assert rate > 0 and expected == 40 and GONE.address not in verifier.store.bursts(0)
    shown = verifier.attestation(0)
    assert shown is not None
    found = {one.day.provider: one.day for one in read_document(shown, VERIFIER.address, 0, SEPARATOR).check_days}
    assert (found[UP.address].bursts, found[UP.address].capacity_ppm) == (1, rate * 10**6 // expected)
    assert (found[GONE.address].bursts, found[GONE.address].slow_epochs) == (0, 0)


async def test_without_a_ticket_only_a_provider_out_of_reach_is_down(tmp_path: Path):
    timing = Timing(genesis=int(time.time()) + 1, slot_s=1, slots_per_epoch=3)
    surroundings = Surroundings(timing, SEPARATOR, 1, [record(POOR, "http://127.0.0.1:1")], Signer(b"\x09" * 32))
    surroundings.out_of_reach.add(POOR.address)
    verifier = Verifier(VERIFIER, MASTER, MeasurementStore(tmp_path), surroundings, SocketTransport())
    task = asyncio.create_task(verifier.run())
    try:
        while len(verifier.store.read(0)) < 3:
            await asyncio.sleep(0.1)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert {m.verdict.value for m in verifier.store.read(0)} == {"unreachable"}


class Faulty(Surroundings):
    """Fails in a way nobody foresaw wherever one provider is concerned."""

    async def ticket(self, provider: str, *rest: Any):
        if provider == GONE.address:
            raise ZeroDivisionError("a fault of the verifier itself")
        return await super().ticket(provider, *rest)


class FullDisk(MeasurementStore):
    """Cannot keep what concerns one provider."""

    def append(self, epoch: int, measurement: Measurement) -> bool:
        if measurement.provider == POOR.address:
            raise OSError("no space left on device")
        return super().append(epoch, measurement)


async def living(verifier: Verifier, enough: Callable[[], bool]) -> None:
    task = asyncio.create_task(verifier.run())
    try:
        while not enough():
            assert not task.done(), task.exception()
            await asyncio.sleep(0.05)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_fault_while_probing_one_provider_or_keeping_what_was_seen_ends_no_other_probe(tmp_path: Path):
    timing = Timing(genesis=int(time.time()) + 1, slot_s=1, slots_per_epoch=4)
    async with HonestAgent(UP, SEPARATOR, "Hello").serving() as endpoint:
        records = [record(signer, endpoint) for signer in (UP, GONE, POOR)]
        surroundings = Faulty(timing, SEPARATOR, 1, records, Signer(b"\x09" * 32))
        verifier = Verifier(VERIFIER, MASTER, FullDisk(tmp_path), surroundings, SocketTransport())
        with capture_logs():  # a traceback with every local drawn takes longer than a probe may
            await living(verifier, lambda: len(verifier.store.read(0)) >= 8)
    seen = {(m.provider, m.verdict) for m in verifier.store.read(0)}
    assert seen == {(UP.address, Verdict.SERVED), (GONE.address, Verdict.UNASKED)}


async def test_probes_that_wait_for_their_moment_take_no_place_of_those_whose_moment_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service, "_MOST_AT_ONCE", 1)
    timing = Timing(genesis=int(time.time()) + 1, slot_s=1, slots_per_epoch=3)
    async with HonestAgent(UP, SEPARATOR, "Hello").serving() as endpoint:
        surroundings = MemorySurroundings(timing, SEPARATOR, 1, [record(UP, endpoint)], Signer(b"\x09" * 32))
        verifier = Verifier(VERIFIER, MASTER, MeasurementStore(tmp_path), surroundings, SocketTransport())
        later = next(p for p in verifier._plan(1000, UP.address) if p.slot == 2)
        waiting = asyncio.create_task(verifier._one(1000, later, record(UP, endpoint)))
        await asyncio.sleep(0)
        try:
            await living(verifier, lambda: len(verifier.store.read(0)) >= 3)
        finally:
            waiting.cancel()
    assert {m.verdict for m in verifier.store.read(0)} == {Verdict.SERVED}


def test_a_plan_is_drawn_once_for_each_provider_and_only_what_is_near_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    timing = Timing(genesis=1_000, slot_s=5, slots_per_epoch=100)
    drawn: list[tuple[str, ...]] = []
    draw = service.draw_plan
    monkeypatch.setattr(
        service, "draw_plan", lambda seed, who, *more: drawn.append(tuple(who)) or draw(seed, who, *more)
    )
    surroundings = MemorySurroundings(timing, SEPARATOR, 2, [], Signer(b"\x09" * 32))
    clock = [1_100.0]
    verifier = Verifier(
        VERIFIER, MASTER, MeasurementStore(tmp_path), surroundings, SocketTransport(), now=lambda: clock[0]
    )
    records = {signer.address: record(signer, "http://127.0.0.1:1") for signer in (UP, GONE)}
    for moment in range(1_100, 1_200, 10):
        clock[0] = float(moment)
        whole = draw(epoch_seed(MASTER, 0), tuple(records), 100, 5_000, 2)
        near = {p for p in whole if 0 <= 1_000 + p.slot * 5 + p.offset_ms / 1000 - moment <= 10}
        assert near
        assert set(verifier._due(0, records)) == near
    assert sorted(drawn) == sorted((provider,) for provider in records)


def test_what_was_attested_once_is_attested_ever_after_and_later_measurements_are_left_out(tmp_path: Path):
    timing = Timing(genesis=1_000, slot_s=5, slots_per_epoch=10)
    surroundings = MemorySurroundings(timing, SEPARATOR, 1, [], Signer(b"\x09" * 32))

    def started() -> Verifier:
        store = MeasurementStore(tmp_path)
        return Verifier(VERIFIER, MASTER, store, surroundings, SocketTransport(), now=lambda: 1_050.0)

    verifier = started()
    assert verifier.store.append(0, Measurement(UP.address, 3, Verdict.SERVED, 12, None)) is True
    shown = verifier.attestation(0)
    assert shown is not None
    assert verifier.store.append(0, Measurement(UP.address, 9, Verdict.TIMEOUT, None, None)) is False
    assert verifier.attestation(0) == started().attestation(0) == shown
    assert [m.slot for m in started().store.read(0)] == [3]
    assert started().attestation(1) is None
