"""Addresses: what strangers may register, and what their names may resolve to; no socket is opened here."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.gateway.addresses import (
    AddressRefused,
    Endpoint,
    check_address,
    checked_addresses,
    embedded_ipv4,
    parse_endpoint,
    special_range,
)
from marketplace.gateway.connection import Connection, Fault, Limits, UpstreamFailed
from marketplace.gateway.upstream import Upstream

V4 = st.integers(0, 2**32 - 1)


class Recorder:
    """A network that opens nothing: it answers names from a table and notes every address that would be connected."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.connected: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers[host]

    async def connect(self, connection: Connection, address: str, port: int, tls: object, name: str) -> None:
        self.connected.append((address, port))
        raise ConnectionRefusedError("recorded")


REFUSED = [
    ("127.0.0.1", "loopback"),
    ("::1", "loopback"),
    ("0.0.0.0", "this network"),
    ("10.1.2.3", "private use"),
    ("172.31.255.255", "private use"),
    ("192.168.0.1", "private use"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("169.254.169.254", "link-local"),
    ("192.0.0.8", "IETF protocol assignments"),
    ("192.88.99.1", "6to4 relay"),
    ("198.18.0.1", "benchmarking"),
    ("203.0.113.9", "documentation"),
    ("224.0.0.1", "multicast"),
    ("255.255.255.255", "reserved"),
    ("::", "unspecified"),
    ("::ffff:127.0.0.1", "IPv4-mapped of 127.0.0.1"),
    ("::ffff:8.8.8.8", "IPv4-mapped of 8.8.8.8"),
    ("::127.0.0.1", "IPv4-compatible of 127.0.0.1"),
    ("64:ff9b::10.0.0.1", "NAT64 of 10.0.0.1"),
    ("64:ff9b::808:808", "NAT64 of 8.8.8.8"),
    ("64:ff9b:1:a00:0:100::", "local NAT64 of 10.0.0.1"),
    ("2002:7f00:1::", "6to4 of 127.0.0.1"),
    ("2001:0:4136:e378:8000:63bf:f5ff:fffe", "Teredo of 10.0.0.1"),
    ("2001:db8::1", "documentation"),
    ("3fff::1", "documentation"),
    ("fc00::1", "unique local"),
    ("fd12:3456::1", "unique local"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "address with a zone"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("100::1", "discard only"),
    ("4000::1", "outside global unicast"),
    ("localhost", "not an address"),
]


@pytest.mark.parametrize(("address", "reason"), REFUSED)
def test_an_address_of_a_special_range_is_refused_by_name(address: str, reason: str) -> None:
    assert special_range(address) == reason
    with pytest.raises(AddressRefused, match="is refused"):
        check_address(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert check_address(address) == address


def test_a_devnet_opens_loopback_and_nothing_else() -> None:
    opened = [address for address, _ in REFUSED if _allowed(address, devnet=True)]
    assert opened == ["127.0.0.1", "::1"]
    with pytest.raises(AddressRefused):
        check_address("::ffff:127.0.0.1", devnet=True)


def _allowed(address: str, devnet: bool) -> bool:
    try:
        check_address(address, devnet)
    except AddressRefused:
        return False
    return True


@given(V4)
def test_every_form_that_carries_an_ipv4_address_is_refused_and_names_it(number: int) -> None:
    inside = ipaddress.IPv4Address(number)
    forms = {
        "mapped": 0xFFFF << 32 | number,
        "nat64": 0x64FF9B << 96 | number,
        "local nat64": 0x64FF9B0001 << 80 | (number >> 16) << 64 | (number & 0xFFFF) << 40,
        "6to4": 0x2002 << 112 | number << 80,
        "teredo": 0x20010000 << 96 | (~number & 0xFFFFFFFF),
    }
    if number > 1:
        forms["compatible"] = number
    for name, form in forms.items():
        address = str(ipaddress.IPv6Address(form))
        assert embedded_ipv4(form) == number, name
        assert str(special_range(address)).endswith(f"of {inside}"), name
        assert not _allowed(address, devnet=True), name


@given(st.integers(0, 2**128 - 1))
def test_no_ipv6_address_outside_global_unicast_is_allowed(number: int) -> None:
    address = str(ipaddress.IPv6Address(number))
    if _allowed(address, devnet=False):
        assert number >> 125 == 0b001
        assert ipaddress.IPv6Address(address).is_global


@given(V4)
def test_whatever_the_library_calls_private_is_refused_here_too(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        assert special_range(str(address)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "http://provider.example",
        "ftp://provider.example",
        "file:///etc/passwd",
        "gopher://provider.example",
        "provider.example",
        "https://",
        "https://user@provider.example",
        "https://user:secret@provider.example",
        "https://provider.example@127.0.0.1",
        "https://provider.example/base",
        "https://provider.example?x=1",
        "https://provider.example#x",
        "https://provider.example:",
        "https://provider.example:0",
        "https://provider.example:22",
        "https://provider.example:99999",
        "https://provider.example:4٤3",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.1",
        "https://0177.0.0.1",
        "https://127.1",
        "https://127.0.0.1.",
        "https://[::1",
        "https://[127.0.0.1]",
        "https://[fe80::1%25eth0]",
        "https://pro vider.example",
        "https://provider.example\r\nx-evil: 1",
        "https://-bad.example",
        "https://ünicode.example",
    ],
)
def test_an_endpoint_that_is_no_plain_https_address_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        parse_endpoint(text)


def test_an_endpoint_is_taken_apart() -> None:
    assert parse_endpoint("https://Provider.Example") == Endpoint("https", "provider.example", 443)
    assert parse_endpoint("https://provider.example:8443/") == Endpoint("https", "provider.example", 8443)
    assert parse_endpoint("https://[2606:4700::1111]:8443").authority == "[2606:4700::1111]:8443"
    assert parse_endpoint("http://127.0.0.1:81", devnet=True) == Endpoint("http", "127.0.0.1", 81)


@pytest.mark.parametrize("address", [address for address, _ in REFUSED if address != "localhost"])
async def test_a_name_that_resolves_to_a_special_address_is_never_connected(address: str) -> None:
    network = Recorder({"provider.example": [address]})
    upstream = Upstream(resolve=network.resolve, connect=network.connect)
    with pytest.raises(UpstreamFailed) as failed:
        await upstream.send(parse_endpoint("https://provider.example"), b"GET / HTTP/1.1\r\n\r\n", Limits())
    assert failed.value.fault is Fault.CONNECT
    assert network.asked == ["provider.example"]
    assert network.connected == []


async def test_one_private_answer_among_public_ones_refuses_the_name() -> None:
    network = Recorder({"provider.example": ["8.8.8.8", "10.0.0.1"]})
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        await checked_addresses(parse_endpoint("https://provider.example"), network.resolve)


@pytest.mark.parametrize(
    "literal", ["https://10.0.0.1", "https://[::ffff:7f00:1]", "https://[64:ff9b::a00:1]", "https://169.254.169.254"]
)
async def test_a_registered_special_literal_is_never_connected(literal: str) -> None:
    network = Recorder({})
    upstream = Upstream(resolve=network.resolve, connect=network.connect)
    with pytest.raises(UpstreamFailed) as failed:
        await upstream.send(parse_endpoint(literal), b"", Limits())
    assert failed.value.fault is Fault.CONNECT
    assert network.connected == []


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    network = Recorder({"provider.example": ["8.8.8.8", "1.1.1.1"]})
    upstream = Upstream(resolve=network.resolve, connect=network.connect)
    with pytest.raises(UpstreamFailed):
        await upstream.send(parse_endpoint("https://provider.example:8443"), b"", Limits())
    assert network.asked == ["provider.example"], "asked once"
    assert network.connected == [("8.8.8.8", 8443), ("1.1.1.1", 8443)]
