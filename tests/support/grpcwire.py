"""Messages of gRPC and gRPC-Web as bytes."""

from __future__ import annotations

import base64

TRAILERS = 0x80


def message(data: bytes, flags: int = 0) -> bytes:
    """A message with its prefix."""
    return bytes([flags]) + len(data).to_bytes(4, "big") + data


def messages(body: bytes) -> list[tuple[int, bytes]]:
    """Flags and data of every message; what is left over is an error."""
    found = []
    while body:
        assert len(body) >= 5, body
        size = int.from_bytes(body[1:5], "big")
        assert len(body) >= 5 + size, body[:100]
        found.append((body[0], body[5 : 5 + size]))
        body = body[5 + size :]
    return found


def from_text(text: bytes) -> bytes:
    """Base64 whose padding may end any group."""
    assert len(text) % 4 == 0, text[-10:]
    return b"".join(base64.b64decode(text[at : at + 4], validate=True) for at in range(0, len(text), 4))


def trailers_of(block: bytes) -> dict[str, str]:
    lines = block.decode().split("\r\n")
    assert lines.pop() == ""
    return dict(line.split(":", 1) for line in lines)
