"""Random messages and reports within the ranges of their types."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from contracts.messages import Message
from contracts.types import Charge, Credit, Leaf, Payee, Report, Totals

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


leaves = st.builds(
    Leaf,
    provider=addresses,
    cumulative_fees=uints(128),
    cumulative_incentive=uints(128),
    uptime_ppm=uints(32),
    ttft_p95_bucket=uints(8),
    success_ppm=uints(32),
    verification_ppm=uints(32),
    score_ppm=uints(32),
    strikes=uints(16),
    slash_level=uints(8),
    harmed=words,
)
totals = st.builds(Totals, **dict.fromkeys(Totals.__dataclass_fields__, uints(128)))
charges = st.lists(st.builds(Charge, customer=addresses, amount=uints(128)), max_size=5).map(tuple)
credits = st.lists(st.builds(Credit, customer=addresses, provider=addresses, amount=uints(128)), max_size=5).map(tuple)
payees = st.lists(st.builds(Payee, verifier=addresses, amount=uints(128)), max_size=5).map(tuple)
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
    charges=charges,
    credits=credits,
    payees=payees,
)
