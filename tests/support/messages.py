"""Requests and responses on top of :mod:`tests.support.wire`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.wire import (
    TARGET,
    TOKEN,
    ByteStream,
    Fields,
    WireError,
    content_length,
    is_chunked,
    read_chunked,
    read_fields,
)

Framing = Literal["none", "length", "chunked", "close"]
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)")


@dataclass(frozen=True, slots=True)
class RequestHead:
    method: str
    target: str
    version: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; ``interim`` holds the 1xx responses before it."""

    version: str
    status: int
    reason: str
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=Fields)
    framing: Framing = "none"
    interim: tuple[Response, ...] = ()

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def announces_close(self) -> bool:
        options = [option.strip().lower() for value in self.fields.all("connection") for option in value.split(",")]
        return "close" in options or (self.version == "1.0" and "keep-alive" not in options)


def read_request_head(stream: ByteStream) -> RequestHead:
    line = stream.line()
    parts = line.split(b" ")
    if len(parts) != 3 or not TOKEN.fullmatch(parts[0]) or not TARGET.fullmatch(parts[1]):
        raise WireError(f"bad request line: {line[:200]!r}")
    if parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise WireError(f"bad version: {line[:200]!r}")
    version = parts[2][5:].decode("ascii")
    fields = read_fields(stream)
    if len(fields.all("host")) != 1 and version == "1.1":
        raise WireError(f"host fields: {fields.all('host')}")
    if is_chunked(fields) and version == "1.0":
        raise WireError("transfer-encoding in HTTP/1.0")
    content_length(fields)
    return RequestHead(parts[0].decode("ascii"), parts[1].decode("ascii"), version, fields)


def read_request_body(stream: ByteStream, head: RequestHead) -> tuple[bytes, Fields]:
    if is_chunked(head.fields):
        return read_chunked(stream)
    return stream.exactly(content_length(head.fields) or 0), Fields()


def read_response_head(stream: ByteStream) -> Response:
    line = stream.line()
    matched = STATUS_LINE.fullmatch(line)
    if not matched:
        raise WireError(f"bad status line: {line[:200]!r}")
    return Response(f"1.{matched[1].decode()}", int(matched[2]), matched[3].decode("latin-1"), read_fields(stream))


def read_response(stream: ByteStream, method: str = "GET") -> Response:
    """The final response to a request of this method. A 101 is final: what follows is not HTTP."""
    interim: list[Response] = []
    head = read_response_head(stream)
    while head.status < 200 and head.status != 101:
        interim.append(head)
        head = read_response_head(stream)
    body, trailers, framing = _read_response_body(stream, head, method)
    return Response(head.version, head.status, head.reason, head.fields, body, trailers, framing, tuple(interim))


def _read_response_body(stream: ByteStream, head: Response, method: str) -> tuple[bytes, Fields, Framing]:
    chunked = is_chunked(head.fields)
    length = content_length(head.fields)
    if head.status < 200 or head.status == 204:
        if chunked or length is not None:
            raise WireError(f"{head.status} with framing fields: {head.fields.items}")
        return b"", Fields(), "none"
    if method == "HEAD" or head.status == 304:
        return b"", Fields(), "none"
    if chunked:
        body, trailers = read_chunked(stream)
        return body, trailers, "chunked"
    if length is not None:
        return stream.exactly(length), Fields(), "length"
    return stream.rest(), Fields(), "close"
