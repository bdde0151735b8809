"""The prefix index: who holds the beginning of a prompt, and who is believed."""

from __future__ import annotations

from scheduler.lane import DISBELIEF_MS
from scheduler.policy import Policy
from scheduler.prefix import BLOCK_TOKENS, HOLDERS_MOST, TTL_MS, PrefixIndex
from scheduler.state import MarketState
from scheduler.testing import address, decided, make_job, make_market, make_offer, serve

ROOM = 1_000.0 * BLOCK_TOKENS
QUIET = Policy(newcomer_floor_ppm=0, explore_ppm=0)


def test_the_longest_prefix_comes_first() -> None:
    index = PrefixIndex()
    index.note((1, 2, 3), "a", ROOM, 0.0)
    index.note((1, 2), "b", ROOM, 0.0)
    index.note((1,), "c", ROOM, 0.0)
    assert index.find((1, 2, 3, 4), 1.0) == (("a", 3 * 512), ("b", 2 * 512), ("c", 512))
    assert index.find((9, 2, 3), 1.0) == ()
    assert index.find((), 1.0) == ()


def test_who_holds_a_long_prefix_is_found_though_many_hold_its_beginning() -> None:
    index = PrefixIndex()
    index.note((1, 2, 3), "first", ROOM, 0.0)
    for number in range(HOLDERS_MOST + 2):
        index.note((1, 100 + number), f"later-{number}", ROOM, 1.0)
    assert index.find((1, 2, 3), 2.0)[0] == ("first", 3 * 512)


def test_a_block_names_the_latest_three_and_the_counts_stay_right() -> None:
    index = PrefixIndex()
    for number in range(5):
        index.note((1,), str(number), ROOM, float(number))
    assert [name for name, _ in index.find((1,), 5.0)] == ["4", "3", "2"]
    assert len(index) == 3


def test_what_was_not_used_for_long_is_not_believed_to_be_there() -> None:
    index = PrefixIndex()
    index.note((1, 2), "a", ROOM, 0.0)
    assert index.find((1, 2), TTL_MS - 1.0) == (("a", 2 * 512),)
    assert index.find((1, 2), TTL_MS) == ()


def test_a_providers_blocks_do_not_exceed_its_room_and_the_end_of_a_prompt_goes_first() -> None:
    index = PrefixIndex()
    index.note((1, 2, 3), "a", 3.0 * BLOCK_TOKENS, 0.0)
    index.note((7,), "a", 3.0 * BLOCK_TOKENS, 1.0)
    assert index.find((1, 2, 3), 2.0) == (("a", 2 * 512),)
    assert index.find((7,), 2.0) == (("a", 512),)
    assert len(index) == 3


def test_the_whole_index_is_bounded_and_the_largest_holder_gives() -> None:
    index = PrefixIndex(blocks_most=4)
    index.note((1, 2, 3), "large", ROOM, 0.0)
    index.note((8, 9), "small", ROOM, 1.0)
    assert len(index) == 4
    assert index.find((8, 9), 2.0) == (("small", 2 * 512),)
    assert index.find((1, 2, 3), 2.0) == (("large", 2 * 512),)


def test_a_provider_that_went_away_holds_nothing() -> None:
    index = PrefixIndex()
    index.note((1, 2), "a", ROOM, 0.0)
    index.note((1,), "b", ROOM, 0.0)
    index.forget("a")
    assert index.find((1, 2), 1.0) == (("b", 512),)
    assert len(index) == 1


def long_job(number: int, warm: tuple[tuple[str, int], ...]):
    return make_job(number, input_tokens=6_000, warm=warm)


def answer(state: MarketState, number: int, now_ms: float, real: bool) -> int:
    """Send a job that one provider claims to hold, let its first byte show whether it does; return the counted hit."""
    decision = decided(state, long_job(number, ((address(0), 5_120),)), now_ms=now_ms)
    hit = decision.hits.get(0, 0)
    reservation = state.reserve(decision, now_ms, address(0))
    lane = state.lanes[0]
    serve(state, reservation, now_ms, lane.latency.ttft_ms(880 if real else 6_000), 20.0)
    return hit


def test_a_provider_whose_first_bytes_show_its_hits_is_believed() -> None:
    state = make_market([make_offer()], QUIET)
    hits = [answer(state, number, 1_000.0 * number, real=True) for number in range(30)]
    assert hits == [5_120] * 30


def test_a_provider_whose_timing_never_shows_its_claimed_hits_loses_them_and_is_heard_again_later() -> None:
    state = make_market([make_offer()], QUIET)
    hits = [answer(state, number, 1_000.0 * number, real=False) for number in range(30)]
    assert hits[0] == 5_120 and hits[-1] == 0
    assert sorted(hits, reverse=True) == hits, "each silence costs belief"
    later_ms = 31_000.0 + DISBELIEF_MS
    assert answer(state, 99, later_ms, real=True) == 2_560, "half believed"


def test_a_sessions_word_cannot_cost_a_provider_its_belief() -> None:
    state = make_market([make_offer()], QUIET)
    for number in range(30):
        decision = decided(state, make_job(number, input_tokens=6_000, session="s"), now_ms=1_000.0 * number)
        reservation = state.reserve(decision, 1_000.0 * number)
        serve(state, reservation, 1_000.0 * number, state.lanes[0].latency.ttft_ms(6_000), 20.0)
    assert state.lanes[0].believed == 1.0


def test_a_warm_cache_behind_a_long_queue_loses_to_a_cold_start() -> None:
    state = make_market([make_offer(0), make_offer(1)], QUIET)
    warm = ((address(0), 5_120),)
    assert decided(state, long_job(0, warm)).provider == address(0)
    state.report(address(0), state.lanes[0].offer.model, 5, 100_000.0, 0.0, 0.0)
    assert decided(state, long_job(1, warm)).provider == address(1)
