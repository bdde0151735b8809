"""Fees: what a transaction offers, and by how much its replacement offers more."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.errors import FeeCapReached
from contracts.fees import (
    GWEI,
    FeePolicy,
    Market,
    Price,
    assert_replaces,
    covers,
    first_price,
    replacement_price,
    replaces,
)

wei = st.integers(0, 10**13)
markets = st.builds(Market, wei, wei)
prices = st.builds(Price, st.integers(1, 10**13), st.integers(1, 10**12))


def test_refuses_to_sign_below_what_the_block_asks() -> None:
    with pytest.raises(FeeCapReached, match="needs 31000000000 wei per gas, the policy permits 30000000000"):
        first_price("x", Market(30 * GWEI, GWEI), FeePolicy(most_fee_wei=30 * GWEI))


def test_refuses_a_replacement_that_the_cap_makes_too_small() -> None:
    before = Price(28 * GWEI, GWEI)
    with pytest.raises(FeeCapReached, match="needs 31500000000"):
        replacement_price("x", before, Market(GWEI, GWEI), FeePolicy(most_fee_wei=30 * GWEI))


@pytest.mark.parametrize("price", [Price(112, 20), Price(200, 11), Price(100, 10), Price(99, 99)])
def test_our_own_code_stops_at_a_replacement_below_an_eighth(price: Price) -> None:
    with pytest.raises(AssertionError, match="does not replace"):
        assert_replaces(price, Price(100, 10))


def test_offers_twice_the_base_fee_and_an_eighth_more_each_time() -> None:
    price = first_price("x", Market(30 * GWEI, 2 * GWEI), FeePolicy())
    assert price == Price(62 * GWEI, 2 * GWEI)
    after = replacement_price("x", price, Market(30 * GWEI, 2 * GWEI), FeePolicy())
    assert after == Price(69_750_000_000, 2_250_000_000)
    assert replacement_price("x", Price(100, 1), Market(0, 0), FeePolicy()) == Price(113, 2)


def test_goes_up_to_the_cap_when_that_is_enough() -> None:
    after = replacement_price("x", Price(20 * GWEI, GWEI), Market(60 * GWEI, GWEI), FeePolicy(most_fee_wei=30 * GWEI))
    assert after == Price(30 * GWEI, 1_125_000_000)


@given(prices, markets, st.integers(1, 10**13))
def test_every_replacement_meets_the_rule_of_every_node(before: Price, market: Market, most: int) -> None:
    assume(before.tip_wei <= before.most_fee_wei)
    try:
        after = replacement_price("x", before, market, FeePolicy(most_fee_wei=most))
    except FeeCapReached:
        assert most < max(-(-9 * before.most_fee_wei // 8), -(-9 * before.tip_wei // 8), market.tip_wei)
        return
    assert replaces(after, before) and after.most_fee_wei <= most and after.tip_wei <= after.most_fee_wei
    # what nodes ask: a tenth more in both
    assert 10 * after.most_fee_wei >= 11 * before.most_fee_wei and 10 * after.tip_wei >= 11 * before.tip_wei


@given(markets)
def test_a_first_price_buys_inclusion(market: Market) -> None:
    assume(market.base_fee_wei + max(1, market.tip_wei) <= 200 * GWEI)
    assert covers(first_price("x", market, FeePolicy()), market)
