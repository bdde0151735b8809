"""Leaves: the tree and every hash of a report, against a general ABI encoder and the definition."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from contracts import leaves
from contracts.errors import NotInTree
from contracts.messages import ZERO32, Domain
from contracts.signing import keccak
from contracts.types import Report, Totals

from . import strategies

LEAF = "(address,uint128,uint128,uint32,uint8,uint32,uint32,uint32,uint16,uint8,bytes32)"
DOMAIN = Domain(31337, "0x" + "5f" * 20)


@pytest.mark.parametrize("index", [-1, 3, 99])
def test_gives_no_proof_for_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(NotInTree, match=f"no leaf {index}: the report has 3"):
        leaves.proof([bytes(32)] * 3, index)


@given(st.lists(strategies.words, min_size=2, max_size=33, unique=True), st.data())
def test_a_proof_fits_no_other_leaf(hashes: list[bytes], data: st.DataObject) -> None:
    mine, other = data.draw(st.permutations(range(len(hashes))))[:2]
    siblings = leaves.proof(hashes, mine)
    assert not leaves.verify(leaves.root(hashes), hashes[other], siblings)


@given(st.lists(strategies.words, min_size=1, max_size=33))
def test_every_leaf_is_proved_in_its_tree(hashes: list[bytes]) -> None:
    root = leaves.root(hashes)
    assert all(leaves.verify(root, hashes[i], leaves.proof(hashes, i)) for i in range(len(hashes)))


def test_pairs_neighbours_and_lets_the_odd_one_up() -> None:
    a, b, c = sorted(keccak(bytes((i,))) for i in range(3))
    assert leaves.root([]) == ZERO32
    assert leaves.root([a]) == a
    assert leaves.root([b, a]) == keccak(a + b)
    top = keccak(a + b)
    assert leaves.root([a, b, c]) == keccak(min(top, c) + max(top, c))
    assert leaves.proof([a, b, c], 2) == (top,)


@given(strategies.reports)
def test_hashes_a_leaf_as_its_definition_says(report: Report) -> None:
    for leaf, found in zip(report.leaves, leaves.leaf_hashes(31337, DOMAIN.epoch_ledger, report), strict=True):
        words = encode(
            ["uint256", "address", "uint64", LEAF], [31337, DOMAIN.epoch_ledger, report.epoch, astuple(leaf)]
        )
        assert found == keccak(keccak(words)) == leaves.leaf_hash(31337, DOMAIN.epoch_ledger, report.epoch, leaf)


@given(strategies.reports)
def test_hashes_the_arrays_of_a_report_as_a_general_encoder_does(report: Report) -> None:
    charges = [astuple(one) for one in report.charges]
    credits = [astuple(one) for one in report.credits]
    payees = [astuple(one) for one in report.payees]
    kinds = ["(address,uint128)[]", "(address,address,uint128)[]", "(address,uint128)[]"]
    expected = keccak(encode(kinds, [charges, credits, payees]))
    assert leaves.movements_hash(report.charges, report.credits, report.payees) == expected
    assert leaves.credits_hash(report.credits) == keccak(encode(kinds[1:2], [credits]))
    assert leaves.payees_hash(report.payees) == keccak(encode(kinds[2:], [payees]))
    assert leaves.totals_hash(report.totals) == keccak(encode(["uint128"] * 8, astuple(report.totals)))


@given(st.lists(st.tuples(strategies.addresses, strategies.uints(128)), max_size=6))
def test_hashes_who_was_harmed_as_a_general_encoder_does(pairs: list[tuple[str, int]]) -> None:
    customers, weights = [one[0] for one in pairs], [one[1] for one in pairs]
    assert leaves.harmed_digest(customers, weights) == keccak(encode(["address[]", "uint128[]"], [customers, weights]))


@given(strategies.reports, st.data())
def test_the_signed_digest_moves_with_every_field_of_the_report(report: Report, data: st.DataObject) -> None:
    before = leaves.report_digest(report, DOMAIN).digest(DOMAIN.separator())
    name = data.draw(st.sampled_from([name for name in Report.__dataclass_fields__ if name != "totals"]))
    value = getattr(report, name)
    if isinstance(value, int):
        changed = replace(report, **{name: value ^ 1})
    elif isinstance(value, bytes):
        changed = replace(report, **{name: bytes((value[0] ^ 1,)) + value[1:]})
    else:
        one = data.draw(
            {"leaves": strategies.leaves}.get(name, getattr(strategies, name).filter(bool).map(lambda v: v[0]))
        )
        changed = replace(report, **{name: (*value, one)})
    assert leaves.report_digest(changed, DOMAIN).digest(DOMAIN.separator()) != before


@given(strategies.reports, st.sampled_from(sorted(Totals.__dataclass_fields__)))
def test_the_signed_digest_moves_with_every_total(report: Report, name: str) -> None:
    changed = replace(report, totals=replace(report.totals, **{name: getattr(report.totals, name) ^ 1}))
    assert leaves.report_digest(changed, DOMAIN) != leaves.report_digest(report, DOMAIN)
