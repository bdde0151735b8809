"""Carry one customer's request to a provider and its answer back.

    wait for a place → hold → (reserve → ticket → send → relay, at most three times) → settle

Plain functions over what a `Desk` provides; the server is a `Sink` that takes bytes. The rules:

    no place free         the job waits in `flow`, bound to no provider, or is refused at once with 429
    before any byte       a provider that refuses, fails or talks garbage is recorded, and the next best is asked;
                          when all said "full", the job waits again
    after the first byte  the leg is recorded and costs nothing; another provider with the same weights goes on from the
                          text that was delivered (`continuation`); where those fail too, it waits for others as long
                          as its band waits. Where nobody can, an explicit error event and no [DONE]; the connection is
                          broken off, never closed politely
    the customer leaves   the upstream socket is closed at once; the hold waits for the receipt of what was delivered
    nobody is left        before any byte: the operator's own engine serves for nothing, if there is one (`fallback`)
    in every case         the hold is resolved once: posted, voided, or handed to the open tickets, which do either

One hold serves all attempts of a job: it covers the dearest of the candidates that balance and cap allow. The receipt
is judged, countersigned and posted before the end of the answer goes out, so an answer that was complete for the
customer is also in the books.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from marketplace.accounts import Account
from marketplace.gateway.continuation import ATTEMPTS_MOST, LEGS_MOST, going_on, why_not
from marketplace.gateway.desk import Desk, Run
from marketplace.gateway.errors import ApiError, stream_broken, too_busy
from marketplace.gateway.flow import Place
from marketplace.gateway.hedge import delay_s, run_hedged
from marketplace.gateway.lanes import Lane
from marketplace.gateway.sse import DONE_EVENT
from marketplace.gateway.tickets import make_ticket, request_digest, sign_ticket, ticket_header
from marketplace.gateway.trial import Broken, Next, Trial
from scheduler.flow.bands import REALTIME
from scheduler.types import Reservation


async def serve(desk: Desk, run: Run, account: Account) -> None:
    """Serve one job; raises ApiError if nothing was sent to the customer. Afterwards the job's hold is resolved."""
    try:
        await _serve_by_market(desk, run, account)
    except ApiError as refusal:
        fallback = desk.fallback
        if fallback is None or not fallback.takes(desk, run, refusal) or not await fallback.serve(desk, run):
            raise


async def _serve_by_market(desk: Desk, run: Run, account: Account) -> None:
    desk.retries.earn()
    place = await desk.flow.place(desk, run, account)
    if place is None:
        return
    refusal: ApiError | None = None
    try:
        run.hold = desk.accounts.hold(run.customer, run.job, place.most_atto, desk.clock() + desk.patience.hold_s)
        try:
            tried = 0
            while place is not None:
                current = place
                try:
                    tried, refusal, ended = await _try_lanes(desk, run, place, tried)
                    waits_on = refusal is not None and run.started and run.attempts < ATTEMPTS_MOST and not run.left
                    if ended and not waits_on:
                        break
                    tried = 0 if waits_on else tried
                    place = await desk.flow.again(desk, run, account, place, afresh=waits_on)
                except Broken as broken:
                    tried, refusal = 0, None
                    place = await _go_on(desk, run, account, current, broken)
                except ApiError as error:
                    refusal = error
                    break
        finally:
            if not run.settled:
                run.settled = True
                desk.accounts.void(run.hold)
    finally:
        if place is not None:
            place.close()
    if refusal is not None and not run.left:
        if not run.started:
            raise refusal
        await _break_off(run, str(refusal))


async def _go_on(desk: Desk, run: Run, account: Account, place: Place, broken: Broken) -> Place | None:
    """Find a place for the rest of an answer that broke; None if there is nothing more to be done for it."""
    transcript = run.transcript
    assert transcript is not None
    run.broken.append(broken.provider)
    reason = why_not(run.asked, transcript)
    left = run.ordered - len(transcript.pieces)
    if transcript.finished and not broken.disowned:
        place.close()
        await run.sink.end(DONE_EVENT)
    elif not reason and not transcript.finished and left == 0:
        place.close()
        await run.sink.end(transcript.end("length"))
    elif reason or transcript.finished or left < 0 or len(run.broken) > LEGS_MOST:
        place.close()
        await _break_off(run, f"{broken}")
    else:
        run.inquiry = going_on(run.asked, transcript, run.family, run.ordered, frozenset(run.broken))
        try:
            following = await desk.flow.again(desk, run, account, place, afresh=True)
        except ApiError as refusal:
            await _break_off(run, f"{broken} {refusal}")
        else:
            desk.metrics.continued()
            return following
    return None


