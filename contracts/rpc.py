"""Speak JSON-RPC to one node over HTTP: single requests and batches.

No web3 here: it keeps fifty megabytes of a process in which all that is wanted of it is a POST, and its contract layer
costs four milliseconds a read, where a batch of hundred reads costs four for all of them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

import aiohttp

from contracts.errors import RpcRefused

Request = tuple[str, Sequence[Any]]

_OVERLOADED = (-32005, 429)
_ANSWER_BYTES_MOST = 256 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_BROKEN = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, KeyError, TypeError)


class EndpointFailed(Exception):
    """One endpoint gave no usable answer; `contracts.endpoints` turns to the next."""


class Endpoint:
    """One node by its address. Connections are kept from one request to the next, within one event loop."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._numbers = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """Return the result; raises RpcRefused for the node's own error, EndpointFailed for everything else."""
        try:
            answer = await self._post(self._call(method, params))
        except _BROKEN as error:
            raise EndpointFailed(_reason(error)) from error
        return self._result(method, answer)

    async def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Return the results of one HTTP request in order; an RpcRefused stands in place of a result refused."""
        if not requests:
            return []
        try:
            calls = [self._call(method, params) for method, params in requests]
            answers = await self._post(calls)
            if isinstance(answers, list):  # a node may answer in any order
                by_id = {answer["id"]: answer for answer in answers}
                answers = [by_id[call["id"]] for call in calls]
        except _BROKEN as error:
            raise EndpointFailed(_reason(error)) from error
        if not isinstance(answers, list):
            self._result("batch", answers)
            raise EndpointFailed("a batch was answered with a single result")
        results: list[Any] = []
        for (method, _), answer in zip(requests, answers, strict=True):
            try:
                results.append(self._result(method, answer))
            except RpcRefused as refused:
                results.append(refused)
        return results

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _call(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "method": method, "params": list(params), "id": next(self._numbers)}

    async def _post(self, body: Any) -> Any:
        """Send a JSON body and return the JSON that is answered; raises one of `_BROKEN`."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            await self.close()
            self._session, self._loop = aiohttp.ClientSession(timeout=self._timeout), loop
        data = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        async with self._session.post(self.url, data=data, headers=headers, allow_redirects=False) as answer:
            answer.raise_for_status()
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            parts, size = [], 0
            async for part in answer.content.iter_chunked(_PIECE_BYTES):
                parts.append(part)
                size += len(part)
                if size > _ANSWER_BYTES_MOST:
                    raise ValueError(f"an answer above {_ANSWER_BYTES_MOST} bytes")
            return json.loads(b"".join(parts))

    def _result(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, dict):
            raise EndpointFailed(f"{method} was answered with no JSON-RPC object")
        error = answer.get("error")
        if error is None:
            if "result" not in answer:
                raise EndpointFailed(f"{method} was answered with neither a result nor an error")
            return answer["result"]
        if not isinstance(error, dict):
            raise EndpointFailed(f"{method}: {error}")
        code = error.get("code")
        if code in _OVERLOADED:
            raise EndpointFailed(f"{method}: too many requests ({error.get('message')})")
        raise RpcRefused(method, code if isinstance(code, int) else 0, str(error.get("message")), error.get("data"))


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
