"""What a verifier signs of an epoch, and how others read it."""

import pytest

from contracts.errors import BadMessage, BadSignature
from contracts.messages import Domain
from contracts.signing import Signer
from rewards.measurement import join_words, unpack_histogram
from rewards.verifier.attestation import Shown, attest, check_days, read_document
from rewards.verifier.challenge import Pool, Sampled
from rewards.verifier.probe import Verdict
from rewards.verifier.samples import read_samples
from rewards.verifier.store import Measurement

SEPARATOR = Domain(31337, "0x" + "ee" * 20).separator()
VERIFIER = Signer(b"\x03" * 32)
POOL = Pool(b"\x06" * 32, (), (Sampled(b"{}", 8, ("yes", "yes", "yes")), Sampled(b"{2}", 8, ("blue",) * 3)))
A, B, C = ("0x" + f"{n:02x}" * 20 for n in (1, 2, 3))


def seen(provider: str, slot: int, verdict: Verdict, ttft_ms: int | None = None, canary: bool | None = None):
    return Measurement(provider, slot, verdict, ttft_ms, canary)


def test_a_day_brackets_outages_and_counts_times_and_canaries():
    days, canaries = attest(
        VERIFIER,
        SEPARATOR,
        7,
        60,
        [
            seen(B, 5, Verdict.TIMEOUT),
            seen(A, 2, Verdict.SERVED, 100, True),
            seen(A, 6, Verdict.SERVED, 300, False),
            seen(B, 9, Verdict.UNREACHABLE),
        ],
    )
    assert [signed.day.provider for signed in days] == [A, B]
    assert join_words(days[0].day.up) == (1 << 60) - 1
    assert join_words(days[1].day.up) == (1 << 60) - 1 - sum(1 << slot for slot in range(5, 10))
    assert sum(unpack_histogram(days[0].day.histogram)) == 2
    assert [(signed.day.asked, signed.day.passed) for signed in canaries] == [(2, 1)]
    assert all(signed.day.signed_by(SEPARATOR, signed.signature) == VERIFIER.address for signed in (*days, *canaries))


def test_an_outage_that_began_in_the_epoch_before_reaches_into_this_one():
    before = [seen(A, 50, Verdict.SERVED, 10), seen(A, 58, Verdict.TIMEOUT)]
    days, _ = attest(VERIFIER, SEPARATOR, 1, 60, [seen(A, 3, Verdict.TIMEOUT)], before)
    assert join_words(days[0].day.up) == (1 << 60) - 1 - 0b1111


def test_no_evidence_makes_no_day():
    days, canaries = attest(VERIFIER, SEPARATOR, 0, 60, [seen(A, 1, Verdict.BUSY), seen(C, 2, Verdict.UNASKED)])
    assert days == ()
    assert canaries == ()


def shown() -> dict:
    measured = [seen(A, 2, Verdict.SERVED, 100, True), Measurement(A, 3, Verdict.SERVED, 90, None, 0, "yes")]
    days, canaries = attest(VERIFIER, SEPARATOR, 7, 60, measured)
    checks, _ = check_days(VERIFIER, SEPARATOR, 7, measured, POOL)
    return Shown(VERIFIER.address, bytes(32), days, canaries, checks).document(7)


def test_a_document_is_read_back_exactly():
    read = read_document(shown(), VERIFIER.address, 7, SEPARATOR)
    assert (read.seed, len(read.probe_days), len(read.canary_days), len(read.check_days)) == (bytes(32), 1, 1, 1)
    assert read.document(7) == shown()


def test_a_document_of_a_verifier_that_checks_nothing_is_read_too():
    read = read_document({k: v for k, v in shown().items() if k != "check_days"}, VERIFIER.address, 7, SEPARATOR)
    assert read.check_days == () and len(read.probe_days) == 1


def test_a_check_day_says_how_many_answers_were_compared_and_its_samples_say_the_rest():
    same, other = Measurement(A, 1, Verdict.SERVED, 9, None, 1, "blue"), seen(B, 2, Verdict.SERVED, 9)
    seen_twice = [Measurement(A, 3, Verdict.SERVED, 9, None, 0, "no"), same, other]
    (signed, _), (samples,) = check_days(VERIFIER, SEPARATOR, 7, seen_twice, POOL)
    assert signed.day.signed_by(SEPARATOR, signed.signature) == VERIFIER.address
    assert (signed.day.provider, signed.day.completions, signed.day.weights) == (A, 2, POOL.weights)
    data, digest = samples.seal()
    assert signed.day.samples == digest
    assert read_samples(data, digest).test().p_ppb == signed.day.model_ppb == 250_000_000


def test_without_a_pool_or_answers_only_tries_are_counted():
    for one, pool in (
        (seen(A, 1, Verdict.SERVED, 9), POOL),
        (Measurement(A, 1, Verdict.SERVED, 9, None, 0, "x"), None),
    ):
        (signed,), samples = check_days(VERIFIER, SEPARATOR, 7, [one], pool)
        assert (signed.day.completions, signed.day.model_ppb, signed.day.samples) == (0, 10**9, bytes(32))
        assert samples == ()
    assert check_days(VERIFIER, SEPARATOR, 7, [seen(A, 1, Verdict.UNASKED)], POOL) == ((), ())


def test_a_check_day_counts_first_tries_whatever_the_second_brought():
    tried = [
        seen(A, 1, Verdict.SERVED, 9),
        Measurement(A, 2, Verdict.SERVED, 9, None, again=True),
        Measurement(A, 3, Verdict.TIMEOUT, None, None, again=True),
        Measurement(A, 4, Verdict.BUSY, None, None, again=True),
        seen(A, 5, Verdict.BUSY),
    ]
    (signed,), _ = check_days(VERIFIER, SEPARATOR, 7, tried, None)
    assert (signed.day.tries, signed.day.failed_tries) == (4, 3)


def test_a_document_of_somebody_else_of_another_epoch_or_changed_is_refused():
    with pytest.raises(BadSignature, match="was signed by"):
        read_document(shown(), Signer(b"\x04" * 32).address, 7, SEPARATOR)
    with pytest.raises(BadMessage, match="is of epoch 7, not 8"):
        read_document(shown(), VERIFIER.address, 8, SEPARATOR)
    changed = shown()
    changed["probe_days"][0]["histogram"] += 1
    with pytest.raises(BadSignature, match="was signed by"):
        read_document(changed, VERIFIER.address, 7, SEPARATOR)
    with pytest.raises(BadMessage, match="seed"):
        read_document({k: v for k, v in shown().items() if k != "seed"}, VERIFIER.address, 7, SEPARATOR)
