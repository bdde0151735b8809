"""Ask the verifiers: their attestations of an ended epoch, and their signatures under its report.

Endpoints come from the chain and are strangers' addresses: they are reached through the address-checked client, with
bounds on size and time. A verifier that does not answer is absent; what it answers wrongly is said, and not believed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.signing import recover
from contracts.types import OperatorRecord
from marketplace.gateway.addresses import parse_endpoint
from marketplace.gateway.connection import Limits
from marketplace.gateway.upstream import Upstream
from rewards.verifier.attestation import Shown, read_document

_ATTESTATION_BYTES = 64 << 20
_GRACE_S = 3.0
_SIGNATURE_BYTES = 64 << 10
_QUICK = Limits(first_byte_s=10.0, gap_s=10.0, total_s=60.0, body_bytes=_ATTESTATION_BYTES)
_RECOMPUTING = Limits(first_byte_s=300.0, gap_s=30.0, total_s=330.0, body_bytes=_SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class ReportSignature:
    """One verifier's signature under a report digest."""

    verifier: str
    signature: bytes


class Verifiers:
    """The bonded verifiers, as the settlement process talks to them."""

    def __init__(self, upstream: Upstream, separator: bytes, devnet: bool) -> None:
        self._upstream = upstream
        self._separator = separator
        self._devnet = devnet

    async def attestations(self, members: Sequence[OperatorRecord], epoch: int) -> tuple[list[Shown], dict[str, str]]:
        """Fetch all attestations of an epoch; returns those that hold, and why the others are missing."""
        return await self._ask_all(members, lambda member: self._attestation(member, epoch))

    async def signatures(
        self, members: Sequence[OperatorRecord], epoch: int, evidence: bytes, digest: bytes, enough: int
    ) -> tuple[list[ReportSignature], dict[str, str]]:
        """Ask all to recompute and sign a report; returns the signatures that hold, and why the others are missing.

        Once `enough` have signed, the others have a little longer and are not waited for any more.
        """
        return await self._ask_all(members, lambda member: self._signature(member, epoch, evidence, digest), enough)

    async def _ask_all(
        self, members: Sequence[OperatorRecord], ask: Any, enough: int | None = None
    ) -> tuple[list[Any], dict[str, str]]:
        asking = {asyncio.create_task(_caught(ask(member))): member.operator for member in members}
        good: list[Any] = []
        missing: dict[str, str] = {}
        left = set(asking)
        while left:
            grace = _GRACE_S if enough is not None and len(good) >= enough else None
            done, left = await asyncio.wait(left, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for task in done:
                answer = task.result()
                if isinstance(answer, str):
                    missing[asking[task]] = answer
                else:
                    good.append(answer)
        for task in left:
            task.cancel()
            missing[asking[task]] = "it was slower than the others"
        return good, missing

    async def _attestation(self, member: OperatorRecord, epoch: int) -> Shown:
        status, body = await self._exchange(member, "GET", f"/attestations/{epoch}", b"", _QUICK, _ATTESTATION_BYTES)
        if status != 200:
            raise ValueError(f"it answered {status}: {_message(body)}")
        return await asyncio.to_thread(self._read_attestation, body, member.operator, epoch)

    def _read_attestation(self, body: bytes, verifier: str, epoch: int) -> Shown:
        return read_document(json.loads(body), verifier, epoch, self._separator)

    async def _signature(self, member: OperatorRecord, epoch: int, evidence: bytes, digest: bytes) -> ReportSignature:
        asked = json.dumps({"epoch": epoch, "evidence": "0x" + evidence.hex()}).encode()
        status, body = await self._exchange(member, "POST", "/reports", asked, _RECOMPUTING, _SIGNATURE_BYTES)
        if status != 200:
            raise ValueError(f"it refused ({status}): {_message(body)}")
        signature = bytes.fromhex(str(json.loads(body)["signature"]).removeprefix("0x"))
        by = recover(digest, signature)
        if by != member.operator:
            raise ValueError(f"its signature is of {by} or under another digest")
        return ReportSignature(member.operator, signature)

    async def _exchange(
        self, member: OperatorRecord, method: str, path: str, body: bytes, limits: Limits, most: int
    ) -> tuple[int, bytes]:
        endpoint = parse_endpoint(member.endpoint, self._devnet)
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\ncontent-type: application/json\r\n"
            f"accept-encoding: identity\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        connection = await self._upstream.send(endpoint, head.encode() + body, limits)
        try:
            return connection.status, await connection.read_all(most)
        finally:
            connection.finish()


async def _caught(asking: Any) -> Any:
    """Return the answer, or in words why there is none: whatever a stranger sends must not stop the asker."""
    try:
        return await asking
    except Exception as error:
        return str(error) or type(error).__name__


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:200].decode(errors="replace")
