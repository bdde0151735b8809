"""Refuse what the routes of files and batches cannot do, in OpenAI's shape."""

from __future__ import annotations

from marketplace.gateway.errors import ApiError


def no_such_file(file: str) -> ApiError:
    """Return a 404 for a file that is not there or is somebody else's: the two look alike."""
    return ApiError(404, "not_found", f"You have no file {file[:100]!r}; GET /v1/files lists yours.", param="id")


def no_such_batch(batch: str) -> ApiError:
    """Return a 404 for a batch that is not there or is somebody else's: the two look alike."""
    return ApiError(404, "not_found", f"You have no batch {batch[:100]!r}; GET /v1/batches lists yours.", param="id")


def already_ended(status: str) -> ApiError:
    """Return a 409 for the cancellation of a batch that has ended."""
    return ApiError(409, "batch_ended", f"A batch that is {status} cannot be cancelled.")


def file_too_large(most_bytes: int) -> ApiError:
    """Return a 413 for an upload above the limit."""
    return ApiError(413, "file_too_large", f"A file has at most {most_bytes} bytes; split it into several batches.")


def storage_full(most_bytes: int) -> ApiError:
    """Return a 400 for a customer whose files fill what it may store."""
    return ApiError(
        400, "storage_limit", f"Your files would be above {most_bytes} bytes together; delete some of them first."
    )


def unavailable() -> ApiError:
    """Return a 503 while the database is away."""
    return ApiError(503, "unavailable", "The gateway's database is away; ask again in a moment.", retry_after_ms=1000)
