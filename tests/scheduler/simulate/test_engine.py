"""The simulated engine: its steps, its slots, its cache and its outages, on examples worked by hand."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import pytest

from scheduler.simulate.coefficients import CHUNK_TOKENS, PUBLISHED, StepTiming
from scheduler.simulate.engine import Attempt, Engine
from scheduler.simulate.trace import Arrival

TIMING = StepTiming(a_ms=10.0, b_ms=1.0, c_ms=0.0, p_ms=0.1, q_ms=0.0, overhead_ms=0.0)


class Agenda:
    """Calls things at their time and hears what becomes of attempts."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, Callable[[float], None]]] = []
        self.told: list[tuple[str, int, float]] = []

    def later(self, at_ms: float, call: Callable[[float], None]) -> None:
        heapq.heappush(self.entries, (at_ms, len(self.entries) + len(self.told) * 1_000, call))

    def run(self, until_ms: float = 1e9) -> None:
        while self.entries and self.entries[0][0] <= until_ms:
            at_ms, _, call = heapq.heappop(self.entries)
            call(at_ms)

    def first_token(self, attempt: Attempt, now_ms: float) -> None:
        self.told.append(("first", attempt.arrival.number, round(now_ms, 6)))

    def finished(self, attempt: Attempt, now_ms: float) -> None:
        self.told.append(("finished", attempt.arrival.number, round(now_ms, 6)))

    def broken(self, attempt: Attempt, now_ms: float) -> None:
        self.told.append(("broken", attempt.arrival.number, round(now_ms, 6)))


def engine(agenda: Agenda, slots: int = 8, kv_tokens: int = 100_000) -> Engine:
    return Engine(TIMING, slots, kv_tokens, agenda.later, agenda)


def ask(number: int, tokens: int, out: int, blocks: tuple[int, ...] = ()) -> Attempt:
    return Attempt(Arrival(number, 0.0, tokens, out, blocks), 0, 0.0)


def test_a_request_alone_takes_one_step_for_its_prompt_and_one_for_each_later_token() -> None:
    agenda = Agenda()
    engine(agenda).take(ask(0, 100, 11), 0.0)
    agenda.run()
    assert agenda.told == [("first", 0, 20.0), ("finished", 0, 130.0)], "10 + 100·0.1, then 10 steps of 11 ms"


def test_a_long_prompt_is_computed_in_chunks_and_gives_the_others_one_token_a_step() -> None:
    agenda = Agenda()
    one = engine(agenda)
    one.take(ask(0, 100, 3), 0.0)
    agenda.run(20.0)
    one.take(ask(1, 2 * CHUNK_TOKENS, 1), 20.0)
    agenda.run()
    end_ms = round(20.0 + 2 * (10.0 + 1.0 + 0.1 * CHUNK_TOKENS), 6)
    assert agenda.told[1:] == [("first", 1, end_ms), ("finished", 0, end_ms), ("finished", 1, end_ms)]


def test_prompts_that_fit_into_one_step_get_their_first_token_together() -> None:
    agenda = Agenda()
    one = engine(agenda)
    one.take(ask(0, 100, 1), 0.0)
    one.take(ask(1, 100, 1), 0.0)
    one.take(ask(2, 100, 1), 0.0)
    agenda.run()
    first = {number: at for act, number, at in agenda.told if act == "first"}
    assert first == {0: 20.0, 1: 50.0, 2: 50.0}, "the second and third came while the first step ran"


def test_who_finds_no_slot_waits_for_one() -> None:
    agenda = Agenda()
    one = engine(agenda, slots=1)
    one.take(ask(0, 100, 2), 0.0)
    one.take(ask(1, 100, 1), 0.0)
    agenda.run()
    assert ("finished", 0, 31.0) in agenda.told
    assert ("first", 1, 51.0) in agenda.told


def test_who_finds_no_room_in_the_caches_waits_for_it() -> None:
    agenda = Agenda()
    one = engine(agenda, kv_tokens=150)
    one.take(ask(0, 100, 2), 0.0)
    one.take(ask(1, 100, 1), 0.0)
    agenda.run()
    assert ("first", 1, 51.0) in agenda.told


def test_a_prompt_whose_beginning_is_in_the_cache_computes_the_rest() -> None:
    agenda = Agenda()
    one = engine(agenda)
    one.take(ask(0, 1_100, 1, (1, 2)), 0.0)
    agenda.run()
    again = ask(1, 1_100, 1, (1, 2))
    one.take(again, 1_000.0)
    agenda.run()
    assert again.hit_tokens == 1_024
    assert agenda.told[-1] == ("finished", 1, 1_000.0 + 10.0 + 7.6)


def test_of_a_prompt_that_is_there_whole_the_last_token_is_computed() -> None:
    agenda = Agenda()
    one = engine(agenda)
    one.take(ask(0, 1_024, 1, (1, 2)), 0.0)
    agenda.run()
    assert one.count_hit(Arrival(1, 0.0, 1_024, 1, (1, 2))) == 1_023


def test_the_cache_gives_up_the_end_of_the_least_recently_used_prompt_first() -> None:
    agenda = Agenda()
    one = engine(agenda, kv_tokens=4 * 512)
    one.take(ask(0, 1_536, 1, (1, 2, 3)), 0.0)
    agenda.run()
    one.take(ask(1, 1_024, 1, (8, 9)), 1_000.0)
    agenda.run()
    assert one.count_hit(Arrival(2, 0.0, 2_000, 1, (1, 2, 3))) == 1_024


def test_an_outage_breaks_what_runs_and_waits_and_says_how_much_was_delivered() -> None:
    agenda = Agenda()
    one = engine(agenda, slots=1)
    runs, waits = ask(0, 100, 100), ask(1, 100, 100)
    one.take(runs, 0.0)
    one.take(waits, 0.0)
    agenda.run(20.0)
    one.stop(20.0 + 10.5 * 11.0)
    agenda.run()
    assert agenda.told == [("first", 0, 20.0), ("broken", 0, 135.5), ("broken", 1, 135.5)]
    assert (runs.delivered, waits.delivered) == (11, 0)
    one.take(ask(2, 100, 1), 200.0)
    assert agenda.told[-1] == ("broken", 2, 200.0), "and refuses what comes"
    one.start()
    one.take(ask(3, 100, 1), 300.0)
    agenda.run()
    assert agenda.told[-1] == ("finished", 3, 320.0)


def test_what_the_oracle_is_told_of_an_idle_engine_is_what_happens() -> None:
    agenda = Agenda()
    one = engine(agenda)
    ttft_ms, itl_ms = one.expect(Arrival(0, 0.0, 500, 10, ()), 0.0)
    one.take(ask(0, 500, 10), 0.0)
    agenda.run()
    assert agenda.told[0][2] == pytest.approx(ttft_ms, abs=1.01)
    assert itl_ms == 11.0


def test_the_published_coefficients_give_the_published_gaps() -> None:
    """8B at 1,000 tokens of context, one and 32 sequences: 6.9 and 9.4 ms on an H100, 10.6 and 14.6 on an A100, 23.5
    and 32.8 on an L40S."""
    for name, one_ms, many_ms in (("H100", 6.9, 9.4), ("A100", 10.6, 14.6), ("L40S", 23.5, 32.8)):
        timing = PUBLISHED[name][0]
        assert timing.decode_ms(1, 1_000.0) == pytest.approx(one_ms, rel=0.03)
        assert timing.decode_ms(32, 32_000.0) == pytest.approx(many_ms, rel=0.03)
