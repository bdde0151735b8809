"""Say how a provider is reached for one model: what the directory knows and every attempt needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from marketplace.gateway.addresses import Endpoint
from marketplace.gateway.inquiry import PATHS
from marketplace.gateway.tickets import Terms


@dataclass(frozen=True, slots=True)
class Lane:
    """One provider serving one model. `signers`.

    The keys its receipts may bear. `slots`: jobs it says it runs at once. `family`: what `continuation.kin` says of it.
    """

    provider: str
    model: str
    endpoint: Endpoint
    signers: frozenset[str]
    terms: Terms
    context_length: int
    slots: int
    family: str = ""
    heads: dict[str, bytes] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", {path: request_head(path, self.endpoint) for path in PATHS})

    def request(self, path: str, body: bytes, ticket: bytes, salt: bytes) -> bytes:
        """Return a whole HTTP request: the customer's body byte for byte, and of its headers none."""
        return whole_request(self.heads[path], ticket, salt.hex().encode(), body)


def request_head(path: str, endpoint: Endpoint) -> bytes:
    """Return the part of a request to a provider that is the same for all of one path."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\ncontent-type: application/json\r\n"
        "accept: */*\r\naccept-encoding: identity\r\nuser-agent: bonded-gateway\r\n"
    ).encode()


def whole_request(head: bytes, ticket: bytes, salt: bytes, body: bytes) -> bytes:
    """Return head, ticket, salt (in hexadecimal digits) and body in the order that verifiers keep to as well."""
    return b"%bx-bonded-ticket: %b\r\nx-bonded-salt: %b\r\ncontent-length: %d\r\n\r\n%b" % (
        head,
        ticket,
        salt,
        len(body),
        body,
    )
