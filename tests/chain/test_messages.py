"""Messages: hashed as every wallet hashes them, and readable only when whole."""

from __future__ import annotations

import subprocess
import sys

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadMessage
from contracts.messages import (
    CanaryDay,
    CheckDay,
    Countersignature,
    Domain,
    Hardware,
    Message,
    ProbeDay,
    Receipt,
    ReportDigest,
    Ticket,
)
from contracts.signing import keccak

from .strategies import addresses, messages, uints

KINDS = (Ticket, Receipt, Countersignature, ProbeDay, CanaryDay, CheckDay, Hardware, ReportDigest)
any_message = st.one_of([messages(kind) for kind in KINDS])


def typed_data(message: Message, domain: Domain) -> dict[str, object]:
    """Write a message the way a wallet's `eth_signTypedData_v4` takes it."""
    name = message.TYPE.partition("(")[0]
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            name: [{"name": field, "type": kind} for kind, field, _ in message._layout],
        },
        "primaryType": name,
        "domain": {
            "name": "Bonded",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.epoch_ledger,
        },
        "message": message.to_json(),
    }


@given(any_message, uints(64), addresses)
def test_hashes_a_message_exactly_as_eth_account_does(message: Message, chain_id: int, ledger: str) -> None:
    domain = Domain(chain_id, ledger)
    encoded = encode_typed_data(full_message=typed_data(message, domain))
    assert domain.separator() == encoded.header
    assert message.struct_hash() == encoded.body
    assert message.digest(domain.separator()) == keccak(b"\x19\x01" + encoded.header + encoded.body)


@given(any_message)
def test_reads_back_what_it_wrote(message: Message) -> None:
    assert type(message).from_json({**message.to_json(), "signature": "0x00"}) == message


@given(any_message, st.data())
def test_names_the_field_that_is_missing(message: Message, data: st.DataObject) -> None:
    wire = message.to_json()
    gone = data.draw(st.sampled_from(sorted(wire)))
    del wire[gone]
    with pytest.raises(BadMessage, match=f"{type(message).__name__}: the field {gone} is missing"):
        type(message).from_json(wire)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", "0x12"),
        ("provider", 7),
        ("epoch", -1),
        ("epoch", 2**64),
        ("epoch", "1"),
        ("epoch", True),
        ("epoch", 1.0),
        ("up", [0] * 5),
        ("up", [0] * 5 + [2**256]),
        ("histogram", None),
    ],
)
def test_names_the_field_that_is_out_of_its_range(field: str, value: object) -> None:
    wire = ProbeDay("0x" + "ab" * 20, 3, (1, 2, 3, 4, 5, 6), 9).to_json()
    with pytest.raises(BadMessage, match=f"the field {field} is not"):
        ProbeDay.from_json({**wire, field: value})


@pytest.mark.parametrize("value", ["0x" + "00" * 31, "00" * 33, 5, None, "0x" + "zz" * 32])
def test_refuses_a_digest_that_is_not_32_bytes(value: object) -> None:
    wire = CountersignatureWire.copy()
    with pytest.raises(BadMessage, match="the field receipt"):
        Countersignature.from_json({**wire, "receipt": value})


CountersignatureWire = Countersignature(bytes(32), "0x" + "cd" * 20, 1, 2, 3).to_json()


def test_prices_a_ticket_at_its_dearest_input_when_it_is_held() -> None:
    ticket = Ticket(bytes(32), 0, "0x" + "00" * 20, bytes(32), 100, 10, 5, 7, 11, 0, bytes(32))
    assert ticket.most_atto() == 100 * 7 + 10 * 11
    assert ticket.charge_atto(100, 40, 10) == 60 * 5 + 40 * 7 + 10 * 11


@pytest.mark.parametrize(
    "module",
    [
        "signing",
        "messages",
        "types",
        "errors",
        "leaves",
        "measured",
        "abi",
        "codec",
        "calls",
        "deployment",
        "events",
        "keystore",
    ],
)
def test_a_pure_module_pulls_in_no_web3(module: str) -> None:
    code = f"import sys, contracts.{module}; sys.exit(any(m.split('.')[0] in ('web3', 'aiohttp') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
