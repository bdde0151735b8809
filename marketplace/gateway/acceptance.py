"""Judge a provider's receipt before it becomes a charge, and sign what the gateway saw.

A receipt is accepted when the provider's own key signed it, it speaks of this ticket, its tokens lie within what was
ordered and within what was delivered, its charge follows from them, and its digest is of the bytes that came.
Anything else is refused with its reason; the attempt is then the provider's error and costs the customer nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from contracts.errors import ContractsError
from contracts.messages import ZERO32, Countersignature, Receipt, Status, Ticket
from contracts.signing import Signer, keccak, recover
from marketplace.errors import BondedError
from marketplace.gateway.clerk import Clerk
from marketplace.gateway.tickets import UINT32_MOST
from rewards.types import Attempt

ABORT_SLACK_TOKENS = 64
"""What a provider may have sent while the news that the customer left was on its way."""
_STATUSES = frozenset(int(status) for status in Status)
_FREE = (Status.IDLE, Status.PROVIDER_ERROR, Status.TIMEOUT)
_SMALL = r"(0|[1-9]\d{0,8})"  # fits uint32
_TINY = r"(0|[1-9]\d?)"  # fits uint8
_LARGE = r"(0|[1-9]\d{0,17})"  # fits uint64
_MONEY = r"(0|[1-9]\d{0,37})"  # fits uint128
_WORD = '"0x([0-9a-f]{64})"'
_CANONICAL = re.compile(
    r'\{"object":"bonded\.receipt","receipt":\{'
    rf'"attempt":{_SMALL},"attestation":{_WORD},"attestationType":{_TINY},"cachedTokens":{_SMALL},'
    rf'"chargeAtto":{_MONEY},"inputTokens":{_SMALL},"itlUs":{_SMALL},'
    rf'"job":{_WORD},"model":{_WORD},"outputTokens":{_SMALL},"provider":"(0x[0-9a-f]{{40}})",'
    rf'"requestDigest":{_WORD},"responseDigest":{_WORD},"slot":{_LARGE},"status":{_TINY},"taken":{_WORD},'
    rf'"ttftMs":{_SMALL}\}},'
    r'"signature":"0x([0-9a-f]{130})"\}',
    re.ASCII,
)
"""A signed receipt in canonical JSON, which is how our own agent writes it; other forms take the general reader."""


class ReceiptRefused(BondedError):
    """The receipt does not say what happened, or not in a form that can be proved; the message names what disagrees."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the gateway knows about an answer; None where it did not see it.

    `text_bound`: upper bound on output tokens in the bytes that came. `usage`: (input, output) tokens as shown to the
    customer.
    """

    response_digest: bytes | None = None
    text_bound: int | None = None
    usage: tuple[int, int] | None = None


def read_receipt(value: Any) -> tuple[Receipt, bytes]:
    """Read `{"receipt": {…}, "signature": "0x…"}`; raises ReceiptRefused."""
    if not isinstance(value, dict) or not isinstance(value.get("receipt"), dict):
        raise ReceiptRefused("there is no receipt object")
    signature = value.get("signature")
    if not isinstance(signature, str) or not signature.startswith("0x"):
        raise ReceiptRefused("there is no signature of the form 0x…")
    try:
        return Receipt.from_json(value["receipt"]), bytes.fromhex(signature[2:])
    except (ContractsError, ValueError) as error:
        raise ReceiptRefused(str(error)) from None


def read_receipt_json(raw: bytes) -> tuple[Receipt, bytes]:
    """Read a receipt from JSON; raises ReceiptRefused.

    One match for the canonical form; else Python's own reader, because charges may exceed 64 bits.
    """
    found = _CANONICAL.fullmatch(raw.decode("latin-1"))
    if found is not None:
        (
            attempt, attestation, attestation_type, cached, charge, tokens, itl, job, model, output, provider, request,
            response, slot, status, taken, ttft, signature,
        ) = found.groups()  # fmt: skip
        unhex = bytes.fromhex
        return Receipt(
            unhex(job), int(attempt), provider, unhex(model), int(slot), int(tokens), int(cached), int(output),
            int(ttft), int(itl), int(charge), unhex(request), unhex(response), int(status), unhex(taken),
            int(attestation_type), unhex(attestation),
        ), unhex(signature)  # fmt: skip
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ReceiptRefused(f"the receipt is not JSON: {error}") from None
    return read_receipt(value)


def read_receipt_header(value: bytes) -> tuple[Receipt, bytes]:
    """Read a receipt from the `x-bonded-receipt` header."""
    try:
        raw = base64.b64decode(value + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ReceiptRefused(f"the receipt header is not base64url: {error}") from None
    return read_receipt_json(raw)


def check_receipt(
    ticket: Ticket, receipt: Receipt, signature: bytes, signers: Collection[str], separator: bytes, delivered: Delivered
) -> bytes:
    """Return the struct hash of a receipt that may be accepted for this ticket; raises ReceiptRefused for any other.

    `signers` are the keys the provider may sign with.
    """
    struct_hash = check_terms(ticket, receipt, delivered)
    try:
        signer = recover(keccak(b"\x19\x01" + separator + struct_hash), signature)
    except ContractsError as error:
        raise ReceiptRefused(str(error)) from None
    _check_signer(signer, signers, receipt)
    return struct_hash


def _check_signer(signer: str, signers: Collection[str], receipt: Receipt) -> None:
    if signer not in signers:
        raise ReceiptRefused(f"signed by {signer}, which is not a key of provider {receipt.provider}")


def check_terms(ticket: Ticket, receipt: Receipt, delivered: Delivered) -> bytes:
    """Return the struct hash of a receipt that says what the ticket allows and what was delivered; its signature is
    not looked at. Raises ReceiptRefused."""
    for name in ("job", "attempt", "provider", "model", "request_digest"):
        if getattr(receipt, name) != getattr(ticket, name):
            raise ReceiptRefused(f"{name} differs from the ticket's")
    if receipt.status not in _STATUSES:
        raise ReceiptRefused(f"{receipt.status} is no status")
    _check_tokens(ticket, receipt, delivered)
    free = receipt.status in _FREE
    due = 0 if free else ticket.charge_atto(receipt.input_tokens, receipt.cached_tokens, receipt.output_tokens)
    if receipt.charge_atto != due:
        raise ReceiptRefused(f"the charge is {receipt.charge_atto} atto, the ticket's prices give {due}")
    complete = receipt.status == Status.SERVED
    if complete and delivered.response_digest is not None and receipt.response_digest != delivered.response_digest:
        raise ReceiptRefused("the response digest is not of the bytes that came")
    return receipt.struct_hash()


def _check_tokens(ticket: Ticket, receipt: Receipt, delivered: Delivered) -> None:
    if receipt.cached_tokens > receipt.input_tokens:
        raise ReceiptRefused(f"{receipt.cached_tokens} cached of {receipt.input_tokens} input tokens")
    if receipt.input_tokens > ticket.max_input_tokens:
        raise ReceiptRefused(f"{receipt.input_tokens} input tokens, at most {ticket.max_input_tokens} are possible")
    if receipt.output_tokens > ticket.max_output_tokens:
        raise ReceiptRefused(f"{receipt.output_tokens} output tokens, {ticket.max_output_tokens} were ordered")
    if delivered.text_bound is not None:
        slack = ABORT_SLACK_TOKENS if receipt.status == Status.CUSTOMER_ABORT else 0
        if receipt.output_tokens > delivered.text_bound + slack:
            raise ReceiptRefused(
                f"{receipt.output_tokens} output tokens, the bytes that came hold at most {delivered.text_bound}"
            )
    if delivered.usage is not None and receipt.status == Status.SERVED:
        shown_in, shown_out = delivered.usage
        if receipt.input_tokens > shown_in or receipt.output_tokens > shown_out:
            raise ReceiptRefused(
                f"bills {receipt.input_tokens} input and {receipt.output_tokens} output tokens, "
                f"the answer shows {shown_in} and {shown_out}"
            )


def _seen(struct_hash: bytes, customer: str, slot: int, ttft_ms: int, itl_us: int) -> Countersignature:
    times = min(ttft_ms, UINT32_MOST), min(itl_us, UINT32_MOST)
    return Countersignature(struct_hash, customer, slot, *times)


@dataclass(frozen=True, slots=True)
class Witness:
    """The gateway's key in one deployment: signs what it saw of an attempt. `clerk` does it in another process."""

    signer: Signer
    separator: bytes
    clerk: Clerk | None = None

    async def accept(
        self,
        receipt: Receipt,
        signature: bytes,
        struct_hash: bytes,
        signers: Collection[str],
        customer: str,
        slot: Callable[[], int],
        ttft_ms: int,
        itl_us: int,
    ) -> Attempt:
        """Check who signed a receipt and countersign it; raises ReceiptRefused.

        `slot` is asked last of all: what was countersigned for a slot that has ended meanwhile is signed again, because
        the journal's watermark may have passed it.
        """
        seen = _seen(struct_hash, customer, slot(), ttft_ms, itl_us)
        digest = keccak(b"\x19\x01" + self.separator + struct_hash)
        found = None
        if self.clerk is not None:
            found = await self.clerk.accept(digest, signature, seen.digest(self.separator))
        try:
            signer = found[0] if found is not None else recover(digest, signature)
        except ContractsError as error:
            raise ReceiptRefused(str(error)) from None
        _check_signer(signer, signers, receipt)
        if found is None or slot() != seen.slot:
            return self.countersign(receipt, signature, customer, slot(), ttft_ms, itl_us, struct_hash)
        return Attempt(receipt, signature, seen, self.signer.address, found[1])

    def countersign(
        self,
        receipt: Receipt,
        signature: bytes,
        customer: str,
        slot: int,
        ttft_ms: int,
        itl_us: int,
        struct_hash: bytes = b"",
    ) -> Attempt:
        """Accept a receipt; an empty `signature` makes it a record of a failure that the provider did not sign.

        `struct_hash` is the receipt's, for callers who have it.
        """
        countersignature = _seen(struct_hash or receipt.struct_hash(), customer, slot, ttft_ms, itl_us)
        return Attempt(
            receipt=receipt,
            provider_signature=signature,
            countersignature=countersignature,
            gateway=self.signer.address,
            gateway_signature=self.signer.sign(countersignature.digest(self.separator)),
        )

    def record_failure(self, ticket: Ticket, status: Status, customer: str, slot: int, ttft_ms: int = 0) -> Attempt:
        """Record an attempt for which the provider signed nothing: no tokens, no charge, the gateway's word alone."""
        receipt = Receipt(
            job=ticket.job,
            attempt=ticket.attempt,
            provider=ticket.provider,
            model=ticket.model,
            slot=slot,
            input_tokens=0,
            cached_tokens=0,
            output_tokens=0,
            ttft_ms=0,
            itl_us=0,
            charge_atto=0,
            request_digest=ticket.request_digest,
            response_digest=ZERO32,
            status=int(status),
        )
        return self.countersign(receipt, b"", customer, slot, ttft_ms, 0)
