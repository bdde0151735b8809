"""Price transactions by EIP-1559, and replacements of them.

A node takes a second transaction for a nonce only if it offers enough more than the first, usually a tenth, in both the
fee cap and the tip. We offer an eighth more, rounded up, so that every node's rule is met; `assert_replaces` holds our
own code to it, because a devnet's node is content with less.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import FeeCapReached

GWEI = 10**9


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """What a sender may pay and when it pays more.

    `most_fee_wei`: most per gas, tip included. `bump_after_blocks`: blocks without inclusion until a replacement.
    `least_tip_wei`: the tip where the node suggests less.
    """

    most_fee_wei: int = 200 * GWEI
    bump_after_blocks: int = 3
    least_tip_wei: int = 1


@dataclass(frozen=True, slots=True)
class Market:
    """Fees as of a block: its base fee and the tip the node suggests, wei per gas."""

    base_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True)
class Price:
    """What a transaction offers per gas: at most `most_fee_wei` in all, of which `tip_wei` to who builds the block."""

    most_fee_wei: int
    tip_wei: int


def first_price(intent_id: str, market: Market, policy: FeePolicy) -> Price:
    """Return twice the base fee and the tip, cut to the policy; raises FeeCapReached if that buys no inclusion.

    Twice the base fee lasts six blocks that are all full.
    """
    tip = max(market.tip_wei, policy.least_tip_wei)
    needed = market.base_fee_wei + tip
    if needed > policy.most_fee_wei:
        raise FeeCapReached(intent_id, needed, policy.most_fee_wei)
    return Price(min(needed + market.base_fee_wei, policy.most_fee_wei), tip)


def replacement_price(intent_id: str, before: Price, market: Market, policy: FeePolicy) -> Price:
    """Return what replaces `before` at the present market, cut to the policy; raises FeeCapReached if that is less.

    30 gwei with a tip of 1 become 33.75 gwei with a tip of 1.125, or the market's price if that is more.
    """
    tip = max(_an_eighth_more(before.tip_wei), market.tip_wei)
    wanted = max(_an_eighth_more(before.most_fee_wei), 2 * market.base_fee_wei + tip)
    price = Price(min(wanted, policy.most_fee_wei), min(tip, policy.most_fee_wei))
    if not replaces(price, before):
        raise FeeCapReached(intent_id, wanted, policy.most_fee_wei)
    return price


def replaces(price: Price, before: Price) -> bool:
    """Say whether a price is at least an eighth above another in both parts."""
    return 8 * price.most_fee_wei >= 9 * before.most_fee_wei and 8 * price.tip_wei >= 9 * before.tip_wei


def covers(price: Price, market: Market) -> bool:
    """Say whether a price buys inclusion at the market: then what is not included waits for something else."""
    return price.most_fee_wei >= market.base_fee_wei + min(price.tip_wei, market.tip_wei)


def assert_replaces(price: Price, before: Price) -> None:
    """Stop before a replacement is signed that a node may refuse."""
    assert replaces(price, before), f"{price} does not replace {before}"


def _an_eighth_more(value: int) -> int:
    return -(-9 * value // 8)
