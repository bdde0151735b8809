"""Refuse customers in the shape that OpenAI's clients understand: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import time

import orjson

from marketplace.errors import BondedError


class ApiError(BondedError):
    """An answer other than the one wished for.

    `message` says what to do. `retry_after_ms` is set where waiting helps.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        kind: str | None = None,
        param: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind or _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
        self.param = param
        self.retry_after_ms = retry_after_ms

    def shape(self) -> dict[str, dict[str, str | None]]:
        """Return the error object."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def body(self) -> bytes:
        """Return the JSON of the error object."""
        return orjson.dumps(self.shape())

    def event(self) -> bytes:
        """Return the error as an event of a stream that has begun."""
        return b"data: " + self.body() + b"\n\n"

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that tell a client whether and when to try again."""
        if self.retry_after_ms is None:
            return [(b"x-should-retry", b"false")] if self.status == 429 else []
        seconds = max(1, -(-self.retry_after_ms // 1000))
        return [(b"retry-after-ms", b"%d" % self.retry_after_ms), (b"retry-after", b"%d" % seconds)]


_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """Return a 400 for a request that cannot be served as it is."""
    return ApiError(400, code, message, param=param)


def malformed(message: str) -> ApiError:
    """Return a 400 for a body that cannot be read."""
    return ApiError(400, "invalid_json", message)


def coded_body() -> ApiError:
    """Return a 415 for a body that is not sent as it is."""
    return ApiError(415, "unsupported_encoding", "Send the body without content-encoding.")


def bad_http(message: str) -> ApiError:
    """Return a 400 for bytes that are not a request of HTTP/1.1."""
    return ApiError(400, "invalid_http", message)


def head_too_large(most_bytes: int) -> ApiError:
    """Return a 431."""
    return ApiError(431, "headers_too_large", f"Request line and headers are above {most_bytes} bytes; send fewer.")


def head_too_slow(most_s: float) -> ApiError:
    """Return a 408 for headers that do not come to their end."""
    return ApiError(408, "request_timeout", f"The request's headers did not arrive within {most_s:g} s; send it again.")


def failed() -> ApiError:
    """Return a 500: a fault of the gateway's own."""
    return ApiError(500, "internal_error", "The gateway failed at this request; send it again.")


def too_large(most_bytes: int) -> ApiError:
    """Return a 413."""
    return ApiError(413, "request_too_large", f"The request body is above {most_bytes} bytes; send a smaller one.")


def too_slow(most_s: float) -> ApiError:
    """Return a 408 for a body that does not come to its end."""
    return ApiError(408, "request_timeout", f"The request body did not arrive within {most_s:g} s; send it again.")


def wrong_key(message: str) -> ApiError:
    """Return a 401 for a missing, unknown or revoked key."""
    return ApiError(401, "invalid_api_key", message)


def unknown_model(model: str) -> ApiError:
    """Return a 404 for a model that no provider offers."""
    return ApiError(
        404,
        "model_not_found",
        f"The model {model[:100]!r} is offered by no provider; GET /v1/models lists those that are.",
        param="model",
    )


def context_too_long(tokens: int, context_length: int) -> ApiError:
    """Return a 400 for a prompt and answer that fit no offer; `tokens` is the gateway's count or the provider's."""
    return ApiError(
        400,
        "context_length_exceeded",
        f"This request needs about {tokens} tokens with its answer; the longest context offered is {context_length}. "
        "Shorten the messages or lower max_tokens.",
        param="messages",
    )


def insufficient_quota(message: str) -> ApiError:
    """Return a 429 of the kind that OpenAI gives for an empty balance; waiting does not help."""
    return ApiError(429, "insufficient_quota", message, kind="insufficient_quota")


def too_busy(message: str, retry_after_ms: int) -> ApiError:
    """Return a 429 for which waiting helps."""
    return ApiError(429, "rate_limit_exceeded", message, retry_after_ms=max(1, retry_after_ms))


def no_provider(message: str) -> ApiError:
    """Return a 502: every provider that was tried failed."""
    return ApiError(502, "provider_unavailable", message)


def stream_broken(message: str) -> ApiError:
    """Return the error event of a stream that broke after bytes were delivered."""
    return ApiError(502, "stream_broken", message)


def shutting_down() -> ApiError:
    """Return a 503 while the gateway drains."""
    return ApiError(503, "draining", "This gateway is shutting down; send the request again.", retry_after_ms=1000)


def market_paused(until: int, now: float) -> ApiError:
    """Return a 503 while the guardian pauses the market; says until when."""
    ends = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until))
    return ApiError(
        503,
        "market_paused",
        f"The market is paused until {ends}: no work is taken before. Balances can be withdrawn as always.",
        retry_after_ms=max(1000, int((until - now) * 1000)),
    )


def not_found(path: str) -> ApiError:
    """Return a 404 for a path that nothing answers."""
    return ApiError(404, "not_found", f"There is nothing at {path[:200]!r}.")


def wrong_method(method: str, path: str) -> ApiError:
    """Return a 405."""
    return ApiError(405, "method_not_allowed", f"{method[:10]} is not allowed at {path[:200]!r}.")


def other_site() -> ApiError:
    """Return a 403 for what the page of another site would have done in a customer's name."""
    return ApiError(403, "other_site", "This came from a page of another site: open the dashboard and do it there.")
