"""HTTP/1.1 messages read strictly from a byte stream (RFC 9112), with nothing tolerated.

The client and the recording backend both read with this module, so anything that a proxy emits and that is not
exactly well-formed becomes a :class:`WireError` instead of being smoothed over by a lenient library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

MAX_LINE = 1 << 20
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FIELD_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
TARGET = re.compile(rb"[\x21-\x7e]+")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t \x21-\x7e]*)?")
DIGITS = re.compile(rb"[0-9]{1,18}")


class WireError(Exception):
    """The peer sent something that is not a well-formed message."""


class EndOfStreamError(WireError):
    """The peer closed in the middle of a message (or before one)."""


class Source(Protocol):
    """Where bytes come from: ``b""`` is the end."""

    def recv(self, size: int, /) -> bytes: ...


class ByteStream:
    """Buffered strict reading. Everything that arrived is kept in ``log`` in order."""

    def __init__(self, source: Source, log: bytearray | None = None) -> None:
        self._source = source
        self._buffer = bytearray()
        self.log = bytearray() if log is None else log

    def _fill(self) -> bool:
        data = self._source.recv(65536)
        self._buffer += data
        self.log += data
        return bool(data)

    @property
    def pending(self) -> bytes:
        """Bytes that arrived and were not consumed."""
        return bytes(self._buffer)

    def has_more(self) -> bool:
        """Wait until there is at least one byte (True) or the end (False)."""
        return bool(self._buffer) or self._fill()

    def line(self) -> bytes:
        """A line without its CRLF. A lone CR or LF is an error."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > MAX_LINE:
                raise WireError("line too long")
            if not self._fill():
                raise EndOfStreamError(f"end inside a line: {bytes(self._buffer[:200])!r}")
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise WireError(f"bad line end: {line[:200]!r}")
        return line[:-2]

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._fill():
                raise EndOfStreamError(f"end after {len(self._buffer)} of {size} bytes")
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def some(self) -> bytes:
        """Whatever is there, at least one byte unless the end is reached."""
        self.has_more()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def rest(self) -> bytes:
        """Everything up to the end."""
        while self._fill():
            pass
        return self.some_buffered()

    def some_buffered(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


@dataclass(frozen=True, slots=True)
class Fields:
    """Header or trailer fields in order, names as received."""

    items: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.items if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        """The value of a field that must be there exactly once."""
        values = self.all(name)
        if len(values) != 1:
            raise AssertionError(f"{name}: {values} in {self.items}")
        return values[0]

    def get(self, name: str) -> str | None:
        values = self.all(name)
        return ", ".join(values) if values else None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.all(name))


def read_fields(stream: ByteStream) -> Fields:
    items: list[tuple[str, str]] = []
    while line := stream.line():
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not TOKEN.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
            raise WireError(f"bad field line: {line[:200]!r}")
        items.append((name.decode("ascii"), value.decode("latin-1")))
    return Fields(tuple(items))


def content_length(fields: Fields) -> int | None:
    values = fields.all("content-length")
    if not values:
        return None
    if len(values) > 1 or not DIGITS.fullmatch(values[0].encode("latin-1")):
        raise WireError(f"bad content-length: {values}")
    return int(values[0])


def is_chunked(fields: Fields) -> bool:
    values = fields.all("transfer-encoding")
    if not values:
        return False
    if [value.lower() for value in values] != ["chunked"] or "content-length" in fields:
        raise WireError(f"bad message framing: {fields.items}")
    return True


def read_chunked(stream: ByteStream) -> tuple[bytes, Fields]:
    """Body and trailers of a chunked message."""
    body = bytearray()
    while True:
        line = stream.line()
        matched = CHUNK_LINE.fullmatch(line)
        if not matched:
            raise WireError(f"bad chunk line: {line[:200]!r}")
        size = int(matched[1], 16)
        if size == 0:
            return bytes(body), read_fields(stream)
        body += stream.exactly(size)
        if stream.exactly(2) != b"\r\n":
            raise WireError("bad chunk end")
