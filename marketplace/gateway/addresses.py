"""Decide where the gateway may connect: the address rules for endpoints that strangers registered.

A provider's endpoint is a text on chain. It is taken apart by a strict rule of our own, its name is resolved once,
every answer is judged, and the connection goes to a judged address: a name that resolves to a public and a private
address is refused, and a second resolution cannot change the verdict. The table is IANA's two special-purpose
registries, the multicast and reserved blocks, and everything outside 2000::/3. `ipaddress.is_global` is not used: on
Python 3.11.7 it calls 192.0.0.8, 64:ff9b::/96, 2002::/16, fec0::/10 and others global (CVE-2024-4032).

Addresses that carry an IPv4 address inside (mapped, compatible, NAT64, 6to4, Teredo) are refused whatever they carry:
no provider needs to be reached through a translator, and the one that was asked for may lead back into our own
network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from marketplace.errors import BondedError

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Give all addresses of a host name as texts; the only place where DNS is asked."""

_V4_SPECIAL = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private use"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private use"),
    ("192.0.0.0/24", "IETF protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private use"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_V6_SPECIAL = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::/96", "IPv4-compatible"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("100::/64", "discard only"),
    ("100:0:0:1::/64", "dummy prefix"),
    ("2001::/32", "Teredo"),
    ("2001::/23", "IETF protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "AS112"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)


def _table(rows: tuple[tuple[str, str], ...]) -> tuple[tuple[int, int, str], ...]:
    networks = [(ipaddress.ip_network(text), reason) for text, reason in rows]
    return tuple((int(network.network_address), int(network.netmask), reason) for network, reason in networks)


_V4_TABLE = _table(_V4_SPECIAL)
_V6_TABLE = _table(_V6_SPECIAL)
_V6_UNICAST = int(ipaddress.ip_address("2000::"))
_V6_UNICAST_MASK = 0b111 << 125
_ENDPOINT = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_LOWEST_FREE_PORT = 1024


class AddressRefused(BondedError):
    """The gateway does not connect there.

    The message names the address and the rule. Register a public https endpoint.
    """


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider listens, taken apart: `host` is a name or an address literal without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return host and port as they stand in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def secure(self) -> bool:
        """Tell whether TLS is spoken."""
        return self.scheme == "https"


def parse_endpoint(text: str, devnet: bool = False) -> Endpoint:
    """Take an endpoint apart; raises AddressRefused.

    Allowed is `https://host[:port]`, the port 443 or at least 1024. On a devnet also `http` and any port. No user
    information, path, query or fragment. A host whose last label is a number must be a plain dotted quad: 2130706433,
    0x7f.1 and 0177.0.0.1 are refused although a resolver would read them as 127.0.0.1.
    """
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise AddressRefused(f"endpoint {text!r} is not of the form https://host:port")
    scheme = match["scheme"].lower()
    if scheme != "https" and not (devnet and scheme == "http"):
        raise AddressRefused(f"endpoint {text!r}: the scheme must be https" + (" or http" if devnet else ""))
    if match["rest"] not in ("", "/"):
        raise AddressRefused(f"endpoint {text!r}: nothing may follow host and port")
    authority = match["authority"].lower()
    if "@" in authority:
        raise AddressRefused(f"endpoint {text!r}: user information is not allowed")
    host, port_text = _split_port(text, authority)
    port = int(port_text) if port_text else (443 if scheme == "https" else 80)
    if not 0 < port < 65536 or not (devnet or port == 443 or port >= _LOWEST_FREE_PORT):
        raise AddressRefused(f"endpoint {text!r}: the port must be 443 or lie between 1024 and 65535")
    return Endpoint(scheme, host, port)


def _split_port(text: str, authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        literal, bracket, after = authority[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise AddressRefused(f"endpoint {text!r}: the brackets around the IPv6 address do not close")
        host, port = _literal(text, literal, 6), after[1:]
        if after and not port:
            raise AddressRefused(f"endpoint {text!r}: the port is empty")
    else:
        host, colon, port = authority.partition(":")
        if colon and not port:
            raise AddressRefused(f"endpoint {text!r}: the port is empty")
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            host = _literal(text, host, 4)
        elif not _NAME.fullmatch(host):
            raise AddressRefused(f"endpoint {text!r}: {host!r} is not a host name")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise AddressRefused(f"endpoint {text!r}: {port!r} is not a port")
    return host, port


def _literal(text: str, literal: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(literal)
    except ValueError:
        raise AddressRefused(f"endpoint {text!r}: {literal!r} is not a plain IP address") from None
    if address.version != version or "%" in literal:
        raise AddressRefused(f"endpoint {text!r}: {literal!r} is not a plain IPv{version} address")
    return str(address)


def special_range(address: str) -> str | None:
    """Return why an address may not be connected to ("private use", "NAT64 of 10.0.0.1", …), None if it is public.

    Loopback answers "loopback" for 127.0.0.0/8 and ::1 alone. A text that is no IP address answers "not an address".
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "not an address"
    if "%" in address:
        return "address with a zone"
    number = int(parsed)
    if parsed.version == 4:
        return next((reason for network, mask, reason in _V4_TABLE if number & mask == network), None)
    for network, mask, reason in _V6_TABLE:
        if number & mask == network:
            inside = embedded_ipv4(number)
            return f"{reason} of {ipaddress.IPv4Address(inside)}" if inside is not None else reason
    return None if number & _V6_UNICAST_MASK == _V6_UNICAST else "outside global unicast"


def embedded_ipv4(number: int) -> int | None:
    """Return the IPv4 address that an IPv6 address carries: mapped, compatible, NAT64, 6to4 or Teredo.

    None if it carries none.
    """
    high = number >> 32
    if high == 0xFFFF or (high == 0 and number > 1) or high == 0x64FF9B << 64:
        return number & 0xFFFFFFFF
    if number >> 80 == 0x64FF9B0001:  # RFC 6052, prefix of 48 bits: two bytes, a zero byte, two bytes
        return (number >> 64 & 0xFFFF) << 16 | (number >> 40 & 0xFFFF)
    if number >> 112 == 0x2002:
        return number >> 80 & 0xFFFFFFFF
    if number >> 96 == 0x20010000:
        return ~number & 0xFFFFFFFF
    return None


def check_address(address: str, devnet: bool = False) -> str:
    """Return the address if the gateway may connect to it.

    Raises AddressRefused. On a devnet loopback is open, nothing else.
    """
    reason = special_range(address)
    if reason is None or (devnet and reason == "loopback"):
        return address
    raise AddressRefused(f"{address} is refused: {reason}")


async def resolve_by_system(host: str, port: int) -> list[str]:
    """Ask the system's resolver for all stream addresses of a host; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in found))


async def checked_addresses(endpoint: Endpoint, resolve: Resolver, devnet: bool = False) -> list[str]:
    """Resolve an endpoint once and return its addresses, all of them judged.

    Raises AddressRefused if one is not public.
    """
    try:
        literal = str(ipaddress.ip_address(endpoint.host))
    except ValueError:
        answers = await resolve(endpoint.host, endpoint.port)
    else:
        answers = [literal]
    if not answers:
        raise AddressRefused(f"{endpoint.host} resolves to no address")
    return [check_address(answer, devnet) for answer in answers]
