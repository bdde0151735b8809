"""A receipt reads the same by the short way and by the general one, and nothing reads by the short way alone."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import Receipt
from marketplace.gateway.acceptance import _CANONICAL, ReceiptRefused, read_receipt_header, read_receipt_json
from rewards.canonical import canonical_json

WORDS = st.binary(min_size=32, max_size=32)
SMALL = st.integers(0, 2**32 - 1)
RECEIPTS = st.builds(
    Receipt,
    job=WORDS,
    attempt=SMALL,
    provider=st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    model=WORDS,
    slot=st.integers(0, 2**64 - 1),
    input_tokens=SMALL,
    cached_tokens=SMALL,
    output_tokens=SMALL,
    ttft_ms=SMALL,
    itl_us=SMALL,
    charge_atto=st.integers(0, 2**128 - 1),
    request_digest=WORDS,
    response_digest=WORDS,
    status=st.integers(0, 255),
)


def sealed(receipt: Receipt, signature: bytes) -> dict[str, object]:
    return {"object": "bonded.receipt", "receipt": receipt.to_json(), "signature": "0x" + signature.hex()}


@given(receipt=RECEIPTS, signature=st.binary(min_size=65, max_size=65))
def test_both_ways_read_the_same(receipt: Receipt, signature: bytes) -> None:
    value = sealed(receipt, signature)
    canonical, spaced = canonical_json(value), json.dumps(value, indent=1).encode()
    assert _CANONICAL.fullmatch(spaced.decode()) is None
    assert read_receipt_json(canonical) == read_receipt_json(spaced) == (receipt, signature)
    header = base64.urlsafe_b64encode(canonical).rstrip(b"=")
    assert read_receipt_header(header) == (receipt, signature)


@given(receipt=RECEIPTS, cut=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_changed_byte_never_reads_as_anything_the_general_reader_would_not_read(
    receipt: Receipt, cut: int, byte: int
) -> None:
    raw = bytearray(canonical_json(sealed(receipt, b"\1" * 65)))
    raw[cut % len(raw)] = byte
    try:
        found = read_receipt_json(bytes(raw))
    except ReceiptRefused:
        return
    value = json.loads(bytes(raw))
    assert found == (Receipt.from_json(value["receipt"]), bytes.fromhex(value["signature"][2:]))


@pytest.mark.parametrize("value", ["4294967296", "01", "-1", "1.0", "1e3", "null", '"1"'])
def test_a_count_that_is_no_number_of_32_bits_is_refused(value: str) -> None:
    receipt = Receipt(bytes(32), 0, "0x" + "0a" * 20, bytes(32), 0, 0, 0, 7, 0, 0, 0, bytes(32), bytes(32), 0)
    raw = canonical_json(sealed(receipt, b"\1" * 65)).replace(b'"outputTokens":7', f'"outputTokens":{value}'.encode())
    with pytest.raises(ReceiptRefused):
        read_receipt_json(raw)
