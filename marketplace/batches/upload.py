"""Take an uploaded file piece by piece: multipart in, pieces in the database out, never more than one in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from marketplace.batches.failures import file_too_large
from marketplace.batches.files import BATCH_INPUT, CHUNK_BYTES, FILE_BYTES_MOST, KEPT_S, Files, StoredFile
from marketplace.gateway.asgi import Disconnected, Receive
from marketplace.gateway.errors import invalid, too_busy, too_slow

_FIELD_BYTES_MOST = 1_024
_PARTS_MOST = 16
_NAME_MOST = 255
KEPT_LEAST_S, KEPT_MOST_S = 3_600, KEPT_S


@dataclass(frozen=True, slots=True)
class UploadBounds:
    """How large a file may be, how long it may take, and how many are taken at once in all and per customer."""

    bytes_most: int = FILE_BYTES_MOST
    stall_s: float = 30.0
    total_s: float = 1_800.0
    at_once: int = 16
    at_once_per_customer: int = 4


@dataclass
class _Form:
    """What was parsed of a form: short fields as they are, the file's bytes until they are taken out of `pending`."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    pending: bytearray = field(default_factory=bytearray)
    size: int = 0
    files: int = 0
    ended: bool = False

    def __post_init__(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header = (b"", b"")
        self._name = ""
        self._is_file = False
        self._value = b""
        self._parts = 0

    def parser(self, boundary: bytes) -> MultipartParser:
        """Return a parser that fills this form."""
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _PARTS_MOST:
            raise invalid(f"A form has at most {_PARTS_MOST} parts.", "file")
        self._headers, self._header, self._value = {}, (b"", b""), b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = (b"", b"")

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == "file"
        if self._is_file:
            self.files += 1
            if self.files > 1:
                raise invalid("Upload one file at a time.", "file")
            self.filename = _clean(options.get(b"filename", b"").decode("utf-8", "replace"))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.pending += data[start:end]
            self.size += end - start
            return
        self._value += data[start:end]
        if len(self._value) > _FIELD_BYTES_MOST:
            raise invalid(f"The field {self._name[:50]!r} is too long.", self._name[:50])

    def _end(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def _finish(self) -> None:
        self.ended = True


def _clean(name: str) -> str:
    """Return a file's name without folders and what cannot be printed."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:_NAME_MOST] or "file"


class Uploads:
    """Take uploads. `clock` is unix time."""

    def __init__(self, files: Files, clock: Callable[[], float], bounds: UploadBounds | None = None) -> None:
        self._files = files
        self._clock = clock
        self._bounds = bounds or UploadBounds()
        self._running: Counter[str] = Counter()

    async def take(self, customer: str, headers: dict[bytes, bytes], receive: Receive) -> StoredFile:
        """Store one uploaded file; raises ApiError, after which nothing of it is left."""
        boundary = _boundary(headers)
        bounds = self._bounds
        if self._running.total() >= bounds.at_once or self._running[customer] >= bounds.at_once_per_customer:
            raise too_busy("As many files are being uploaded as can be; try again in a moment.", 1000)
        self._running[customer] += 1
        try:
            file = await self._files.begin(customer, int(self._clock()))
            try:
                async with asyncio.timeout(bounds.total_s):
                    return await self._store(customer, file, boundary, receive)
            except TimeoutError:
                await self._files.drop(file)
                raise too_slow(bounds.total_s) from None
            except BaseException:
                await self._files.drop(file)
                raise
        finally:
            self._running[customer] -= 1

    async def _store(self, customer: str, file: str, boundary: bytes, receive: Receive) -> StoredFile:
        form, seq = _Form(), 0
        parser = form.parser(boundary)
        more = True
        while more:
            data, more = await self._receive(receive)
            try:
                parser.write(data)
            except FormParserError as error:
                raise invalid(f"The form cannot be read: {error}.", "file", "invalid_form") from None
            if form.size > self._bounds.bytes_most:
                raise file_too_large(self._bounds.bytes_most)
            while len(form.pending) >= CHUNK_BYTES:
                await self._files.append(file, seq, bytes(form.pending[:CHUNK_BYTES]))
                del form.pending[:CHUNK_BYTES]
                seq += 1
        if form.pending:
            await self._files.append(file, seq, bytes(form.pending))
        now = int(self._clock())
        expires_at = now + _check(form)
        await self._files.finish(file, customer, form.filename, form.fields["purpose"], form.size, expires_at)
        return await self._files.get(customer, file)

    async def _receive(self, receive: Receive) -> tuple[bytes, bool]:
        try:
            async with asyncio.timeout(self._bounds.stall_s):
                message = await receive()
        except TimeoutError:
            raise too_slow(self._bounds.stall_s) from None
        if message["type"] != "http.request":
            raise Disconnected
        return message.get("body", b""), message.get("more_body", False)


def _boundary(headers: dict[bytes, bytes]) -> bytes:
    kind, options = parse_options_header(headers.get(b"content-type", b""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary or len(boundary) > 200:
        raise invalid("Send the file as multipart/form-data with the fields purpose and file.", "file", "invalid_form")
    return boundary


def _check(form: _Form) -> int:
    """Check a form that was read to its end; returns for how many seconds the file is kept."""
    if not form.ended:
        raise invalid("The form breaks off before its end; send it again.", "file", "invalid_form")
    if not form.files:
        raise invalid("There is no file in the form.", "file", "missing_required_parameter")
    if not form.size:
        raise invalid("The file is empty.", "file", "empty_file")
    purpose = form.fields.get("purpose")
    if purpose != BATCH_INPUT:
        raise invalid(f"purpose must be {BATCH_INPUT!r}: files are taken for batches only.", "purpose")
    if form.fields.get("expires_after[anchor]", "created_at") != "created_at":
        raise invalid("expires_after.anchor must be 'created_at'.", "expires_after")
    return check_kept(form.fields.get("expires_after[seconds]", str(KEPT_S)), "expires_after")


def check_kept(text: object, param: str) -> int:
    """Return how many seconds something is to be kept; raises ApiError for what is out of bounds."""
    digits = str(text)
    if isinstance(text, bool) or not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise invalid(f"{param}.seconds must be a whole number.", param)
    if not KEPT_LEAST_S <= int(digits) <= KEPT_MOST_S:
        raise invalid(f"{param}.seconds must be from {KEPT_LEAST_S} to {KEPT_MOST_S}.", param)
    return int(digits)
