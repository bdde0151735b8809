"""Measure one attempt and turn it into exactly one signed receipt.

Times are the agent's own. `ttft_ms` runs from the whole request having arrived to the first token being handed to
the caller; for an answer that is not streamed that is the whole answer. `itl_us` is the mean gap between later
tokens, the first excluded: (last - first) / (tokens - 1).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.messages import ZERO32, Receipt, Status
from contracts.signing import Signer
from contracts.types import Timing
from marketplace.agent.tickets import AcceptedTicket

_UINT32 = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt, its signature, and the gateway whose ticket it answers."""

    receipt: Receipt
    signature: bytes
    gateway: str

    def wire(self) -> dict[str, Any]:
        """Return `{"receipt": …, "signature": "0x…"}`: what the header, the last event and POST /v1/receipts carry."""
        return {"receipt": self.receipt.to_json(), "signature": "0x" + self.signature.hex()}


class Meter:
    """Watch one attempt: bytes, tokens and times; sign once at its end."""

    def __init__(self, accepted: AcceptedTicket, generates: bool) -> None:
        self.accepted = accepted
        self.generates = generates
        self.signed: SignedReceipt | None = None
        self.tokens_seen = 0
        self._digest = hashlib.sha256(accepted.salt)
        self._usage: Mapping[str, Any] | None = None
        self._started = time.monotonic()
        self._first = 0.0
        self._last = 0.0

    def sent(self, body: bytes) -> None:
        """Count bytes of the answer's body that went to the caller."""
        self._digest.update(body)

    def token(self) -> None:
        """Note that a token was handed to the caller just now."""
        self._last = time.monotonic()
        self.tokens_seen += 1
        if not self._first:
            self._first = self._last

    def usage(self, usage: Mapping[str, Any]) -> None:
        """Take the engine's own count of tokens, which is final."""
        self._usage = usage

    @property
    def has_usage(self) -> bool:
        return self._usage is not None

    def first_after_s(self) -> float:
        """Return the time to first token in seconds, zero when there was none."""
        return self._first - self._started if self._first else 0.0

    def sign(
        self,
        status: Status,
        signer: Signer,
        separator: bytes,
        timing: Timing,
        input_tokens: int = 0,
        taken: Callable[[], bytes] = lambda: ZERO32,
    ) -> SignedReceipt:
        """Sign the receipt of this attempt; a second call returns the first one's, whatever its arguments.

        Two different receipts for one job and attempt are slashable, so there is one place that signs and it signs
        once. `taken` gives the earlier job that this receipt names as handed over. `input_tokens` is used when the
        engine gave no usage (the caller left). Counts are cut to what the ticket allows: it holds no money for more.
        """
        if self.signed is None:
            receipt = self._receipt(status, timing, input_tokens, taken())
            self.signed = SignedReceipt(receipt, signer.sign(receipt.digest(separator)), self.accepted.gateway)
        return self.signed

    def _receipt(self, status: Status, timing: Timing, input_tokens: int, taken: bytes) -> Receipt:
        ticket = self.accepted.ticket
        tokens_in, cached, tokens_out = self._counts(input_tokens)
        if status is Status.SERVED and (tokens_out if self.generates else tokens_in) == 0:
            status = Status.IDLE
        if status is Status.CUSTOMER_ABORT and tokens_out == 0:
            # nothing was delivered, so nothing is owed
            tokens_in = cached = 0
        free = status in (Status.IDLE, Status.PROVIDER_ERROR, Status.TIMEOUT)
        gaps = max(tokens_out, self.tokens_seen) - 1
        itl_us = int((self._last - self._first) * 1e6 / gaps) if gaps > 0 and self._first else 0
        return Receipt(
            job=ticket.job,
            attempt=ticket.attempt,
            provider=ticket.provider,
            model=ticket.model,
            slot=max(0, timing.slot_at(time.time())),
            input_tokens=tokens_in,
            cached_tokens=cached,
            output_tokens=tokens_out,
            ttft_ms=min(_UINT32, round(self.first_after_s() * 1000)),
            itl_us=min(_UINT32, itl_us),
            charge_atto=0 if free else ticket.charge_atto(tokens_in, cached, tokens_out),
            request_digest=ticket.request_digest,
            response_digest=self._digest.digest(),
            status=int(status),
            taken=taken,
        )

    def _counts(self, input_tokens: int) -> tuple[int, int, int]:
        ticket = self.accepted.ticket
        cached = 0
        tokens_out = self.tokens_seen if self.generates else 0
        if self._usage is not None:
            input_tokens = _count(self._usage, "prompt_tokens")
            tokens_out = _count(self._usage, "completion_tokens")
            details = self._usage.get("prompt_tokens_details")
            cached = _count(details, "cached_tokens") if isinstance(details, Mapping) else 0
        tokens_in = min(input_tokens, ticket.max_input_tokens)
        return tokens_in, min(cached, tokens_in), min(tokens_out, ticket.max_output_tokens)


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
