"""Read a provider's refusal: whose fault it is, whether another provider is to be asked, what the customer is told.

400 context too long   believed only if the request can be that long; then it is final and the customer is told
400, 422 otherwise     another provider is asked; if none serves, the customer gets the complaint
401, 409               the gateway and the provider disagree about a ticket: nobody's failure, another is asked
429                    "full": idle if it may be running as many jobs as it declared, those of direct tickets (probes)
                       among them, else its failure
everything else        the provider's failure; 3xx is never followed
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from contracts.messages import Status, Ticket
from marketplace.gateway.errors import ApiError, context_too_long, invalid, no_provider, too_busy
from marketplace.gateway.inquiry import Inquiry
from marketplace.gateway.lanes import Lane


@dataclass(frozen=True, slots=True)
class Refused:
    """A judged refusal. `status` is recorded.

    `full`: the provider says it has no free slot; `final`: do not ask another.
    """

    status: Status
    answer: ApiError
    full: bool = False
    final: bool = False


def judge_refusal(status: int, body: bytes, inquiry: Inquiry, lane: Lane, ticket: Ticket, running: int) -> Refused:
    """Judge an answer whose status is not 200.

    `running`: the gateway's own count of jobs at this lane, this one and open tickets that others took there included.
    """
    code, message = _error_of(body)
    if status == 400 and code == "context_length_exceeded":
        most = inquiry.input_tokens_most + ticket.max_output_tokens
        if most > lane.context_length:
            return Refused(Status.IDLE, context_too_long(most, lane.context_length), final=True)
        return Refused(Status.PROVIDER_ERROR, no_provider("The provider refused a request that fits its context."))
    if status in (400, 413, 422):
        return Refused(Status.IDLE, invalid(f"The engine refused the request: {message or 'no reason given'}"))
    if status == 401:
        return Refused(Status.IDLE, no_provider("The provider did not accept this gateway's ticket."))
    if status == 429:
        blame = Status.IDLE if running > lane.slots else Status.PROVIDER_ERROR
        return Refused(blame, too_busy("All providers of this model are full at the moment.", 1000), full=True)
    if status == 503:
        return Refused(Status.PROVIDER_ERROR, no_provider("The provider is shutting down."), full=True)
    return Refused(Status.PROVIDER_ERROR, no_provider(f"The provider answered with status {status}."))


def _error_of(body: bytes) -> tuple[str, str]:
    """Return code and message of an error in OpenAI's shape, printable and cut short; empty texts if it is none."""
    try:
        error = orjson.loads(body)["error"]
        code, message = error.get("code"), error.get("message")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError):
        return "", ""
    shown = "".join(c if c.isprintable() else " " for c in str(message or ""))[:300]
    return (code if isinstance(code, str) else ""), shown
