"""Make one attempt: send a request to one provider, relay what comes, and enter in the books what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contracts.messages import Receipt, Status, Ticket
from marketplace.gateway.acceptance import (
    Delivered,
    ReceiptRefused,
    check_terms,
    read_receipt_header,
    read_receipt_json,
)
from marketplace.gateway.answers import usage_of_answer, usage_of_event
from marketplace.gateway.connection import Connection, Fault, Limits, UpstreamFailed
from marketplace.gateway.desk import Desk, Run
from marketplace.gateway.errors import ApiError, no_provider
from marketplace.gateway.inquiry import EMBEDDINGS
from marketplace.gateway.lanes import Lane
from marketplace.gateway.open_tickets import OpenTicket
from marketplace.gateway.refusals import judge_refusal
from marketplace.gateway.sse import DONE_EVENT, SseFilter, StreamBroken
from marketplace.gateway.tickets import request_digest
from scheduler.types import Reservation

JSON_TYPE = b"application/json"
STREAM_TYPE = b"text/event-stream; charset=utf-8"
_REFUSAL_BYTES_MOST = 64 * 1024


class Next(Exception):
    """An attempt ended before a byte of its answer; `refusal` is what the customer gets if no other candidate serves.

    `final`: no other candidate is to be asked.
    """

    def __init__(self, refusal: ApiError, final: bool = False) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.final = final


class Broken(Exception):
    """An attempt ended after bytes of its answer, which the customer has.

    `provider` broke it; `disowned`: it says itself, behind the answer's end, that the answer is not whole.
    """

    def __init__(self, reason: str, provider: str, disowned: bool = False) -> None:
        super().__init__(reason)
        self.provider = provider
        self.disowned = disowned


class Trial:
    """One attempt, from its ticket to its entry. `run_request` once, then `close` in any case.

    One that races another does the same in two steps: `await_first_byte`, then `relay` or `lose`.
    """

    def __init__(self, desk: Desk, run: Run, lane: Lane, ticket: Ticket, reservation: Reservation) -> None:
        self._desk = desk
        self._run = run
        self._lane = lane
        self._ticket = ticket
        self._reservation = reservation
        self._connection: Connection | None = None
        self._filter: SseFilter | None = None
        self._status: Status | None = None
        self._full = False
        self._heard = False
        self._ahead = b""
        self._output_tokens = 0
        self._ttft_ms = 0
        self._itl_us: int | None = None
        self._sent_at = desk.ticker()

    async def run_request(self, request: bytes) -> None:
        """Send the request and relay the answer.

        Raises Next if nothing of the answer came, and Broken if it broke off behind what the customer has.
        """
        try:
            connection = await self._send(request)
            if self._run.inquiry.stream:
                await self._relay_stream(connection)
            else:
                await self._relay_whole(connection)
        except (UpstreamFailed, StreamBroken) as failure:
            raise self._failed(failure) from failure

    async def await_first_byte(self, request: bytes) -> None:
        """Send the request and wait until something of a streamed answer is there; raises Next."""
        try:
            connection = await self._send(request)
            self._ahead = await connection.read()
        except (UpstreamFailed, StreamBroken) as failure:
            raise self._failed(failure) from failure

    async def relay(self) -> None:
        """Relay the streamed answer whose first byte is there; raises Next and Broken."""
        assert self._connection is not None
        try:
            await self._relay_stream(self._connection)
        except (UpstreamFailed, StreamBroken) as failure:
            raise self._failed(failure) from failure

    def lose(self) -> None:
        """Give the attempt up because another one was first: nobody's failure, and nothing of it is owed."""
        if self._status is None:
            self._record(Status.IDLE)
            self._note("another provider was first")
        self._run.broken.append(self._lane.provider)
        if self._connection is not None:
            self._connection.abort()

    async def _send(self, request: bytes) -> Connection:
        connection = await self._desk.upstream.send(self._lane.endpoint, request, self._limits(), self._attach)
        if connection.status != 200:
            await self._refused(connection)
        return connection

    def close(self) -> None:
        """Enter what was not entered, release the reservation, let go of the connection."""
        if self._status is None:  # cancelled from outside
            self._leave()
        status = self._status
        assert status is not None
        self._let_go()
        self._desk.matching.release(self._reservation, status, self._full, self._output_tokens, self._itl_us)
        self._desk.metrics.attempt(status)

    def _attach(self, connection: Connection) -> None:
        self._connection = connection
        self._run.attach(connection)

    def _let_go(self) -> None:
        """Leave the connection: another attempt may get it at once, so nothing of this one may touch it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._run.detach(connection)
            connection.finish()

    def _limits(self) -> Limits:
        patience = self._desk.patience
        gap_s = max(patience.gap_floor_s, patience.gap_times_itl * self._reservation.itl_ms / 1000)
        first_s = patience.first_byte_s
        if not self._run.inquiry.stream:  # nothing comes before everything is there
            pace_s = patience.pace_times_itl * self._reservation.itl_ms / 1000
            first_s = min(patience.total_s, first_s + pace_s * self._ticket.max_output_tokens)
        return Limits(first_byte_s=first_s, gap_s=gap_s, total_s=patience.total_s, body_bytes=patience.body_most)

    # answers

    async def _refused(self, connection: Connection) -> None:
        body = await connection.read_all(_REFUSAL_BYTES_MOST)
        self._let_go()
        running = self._desk.matching.running(self._lane)
        running += self._desk.open_tickets.at(self._ticket.provider, self._ticket.model)
        refused = judge_refusal(connection.status, body, self._run.inquiry, self._lane, self._ticket, running)
        self._full = refused.full
        self._record(refused.status)
        self._note(f"status {connection.status}")
        raise Next(refused.answer, refused.final)

    async def _relay_whole(self, connection: Connection) -> None:
        run = self._run
        body = await connection.read_all(self._desk.patience.body_most)
        header = connection.headers.get(b"x-bonded-receipt")
        self._let_go()
        self._ttft_ms = self._elapsed_ms()
        answer = usage_of_answer(body, run.inquiry.path)
        if answer is None:
            self._record(Status.PROVIDER_ERROR)
            self._note("the answer is not of this API")
            raise Next(no_provider("The provider sent something that is not an answer."))
        bound = None if run.inquiry.path == EMBEDDINGS else len(body)
        delivered = Delivered(request_digest(run.salt, body), bound, answer.usage)
        if not await self._settle(header, read_receipt_header, delivered):
            raise Next(no_provider("The provider could not complete the answer."))
        run.started = True
        await run.sink.start(JSON_TYPE, len(body))
        await run.sink.end(body)

    async def _relay_stream(self, connection: Connection) -> None:
        desk, run = self._desk, self._run
        transcript = run.transcript
        assert transcript is not None
        events_most = self._ticket.max_output_tokens * desk.patience.events_per_token + desk.patience.events_spare
        self._filter = events = SseFilter(run.salt, events_most)
        later = run.started  # another provider began the answer
        first = last = 0.0
        put: Any = getattr(run.sink, "put", None)

        def take(data: bytes) -> bytes:
            nonlocal last
            out = events.feed(data)
            if out:
                last = desk.ticker()
                if later:
                    out = transcript.rewrite(out)
                transcript.add(out)
            return out

        def pass_on(data: bytes) -> bool:
            out = take(data)
            reads_on = not out or put(out)  # also what comes in one piece with the end
            return reads_on and not events.done

        try:
            while not events.done:
                data = self._ahead or await connection.read()
                self._ahead = b""
                if not data:
                    raise UpstreamFailed(Fault.CLOSED, "the stream ended without [DONE]")
                out = take(data)
                if last and not self._heard:
                    self._heard = True
                    first = last
                    self._ttft_ms = self._elapsed_ms()
                    desk.matching.first_byte(self._reservation)
                if out:
                    if not run.started:
                        run.started = True
                        run.family = self._lane.family
                        run.ordered = self._ticket.max_output_tokens
                        await run.sink.start(STREAM_TYPE)
                    await run.sink.write(out)
                    if put is not None and not events.done:
                        await connection.pump(pass_on)
        finally:
            self._output_tokens = events.events
            if events.events > 1:
                self._itl_us = int((last - first) * 1e6) // (events.events - 1)
        if not self._heard:
            raise UpstreamFailed(Fault.CLOSED, "the stream is empty")
        self._let_go()
        delivered = Delivered(events.response_digest(), events.text_bound(), usage_of_event(events.last))
        if not await self._settle(events.receipt, read_receipt_json, delivered):
            raise Broken("the provider says that it could not complete it", self._lane.provider, disowned=True)
        await run.sink.end(DONE_EVENT)

    # books

    async def _settle(
        self, raw: bytes | None, read: Callable[[bytes], tuple[Receipt, bytes]], delivered: Delivered
    ) -> bool:
        """Judge the receipt and enter the attempt; False if the receipt itself says that the answer is not whole.

        A receipt that is refused costs the customer nothing and the attempt is the provider's error, but the answer
        is there. An idle one comes with a whole answer of no tokens.
        """
        desk, run = self._desk, self._run
        try:
            if raw is None:
                raise ReceiptRefused("the answer bears no receipt")
            receipt, signature = read(raw)
            struct_hash = check_terms(self._ticket, receipt, delivered)
            if receipt.status == Status.CUSTOMER_ABORT:
                raise ReceiptRefused("the customer did not leave")
            attempt = await desk.witness.accept(
                receipt, signature, struct_hash, self._lane.signers, run.customer, desk.slot, self._ttft_ms,
                self._itl_us or 0,
            )  # fmt: skip
        except ReceiptRefused as refused:
            desk.metrics.receipt_refused()
            self._record(Status.PROVIDER_ERROR)
            self._note(f"receipt refused: {refused}")
            return True
        self._status = Status(receipt.status)
        desk.open_tickets.remember(self._ticket, attempt.countersignature.receipt)
        if receipt.status != Status.SERVED:
            desk.accounts.record(attempt)
            return receipt.status == Status.IDLE
        self._output_tokens = receipt.output_tokens
        run.tokens += receipt.input_tokens + receipt.output_tokens
        run.settled = True
        desk.accounts.post(run.hold, attempt)
        desk.metrics.served(self._lane.model, receipt, self._ttft_ms, self._itl_us, run.inquiry.stream)
        return True

    def _record(self, status: Status) -> None:
        """Enter an attempt for which the provider signed nothing that holds."""
        self._status = status
        desk, run = self._desk, self._run
        attempt = desk.witness.record_failure(self._ticket, status, run.customer, desk.slot(), self._ttft_ms)
        desk.open_tickets.remember(self._ticket, attempt.countersignature.receipt)
        desk.accounts.record(attempt)

    def _failed(self, failure: UpstreamFailed | StreamBroken) -> Next | Broken:
        """Enter an attempt that broke and say what comes of it."""
        if self._connection is not None:
            self._connection.abort()
        if self._status is not None:
            return Next(no_provider("Another provider was first."))
        if self._run.left:
            self._leave()
            return Next(no_provider("The customer left."), final=True)
        late = isinstance(failure, UpstreamFailed) and failure.fault.late
        self._record(Status.TIMEOUT if late else Status.PROVIDER_ERROR)
        self._note(str(failure))
        what = f"The provider {'was too slow' if late else 'failed'} ({failure.fault.value})."
        return Broken(what, self._lane.provider) if self._heard else Next(no_provider(what))

    def _leave(self) -> None:
        """End with the customer: let the hold wait for the receipt of what was delivered before it left."""
        desk, run = self._desk, self._run
        self._status = Status.CUSTOMER_ABORT
        if self._connection is None or not self._connection.sent or run.settled:
            return
        run.settled = True
        desk.open_tickets.add(
            OpenTicket(
                ticket=self._ticket,
                customer=run.customer,
                hold=run.hold,
                signers=self._lane.signers,
                until=desk.clock() + desk.patience.hold_s,
                text_bound=self._filter.text_bound() if self._filter is not None else 0,
                ttft_ms=self._ttft_ms,
                itl_us=self._itl_us or 0,
            )
        )

    def _note(self, reason: str) -> None:
        self._desk.log.info(
            "attempt failed",
            job=self._run.job.hex(),
            attempt=self._ticket.attempt,
            provider=self._lane.provider,
            status=self._status.name.lower() if self._status is not None else "",
            reason=reason,
        )

    def _elapsed_ms(self) -> int:
        return int((self._desk.ticker() - self._sent_at) * 1000)
