"""What a mutated request is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

Field = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Draft:
    """A request in parts, so that a mutation can spoil exactly one of them.

    ``separators`` stand between the three words of the request line, ``colon`` between name and value of every field.
    """

    method: bytes = b"POST"
    target: bytes = b"/corpus"
    version: bytes = b"HTTP/1.1"
    separators: tuple[bytes, bytes] = (b" ", b" ")
    fields: tuple[Field, ...] = ((b"Host", b"site.example"),)
    colon: bytes = b": "
    line_end: bytes = b"\r\n"
    head_end: bytes = b"\r\n"
    prefix: bytes = b""
    body: bytes = b""

    def with_fields(self, *fields: Field) -> Draft:
        return replace(self, fields=(*self.fields, *fields))

    def render(self) -> bytes:
        line = self.method + self.separators[0] + self.target + self.separators[1] + self.version
        lines = [line, *(name + self.colon + value for name, value in self.fields)]
        return self.prefix + b"".join(item + self.line_end for item in lines) + self.head_end + self.body


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes to send. ``rule`` is the class of syntax that was touched; verdicts are explained per rule."""

    rule: str
    detail: str
    data: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.rule}:{self.detail}"


LENGTH = Draft().with_fields((b"Content-Length", b"5"))
PLAIN_BODY = b"hello"
CHUNKED = Draft().with_fields((b"Transfer-Encoding", b"chunked"))
CHUNKED_BODY = b"5\r\nhello\r\n0\r\n\r\n"
