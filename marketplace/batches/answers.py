"""Write the lines of output and error files: one object a line, the provider's JSON in it as it came."""

from __future__ import annotations

import orjson

from marketplace.gateway.errors import ApiError


def answer_line(name: str, custom_id: str, job: bytes, status: int, body: bytes) -> bytes:
    """Return a line for an answer. `body` is JSON; between its tokens line ends mean nothing, and strings have none."""
    flat = body.replace(b"\r", b" ").replace(b"\n", b" ")
    value = {
        "id": name,
        "custom_id": custom_id,
        "response": {"status_code": status, "request_id": f"req_{job.hex()[:24]}", "body": orjson.Fragment(flat)},
        "error": None,
    }
    return orjson.dumps(value) + b"\n"


def failure_line(name: str, custom_id: str, job: bytes, error: ApiError) -> bytes:
    """Return a line for a request that was refused."""
    return answer_line(name, custom_id, job, error.status, error.body())
