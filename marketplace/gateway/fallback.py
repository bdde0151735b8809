"""Serve from the operator's own engine when nobody is left to ask.

Optional. For the models that the operator names, and only when the market cannot serve at all: no provider offers the
model, or none has a place open (all withdrawn, jailed, or behind open breakers), or all that were asked failed before a
byte. Not because providers are merely busy, and never to go on with another's answer: these are other weights.

It costs nothing and pays nobody: a charge needs a provider with a stake behind its word, and here the gateway would be
judge and party. The job's hold is released. The answer says what it is: the header `x-bonded-fallback: true`, and a
receipt in which the provider is the gateway itself and the charge zero, signed with the gateway's key: in the header
`x-bonded-receipt` of a whole answer, and in a comment line before the end of a stream, which clients skip. Such a
receipt is the customer's alone; no epoch knows it.
"""

from __future__ import annotations

import base64
from typing import Any

from contracts.messages import ZERO32, Receipt, Status
from marketplace.gateway.addresses import parse_endpoint
from marketplace.gateway.answers import usage_of_answer, usage_of_event
from marketplace.gateway.connection import Connection, Limits, UpstreamFailed
from marketplace.gateway.desk import Desk, Run
from marketplace.gateway.errors import ApiError, stream_broken
from marketplace.gateway.sse import DONE_EVENT, SseFilter, StreamBroken, StreamFault
from marketplace.gateway.tickets import request_digest
from marketplace.gateway.trial import JSON_TYPE, STREAM_TYPE
from marketplace.gateway.upstream import Upstream
from marketplace.settings import GatewaySettings
from rewards.canonical import canonical_json

HEADER = (b"x-bonded-fallback", b"true")
_EVENTS_MOST = 1_000_000


class Fallback:
    """One OpenAI-compatible engine of the operator's: its origin, the models it serves, how many requests at once."""

    def __init__(self, origin: str, models: frozenset[str], at_once: int, key: str = "") -> None:
        self._endpoint = parse_endpoint(origin, devnet=True)
        self._upstream = Upstream(devnet=True)  # the operator's own address may be a private one
        self._models = models
        self._places = at_once
        self._key = f"authorization: Bearer {key}\r\n" if key else ""

    def close(self) -> None:
        """Close the connections to the engine."""
        self._upstream.close()

    def takes(self, desk: Desk, run: Run, refusal: ApiError) -> bool:
        """Tell whether a refused request is served here: nothing was sent, nobody is left, and a place is free."""
        model = run.asked.model
        if run.started or run.left or run.due or model not in self._models or self._places < 1:
            return False
        if refusal.code in ("model_not_found", "provider_unavailable"):
            return True
        return refusal.code == "rate_limit_exceeded" and not desk.matching.market.places(model).total

    async def serve(self, desk: Desk, run: Run) -> bool:
        """Serve the request; returns False if the engine gave nothing, so that the refusal stands."""
        self._places -= 1
        connection: Connection | None = None
        try:
            connection = await self._send(desk, run)
            if connection.status != 200:
                return False
            if run.asked.stream:
                await self._relay(desk, run, connection)
            else:
                await self._answer(desk, run, connection)
            return True
        except (UpstreamFailed, StreamBroken) as failure:
            if run.left:
                return True
            if not run.started:
                desk.log.warning("fallback engine failed", reason=str(failure))
                return False
            await run.sink.write(stream_broken(f"The answer broke off and is not complete: {failure}").event())
            run.sink.break_off()
            return True
        finally:
            self._places += 1
            if connection is not None:
                run.detach(connection)
                connection.finish()

    async def _send(self, desk: Desk, run: Run) -> Connection:
        asked, patience = run.asked, desk.patience
        head = (
            f"POST {asked.path} HTTP/1.1\r\nhost: {self._endpoint.authority}\r\ncontent-type: application/json\r\n"
            f"accept-encoding: identity\r\n{self._key}content-length: {len(asked.body)}\r\n\r\n"
        )
        limits = Limits(
            first_byte_s=patience.first_byte_s if asked.stream else patience.total_s,
            gap_s=patience.first_byte_s,
            total_s=patience.total_s,
            body_bytes=patience.body_most,
        )
        return await self._upstream.send(self._endpoint, head.encode() + asked.body, limits, run.attach)

    async def _answer(self, desk: Desk, run: Run, connection: Connection) -> None:
        body = await connection.read_all(desk.patience.body_most)
        answer = usage_of_answer(body, run.asked.path)
        if answer is None:
            raise StreamBroken(StreamFault.GARBAGE, "the fallback engine sent something that is not an answer")
        receipt = self._receipt(desk, run, answer.usage or (0, 0), request_digest(run.salt, body))
        run.about = [HEADER, (b"x-bonded-receipt", base64.urlsafe_b64encode(receipt).rstrip(b"="))]
        run.started = True
        await run.sink.start(JSON_TYPE, len(body))
        await run.sink.end(body)

    async def _relay(self, desk: Desk, run: Run, connection: Connection) -> None:
        events, transcript = SseFilter(run.salt, _EVENTS_MOST), run.transcript
        assert transcript is not None
        while not events.done:
            data = await connection.read()
            if not data:
                raise StreamBroken(StreamFault.GARBAGE, "the stream ended without [DONE]")
            out = events.feed(data)
            if out and not run.started:
                run.about = [HEADER]
                run.started = True
                await run.sink.start(STREAM_TYPE)
            if out:
                transcript.add(out)
                await run.sink.write(out)
        if not run.started:
            raise StreamBroken(StreamFault.GARBAGE, "the stream is empty")
        transcript.read()
        usage = usage_of_event(events.last) or (0, len(transcript.pieces))
        receipt = self._receipt(desk, run, usage, events.response_digest())
        await run.sink.end(b": " + receipt + b"\n\n" + DONE_EVENT)

    def _receipt(self, desk: Desk, run: Run, usage: tuple[int, int], response_digest: bytes) -> bytes:
        """Return the signed receipt of an answer that nobody is paid for."""
        witness = desk.witness
        receipt = Receipt(
            job=run.job,
            attempt=run.attempts,
            provider=witness.signer.address,
            model=ZERO32,
            slot=desk.slot(),
            input_tokens=usage[0],
            cached_tokens=0,
            output_tokens=usage[1],
            ttft_ms=0,
            itl_us=0,
            charge_atto=0,
            request_digest=request_digest(run.salt, run.asked.body),
            response_digest=response_digest,
            status=int(Status.SERVED),
        )
        signature = witness.signer.sign(receipt.digest(witness.separator))
        value: dict[str, Any] = {"object": "bonded.receipt", "receipt": receipt.to_json(), "fallback": True}
        value |= {"signature": "0x" + signature.hex(), "salt": "0x" + run.salt.hex()}
        return canonical_json(value)


def make_fallback(settings: GatewaySettings) -> Fallback | None:
    """Return the fallback engine of the settings, None without one; raises AddressRefused for what is no origin."""
    if not settings.fallback_engine:
        return None
    models = frozenset(name.strip() for name in settings.fallback_models.split(",") if name.strip())
    key = settings.fallback_key_file.read_text().strip() if settings.fallback_key_file is not None else ""
    return Fallback(settings.fallback_engine, models, settings.fallback_at_once, key)
