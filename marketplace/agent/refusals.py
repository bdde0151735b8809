"""Refusals in OpenAI's error shape: what a caller gets before any engine work."""

from __future__ import annotations

from typing import Final

import orjson

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    502: "api_error",
    503: "api_error",
    504: "api_error",
}


class Refused(Exception):
    """A request is refused with this status and code; the message tells the caller why."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    def body(self) -> bytes:
        """Return the answer's body in OpenAI's shape."""
        return error_body(self.status, self.code, str(self), self.param)


def error_body(status: int, code: str, message: str, param: str | None = None) -> bytes:
    """Return `{"error": {message, type, param, code}}` as bytes."""
    kind = _TYPES.get(status, "api_error")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def bad_ticket(message: str) -> Refused:
    """Refuse a ticket: the caller has no valid permission for this request at this provider."""
    return Refused(401, "bad_ticket", message)
