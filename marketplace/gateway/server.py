"""Run the gateway's HTTP server and stop it without cutting anybody off."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn

from marketplace.gateway.asgi import AsgiApp
from marketplace.gateway.front import Front
from marketplace.gateway.inference import Inference


class _Quiet(logging.Filter):
    """Drop the complaint about answers that were left incomplete on purpose.

    That is how a broken stream is made to look broken.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return "returned without completing response" not in record.getMessage()


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the process that runs it decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """An ASGI application on a socket; settings are pinned, because what the application relies on is in them.

    With `inference` its routes are answered on the connection itself, else by the application like all others.
    `httptools` is named so that no slower parser takes its place silently. The date header is left out.
    """

    def __init__(
        self, app: AsgiApp, host: str, port: int, inference: Inference | None = None, backlog: int = 2048
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it, head and body wait for an ACK
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        self.port: int = self._socket.getsockname()[1]
        self._task: asyncio.Task[None] | None = None
        protocol: Any = "httptools" if inference is None else partial(Front, inference)
        self._server = _Server(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                date_header=False,
                proxy_headers=False,
                backlog=backlog,
                timeout_keep_alive=30,
            )
        )
        logging.getLogger("uvicorn.error").addFilter(_Quiet())

    async def start(self) -> None:
        """Listen; returns when connections are taken."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the server ended before it listened")
            await asyncio.sleep(0.005)

    async def stop(self, grace_s: float) -> None:
        """Take no more connections, wait for running answers at most `grace_s`, then cancel them."""
        if self._task is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_s))
        self._server.should_exit = True
        await self._task
        self._task = None
