"""WebSocket frames as bytes, good and bad ones (RFC 6455, section 5.2), and the ways for them through a gateway."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.support.h2client import H2Client, pseudo
from tests.support.rawclient import RawClient, request
from tests.support.replies import accept_key
from tests.support.wire import ByteStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """One frame; ``reserved`` are the three bits that only extensions may use."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask = 0x80 if masked else 0
    length = len(payload)
    if length < 126:
        head = bytes((first, mask | length))
    elif length < 0x10000:
        head = bytes((first, mask | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, mask | 127)) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = (MASK * (length // 4 + 1))[:length]
    return head + MASK + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


@dataclass(frozen=True, slots=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    reserved: int = 0
    masked: bool = False


def read_frame(stream: ByteStream) -> Frame:
    first, second = stream.exactly(2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(stream.exactly(2), "big")
    elif length == 127:
        length = int.from_bytes(stream.exactly(8), "big")
    masked = bool(second & 0x80)
    if masked:
        stream.exactly(4)
    return Frame(first & 0xF, stream.exactly(length), bool(first & 0x80), first >> 4 & 7, masked)


class Tunnel(Protocol):
    """A connection that has been switched to WebSocket. It is a source for :class:`ByteStream`."""

    extensions: str | None

    def send(self, data: bytes) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def end(self) -> None: ...
    def reset(self) -> None: ...


class OverHttp1:
    """Switched by an upgrade. ``early`` is sent with the request, without waiting for the answer."""

    def __init__(self, client: RawClient, target: str, *fields: tuple[str, str], early: bytes = b"") -> None:
        self._client = client
        asked = (
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        )
        data = request("GET", target, *asked, *fields)
        response = client.ask(data + early)
        assert response.status == 101, response
        assert response.fields.one("sec-websocket-accept") == accept_key(KEY)
        self.extensions = response.fields.get("sec-websocket-extensions")

    def send(self, data: bytes) -> None:
        self._client.sock.sendall(data)

    def recv(self, size: int, /) -> bytes:
        return self._client.stream.some()

    def end(self) -> None:
        self._client.half_close()

    def reset(self) -> None:
        self._client.reset()


class OverHttp2:
    """A stream that was opened with CONNECT (RFC 8441)."""

    def __init__(self, client: H2Client, target: str, *fields: tuple[str, str], early: bytes = b"") -> None:
        self._client = client
        rest = [(name.lower().encode(), value.encode()) for name, value in (("Sec-WebSocket-Version", "13"), *fields)]
        self._number = client.start([*pseudo("CONNECT", target), (b":protocol", b"websocket"), *rest], end=False)
        self._stream = client.streams[self._number]
        if early:
            self.send(early)
        while self._stream.head is None:
            assert self._stream.reset is None
            client.read()
        assert self._stream.head.one(":status") == "200"
        self.extensions = self._stream.head.get("sec-websocket-extensions")

    def send(self, data: bytes) -> None:
        self._client.data(self._number, data, end=False)

    def recv(self, size: int, /) -> bytes:
        while not self._stream.body and not self._stream.ended:
            if self._stream.reset is not None:
                raise ConnectionResetError(f"{self._stream.reset}")
            assert not self._client.closed
            self._client.read()
        data = bytes(self._stream.body)
        self._stream.body.clear()
        return data

    def end(self) -> None:
        self._client.data(self._number, b"", end=True)

    def reset(self) -> None:
        self._client.cancel(self._number)


@contextlib.contextmanager
def tunnel(
    transport: str,
    port: int,
    target: str,
    *fields: tuple[str, str],
    tls: ssl.SSLContext | None = None,
    early: bytes = b"",
) -> Iterator[Tunnel]:
    """A WebSocket over "http1" or "http2"."""
    if transport == "http2":
        with H2Client(port, tls=tls, server_name="localhost") as h2:
            yield OverHttp2(h2, target, *fields, early=early)
    else:
        with RawClient(port, tls=tls, server_name="localhost") as http1:
            yield OverHttp1(http1, target, *fields, early=early)


def conversation(over: Tunnel, pieces: Sequence[bytes]) -> list[Frame]:
    """Send the pieces and read frames until the other side ends."""
    for piece in pieces:
        over.send(piece)
    stream, frames = ByteStream(over), list[Frame]()
    while stream.has_more():
        frames.append(read_frame(stream))
    return frames
