"""Carry one customer's request to a provider and its answer back.

    select → hold → (reserve → ticket → send → relay, at most three times) → settle

Plain functions over what a `Desk` provides; the server is a `Sink` that takes bytes. The rules:

    before any byte       a provider that refuses, fails or talks garbage is recorded, and the next best is asked
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
from marketplace.gateway.inquiry import Inquiry
from marketplace.gateway.lanes import Lane
from marketplace.gateway.matching import Match
from marketplace.gateway.tickets import make_ticket, request_digest, sign_ticket, ticket_header
from marketplace.gateway.trial import Next, Trial


async def serve(desk: Desk, run: Run, account: Account) -> None:
    """Serve one job; raises ApiError if nothing was sent to the customer. Afterwards the job's hold is resolved."""
    inquiry, patience = run.inquiry, desk.patience
    desk.retries.earn()
    balance = desk.accounts.balance(run.customer)
    budget_atto = min(balance.available_atto, balance.cap_left_atto)
    match = desk.matching.match(inquiry, account.service_class, run.job, budget_atto)
    lanes, most_atto = _affordable(match, inquiry, budget_atto, patience.attempts_most)
    run.hold = desk.accounts.hold(run.customer, run.job, most_atto, desk.clock() + patience.hold_s)
    refusal: ApiError | None = None
    try:
        digest = request_digest(run.salt, inquiry.body)
        tried = 0
        for lane in lanes:
            if tried and (run.left or not desk.retries.spend(inquiry.retrying)):
                break
            reservation = desk.matching.reserve(match, lane)
            if reservation is None:
                continue
            ticket = make_ticket(
                run.job,
                tried,
                lane.terms,
                min(inquiry.input_tokens_most, lane.context_length),
                match.output_tokens,
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
                return
            except Next as following:
                refusal = following.refusal
                if following.final:
                    break
            finally:
                trial.close()
    finally:
        run.attach(None)
        if not run.settled:
            run.settled = True
            desk.accounts.void(run.hold)
    if not run.left:
        raise refusal or too_busy("No provider has room for this request at the moment.", 1000)


def _affordable(match: Match, inquiry: Inquiry, budget_atto: int, count: int) -> tuple[list[Lane], int]:
    """Return the best lanes that the budget covers, and the most that the request can cost at one of them.

    When it covers none, the last one is returned with its cost, for the refusal to name.
    """
    lanes: list[Lane] = []
    highest = 0
    for lane in match.lanes:
        most = lane.terms.most_atto(min(inquiry.input_tokens_most, lane.context_length), match.output_tokens)
        if most <= budget_atto or (not lanes and lane is match.lanes[-1]):
            lanes.append(lane)
            highest = max(highest, most)
            if len(lanes) == count:
                break
    return lanes, highest
