"""publishLeaves: leaves come in by chunks, in order, well-formed, and sum to what was signed."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from tests.contracts.EpochClock.values import LIMITS, changed
from tests.contracts.support import reports
from tests.contracts.support.market import PAY, VERIFIER_KEYS
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf, plain, with_totals


def numbered(count, **fields):
    """Return leaves of providers 1 to `count`, each with one unit of incentive."""
    return [make_leaf(f"0x{i + 1:040x}", 0, 1, **fields) for i in range(count)]


def arguments(market, report, number=0):
    return reports.leaves_arguments(*market.ground, report, number)


def refusal(market, report, number=0):
    return refused(market.ledger.publishLeaves, *arguments(market, report, number), sender=market.stranger)


def publish(market, report, number=0):
    """Publish a chunk, and check that no token moved."""
    held = market.payment_token.balanceOf(market.ledger)
    books = market.ledger.books()
    tx = market.ledger.publishLeaves(*arguments(market, report, number), {"from": market.stranger})
    assert market.payment_token.balanceOf(market.ledger) == held and market.ledger.books() == books
    return tx


def two(market, **fields):
    """Submit a report of two leaves; returns it."""
    report = market.next_report(numbered(2, **fields))
    market.submit(report)
    return report


# ---------------------------------------------------------------------------------------------------------------- order


def test_refuses_leaves_of_no_report(market):
    assert refusal(market, market.next_report(numbered(1))) == ("UnknownReport", 0)


def test_refuses_leaves_while_the_market_is_paused(market):
    report = two(market)
    market.pause()
    assert refusal(market, report) == ("StillPaused", market.guardian.pausedUntil())


def test_refuses_leaves_of_a_report_that_has_them_all(market):
    report = two(market)
    publish(market, report)
    assert refusal(market, report) == ("AlreadyComplete", 0)
    empty = market.next_report(report.leaves)
    market.submit(empty)
    publish(market, empty)
    assert refusal(market, empty) == ("AlreadyComplete", 1)


def test_refuses_chunks_out_of_order_or_twice(market):
    report = market.next_report(numbered(1025))
    market.submit(report)
    assert refusal(market, report, 1) == ("WrongChunk", 1, 0)
    publish(market, report, 0)
    assert refusal(market, report, 0) == ("WrongChunk", 0, 1)
    assert refusal(market, report, 2) == ("WrongChunk", 2, 1)


def test_refuses_roots_that_do_not_fold_to_what_was_signed(market):
    report = market.next_report(numbered(513))
    market.submit(report)
    epoch, roots, number, packed = arguments(market, report)
    found = refused(market.ledger.publishLeaves, epoch, roots[:1], number, packed, sender=market.stranger)
    assert found == ("WrongChunkLength", 1, 2)
    wrong = [roots[0], keccak(text="another")]
    found = refused(market.ledger.publishLeaves, epoch, wrong, number, packed, sender=market.stranger)
    assert found == ("WrongChunkHash", reports.root(wrong), reports.root(roots))


def test_refuses_a_chunk_of_another_length(market):
    report = market.next_report(numbered(513))
    market.submit(report)
    epoch, roots, number, packed = arguments(market, report)
    for wrong in (packed[:-64], packed[:-1], packed + bytes(1), b""):
        found = refused(market.ledger.publishLeaves, epoch, roots, number, wrong, sender=market.stranger)
        assert found == ("WrongChunkLength", len(wrong), 512 * 64)
    publish(market, report)
    epoch, roots, number, packed = arguments(market, report, 1)
    found = refused(market.ledger.publishLeaves, epoch, roots, number, packed * 2, sender=market.stranger)
    assert found == ("WrongChunkLength", 128, 64)


def test_refuses_another_leaf_than_was_signed(market):
    report = two(market)
    epoch, roots, number, _ = arguments(market, report)
    first, second = report.leaves
    for altered in (replace(first, score_ppm=999_999), replace(first, cumulative_fees=1), replace(first, strikes=1)):
        packed = reports.pack(altered) + reports.pack(second)
        found = refused(market.ledger.publishLeaves, epoch, roots, number, packed, sender=market.stranger)
        assert found[0] == "WrongChunkHash" and found[2] == roots[0]


# --------------------------------------------------------------------------------------------------------------- leaves


def test_refuses_leaves_twice_or_out_of_order(market):
    first, second = numbered(2)
    for leaves in ((second, first), (first, first)):
        report = with_totals(replace(market.next_report([first]), leaves=leaves), incentive=2)
        market.submit(report)
        found = refusal(market, report)
        assert found == ("LeavesNotAscending", leaves[0].provider, leaves[1].provider)
        market.rewind()
        market.open_clock()


def test_refuses_the_zero_address_as_a_provider(market):
    nobody = make_leaf("0x" + "00" * 20, 0, 1)
    report = market.next_report([nobody])
    market.submit(report)
    assert refusal(market, report) == ("LeavesNotAscending", nobody.provider, nobody.provider)


def test_refuses_a_provider_that_was_in_the_chunk_before(market):
    leaves = numbered(513)
    report = replace(market.next_report(leaves), leaves=(*leaves[:512], leaves[511]))
    market.submit(report)
    publish(market, report)
    assert refusal(market, report, 1) == ("LeavesNotAscending", leaves[511].provider, leaves[511].provider)


BITS = {
    "the lowest bit": 1,
    "a bit of the last 24": 1 << 23,
    "a second bit of measured": 1 << 25,
    "the top bit of measured": 1 << 31,
    "a standing of 3": 3 << 40,
    "a standing of 4": 4 << 40,
    "a standing of 255": 255 << 40,
    "a score above the whole": 1_000_001 << 64,
    "a verification above the whole": 1_000_001 << 88,
    "a success above the whole": 1_000_001 << 112,
    "an uptime above the whole": 1_000_001 << 136,
    "the greatest uptime": 0xFFFFFF << 136,
    "a success with its highest bit": 1 << 135,
}


@pytest.mark.parametrize("bits", BITS.values(), ids=BITS)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_refuses_bits_that_no_leaf_has(market, bits, index):
    """The leaf is signed as it is, malformed: the ledger itself must see to it."""
    words = [reports.pack(leaf) for leaf in numbered(3)]
    bad = words[index][:32] + (1 << 160 | bits).to_bytes(32, "big")
    words[index] = bad
    packed = b"".join(words)
    report = market.next_report(numbered(3))
    signed = list(reports.signed(*market.ground, report))
    ground = reports.ground_words(*market.ground, 0)
    signed[8] = reports.root([keccak(keccak(ground + word)) for word in words])
    market.end_of(0)
    market.ledger.submit(
        tuple(signed),
        reports.signatures_of(*market.ground, tuple(signed), VERIFIER_KEYS[:2]),
        {"from": market.stranger},
    )
    found = refused(market.ledger.publishLeaves, 0, [signed[8]], 0, packed, sender=market.stranger)
    assert found == ("MalformedLeaf", index)


def test_counts_malformed_leaves_through_the_whole_report(market):
    leaves = numbered(514)
    report = market.next_report(leaves)
    words = [reports.pack(leaf) for leaf in report.leaves]
    words[513] = words[513][:63] + b"\1"
    ground = reports.ground_words(*market.ground, 0)
    hashes = [keccak(keccak(ground + word)) for word in words]
    roots = [reports.root(chunk) for chunk in reports.chunks(hashes)]
    signed = list(reports.signed(*market.ground, report))
    signed[8] = reports.root(hashes)
    market.end_of(0)
    signatures = reports.signatures_of(*market.ground, tuple(signed), VERIFIER_KEYS[:2])
    market.ledger.submit(tuple(signed), signatures, {"from": market.stranger})
    market.ledger.publishLeaves(0, roots, 0, b"".join(words[:512]), {"from": market.stranger})
    found = refused(market.ledger.publishLeaves, 0, roots, 1, b"".join(words[512:]), sender=market.stranger)
    assert found == ("MalformedLeaf", 513)


def test_takes_every_field_at_the_ends_of_its_range(market):
    whole = dict.fromkeys(("uptime_ppm", "success_ppm", "verification_ppm", "score_ppm"), 1_000_000)
    nothing = dict.fromkeys(whole, 0)
    high = {"ttft_p95_bucket": 255, "strikes": 255, "standing": 2, "measured": True}
    low = {"ttft_p95_bucket": 0, "strikes": 0, "standing": 0, "measured": False}
    providers = ["0x" + "00" * 19 + "01", "0x" + "ff" * 20]
    leaves = [
        make_leaf(providers[0], 0, 0, 0, **(nothing | low)),
        make_leaf(providers[1], 94 * PAY, PAY, 255, **(whole | high)),
    ]
    report = market.next_report(leaves, charges={market.alice: 100 * PAY})
    market.submit(report)
    publish(market, report)
    for leaf in report.leaves:
        assert market.ledger.verifyLeaf(0, plain(leaf), reports.proof_of(*market.ground, report, leaf))


# --------------------------------------------------------------------------------------------------------------- limits


def test_refuses_more_slashed_leaves_than_the_limit_of_this_moment(market):
    """At most 25 % of 1,024 leaves are 256; 255 stand in the first chunk."""
    market.clock.setLimits(changed(LIMITS, 4, 250_000), {"from": market.admin})
    leaves = numbered(1024)
    slashed = [replace(leaf, slash_level=2 if i < 255 or 600 <= i < 602 else 1) for i, leaf in enumerate(leaves)]
    report = market.next_report(slashed)
    market.submit(report)
    publish(market, report)
    assert refusal(market, report, 1) == ("TotalAboveLimit", "slashed", 257, 256)
    market.clock.setLimits(LIMITS, {"from": market.admin})
    publish(market, report, 1)


@pytest.mark.parametrize(("level", "counts"), [(0, False), (1, False), (2, True), (8, True), (255, True)])
def test_counts_levels_of_2_and_more_as_slashed(market, level, counts):
    market.clock.setLimits(changed(LIMITS, 4, 1_000), {"from": market.admin})
    report = two(market, level=level)
    if counts:
        assert refusal(market, report) == ("TotalAboveLimit", "slashed", 2, 1)
    else:
        publish(market, report)


@pytest.mark.parametrize("change", [1, -1])
def test_refuses_leaves_that_do_not_sum_to_what_was_signed(market, change):
    leaves = [make_leaf(market.small, 50 * PAY, PAY), make_leaf(market.large, 20 * PAY, PAY)]
    report = market.next_report(leaves, charges={market.alice: 100 * PAY})
    wrong = with_totals(report, incentive=2 * PAY + change)
    market.submit(wrong)
    assert refusal(market, wrong) == ("WrongSum", "leaves.cumulativeIncentive", 2 * PAY + change, 2 * PAY)
    market.rewind()
    market.open_clock()
    totals = report.totals
    wrong = with_totals(report, provider_fees=70 * PAY + change, sla_fund_in=totals.sla_fund_in - change)
    market.submit(wrong)
    assert refusal(market, wrong) == ("WrongSum", "leaves.cumulativeFees", 70 * PAY + change, 70 * PAY)


def test_refuses_a_report_that_takes_back_what_the_one_before_gave(market):
    first = market.submitted([make_leaf(market.small, 94 * PAY)], charges={market.alice: 100 * PAY})
    lowered = [replace(first.leaves[0], cumulative_fees=94 * PAY - 1)]
    second = with_totals(market.next_report(lowered), provider_fees=0, sla_fund_in=0)
    market.submit(second)
    assert refusal(market, second) == ("WrongSum", "leaves.cumulativeFees", 94 * PAY, 94 * PAY - 1)


def test_refuses_sums_that_only_agree_modulo_the_width_of_a_slot(market):
    """Two leaves of 2^95 each sum to 2^96, which is zero in 96 bits."""
    half = 2**95
    leaves = [make_leaf(market.small, 0, half), make_leaf(market.large, 0, half)]
    report = with_totals(market.next_report(leaves), incentive=0)
    market.submit(report)
    assert refusal(market, report) == ("WrongSum", "leaves.cumulativeIncentive", 0, 2**96)
    market.rewind()
    market.open_clock()
    leaves = [replace(leaf, cumulative_incentive=half if i < 2 else 0) for i, leaf in enumerate(numbered(513))]
    report = with_totals(market.next_report(leaves), incentive=0)
    market.submit(report)
    assert refusal(market, report) == ("SafeCastOverflowedUintDowncast", 96, 2**96)


# --------------------------------------------------------------------------------------------------------------- effect


def test_puts_the_bytes_of_calldata_into_an_event_and_completes_the_report(market):
    report = two(market, level=1, standing=1)
    tx = publish(market, report)
    packed = b"".join(reports.pack(leaf) for leaf in report.leaves)
    assert tx.events["LeavesPublished"] == {"epoch": 0, "chunk": 0, "packed": "0x" + packed.hex()}
    assert tx.events["ReportCompleted"] == {"epoch": 0, "activatesAt": tx.timestamp + 4}
    record = market.ledger.record(0)
    assert (record["completedAt"], record["activatesAt"]) == (tx.timestamp, tx.timestamp + 4)
    assert market.ledger.progress(0) == (1, 0, 0, 0)


def test_a_report_with_charges_is_complete_with_whatever_comes_last(market):
    report = market.next_report([make_leaf(market.small, PAY)], charges={market.alice: 2 * PAY})
    market.submit(report)
    tx = publish(market, report)
    assert "ReportCompleted" not in tx.events and market.ledger.record(0)["completedAt"] == 0
    tx = market.ledger.takeCharges(*reports.charges_arguments(report), {"from": market.stranger})
    assert tx.events["ReportCompleted"]["epoch"] == 0


@pytest.mark.parametrize("count", [512, 513, 1025, 1100])
def test_takes_more_leaves_than_fit_in_a_chunk(market, count):
    report = market.next_report(numbered(count))
    market.submit(report)
    chunks = -(-count // 512)
    for number in range(chunks):
        tx = publish(market, report, number)
        assert ("ReportCompleted" in tx.events) == (number == chunks - 1)
        assert market.ledger.progress(0)[0] == number + 1
    assert market.ledger.record(0)["sumIncentive"] == count
    for leaf in (report.leaves[0], report.leaves[511], report.leaves[-1]):
        proof = reports.proof_of(*market.ground, report, leaf)
        assert market.ledger.verifyLeaf(0, plain(leaf), proof)
        assert not market.ledger.verifyLeaf(0, plain(replace(leaf, strikes=7)), proof)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 13, 31, 32, 33])
def test_every_leaf_of_a_tree_of_any_size_verifies_and_no_other(market, count):
    leaves = [make_leaf(f"0x{i + 1:040x}", 0, 1, level=i % 9) for i in range(count)]
    report = market.next_report(leaves)
    market.submit(report)
    publish(market, report)
    for leaf in report.leaves[:: max(1, count // 7)]:
        proof = reports.proof_of(*market.ground, report, leaf)
        assert market.ledger.leafHash(0, plain(leaf)) == "0x" + reports.leaf_hash(*market.ground, 0, leaf).hex()
        assert market.ledger.verifyLeaf(0, plain(leaf), proof)
        assert not market.ledger.verifyLeaf(0, plain(replace(leaf, cumulative_fees=1)), proof)
        assert not market.ledger.verifyLeaf(1, plain(leaf), proof)
