"""Have receipts checked and countersigned by a second process, so that the event loop does not wait for the curve.

Recovering a receipt's signer and signing what the gateway saw take more CPU than anything else of a request. A `Clerk`
hands both to a child process, one record for all: the receipts of one turn of the loop travel together, and the loop
serves others meanwhile. The answer's end waits for the child's word, so nothing is posted that was not checked.

The child is a convenience and never a condition: while it is not there, or when it says that something does not hold,
the caller does the same work in place. It gets the gateway's key over its own socket, imports no more than hashing and
signing, and ends when the gateway does. CPU goes up by what a hand-over costs, so on one core it gains nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from contextlib import suppress

import structlog

from contracts.signing import Signer
from marketplace.gateway import signing_process
from marketplace.gateway.signing_process import ADDRESS, ANSWER, NOBODY, SIGNATURE

_AGAIN_S = 1.0
_LOOK_S = 2.0

log = structlog.get_logger("clerk")


class Clerk(asyncio.Protocol):
    """The gateway's side. `run` keeps a child process there until it is cancelled."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._line: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._out: list[bytes] = []
        self._in = b""

    @property
    def ready(self) -> bool:
        """Tell whether the child can be asked: it has said so, in the name of the key it was given."""
        return self._transport is not None

    async def run(self) -> None:
        """Keep a child process; start another a moment after one ended."""
        while True:
            process = await self._start()
            try:
                await self._watch()
            finally:
                self._let_go()
                process.kill()
                await asyncio.to_thread(process.wait)
            log.warning("the signing process ended, receipts are checked in place until another has started")
            await asyncio.sleep(_AGAIN_S)

    async def accept(self, digest: bytes, signature: bytes, to_sign: bytes) -> tuple[str, bytes] | None:
        """Return who signed `digest`, and the gateway's signature of `to_sign`; None if the child cannot say."""
        if self._transport is None or len(signature) != SIGNATURE:
            return None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append(future)
        if not self._out:
            loop.call_soon(self._send)
        self._out.append(digest + signature + to_sign)
        answer = await future
        return None if answer == NOBODY else ("0x" + answer[:ADDRESS].hex(), answer[ADDRESS:])

    async def _watch(self) -> None:
        """Return when the child is gone, or has left a question lying from one look to the next."""
        seen: asyncio.Future[bytes] | None = None
        while not self._lost.is_set():
            oldest = self._waiting[0] if self._waiting else None
            if oldest is not None and oldest is seen:
                return
            seen = oldest
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), _LOOK_S)

    async def _start(self) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", signing_process.__name__, str(theirs.fileno())]
            process = await asyncio.to_thread(_spawn, command, theirs.fileno())
        self._lost.clear()
        self._line, _ = await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)
        self._line.write(self._signer.secret())
        return process

    def data_received(self, data: bytes) -> None:
        """Give each question its answer; they come in the order of the questions."""
        data = self._in + data
        if self._transport is None:
            self._in = data
            if data.hex() == self._signer.address[2:]:
                self._transport, self._in = self._line, b""
            return
        whole = len(data) - len(data) % ANSWER
        for at in range(0, whole, ANSWER):
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(data[at : at + ANSWER])
        self._in = data[whole:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Send back whoever waits: the work is done in place."""
        self._let_go()
        self._lost.set()

    def _send(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None:
            self._transport.write(b"".join(out))

    def _let_go(self) -> None:
        line, self._line, self._transport = self._line, None, None
        if line is not None:
            line.abort()
        self._out, self._in = [], b""
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_result(NOBODY)


def _spawn(command: list[str], descriptor: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(one for one in sys.path if one)
    return subprocess.Popen(
        command, pass_fds=(descriptor,), stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
    )
