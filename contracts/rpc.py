"""Speak JSON-RPC to one node: single requests and batches, over web3's asynchronous HTTP provider.

Only the provider of web3 is used: its middlewares and contract layer cost four milliseconds a read, a batch of hundred
reads through the provider four for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
from web3 import AsyncHTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from contracts.errors import RpcRefused

Request = tuple[str, Sequence[Any]]

_OVERLOADED = (-32005, 429)
_BROKEN = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, KeyError, TypeError, Web3Exception)


class EndpointFailed(Exception):
    """One endpoint gave no usable answer; `contracts.endpoints` turns to the next."""


class Endpoint:
    """One node by its address."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url
        self._provider = AsyncHTTPProvider(
            url,
            request_kwargs={"timeout": aiohttp.ClientTimeout(total=timeout_s)},
            exception_retry_configuration=None,
        )

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """Return the result; raises RpcRefused for the node's own error, EndpointFailed for everything else."""
        try:
            answer = await self._provider.make_request(RPCEndpoint(method), list(params))
        except _BROKEN as error:
            raise EndpointFailed(_reason(error)) from error
        return self._result(method, answer)

    async def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Return the results of one HTTP request in order; an RpcRefused stands in place of a result refused."""
        if not requests:
            return []
        try:
            answers = await self._provider.make_batch_request(
                [(RPCEndpoint(method), list(params)) for method, params in requests]
            )
        except _BROKEN as error:
            raise EndpointFailed(_reason(error)) from error
        if not isinstance(answers, list):
            self._result("batch", answers)
            raise EndpointFailed("a batch was answered with a single result")
        if len(answers) != len(requests):
            raise EndpointFailed(f"a batch of {len(requests)} was answered with {len(answers)} results")
        results: list[Any] = []
        for (method, _), answer in zip(requests, answers, strict=True):
            try:
                results.append(self._result(method, answer))
            except RpcRefused as refused:
                results.append(refused)
        return results

    async def close(self) -> None:
        """Close the connections."""
        await self._provider.disconnect()

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
