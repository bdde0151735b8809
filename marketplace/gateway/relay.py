"""Carry one customer's request to a provider and its answer back.

    wait for a place → hold → (reserve → ticket → send → relay, at most three times) → settle

Plain functions over what a `Desk` provides; the server is a `Sink` that takes bytes. The rules:

    no place free         the job waits in `flow`, bound to no provider, or is refused at once with 429
    before any byte       a provider that refuses, fails or talks garbage is recorded, and the next best is asked;
                          when all said "full", the job waits again
    after the first byte  an explicit error event and no [DONE]; the connection is broken off, never closed politely
    the customer leaves   the upstream socket is closed at once; the hold waits for the receipt of what was delivered
    in every case         the hold is resolved once: posted, voided, or handed to the open tickets, which do either

One hold serves all attempts of a job: it covers the dearest of the candidates that balance and cap allow. The receipt
is judged, countersigned and posted before the end of the answer goes out, so an answer that was complete for the
customer is also in the books.
"""

from __future__ import annotations

from marketplace.accounts import Account
from marketplace.gateway.desk import Desk, Run
from marketplace.gateway.errors import ApiError, too_busy
from marketplace.gateway.flow import Place
from marketplace.gateway.tickets import make_ticket, request_digest, sign_ticket, ticket_header
from marketplace.gateway.trial import Next, Trial


async def serve(desk: Desk, run: Run, account: Account) -> None:
    """Serve one job; raises ApiError if nothing was sent to the customer. Afterwards the job's hold is resolved."""
    desk.retries.earn()
    place = await desk.flow.place(desk, run, account)
    if place is None:
        return
    refusal: ApiError | None = None
    try:
        run.hold = desk.accounts.hold(run.customer, run.job, place.most_atto, desk.clock() + desk.patience.hold_s)
        try:
            digest = request_digest(run.salt, run.inquiry.body)
            tried = 0
            while place is not None:
                tried, refusal, ended = await _try_lanes(desk, run, place, digest, tried)
                if ended:
                    break
                place = await desk.flow.again(desk, run, account, place)
        finally:
            run.attach(None)
            if not run.settled:
                run.settled = True
                desk.accounts.void(run.hold)
    finally:
        if place is not None:
            place.close()
    if refusal is not None and not run.left:
        raise refusal


async def _try_lanes(
    desk: Desk, run: Run, place: Place, digest: bytes, tried: int
) -> tuple[int, ApiError | None, bool]:
    """Attempt the job at the lanes of its place.

    Returns the attempts made so far, what the customer gets if it was not served, and whether that is the end: a job
    that every lane turned away as full may wait for another place.
    """
    inquiry, patience = run.inquiry, desk.patience
    refusal: ApiError | None = None
    for lane in place.lanes:
        if run.left or (tried and (tried >= patience.attempts_most or not desk.retries.spend(inquiry.retrying))):
            return tried, refusal or _no_room(), True
        reservation = place.reserve(lane)
        if reservation is None:
            continue
        ticket = make_ticket(
            run.job,
            tried,
            lane.terms,
            min(inquiry.input_tokens_most, lane.context_length),
            place.match.output_tokens,
            int(desk.clock()) + patience.ticket_s,
            digest,
        )
        tried += 1
        trial = Trial(desk, run, lane, ticket, reservation)
        try:
            signature = sign_ticket(ticket, desk.witness.signer, desk.witness.separator)
            await trial.run_request(
                lane.request(inquiry.path, inquiry.body, ticket_header(ticket, signature), run.salt)
            )
            return tried, None, True
        except Next as following:
            refusal = following.refusal
            if following.final:
                return tried, refusal, True
        finally:
            trial.close()
    full = refusal is None or (refusal.status == 429 and refusal.retry_after_ms is not None)
    return tried, refusal or _no_room(), run.left or tried >= patience.attempts_most or not full


def _no_room() -> ApiError:
    return too_busy("No provider has room for this request at the moment.", 1000)
