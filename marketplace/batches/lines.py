"""Read a batch's input file line by line and say, with its number, what is wrong with a line.

One request a line: `{"custom_id", "method": "POST", "url": the batch's endpoint, "body": the request}`. All lines name
one model; custom_ids are unique. What the gateway would refuse of a request is refused here, before anything is paid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from marketplace.gateway.errors import ApiError
from marketplace.gateway.inquiry import EMBEDDINGS, read_inquiry

LINES_MOST = 50_000
INPUTS_MOST = 50_000
LINE_BYTES_MOST = 10 * 1024 * 1024
FAULTS_MOST = 100
_CUSTOM_ID_MOST = 512


@dataclass(frozen=True, slots=True)
class Request:
    """A good line: its number in the file, the customer's name for it, and the request's body."""

    line: int
    custom_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong. `line` is None for what concerns the whole file."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None

    def shape(self) -> dict[str, Any]:
        """Return OpenAI's batch error object."""
        return {"code": self.code, "line": self.line, "message": self.message, "param": self.param}


class Splitter:
    """Cut pieces of a file into its lines; a line above its bound comes as None, and is never kept."""

    def __init__(self, most: int = LINE_BYTES_MOST) -> None:
        self._most = most
        self._rest = b""
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Yield the lines that end in this piece."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield self._close(data[start:end])
            start = end + 1
        if self._too_long or len(self._rest) + len(data) - start > self._most:
            self._too_long, self._rest = True, b""
        else:
            self._rest += data[start:]

    def end(self) -> Iterator[bytes | None]:
        """Yield the last line, if the file does not end with a line end."""
        if self._rest or self._too_long:
            yield self._close(b"")

    def _close(self, data: bytes) -> bytes | None:
        line = self._rest + data
        long, self._too_long, self._rest = self._too_long or len(line) > self._most, False, b""
        return None if long else line


class Checker:
    """Check the lines of one file. `known` tells whether somebody offers a model.

    `faults` holds what was wrong, at most `FAULTS_MOST` of it; `stopped` says that there is no use in reading on.
    """

    def __init__(self, endpoint: str, known: Callable[[str], bool], lines_most: int = LINES_MOST) -> None:
        self._endpoint = endpoint
        self._known = known
        self._lines_most = lines_most
        self._seen: set[str] = set()
        self._inputs = 0
        self._line = 0
        self.count = 0
        self.model: str | None = None
        self.faults: list[Fault] = []
        self.stopped = False

    def take(self, raw: bytes | None) -> Request | None:
        """Take the next line; None for one that is blank or wrong."""
        self._line += 1
        if raw is not None and not raw.strip():
            return None
        self.count += 1
        if self.count > self._lines_most:
            self.faults = [Fault("too_many_tasks", f"A batch has at most {self._lines_most} requests; split the file.")]
            self.stopped = True
            return None
        try:
            return self._read(raw)
        except _Wrong as wrong:
            self._note(wrong.fault)
            return None

    def end(self) -> None:
        """Note what can only be said at the end of the file."""
        if not self.count and not self.stopped:
            self.faults.append(Fault("empty_file", "The file has no requests in it."))

    def _note(self, fault: Fault) -> None:
        if len(self.faults) < FAULTS_MOST:
            self.faults.append(fault)
        elif len(self.faults) == FAULTS_MOST:
            self.faults.append(Fault("more_errors", "There are more errors than these; mend them and upload again."))
            self.stopped = True

    def _read(self, raw: bytes | None) -> Request:
        if raw is None:
            raise self._wrong("invalid_request", f"This line is above {LINE_BYTES_MOST} bytes.")
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise self._wrong("invalid_json_line", f"This line is not JSON: {error}.") from None
        if type(value) is not dict:
            raise self._wrong("invalid_request", "This line must be a JSON object.")
        custom_id = value.get("custom_id")
        if type(custom_id) is not str or not 0 < len(custom_id) <= _CUSTOM_ID_MOST or "\0" in custom_id:
            message = f"custom_id must be a text of 1 to {_CUSTOM_ID_MOST} characters."
            raise self._wrong("missing_required_parameter", message, "custom_id")
        if custom_id in self._seen:
            message = f"The custom_id {custom_id[:100]!r} is that of another line too."
            raise self._wrong("duplicate_custom_id", message, "custom_id")
        self._seen.add(custom_id)
        if value.get("method") != "POST":
            raise self._wrong("invalid_method", "method must be POST.", "method")
        if value.get("url") != self._endpoint:
            message = f"url must be the batch's endpoint, {self._endpoint}."
            raise self._wrong("url_mismatch", message, "url")
        body = value.get("body")
        if type(body) is not dict:
            raise self._wrong("missing_required_parameter", "body must be the request, an object.", "body")
        return Request(self._line, custom_id, self._body(body))

    def _body(self, body: dict[str, Any]) -> bytes:
        """Check a request as the gateway would; returns its bytes."""
        if body.get("stream"):
            raise self._wrong("invalid_value", "stream must be false: a batch's answers are whole.", "body.stream")
        try:
            raw = orjson.dumps(body)
            inquiry = read_inquiry(self._endpoint, raw)
        except orjson.JSONEncodeError:
            raise self._wrong("invalid_request", "body is nested too deeply.", "body") from None
        except ApiError as error:
            raise self._wrong(error.code, error.message, f"body.{error.param}" if error.param else "body") from None
        if not self._known(inquiry.model):
            raise self._wrong("model_not_found", f"No provider offers {inquiry.model[:100]!r}.", "body.model")
        self.model = self.model or inquiry.model
        if inquiry.model != self.model:
            message = f"All lines of a batch name one model; the first is {self.model!r}."
            raise self._wrong("model_mismatch", message, "body.model")
        if self._endpoint == EMBEDDINGS:
            inputs = body["input"]
            self._inputs += len(inputs) if type(inputs) is list and type(inputs[0]) is not int else 1
            if self._inputs > INPUTS_MOST:
                message = f"A batch has at most {INPUTS_MOST} embedding inputs; split the file."
                raise self._wrong("too_many_inputs", message, "body.input")
        return raw

    def _wrong(self, code: str, message: str, param: str | None = None) -> _Wrong:
        return _Wrong(Fault(code, message, param, self._line))


class _Wrong(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault
