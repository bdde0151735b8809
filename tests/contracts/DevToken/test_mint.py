"""The dev tokens: anybody mints, decimals are as deployed."""


def test_gives_anybody_what_they_ask_for(market):
    supply = market.payment_token.totalSupply()
    balance = market.payment_token.balanceOf(market.fresh)
    market.payment_token.mint(market.fresh, 5, {"from": market.stranger})
    assert market.payment_token.balanceOf(market.fresh) == balance + 5
    assert market.payment_token.totalSupply() == supply + 5


def test_has_the_decimals_it_was_deployed_with(market):
    assert (market.stake_token.decimals(), market.payment_token.decimals()) == (18, 6)
    assert (market.stake_token.symbol(), market.payment_token.symbol()) == ("DSTK", "DUSD")
