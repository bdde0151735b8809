"""Make job tickets: what a gateway permits a provider to do for one attempt.

Signed, in the form that travels in a header.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import Any

from contracts.messages import Ticket
from contracts.signing import Signer

UINT32_MOST = 2**32 - 1
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider asks for one model.

    As the ticket must state it: the weights digest and three prices per token.
    """

    provider: str
    weights_digest: bytes
    price_in_atto: int
    price_cached_atto: int
    price_out_atto: int

    def most_atto(self, input_tokens: int, output_tokens: int) -> int:
        """Return the most that so many tokens can cost."""
        return input_tokens * max(self.price_in_atto, self.price_cached_atto) + output_tokens * self.price_out_atto


class _Drawn:
    """Random bytes of the operating system, asked for a page at a time: a request needs 64 of them."""

    def __init__(self) -> None:
        self._page = b""
        self._at = 0

    def take(self) -> bytes:
        """Return 32 bytes that nobody else gets."""
        at = self._at
        if at + 32 > len(self._page):
            self._page, at = os.urandom(_PAGE), 0
        self._at = at + 32
        return self._page[at : at + 32]

    def forget(self) -> None:
        """Drop what was not given out: a process that was forked would give out the same."""
        self._page = b""


_drawn = _Drawn()
os.register_at_fork(after_in_child=_drawn.forget)


def new_job() -> bytes:
    """Draw a job's number. For one thread: the gateway's."""
    return _drawn.take()


def new_salt() -> bytes:
    """Draw the salt that keeps digests of short requests from being guessed."""
    return _drawn.take()


def request_digest(salt: bytes, body: bytes) -> bytes:
    """Return SHA-256(salt ‖ body)."""
    digest = hashlib.sha256(salt)
    digest.update(body)
    return digest.digest()


def make_ticket(
    job: bytes, attempt: int, terms: Terms, input_tokens: int, output_tokens: int, expires_at: int, digest: bytes
) -> Ticket:
    """Fill in a ticket; the token counts are the most that may be billed."""
    return Ticket(
        job=job,
        attempt=attempt,
        provider=terms.provider,
        model=terms.weights_digest,
        max_input_tokens=min(input_tokens, UINT32_MOST),
        max_output_tokens=min(output_tokens, UINT32_MOST),
        price_in_atto=terms.price_in_atto,
        price_cached_atto=terms.price_cached_atto,
        price_out_atto=terms.price_out_atto,
        expires_at=expires_at,
        request_digest=digest,
    )


def sign_ticket(ticket: Ticket, signer: Signer, separator: bytes) -> bytes:
    """Sign a ticket with the gateway's key."""
    return signer.sign(ticket.digest(separator))


def ticket_json(ticket: Ticket, signature: bytes) -> dict[str, Any]:
    """Return the wire form of a signed ticket."""
    return ticket.to_json() | {"signature": "0x" + signature.hex()}


def ticket_header(ticket: Ticket, signature: bytes) -> bytes:
    """Return the value of `x-bonded-ticket`: base64url without padding of the canonical JSON.

    Written out by hand, keys in order: a general encoder costs four times as much and cannot write 128-bit prices fast.
    """
    text = (
        f'{{"attempt":{ticket.attempt},"expiresAt":{ticket.expires_at},"job":"0x{ticket.job.hex()}",'
        f'"maxInputTokens":{ticket.max_input_tokens},"maxOutputTokens":{ticket.max_output_tokens},'
        f'"model":"0x{ticket.model.hex()}","priceCachedAtto":{ticket.price_cached_atto},'
        f'"priceInAtto":{ticket.price_in_atto},"priceOutAtto":{ticket.price_out_atto},"provider":"{ticket.provider}",'
        f'"requestDigest":"0x{ticket.request_digest.hex()}","signature":"0x{signature.hex()}"}}'
    )
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=")
