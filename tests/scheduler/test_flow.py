"""Work waits at the gateway: who is refused and when, who goes first, and which places lower bands may not take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.flow.bands import BANDS, BY_NAME, FlowPolicy
from scheduler.flow.flow import EVICTED, KEY_FULL, PATIENCE, QUEUE_FULL, WAITED, Denied, Flow
from scheduler.flow.line import Line, Verdict
from scheduler.flow.places import Places
from scheduler.flow.queue import Waiting

REALTIME, STANDARD, BATCH, BACKGROUND = range(4)


class Shop:
    """A flow over one model whose places a test opens and closes by hand."""

    def __init__(self, total: int, per_ms: float = 0.0, **policy: int) -> None:
        self.places = Places()
        self.places.total, self.places.per_ms = total, per_ms
        self.refused: list[tuple[Waiting, Denied]] = []
        self.flow = Flow(replace(FlowPolicy(), **policy), lambda job, denied: self.refused.append((job, denied)))
        self.line: Line = self.flow.line("m", self.places)
        self.now_ms = 0.0
        self.placed: list[Waiting] = []

    def enter(self, rank: int, tenant: str = "a", **more: object) -> Waiting | Denied:
        settings = {"key": tenant, "kind": "chat", "size": (1, 1), "tokens": 1.0, "now_ms": self.now_ms, **more}
        return self.flow.enter(self.line, rank, tenant, **settings)  # type: ignore[arg-type]

    def wait(self, rank: int, tenant: str = "a", **more: object) -> Waiting:
        job = self.enter(rank, tenant, **more)
        assert isinstance(job, Waiting), job
        return job

    def attempt(self, job: Waiting) -> Verdict:
        self.places.used += 1
        self.placed.append(job)
        return Verdict.TAKEN

    def dispatch(self) -> list[Waiting]:
        before = len(self.placed)
        self.flow.dispatch(self.line, self.now_ms, self.attempt)
        return self.placed[before:]

    def end(self, rank: int, tenant: str = "a") -> None:
        self.places.used -= 1
        self.line.end(rank, tenant, 0.0, self.now_ms)

    def run(self, rank: int) -> None:
        """Place a job that did not wait."""
        assert self.line.passes(rank, self.now_ms)
        self.places.used += 1
        self.line.begin(rank, "runs", 1.0, self.now_ms)


# Order of the bands


def test_realtime_goes_first_and_the_others_in_their_order() -> None:
    shop = Shop(0)
    jobs = [shop.wait(rank) for rank in (BACKGROUND, BATCH, STANDARD, REALTIME)]
    shop.places.total = 4
    assert shop.dispatch() == jobs[::-1]


def test_batch_and_background_get_a_turn_now_and_then_although_standard_waits() -> None:
    shop = Shop(0, queued_per_key=1_000)
    for rank in (BATCH, BACKGROUND):
        shop.wait(rank)
    for _ in range(100):
        shop.wait(STANDARD)
    shop.places.total = 100
    bands = [job.rank for job in shop.dispatch()]
    assert bands.index(BATCH) == BANDS[BATCH].turn_every
    assert bands.index(BACKGROUND) == BANDS[BACKGROUND].turn_every


def test_an_owed_turn_never_comes_before_realtime() -> None:
    shop = Shop(0, queued_per_key=1_000)
    shop.wait(BATCH)
    for _ in range(100):
        shop.wait(REALTIME)
    shop.places.total = 100
    assert {job.rank for job in shop.dispatch()} == {REALTIME}


def test_a_new_job_does_not_pass_those_that_wait_in_its_band_or_above() -> None:
    shop = Shop(1)
    shop.wait(STANDARD)
    assert shop.line.passes(REALTIME, 0.0)
    assert not shop.line.passes(STANDARD, 0.0)
    assert not shop.line.passes(BATCH, 0.0)


def test_batch_work_that_is_nearly_due_waits_among_standard() -> None:
    flow = Flow()
    soon = flow.policy.promote_ms
    assert flow.band_of(BATCH, soon, 0.0) == STANDARD
    assert flow.band_of(BATCH, soon + 1.0, 0.0) == BATCH
    assert flow.band_of(BACKGROUND, soon, 0.0) == BACKGROUND


# What does not fit


def test_a_kind_that_nobody_has_a_place_for_does_not_stop_another() -> None:
    shop = Shop(2)
    blocked = [shop.wait(REALTIME, kind="vision") for _ in range(3)]
    other = shop.wait(BACKGROUND)
    tried = []

    def attempt(job: Waiting) -> Verdict:
        tried.append(job)
        return shop.attempt(job) if job.kind == "chat" else Verdict.FULL

    shop.flow.dispatch(shop.line, 0.0, attempt)
    assert tried == [blocked[0], other], "one of a kind is asked for all of it"


def test_a_job_too_large_for_a_bond_does_not_stop_a_smaller_one() -> None:
    shop = Shop(3)
    for size in ((10, 10), (12, 10), (10, 11)):
        shop.wait(STANDARD, size=size)
    small = shop.wait(STANDARD, size=(20, 1))
    tried = []

    def attempt(job: Waiting) -> Verdict:
        tried.append(job.size)
        return shop.attempt(job) if job is small else Verdict.TOO_LARGE

    shop.flow.dispatch(shop.line, 0.0, attempt)
    assert tried == [(10, 10), (20, 1)], "what is not smaller in anything is not tried"


def test_a_job_that_fails_is_gone_and_the_next_is_tried() -> None:
    shop = Shop(1)
    bad, good = shop.wait(STANDARD, "a"), shop.wait(STANDARD, "b")
    shop.flow.dispatch(shop.line, 0.0, lambda job: Verdict.FAILED if job is bad else shop.attempt(job))
    assert shop.placed == [good] and not bad.queued
    assert (shop.flow.counts.failed, shop.flow.counts.placed, shop.flow.waiting) == (1, 1, 0)


# Realtime's reserve


def test_lower_bands_leave_realtimes_recent_peak_free_but_at_most_a_quarter() -> None:
    shop = Shop(16)
    for _ in range(6):
        shop.run(REALTIME)
    for _ in range(6):
        shop.end(REALTIME, "runs")
    for _ in range(12):
        shop.run(STANDARD)
    assert not shop.line.passes(STANDARD, 0.0)
    assert shop.places.free == 4
    shop.wait(STANDARD)
    assert shop.dispatch() == []
    shop.run(REALTIME)
    assert shop.line.held_back(0.0) == 3, "what realtime uses itself is not held back besides"


def test_the_reserve_fades_when_realtime_stays_away() -> None:
    shop = Shop(16)
    for _ in range(4):
        shop.run(REALTIME)
    for _ in range(4):
        shop.end(REALTIME, "runs")
    half_life_ms = shop.flow.policy.peak_half_life_ms
    assert [shop.line.held_back(n * half_life_ms) for n in range(5)] == [4, 2, 1, 0, 0]
    shop.now_ms = 4 * half_life_ms
    job = shop.wait(BACKGROUND)
    assert shop.dispatch() == [job]


def test_a_model_without_realtime_work_holds_nothing_back() -> None:
    shop = Shop(4)
    for _ in range(4):
        shop.run(BACKGROUND)
    assert shop.places.free == 0


def test_waiting_realtime_counts_for_the_peak() -> None:
    shop = Shop(0)
    for _ in range(3):
        shop.wait(REALTIME)
    shop.places.total = 16
    assert shop.line.held_back(0.0) == 3


# Refusals


def test_a_wait_beyond_patience_is_refused_at_once_with_that_wait() -> None:
    patience_ms = BANDS[REALTIME].patience_ms
    shop = Shop(4, per_ms=3 / patience_ms)
    for _ in range(3):
        shop.wait(REALTIME)
    assert shop.enter(REALTIME) == Denied(PATIENCE, int(4 / 3 * patience_ms))
    assert isinstance(shop.enter(REALTIME, "other"), Waiting), "in turns it is second: after one of the first tenant"


def test_an_outage_longer_than_patience_is_refused_at_once_until_its_end() -> None:
    shop = Shop(0)
    assert shop.enter(STANDARD, first_ms=60_000.0) == Denied(PATIENCE, 60_000)
    assert isinstance(shop.enter(STANDARD, first_ms=BANDS[STANDARD].patience_ms), Waiting)
    assert isinstance(shop.enter(BATCH, first_ms=60_000.0), Waiting)


def test_the_time_to_ask_again_is_one_that_clients_obey() -> None:
    shop = Shop(0)
    assert shop.enter(STANDARD, first_ms=1e9) == Denied(PATIENCE, 120_000)


@pytest.mark.parametrize("band", list(BY_NAME))
def test_who_waited_its_patience_is_refused(band: str) -> None:
    shop = Shop(0)
    job = shop.wait(BY_NAME[band].rank)
    assert shop.flow.expire(BY_NAME[band].patience_ms - 0.001) == 0
    assert shop.flow.expire(BY_NAME[band].patience_ms) == 1
    assert [(job, denied.reason) for job, denied in shop.refused] == [(job, WAITED)]
    assert shop.flow.expire(1e9) == 0


def test_a_key_has_a_bound_of_its_own() -> None:
    shop = Shop(0, queued_per_key=2)
    jobs = [shop.wait(STANDARD) for _ in range(2)]
    full = shop.enter(STANDARD)
    assert isinstance(full, Denied) and full.reason == KEY_FULL
    assert isinstance(shop.enter(STANDARD, "b"), Waiting)
    shop.flow.leave(jobs[0])
    assert isinstance(shop.enter(STANDARD), Waiting)


def test_a_full_queue_evicts_the_oldest_of_the_lowest_band_and_nobody_of_ones_own() -> None:
    shop = Shop(0, queued_most=4)
    batch, old, new = shop.wait(BATCH), shop.wait(BACKGROUND), shop.wait(BACKGROUND, "b")
    standard = shop.wait(STANDARD)
    for _ in range(3):
        shop.wait(REALTIME)
    assert [job for job, _ in shop.refused] == [old, new, batch]
    assert {denied.reason for _, denied in shop.refused} == {EVICTED}
    full = shop.enter(STANDARD)
    assert isinstance(full, Denied) and full.reason == QUEUE_FULL
    shop.wait(REALTIME)
    assert not standard.queued
    full = shop.enter(REALTIME)
    assert isinstance(full, Denied) and full.reason == QUEUE_FULL
    assert shop.flow.waiting == 4


# Leaving and coming back


def test_who_leaves_is_gone_at_once_and_only_once() -> None:
    shop = Shop(0)
    first, second = shop.wait(STANDARD), shop.wait(STANDARD)
    assert shop.flow.leave(first) and not shop.flow.leave(first)
    assert (shop.flow.waiting, shop.flow.counts.left, list(shop.line.queues[STANDARD])) == (1, 1, [second])
    shop.places.total = 2
    assert shop.dispatch() == [second]
    assert not shop.flow.leave(second), "it does not wait any more"


def test_who_comes_back_keeps_its_age_and_its_patience() -> None:
    shop = Shop(1)
    first = shop.wait(STANDARD)
    assert shop.dispatch() == [first]
    second = shop.wait(STANDARD)
    shop.end(STANDARD)
    shop.places.total = 0
    assert shop.flow.come_back(shop.line, first, 10.0) is None
    shop.places.total = 1
    assert shop.dispatch() == [first]
    shop.end(STANDARD)
    denied = shop.flow.come_back(shop.line, first, BANDS[STANDARD].patience_ms)
    assert denied is not None and denied.reason == WAITED
    assert second.queued and not first.queued


def test_what_waits_is_bound_to_nobody_when_providers_go_and_come() -> None:
    """Health checks that reset counters lose load elsewhere; here a flip moves places, and nothing else."""
    shop = Shop(3)
    jobs = [shop.wait(STANDARD) for _ in range(5)]
    assert shop.dispatch() == jobs[:3]
    shop.places.total = shop.places.used = 0
    assert shop.dispatch() == [] and [job.queued for job in jobs] == [False] * 3 + [True] * 2
    assert shop.line.in_flight[STANDARD] == 3, "running jobs are counted until their last byte"
    shop.places.total, shop.places.used = 6, 3
    assert shop.dispatch() == jobs[3:]


def test_ends_that_come_often_do_not_fill_the_memory() -> None:
    shop = Shop(0)
    for _ in range(5_000):
        shop.flow.leave(shop.wait(BACKGROUND))
    assert len(shop.flow._ends) <= 70
    assert not shop.flow._per_key and not shop.line.queues[BACKGROUND].kinds


def test_lines_of_models_that_nobody_uses_are_forgotten() -> None:
    shop = Shop(1)
    job = shop.wait(STANDARD)
    shop.places.total = 0
    shop.flow.sweep()
    assert "m" in shop.flow.lines
    shop.flow.leave(job)
    shop.flow.sweep()
    assert not shop.flow.lines


def test_clearing_takes_everybody_out_and_the_counts_balance() -> None:
    shop = Shop(0)
    jobs = {shop.wait(rank, tenant) for rank in range(4) for tenant in "ab"}
    assert set(shop.flow.clear()) == jobs
    assert (shop.flow.waiting, shop.flow.counts.refused, shop.flow.counts.entered) == (0, 8, 8)
    assert shop.flow.expire(1e9) == 0
