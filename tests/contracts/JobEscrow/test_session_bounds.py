"""setSession: the shortest and the longest a key may stand for a customer, to the second."""

import pytest

from tests.contracts.support.act import tried

NINETY_DAYS = 90 * 24 * 3600


@pytest.mark.parametrize("seconds, taken", [(0, False), (1, True), (NINETY_DAYS, True), (NINETY_DAYS + 1, False)])
def test_a_session_lasts_a_second_at_least_and_ninety_days_at_most(market, seconds, taken):
    begins = market.now() + 10
    market.next_block_at(begins)
    assert tried(market.escrow.setSession, market.dora, begins + seconds, 0, market.alice) is taken
    assert market.now() == begins
