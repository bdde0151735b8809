"""A client that looks at every byte of a streamed answer, because libraries hide how an answer ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tests.marketplace.gateway.conftest import KEY


@dataclass
class Stream:
    """A streamed answer taken apart. `whole`: the body has its proper end; `done`: how often `[DONE]` came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    done: int = 0
    whole: bool = False
    error: str = ""
    ids: set[str] = field(default_factory=set)
    finishes: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)


async def read_stream(
    port: int, request: dict[str, Any], path: str = "/v1/chat/completions", key: str = KEY, **headers: str
) -> Stream:
    """Send a request on a connection of its own and read the answer to its end, or to where it broke off."""
    body = json.dumps(request).encode()
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{more}connection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    try:
        return take_apart(await asyncio.wait_for(reader.read(), 30))
    finally:
        writer.close()


def take_apart(raw: bytes) -> Stream:
    """Read an HTTP answer whose body is a chunked stream of events."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    answer = Stream(int(first.split(" ")[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)})
    body = b""
    if answer.headers.get("transfer-encoding") == "chunked":
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            count = int(size, 16)
            answer.whole = not count
            body, rest = body + rest[:count], rest[count + 2 :]
    else:
        body, answer.whole = rest, len(rest) == int(answer.headers["content-length"])
    for event in body.split(b"\n\n"):
        payload = event.removeprefix(b"data: ")
        if payload == b"[DONE]":
            answer.done += 1
        elif payload:
            _take(answer, json.loads(payload))
    return answer


def _take(answer: Stream, event: dict[str, Any]) -> None:
    if "error" in event:
        answer.error = event["error"]["code"]
        return
    if event["object"] == "chat.completion":
        answer.text = event["choices"][0]["message"]["content"]
        return
    answer.ids.add(event["id"])
    answer.usage = event.get("usage") or answer.usage
    for choice in event["choices"]:
        answer.text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
        if choice.get("finish_reason"):
            answer.finishes.append(choice["finish_reason"])
