"""Check a job ticket: is this provider allowed, and paid, to do this work?

The checks run in the order of docs/protocol.md, section 3.1; each failure is one refusal. Nothing here waits: the
set of gateways is kept fresh in the background.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Container
from dataclasses import dataclass

from contracts.errors import ContractsError
from contracts.messages import Ticket
from marketplace.agent.offer import OfferedModel
from marketplace.agent.refusals import Refused, bad_ticket

_MOST_HEADER_BYTES = 8192


@dataclass(frozen=True, slots=True)
class AcceptedTicket:
    """A ticket that passed every check: who signed it, for which offered model, with which salt."""

    ticket: Ticket
    gateway: str
    model: OfferedModel
    salt: bytes


@dataclass(frozen=True, slots=True)
class TicketRules:
    """What a ticket is checked against: this deployment, this provider and its offer."""

    separator: bytes
    provider: str
    models: tuple[OfferedModel, ...]


def read_ticket(header: bytes) -> tuple[Ticket, bytes]:
    """Decode the header `x-bonded-ticket` into a ticket and its signature; refuses with `bad_ticket`."""
    if not header:
        raise bad_ticket("the header x-bonded-ticket is missing: this endpoint serves jobs of bonded gateways only")
    if len(header) > _MOST_HEADER_BYTES:
        raise bad_ticket("the header x-bonded-ticket is too long")
    try:
        # integers of a ticket may exceed 64 bits, which the fast parsers refuse
        value = json.loads(urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
        if not isinstance(value, dict):
            raise bad_ticket("x-bonded-ticket is not a JSON object")
        signature = bytes.fromhex(str(value.get("signature", "")).removeprefix("0x"))
        return Ticket.from_json(value), signature
    except (ValueError, binascii.Error, RecursionError) as error:
        raise bad_ticket(f"x-bonded-ticket cannot be read: {error}") from None
    except ContractsError as error:
        raise bad_ticket(str(error)) from None


def read_salt(header: bytes) -> bytes:
    """Decode the header `x-bonded-salt`: 64 hexadecimal digits, with or without 0x."""
    try:
        salt = bytes.fromhex(header.decode("ascii").removeprefix("0x"))
    except ValueError:
        raise bad_ticket("x-bonded-salt is not hexadecimal") from None
    if len(salt) != 32:
        raise bad_ticket(f"x-bonded-salt has {len(salt)} bytes, it needs 32")
    return salt


def check_ticket(
    rules: TicketRules,
    gateways: Container[str],
    ticket_header: bytes,
    salt_header: bytes,
    body: bytes,
    now: float,
) -> AcceptedTicket:
    """Check everything about a ticket that does not depend on earlier requests; raises Refused.

    Prices below the offer are refused like a wrong ticket: the provider is not bound to work for less than it
    published.
    """
    ticket, signature = read_ticket(ticket_header)
    try:
        gateway = ticket.signed_by(rules.separator, signature)
    except ContractsError as error:
        raise bad_ticket(f"the ticket's signature: {error}") from None
    if gateway not in gateways:
        raise bad_ticket(f"{gateway} is not a bonded gateway, or this provider has not seen it join yet")
    if ticket.provider != rules.provider:
        raise bad_ticket(f"the ticket is for {ticket.provider}, this provider is {rules.provider}")
    if ticket.expires_at <= now:
        raise bad_ticket(f"the ticket expired {int(now) - ticket.expires_at} s ago")
    salt = read_salt(salt_header)
    if hashlib.sha256(salt + body).digest() != ticket.request_digest:
        raise bad_ticket(
            "the request's digest differs from the ticket's: the body is not the one the gateway signed for"
        )
    model = _offered(rules.models, ticket)
    config = model.config
    asked = (ticket.price_in_atto, ticket.price_cached_atto, ticket.price_out_atto)
    wanted = (config.price_in_atto, config.price_cached_atto, config.price_out_atto)
    if any(price < least for price, least in zip(asked, wanted, strict=True)):
        raise bad_ticket(f"the ticket's prices {asked} lie below the offer's {wanted}: fetch /bonded/offer again")
    return AcceptedTicket(ticket, gateway, model, salt)


def _offered(models: tuple[OfferedModel, ...], ticket: Ticket) -> OfferedModel:
    for model in models:
        if model.weights_digest == ticket.model:
            return model
    raise Refused(404, "model_not_found", f"this provider does not offer weights 0x{ticket.model.hex()}", "model")
