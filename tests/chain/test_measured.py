"""Measured leaves: hashed as the challenge court does, against a general ABI encoder and the definition."""

from __future__ import annotations

from dataclasses import astuple, replace

from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from contracts import leaves, measured
from contracts.messages import ZERO32
from contracts.signing import keccak
from contracts.types import MeasuredDay, MeasuredLeaf

from . import strategies

LEDGER = "0x" + "5f" * 20
DAYS = "(address,uint256[6],uint256,bytes)[]"


@given(st.lists(strategies.days, max_size=6))
def test_hashes_days_as_a_general_encoder_does(days: list[MeasuredDay]) -> None:
    assert measured.days_hash(days) == keccak(encode([DAYS], [[astuple(day) for day in days]]))


@given(strategies.measured_leaves, strategies.uints(64), strategies.uints(64))
def test_hashes_a_measured_leaf_as_its_definition_says(leaf: MeasuredLeaf, chain_id: int, epoch: int) -> None:
    kinds = ["uint256", "address", "uint64", "address", "uint256[6]", "uint256[6]", "uint256[6]", "bytes32"]
    days = keccak(encode([DAYS], [[astuple(day) for day in leaf.days]]))
    words = encode(kinds, [chain_id, LEDGER, epoch, leaf.provider, leaf.duty, leaf.served, leaf.void, days])
    assert measured.measured_hash(chain_id, LEDGER, epoch, leaf) == keccak(keccak(words))


@given(st.lists(strategies.measured_leaves, min_size=1, max_size=9))
def test_the_root_over_measured_leaves_is_that_of_the_same_tree(found: list[MeasuredLeaf]) -> None:
    hashes = measured.measured_hashes(1, LEDGER, 3, found)
    assert measured.measured_root(1, LEDGER, 3, found) == leaves.root(hashes)
    assert leaves.verify(leaves.root(hashes), hashes[-1], leaves.proof(hashes, len(hashes) - 1))


def test_nothing_measured_has_the_root_zero() -> None:
    assert measured.measured_root(1, LEDGER, 3, []) == ZERO32


@given(strategies.measured_leaves, st.data())
def test_the_hash_moves_with_every_field(leaf: MeasuredLeaf, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["duty", "served", "void", "days", "provider"]))
    value = getattr(leaf, name)
    if name == "provider":
        changed = replace(leaf, provider="0x" + bytes((bytes.fromhex(value[2:4])[0] ^ 1,)).hex() + value[4:])
    elif name == "days":
        changed = replace(leaf, days=(*value, data.draw(strategies.days)))
    else:
        changed = replace(leaf, **{name: (*value[:5], value[5] ^ 1)})
    assert measured.measured_hash(1, LEDGER, 3, changed) != measured.measured_hash(1, LEDGER, 3, leaf)
