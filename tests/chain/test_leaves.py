"""Leaves: their packing, the tree and every hash of a report, against a general ABI encoder and the definition."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from contracts import leaves
from contracts.errors import BadArgument, MalformedLeaf, NotInTree
from contracts.messages import ZERO32, Domain
from contracts.signing import keccak
from contracts.types import Harmed, Leaf, Movements, Report, Totals

from . import strategies

LEDGER = "0x" + "5f" * 20
DOMAIN = Domain(31337, LEDGER)
WIDTHS = {"cumulative_fees": 96, "cumulative_incentive": 96, "ttft_p95_bucket": 8, "strikes": 8, "slash_level": 8}
SHARES = ("uptime_ppm", "success_ppm", "verification_ppm", "score_ppm")
PAGE = "(uint32,uint32,uint256,address[],uint128[])"


def a_leaf() -> Leaf:
    return Leaf("0x" + "ab" * 20, 7, 5, 990_000, 980_000, 970_000, 960_000, 4, 1, 2, 3, True)


@pytest.mark.parametrize(("field", "bits"), WIDTHS.items())
def test_refuses_to_pack_a_field_that_would_run_into_its_neighbour(field: str, bits: int) -> None:
    assert len(leaves.pack(replace(a_leaf(), **{field: 2**bits - 1}))) == 64
    for value in (2**bits, -1):
        with pytest.raises(MalformedLeaf, match=f"the leaf of {a_leaf().provider} has a field outside its range"):
            leaves.pack(replace(a_leaf(), **{field: value}))


@pytest.mark.parametrize(("field", "most"), [*((name, 1_000_000) for name in SHARES), ("standing", 2)])
def test_refuses_a_share_above_the_whole_and_a_standing_that_does_not_exist(field: str, most: int) -> None:
    leaves.pack(replace(a_leaf(), **{field: most}))
    for value in (most + 1, 2**24 - 1):
        with pytest.raises(MalformedLeaf, match="a share above the whole or a standing above 2"):
            leaves.pack(replace(a_leaf(), **{field: value}))


def test_the_two_words_of_a_leaf_are_its_packed_bytes() -> None:
    first, second = leaves.words(a_leaf())
    assert (len(first), len(second)) == (32, 32) and first + second == leaves.pack(a_leaf())
    with pytest.raises(MalformedLeaf):
        leaves.words(replace(a_leaf(), standing=3))


@pytest.mark.parametrize("index", [-1, 3, 99])
def test_gives_no_proof_for_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(NotInTree, match=f"no leaf {index}: the report has 3"):
        leaves.proof([bytes(32)] * 3, index)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_reads_no_leaf_of_another_length(length: int) -> None:
    with pytest.raises(MalformedLeaf, match=f"this one has {length}"):
        leaves.unpack(bytes(length))


@pytest.mark.parametrize(
    ("at", "value"),
    [(61, 1), (62, 128), (63, 1), (60, 2), (60, 255), (58, 3), (44, 0xFF), (47, 0xFF), (50, 0xFF), (53, 0xFF)],
)
def test_reads_no_leaf_with_bits_that_the_contract_refuses(at: int, value: int) -> None:
    packed = bytearray(leaves.pack(a_leaf()))
    packed[at] = value
    with pytest.raises(MalformedLeaf):
        leaves.unpack(bytes(packed))


@given(strategies.leaves)
def test_packs_a_leaf_into_the_two_words_of_its_definition(leaf: Leaf) -> None:
    first = int(leaf.provider, 16) << 96 | leaf.cumulative_fees
    second = (
        leaf.cumulative_incentive << 160
        | leaf.uptime_ppm << 136
        | leaf.success_ppm << 112
        | leaf.verification_ppm << 88
        | leaf.score_ppm << 64
        | leaf.ttft_p95_bucket << 56
        | leaf.strikes << 48
        | leaf.standing << 40
        | leaf.slash_level << 32
        | int(leaf.measured) << 24
    )
    assert leaves.pack(leaf) == first.to_bytes(32) + second.to_bytes(32)
    assert leaves.unpack(leaves.pack(leaf)) == leaf


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


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1_023, 1_024, 1_025, 1_537, 2_561])
def test_the_root_over_the_roots_of_chunks_is_the_root_over_all_leaves(count: int) -> None:
    hashes = [keccak(number.to_bytes(4)) for number in range(count)]
    roots = leaves.chunk_roots(hashes)
    assert len(roots) == -(-count // 512)
    assert leaves.root(roots) == leaves.root(hashes)
    assert [len(one) for one in leaves.chunks(hashes)] == [512] * (count // 512) + (
        [count % 512] if count % 512 else []
    )


@given(strategies.reports)
def test_hashes_a_leaf_as_its_definition_says(report: Report) -> None:
    for leaf, found in zip(report.leaves, leaves.leaf_hashes(31337, LEDGER, report), strict=True):
        words = encode(["uint256", "address", "uint64"], [31337, LEDGER, report.epoch]) + leaves.pack(leaf)
        assert len(words) == 5 * 32
        assert found == keccak(keccak(words)) == leaves.leaf_hash(31337, LEDGER, report.epoch, leaf)


@given(strategies.reports)
def test_hashes_the_arrays_of_a_report_as_a_general_encoder_does(report: Report) -> None:
    def whole(kind: str, items: object) -> bytes:
        return keccak(encode([kind], [[astuple(one) for one in items]]))  # type: ignore[attr-defined]

    moved = leaves.movements(report)
    assert moved.payees == whole("(address,uint128)[]", report.payees)
    assert moved.charges == ((whole("(address,uint128)[]", report.charges),) if report.charges else ())
    assert moved.credits == ((whole("(address,address,uint128)[]", report.credits),) if report.credits else ())
    assert moved.pools == ((whole("(address,uint128)[]", report.pools),) if report.pools else ())
    assert leaves.harms_hash(report.harms) == whole("(address,bytes32)[]", report.harms)
    assert leaves.totals_hash(report.totals) == keccak(encode(["uint128"] * 9, astuple(report.totals)))


@given(strategies.movements)
def test_hashes_movements_as_a_general_encoder_does(moved: Movements) -> None:
    assert leaves.movements_hash(moved) == keccak(encode(["(bytes32[],bytes32[],bytes32[],bytes32)"], [astuple(moved)]))


@pytest.mark.parametrize(
    ("customers", "weights"),
    [(("0x02", "0x01"), (1, 1)), (("0x01", "0x01"), (1, 1)), (("0x01", "0x02"), (1,)), (("0x01",), (0,))],
)
def test_writes_no_page_of_customers_out_of_order_or_without_a_weight(
    customers: tuple[str, ...], weights: tuple[int, ...]
) -> None:
    with pytest.raises(BadArgument, match="must ascend, each with a weight above zero"):
        leaves.harm_pages(Harmed("0x" + "01" * 20, customers, weights))


@given(strategies.harmed())
def test_writes_who_was_harmed_on_pages_that_prove_themselves(harmed: Harmed) -> None:
    pages = leaves.harm_pages(harmed)
    assert [page.index for page in pages] == list(range(-(-len(harmed.customers) // 200)))
    assert sum((page.customers for page in pages), ()) == harmed.customers
    assert sum((page.weights for page in pages), ()) == harmed.weights
    root = leaves.harm_root(harmed)
    assert any(root) == bool(pages)
    for page in pages:
        assert page.pages == len(pages) and page.total_weight == sum(harmed.weights) and len(page.customers) <= 200
        assert leaves.page_hash(page) == keccak(keccak(encode([PAGE], [astuple(page)])))
        assert leaves.verify(root, leaves.page_hash(page), leaves.page_proof(harmed, page.index))


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


def test_the_number_of_leaves_is_signed() -> None:
    assert leaves.report_digest(_empty(), DOMAIN).leaf_count == 0
    assert leaves.report_digest(replace(_empty(), leaves=(a_leaf(),)), DOMAIN).leaf_count == 1
    assert leaves.report_digest(_empty(), DOMAIN).leaves == ZERO32


def _empty() -> Report:
    return Report(0, ZERO32, ZERO32, ZERO32, ZERO32, 0, ZERO32, Totals(*[0] * 9), (), ZERO32, (), (), (), (), ())
