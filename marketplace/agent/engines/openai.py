"""Any server that speaks the OpenAI protocol: vLLM, SGLang, Ollama, TGI, llama.cpp."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import orjson

from marketplace.agent.engines.base import CHAT, COMPLETIONS
from marketplace.agent.engines.continuing import as_chat, by_text, by_tokens, nothing_left
from marketplace.agent.engines.sse import payloads
from marketplace.agent.errors import EngineFailed, EngineRefused, EngineTimedOut

_MOST_ANSWER_BYTES = 64 << 20
_LOOK_UP_S = 10.0
# statuses by which an engine says that the request itself is wrong
_CUSTOMERS_FAULT = (400, 413, 422)


class OpenAIEngine:
    """Talk to one base URL (the part before `/chat/completions`), with a key if it wants one.

    `first_token_s` bounds the wait for the first event or a whole answer, `gap_s` the silence between two events.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        first_token_s: float = 120.0,
        gap_s: float = 30.0,
        connections: int = 64,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._root = self.base_url.removesuffix("/v1")
        self._first_token_s = first_token_s
        self._gap_s = gap_s
        headers = {"accept-encoding": "identity"} | ({"authorization": f"Bearer {api_key}"} if api_key else {})
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        timeout = httpx2.Timeout(None, connect=5.0, pool=5.0)
        self._client = httpx2.AsyncClient(headers=headers, limits=limits, timeout=timeout, trust_env=False)
        self._counts_tokens = True
        self._is_llamacpp: bool | None = None

    async def start(self) -> None:
        """Wait for nothing: the server is run by somebody else; `check` tells whether it answers."""

    async def stop(self) -> None:
        await self._client.aclose()

    async def check(self) -> None:
        try:
            async with asyncio.timeout(10.0):
                answer = await self._client.get(f"{self.base_url}/models")
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
            raise EngineFailed(
                f"the engine at {self.base_url} does not answer: {error or type(error).__name__}",
                "start it, or correct [engine] base_url in the provider file",
            ) from None
        if answer.status_code in (401, 403):
            raise EngineFailed("the engine refuses the key", "correct [engine] api_key_file in the provider file")
        if answer.status_code != 200:
            raise EngineFailed(
                f"{self.base_url}/models answers HTTP {answer.status_code}",
                "correct [engine] base_url in the provider file: it ends in /v1 as a rule",
            )

    async def stream(self, route: str, request: dict[str, Any]) -> AsyncIterator[bytes]:
        options = request.get("stream_options")
        options = options if isinstance(options, dict) else {}
        body = orjson.dumps(request | {"stream": True, "stream_options": options | {"include_usage": True}})
        async with self._ask(route, body) as answer:
            events = payloads(answer.aiter_raw())
            try:
                wait = self._first_token_s
                while True:
                    try:
                        async with asyncio.timeout(wait):
                            payload = await anext(events)
                    except StopAsyncIteration:
                        return
                    except TimeoutError:
                        raise EngineTimedOut(f"the engine was silent for {wait:g} s") from None
                    except (httpx2.HTTPError, OSError) as error:
                        raise EngineFailed(f"the engine broke off: {error or type(error).__name__}") from None
                    yield payload
                    wait = self._gap_s
            finally:
                await events.aclose()  # type: ignore[attr-defined]

    async def resume(self, route: str, request: dict[str, Any], delivered: Sequence[str]) -> AsyncIterator[bytes]:
        """Go on behind the pieces, in the form of the server that is asked (see `continuing`)."""
        if await self._find_llamacpp():
            asked = await by_tokens(self._look_up, route, request, delivered)
            if asked is None:
                yield nothing_left(route, str(request.get("model", "")))
                return
            turned = route == CHAT
            route = COMPLETIONS
        else:
            asked, turned = by_text(route, request, delivered), False
        async with contextlib.aclosing(self.stream(route, asked)) as payloads:  # type: ignore[type-var]
            async for payload in payloads:
                yield as_chat(payload) if turned else payload

    async def _find_llamacpp(self) -> bool:
        """Tell, once asked, whether the server is llama.cpp: it alone shows its properties under this name."""
        if self._is_llamacpp is None:
            try:
                async with asyncio.timeout(_LOOK_UP_S):
                    answer = await self._client.get(f"{self._root}/props")
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
                raise EngineFailed(f"the engine cannot be reached: {error or type(error).__name__}") from None
            self._is_llamacpp = answer.status_code == 200 and b"default_generation_settings" in answer.content
        return self._is_llamacpp

    async def _look_up(self, path: str, asked: dict[str, Any]) -> Any:
        """Post to one of llama.cpp's own routes; raises EngineFailed."""
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                answer = await self._client.post(f"{self._root}{path}", json=asked)
            answer.raise_for_status()
            return answer.json()
        except (httpx2.HTTPError, TimeoutError, OSError, ValueError) as error:
            raise EngineFailed(f"the engine does not answer at {path}: {error or type(error).__name__}") from None

    async def complete(self, route: str, request: dict[str, Any]) -> bytes:
        body = orjson.dumps(
            {key: value for key, value in request.items() if key != "stream_options"} | {"stream": False}
        )
        try:
            async with asyncio.timeout(self._first_token_s), self._ask(route, body) as answer:
                return await _read(answer)
        except TimeoutError:
            raise EngineTimedOut(f"the engine gave no answer within {self._first_token_s:g} s") from None

    async def count_input(self, route: str, request: dict[str, Any]) -> int | None:
        """Ask the engine's tokenizer: llama.cpp's and vLLM's forms are known.

        A server without one is asked once only.
        """
        if not self._counts_tokens:
            return None
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                return await self._count(route, request)
        except (httpx2.HTTPError, TimeoutError, OSError, ValueError, KeyError, TypeError):
            return None

    async def _count(self, route: str, request: dict[str, Any]) -> int | None:
        if route == CHAT:
            asked: dict[str, Any] = {
                key: request[key] for key in ("messages", "tools", "chat_template_kwargs") if key in request
            }
            answer = await self._client.post(f"{self._root}/apply-template", json=asked)
            if answer.status_code == 404:
                return await self._count_as_vllm({"model": request.get("model"), **asked})
            return await self._tokens(answer.json()["prompt"])
        text = request.get("prompt", request.get("input", ""))
        if isinstance(text, list) and text and all(isinstance(item, int) for item in text):
            return len(text)
        parts = text if isinstance(text, list) else [text]
        counts = [len(part) if isinstance(part, list) else await self._tokens(part, request) for part in parts]
        return None if None in counts else sum(count for count in counts if count is not None)

    async def _tokens(self, text: str, request: dict[str, Any] | None = None) -> int | None:
        asked = {"content": text, "prompt": text, "add_special": True, "parse_special": True}
        if request is not None and "model" in request:
            asked["model"] = request["model"]
        answer = await self._client.post(f"{self._root}/tokenize", json=asked)
        return self._tokens_of(answer)

    async def _count_as_vllm(self, asked: dict[str, Any]) -> int | None:
        return self._tokens_of(await self._client.post(f"{self._root}/tokenize", json=asked))

    def _tokens_of(self, answer: httpx2.Response) -> int | None:
        if answer.status_code != 200:
            self._counts_tokens = answer.status_code != 404
            return None
        value = answer.json()
        return int(value["count"]) if "count" in value else len(value["tokens"])

    @contextlib.asynccontextmanager
    async def _ask(self, route: str, body: bytes) -> AsyncIterator[httpx2.Response]:
        """Send a request and give its answer once the status is known to be good."""
        url = f"{self.base_url}/{route}"
        request = self._client.build_request("POST", url, content=body, headers={"content-type": "application/json"})
        try:
            async with asyncio.timeout(self._first_token_s):
                answer = await self._client.send(request, stream=True)
        except TimeoutError:
            raise EngineTimedOut(f"the engine did not answer within {self._first_token_s:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise EngineFailed(
                f"the engine at {self.base_url} cannot be reached: {error or type(error).__name__}"
            ) from None
        try:
            if answer.status_code in _CUSTOMERS_FAULT:
                raise EngineRefused(answer.status_code, _message(await _read(answer)))
            if answer.status_code != 200:
                raise EngineFailed(f"the engine answers HTTP {answer.status_code}: {_message(await _read(answer))}")
            yield answer
        finally:
            await answer.aclose()


async def _read(answer: httpx2.Response) -> bytes:
    parts, size = [], 0
    try:
        async for chunk in answer.aiter_raw():
            size += len(chunk)
            if size > _MOST_ANSWER_BYTES:
                raise EngineFailed("the engine's answer is larger than 64 MiB")
            parts.append(chunk)
    except (httpx2.HTTPError, OSError) as error:
        raise EngineFailed(f"the engine broke off: {error or type(error).__name__}") from None
    return b"".join(parts)


def _message(body: bytes) -> str:
    try:
        value = orjson.loads(body)
        error = value.get("error", value)
        return str(error.get("message", error) if isinstance(error, dict) else error)[:500]
    except (ValueError, AttributeError):
        return body[:200].decode(errors="replace")
