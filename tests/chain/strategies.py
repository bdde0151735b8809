"""Random messages and reports within the ranges of their types."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from contracts.messages import Message
from contracts.types import (
    Charge,
    Credit,
    Harm,
    Harmed,
    Leaf,
    MeasuredDay,
    MeasuredLeaf,
    Movements,
    Payee,
    Pool,
    Report,
    Totals,
)

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
words = st.binary(min_size=32, max_size=32)
keys = st.integers(1, 2**128).map(lambda number: number.to_bytes(32))


def uints(bits: int) -> st.SearchStrategy[int]:
    """Numbers of a width, its ends included."""
    return st.one_of(st.just(0), st.just(2**bits - 1), st.integers(0, 2**bits - 1))


def messages(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Messages of one type, each field within its range."""
    return st.builds(kind, **{attribute: _field(kind_) for kind_, _, attribute in kind._layout})


def _field(kind: str) -> st.SearchStrategy[Any]:
    if kind == "bytes32":
        return words
    if kind == "address":
        return addresses
    if kind == "uint256[6]":
        return st.tuples(*[uints(256)] * 6)
    return uints(int(kind[4:]))


ppm = st.one_of(st.just(0), st.just(1_000_000), st.integers(0, 1_000_000))
six_words = st.tuples(*[uints(256)] * 6)
leaves = st.builds(
    Leaf,
    provider=addresses,
    cumulative_fees=uints(96),
    cumulative_incentive=uints(96),
    uptime_ppm=ppm,
    success_ppm=ppm,
    verification_ppm=ppm,
    score_ppm=ppm,
    ttft_p95_bucket=uints(8),
    strikes=uints(8),
    standing=st.integers(0, 2),
    slash_level=uints(8),
    measured=st.booleans(),
)
totals = st.builds(Totals, **dict.fromkeys(Totals.__dataclass_fields__, uints(128)))
charges = st.lists(st.builds(Charge, customer=addresses, amount=uints(128)), max_size=5).map(tuple)
credits = st.lists(st.builds(Credit, customer=addresses, provider=addresses, amount=uints(128)), max_size=5).map(tuple)
pools = st.lists(st.builds(Pool, provider=addresses, amount=uints(128)), max_size=5).map(tuple)
payees = st.lists(st.builds(Payee, verifier=addresses, amount=uints(128)), max_size=5).map(tuple)
harms = st.lists(st.builds(Harm, provider=addresses, root=words), max_size=5).map(tuple)
reports = st.builds(
    Report,
    epoch=uints(64),
    previous=words,
    evidence=words,
    state=words,
    rules=words,
    checkpoint_block=uints(64),
    checkpoint_hash=words,
    totals=totals,
    leaves=st.lists(leaves, max_size=9).map(tuple),
    measurements=words,
    charges=charges,
    credits=credits,
    pools=pools,
    payees=payees,
    harms=harms,
)
movements = st.builds(
    Movements,
    charges=st.lists(words, max_size=3).map(tuple),
    credits=st.lists(words, max_size=3).map(tuple),
    pools=st.lists(words, max_size=3).map(tuple),
    payees=words,
)
days = st.builds(
    MeasuredDay, verifier=addresses, up=six_words, histogram=uints(256), signature=st.binary(min_size=0, max_size=70)
)
measured_leaves = st.builds(
    MeasuredLeaf,
    provider=addresses,
    duty=six_words,
    served=six_words,
    void=six_words,
    days=st.lists(days, max_size=4).map(tuple),
)


@st.composite
def harmed(draw: st.DrawFn) -> Harmed:
    """Customers, ascending, with weights; enough of them now and then for more than one page."""
    count = draw(st.sampled_from([0, 1, 2, 5, 199, 200, 201, 401]))
    seed = draw(st.integers(1, 2**100))
    weights = (
        [draw(st.integers(1, 2**128 - 1))] * count
        if count > 5
        else [draw(st.integers(1, 2**128 - 1)) for _ in range(count)]
    )
    return Harmed(
        provider=draw(addresses),
        customers=tuple("0x" + (seed + 7 * i).to_bytes(20).hex() for i in range(count)),
        weights=tuple(weights),
    )
