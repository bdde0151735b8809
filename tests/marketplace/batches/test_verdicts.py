"""What becomes of a line that was not served."""

from __future__ import annotations

import pytest

from marketplace.batches.verdicts import TRIES_MOST, Kind, judge
from marketplace.gateway.errors import (
    context_too_long,
    insufficient_quota,
    invalid,
    market_paused,
    no_provider,
    shutting_down,
    too_busy,
    unknown_model,
)


def test_an_empty_purse_pauses_and_counts_for_no_failure() -> None:
    verdict = judge(insufficient_quota("no money"), 3)
    assert (verdict.kind, verdict.tries) == (Kind.PAUSE, 3) and verdict.after_s > 0


@pytest.mark.parametrize(("wait_ms", "after_s"), [(1, 1), (1_000, 1), (1_001, 2), (90_000, 90)])
def test_a_full_market_is_waited_for_and_counts_for_no_failure(wait_ms: int, after_s: int) -> None:
    verdict = judge(too_busy("full", wait_ms), TRIES_MOST + 5)
    assert (verdict.kind, verdict.after_s, verdict.tries) == (Kind.WAIT, after_s, TRIES_MOST + 5)


@pytest.mark.parametrize("error", [shutting_down(), market_paused(100, 40.0)])
def test_a_gateway_that_stops_or_a_market_that_pauses_counts_for_no_failure(error) -> None:
    verdict = judge(error, TRIES_MOST)
    assert (verdict.kind, verdict.tries) == (Kind.WAIT, TRIES_MOST)
    assert verdict.after_s * 1_000 == error.retry_after_ms


@pytest.mark.parametrize("error", [no_provider("died"), unknown_model("gone")])
def test_a_failure_is_tried_again_ever_later_and_then_dead(error) -> None:
    waits, tries = [], 0
    while (verdict := judge(error, tries)).kind is Kind.RETRY:
        waits.append(verdict.after_s)
        assert verdict.tries == tries + 1
        tries = verdict.tries
    assert verdict.kind is Kind.DEAD and verdict.tries == TRIES_MOST
    assert waits == [5, 10, 20, 40, 80, 160, 320]


@pytest.mark.parametrize("error", [context_too_long(9_000, 4_096), invalid("the engine says no")])
def test_what_another_try_would_not_change_is_dead_at_once(error) -> None:
    assert judge(error, 0).kind is Kind.DEAD