async def _break_off(run: Run, reason: str) -> None:
    if not run.left:
        await run.sink.write(stream_broken(f"The answer broke off and is not complete: {reason}").event())
        run.sink.break_off()


async def _try_lanes(desk: Desk, run: Run, place: Place, tried: int) -> tuple[int, ApiError | None, bool]:
    """Attempt the job at the lanes of its place.

    Returns the attempts made so far, what the customer gets if it was not served, and whether that is the end: a job
    that every lane turned away as full may wait for another place. Raises Broken.
    """
    inquiry, patience = run.inquiry, desk.patience
    digest = request_digest(run.salt, inquiry.body)
    refusal: ApiError | None = None
    lanes = iter(place.lanes)
    for lane in lanes:
        if run.left or (tried and (tried >= patience.attempts_most or not desk.retries.spend(inquiry.retrying))):
            return tried, refusal or _no_room(), True
        reservation = None
        if (input_tokens := _payable_input(run, place, lane)) >= inquiry.input_tokens or not run.started:
            reservation = place.reserve(lane)
        if reservation is None:
            continue
        tried += 1
        trial, request = _begin(desk, run, place, lane, reservation, input_tokens, digest)
        try:
            if inquiry.stream and place.rank == REALTIME.rank and not run.attempts > 1:
                second = partial(_begin_beside, desk, run, place, lanes, digest)
                await run_hedged(desk, trial, request, delay_s(reservation), second)
            else:
                await trial.run_request(request)
            return tried, None, True
        except Next as following:
            refusal = following.refusal
            if following.final:
                return tried, refusal, True
        finally:
            trial.close()
    full = refusal is None or (refusal.status == 429 and refusal.retry_after_ms is not None)
    return tried, refusal or _no_room(), run.left or tried >= patience.attempts_most or not full


def _begin(
    desk: Desk, run: Run, place: Place, lane: Lane, reservation: Reservation, input_tokens: int, digest: bytes
) -> tuple[Trial, bytes]:
    """Make the ticket of an attempt; returns the trial and the request that is to be sent."""
    inquiry, expires_at = run.inquiry, int(desk.clock()) + desk.patience.ticket_s
    ticket = make_ticket(run.job, run.attempts, lane.terms, input_tokens, place.match.output_tokens, expires_at, digest)
    run.attempts += 1
    signature = sign_ticket(ticket, desk.witness.signer, desk.witness.separator)
    request = lane.request(inquiry.path, inquiry.body, ticket_header(ticket, signature), run.salt)
    return Trial(desk, run, lane, ticket, reservation), request


def _begin_beside(
    desk: Desk, run: Run, place: Place, lanes: Iterator[Lane], digest: bytes
) -> tuple[Trial, bytes] | None:
    """Begin a second attempt at the next lane that has room, None if there is none."""
    for lane in lanes:
        reservation = place.reserve(lane)
        if reservation is not None:
            return _begin(desk, run, place, lane, reservation, _payable_input(run, place, lane), digest)
    return None


def _payable_input(run: Run, place: Place, lane: Lane) -> int:
    """Return the most input tokens that a ticket may bill: what can come, and for a later leg what the hold covers."""
    most = min(run.inquiry.input_tokens_most, lane.context_length)
    if not run.started or lane.terms.most_atto(most, place.match.output_tokens) <= run.hold.most_atto:
        return most
    left_atto = run.hold.most_atto - lane.terms.most_atto(0, place.match.output_tokens)
    return max(0, left_atto) // max(lane.terms.price_in_atto, lane.terms.price_cached_atto, 1)


def _no_room() -> ApiError:
    return too_busy("No provider has room for this request at the moment.", 1000)
