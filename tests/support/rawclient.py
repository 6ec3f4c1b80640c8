"""A client that sends exactly the bytes it is given and reads strictly."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
from typing import TYPE_CHECKING, Self

from tests.support.messages import Response, read_response
from tests.support.ports import LOOPBACK
from tests.support.waiting import until
from tests.support.wire import ByteStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

HOST = "site.example"


def request(
    method: str = "GET",
    target: str = "/",
    *fields: tuple[str, str],
    host: str | None = HOST,
    version: str = "1.1",
    body: bytes | None = None,
) -> bytes:
    """A well-formed request; ``body`` adds its Content-Length."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*chunks: bytes, trailers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A chunked body with its last chunk and trailers."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    tail = "".join(f"{name}: {value}\r\n" for name, value in trailers).encode("latin-1")
    return body + b"0\r\n" + tail + b"\r\n"


class RawClient:
    """One connection. ``stream.log`` has every byte that came back."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        sock = socket.create_connection((LOOPBACK, port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock: socket.socket = tls.wrap_socket(sock, server_hostname=server_name) if tls else sock
        self.stream = ByteStream(self.sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    @property
    def tls(self) -> ssl.SSLSocket:
        """The socket of a TLS connection."""
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.sock

    def send(self, data: bytes, splits: Sequence[int] = ()) -> Self:
        """Send ``data``, cut at the offsets ``splits``; each piece is acknowledged before the next one leaves."""
        start = 0
        for end in [*splits, len(data)]:
            self.sock.sendall(data[start:end])
            start = end
            if splits:
                until(lambda: self.unacknowledged() == 0, "segment acknowledged")
        return self

    def offer(self, data: bytes) -> Self:
        """Send as much as the peer takes: one that answers early and closes is not an error here."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(data)
        return self

    def unacknowledged(self) -> int:
        """Bytes in the send queue that the peer's kernel does not have yet (SIOCOUTQ)."""
        packed = fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", packed)[0])

    def response(self, method: str = "GET") -> Response:
        return read_response(self.stream, method)

    def ask(self, data: bytes, method: str = "GET") -> Response:
        return self.send(data).response(method)

    def half_close(self) -> Self:
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def ended(self) -> bool:
        """True when the peer closed and nothing more came; waits for a byte or the end."""
        try:
            return not self.stream.has_more()
        except ConnectionResetError:
            return True

    def rest(self) -> bytes:
        return self.stream.rest()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def ask(port: int, data: bytes, method: str = "GET") -> Response:
    """One request on its own connection."""
    with RawClient(port) as client:
        return client.ask(data, method)
