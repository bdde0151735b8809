"""The stream filter: what reaches a customer, what ends a stream, and what the digest covers."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.gateway.sse import DONE_EVENT, SseFilter, StreamBroken, StreamFault

SALT = b"s" * 32
FIRST = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'
RECEIPT = b'data: {"object":"bonded.receipt","receipt":{},"signature":"0x"}\n\n'


def event(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"' + text.encode() + b'"}}]}\n\n'


def run(data: bytes, cuts: list[int], events_most: int = 1000) -> tuple[SseFilter, bytes]:
    sse, out = SseFilter(SALT, events_most), b""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        out += sse.feed(data[start:end])
    return sse, out


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"data: nonsense\n\n", StreamFault.GARBAGE),
        (b"data: [1]\n\n", StreamFault.GARBAGE),
        (b'data: {"choices":{}}\n\n', StreamFault.GARBAGE),
        (b'data: {"error":{"message":"no"}}\n\n', StreamFault.ERROR_EVENT),
        (FIRST + b'data: {"error":{"message":"died"}}\n\n', StreamFault.ERROR_EVENT),
        (FIRST + event("a") + b'data: {"error":"died"}\n\n', StreamFault.ERROR_EVENT),
        (FIRST + b"data: " + b"a" * 1_100_000, StreamFault.EVENT_TOO_LARGE),
        (FIRST + b"data: " + b"a" * 1_100_000 + b"\r\n\r\n", StreamFault.EVENT_TOO_LARGE),
        (FIRST + RECEIPT + RECEIPT, StreamFault.GARBAGE),
        (FIRST + RECEIPT + event("more"), StreamFault.GARBAGE),
    ],
)
def test_a_stream_that_is_not_of_this_api_is_broken_off(data: bytes, fault: StreamFault) -> None:
    sse = SseFilter(SALT, 1000)
    with pytest.raises(StreamBroken) as broken:
        sse.feed(data[: len(FIRST)])
        sse.feed(data[len(FIRST) :])
    assert broken.value.fault is fault


def test_an_endless_stream_is_broken_off_at_its_bound() -> None:
    sse = SseFilter(SALT, 10)
    with pytest.raises(StreamBroken) as broken:
        for _ in range(100):
            sse.feed(FIRST)
    assert broken.value.fault is StreamFault.ENDLESS
    assert sse.events == 11


def test_only_data_lines_pass() -> None:
    noisy = b": ping\n\nevent: message\nid: 1\nretry: 5\n" + FIRST + b"\n: x\n\n" + event("a")[:-2] + b"\r\n\r\n"
    _, out = run(noisy + DONE_EVENT, [])
    assert out == FIRST + event("a")


def test_nothing_passes_after_done() -> None:
    sse, out = run(FIRST + DONE_EVENT + event("evil"), [])
    assert (out, sse.done) == (FIRST, True)
    assert sse.feed(event("evil")) == b""


def test_a_carriage_return_cannot_smuggle_a_line_into_an_event() -> None:
    _, out = run(FIRST + b'data: {"choices":[]}\revent: evil\n\n' + DONE_EVENT, [])
    assert out == FIRST + b'data: {"choices":[]}\n\n'


def test_the_receipt_is_kept_back_and_the_digest_ends_before_it() -> None:
    body = FIRST + event("a") + b": comment\n\n" + event("b")
    sse, out = run(body + RECEIPT + DONE_EVENT, [])
    assert out == FIRST + event("a") + event("b")
    assert sse.receipt == RECEIPT[6:-2]
    assert sse.response_digest() == hashlib.sha256(SALT + body).digest()


def test_text_that_speaks_of_receipts_errors_and_ends_is_text() -> None:
    said = rb"\"object\":\"bonded.receipt\" \"error\" bonded.receipt error"
    body = FIRST + b'data: {"choices":[{"delta":{"content":"' + said + b'"}}]}\n\n' + event("[DONE]")
    sse, out = run(body + DONE_EVENT, [])
    assert out == body
    assert sse.receipt is None


@given(
    st.lists(
        st.text(st.characters(exclude_characters='"\\', exclude_categories=("Cc", "Cs")), max_size=12), max_size=12
    ),
    st.lists(st.integers(0, 10_000), max_size=8),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_the_result_does_not_depend_on_how_the_bytes_arrive(texts: list[str], cuts: list[int], newline: bytes) -> None:
    events = FIRST + b"".join(map(event, texts))
    body = events.replace(b"\n", newline)
    sse, out = run(body + RECEIPT + DONE_EVENT, cuts)
    assert out == events
    assert sse.done
    assert sse.events == len(texts) + 1
    assert sse.payload_bytes == len(events)
    assert sse.response_digest() == hashlib.sha256(SALT + body).digest()
    assert sse.last == (event(texts[-1]) if texts else FIRST)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_an_honest_token_count_lies_within_the_bound(tokens_per_event: list[int]) -> None:
    sse, _ = run(FIRST + b"".join(event("x" * tokens) for tokens in tokens_per_event) + DONE_EVENT, [])
    assert sum(tokens_per_event) <= sse.text_bound() + 16


def test_the_bound_refuses_counts_that_the_bytes_cannot_hold() -> None:
    sse, _ = run(FIRST + event("hello") + DONE_EVENT, [])
    assert sse.text_bound() < 64
