"""Answer `/v1/tickets` and `/v1/receipts`: tickets for customers who call a provider themselves, and receipts handed
in later.

Verifiers take the first way for their probes, so a probe's ticket is a customer's. Agents take the second for what
they could not hand over because the caller had left. Receipts need no key: the ticket must be open and the signature
the provider's.
"""

from __future__ import annotations

import json
from typing import Any

from contracts.errors import BadAddress
from contracts.messages import Receipt, Status
from contracts.signing import normal_address
from marketplace.accounts import BalanceTooLow, CapReached
from marketplace.gateway.acceptance import Delivered, ReceiptRefused, check_receipt, read_receipt
from marketplace.gateway.desk import Desk
from marketplace.gateway.errors import ApiError, insufficient_quota, invalid, malformed, too_busy, unknown_model
from marketplace.gateway.matching import Lanes
from marketplace.gateway.open_tickets import OpenTicket, ReceiptConflict, UnknownTicket
from marketplace.gateway.tickets import UINT32_MOST, make_ticket, new_job, sign_ticket, ticket_json

TICKETS_PER_CALL = 64
OPEN_PER_CUSTOMER = 2_000
_PAID = (Status.SERVED, Status.CUSTOMER_ABORT)


def give_tickets(desk: Desk, lanes: Lanes, customer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Answer `POST /v1/tickets`.

    Each request gets a ticket or an error of its own. Raises ApiError for a body of another form.
    """
    requests = body.get("requests")
    if type(requests) is not list or not 0 < len(requests) <= TICKETS_PER_CALL:
        raise invalid(f"requests must be a list of 1 to {TICKETS_PER_CALL} objects.", "requests")
    if desk.open_tickets.waiting_for(customer) + len(requests) > OPEN_PER_CUSTOMER:
        raise too_busy(f"{OPEN_PER_CUSTOMER} tickets of this customer are open; use them or let them expire.", 5_000)
    tickets: list[dict[str, Any]] = []
    for request in requests:
        try:
            tickets.append(_give_ticket(desk, lanes, customer, request))
        except ApiError as error:
            tickets.append(error.shape())
    return {"tickets": tickets}


def count_tickets(body: dict[str, Any]) -> int:
    """Return how many tickets a body asks for; one of another form counts as one."""
    requests = body.get("requests")
    return len(requests) if type(requests) is list and requests else 1


def _give_ticket(desk: Desk, lanes: Lanes, customer: str, request: Any) -> dict[str, Any]:
    if type(request) is not dict:
        raise invalid("each request must be an object.", "requests")
    model = request.get("model")
    if type(model) is not str:
        raise invalid("model must be the name of a model.", "model")
    try:
        provider = normal_address(str(request.get("provider")))
        digest = bytes.fromhex(str(request.get("request_digest")).removeprefix("0x"))
    except (BadAddress, ValueError) as error:
        raise invalid(str(error)) from None
    if len(digest) != 32:
        raise invalid("request_digest must be 0x and 64 hexadecimal digits.", "request_digest")
    lane = lanes.lane(provider, model)
    if lane is None:
        raise unknown_model(model)
    tokens_in = _tokens(request, "max_input_tokens", 1, lane.context_length)
    tokens_out = _tokens(request, "max_output_tokens", 0, lane.context_length)
    now, patience = desk.clock(), desk.patience
    expires_at = int(now) + patience.ticket_s
    ticket = make_ticket(new_job(), 0, lane.terms, tokens_in, tokens_out, expires_at, digest)
    until = now + patience.hold_s
    try:
        hold = desk.accounts.hold(customer, ticket.job, ticket.most_atto(), until)
    except (BalanceTooLow, CapReached) as error:
        raise insufficient_quota(str(error)) from None
    desk.open_tickets.add(OpenTicket(ticket, customer, hold, lane.signers, until))
    return ticket_json(ticket, sign_ticket(ticket, desk.witness.signer, desk.witness.separator))


def _tokens(request: dict[str, Any], name: str, least: int, most: int) -> int:
    value = request.get(name)
    if type(value) is not int or not least <= value <= most:
        raise invalid(f"{name} must be a whole number from {least} to {most}.", name)
    return value


def read_receipt_post(body: bytes) -> tuple[Receipt, bytes, int, int]:
    """Read the body of `POST /v1/receipts`: receipt, signature, ttft in ms, gap in µs; raises ApiError 400."""
    try:
        value = json.loads(body)  # charges may exceed 64 bits
    except (ValueError, RecursionError) as error:
        raise malformed(f"The body is not JSON: {error}.") from None
    try:
        receipt, signature = read_receipt(value)
    except ReceiptRefused as refused:
        raise invalid(f"{refused}.", "receipt", "receipt_refused") from None
    times = [value.get("ttft_ms") or 0, value.get("itl_us") or 0]
    if any(type(time) is not int or not 0 <= time <= UINT32_MOST for time in times):
        raise invalid("ttft_ms and itl_us must be null or whole numbers of 32 bits.", "ttft_ms")
    return receipt, signature, times[0], times[1]


def take_receipt(desk: Desk, body: bytes) -> dict[str, bool]:
    """Answer `POST /v1/receipts`; raises ApiError 400, 404 or 409, after which posting again is of no use."""
    receipt, signature, ttft_ms, itl_us = read_receipt_post(body)
    struct_hash = receipt.struct_hash()
    try:
        entry = desk.open_tickets.find(receipt.job, receipt.attempt, struct_hash)
    except UnknownTicket as error:
        raise ApiError(404, "unknown_ticket", f"{error}; it expired or was never given out here.") from None
    except ReceiptConflict as error:
        raise ApiError(409, "already_settled", str(error)) from None
    if entry is not None:
        _settle(desk, entry, receipt, signature, ttft_ms, itl_us)
    return {"accepted": True}


def _settle(desk: Desk, entry: OpenTicket, receipt: Receipt, signature: bytes, ttft_ms: int, itl_us: int) -> None:
    try:
        struct_hash = check_receipt(
            entry.ticket,
            receipt,
            signature,
            entry.signers,
            desk.witness.separator,
            Delivered(text_bound=entry.text_bound),
        )
    except ReceiptRefused as refused:
        desk.metrics.receipt_refused()
        raise invalid(f"{refused}.", "receipt", "receipt_refused") from None
    if entry.ttft_ms is not None:  # the gateway relayed this attempt: its own observation counts, not the poster's
        ttft_ms, itl_us = entry.ttft_ms, entry.itl_us or 0
    attempt = desk.witness.countersign(receipt, signature, entry.customer, desk.slot(), ttft_ms, itl_us, struct_hash)
    desk.open_tickets.resolve(entry, attempt.countersignature.receipt)
    if receipt.status in _PAID:
        desk.accounts.post(entry.hold, attempt)
    else:
        desk.accounts.record(attempt)
        desk.accounts.void(entry.hold)


def expire_tickets(desk: Desk) -> int:
    """Void the holds of tickets whose receipt did not come in time; returns how many. Called every few seconds."""
    count = 0
    for entry in desk.open_tickets.expire(desk.clock()):
        desk.accounts.void(entry.hold)
        desk.metrics.ticket_expired()
        count += 1
    return count
