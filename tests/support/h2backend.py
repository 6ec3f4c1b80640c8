"""An upstream on loopback that speaks HTTP/2 without negotiation: one thread per connection, whole requests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)

from tests.support.ports import LOOPBACK
from tests.support.wire import Fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

Pairs = Sequence[tuple[str, str]]


@dataclass(slots=True)
class H2Request:
    """A request as it arrived."""

    fields: Fields
    body: bytearray = field(default_factory=bytearray)
    trailers: Fields = field(default_factory=Fields)

    @property
    def path(self) -> str:
        return self.fields.one(":path")


class H2Exchange:
    """One stream in the hands of a handler."""

    def __init__(self, connection: H2Connection, sock: socket.socket, stream: int, request: H2Request) -> None:
        self._h2 = connection
        self._sock = sock
        self.stream = stream
        self.request = request
        self.is_reset = False

    def _flush(self) -> None:
        self._sock.sendall(self._h2.data_to_send())

    def head(self, status: int, *fields: tuple[str, str], end: bool = False) -> None:
        self._h2.send_headers(self.stream, [(":status", str(status)), *fields], end_stream=end)
        self._flush()

    def data(self, data: bytes, *, end: bool = False) -> None:
        """Send as the windows allow. Requests that arrive meanwhile are lost: one stream at a time."""
        while len(data) > (room := self._room()):
            if room:
                self._h2.send_data(self.stream, data[:room])
                data = data[room:]
                self._flush()
            elif not self._read():
                return
        self._h2.send_data(self.stream, data, end_stream=end)
        self._flush()

    def trailers(self, *fields: tuple[str, str]) -> None:
        self._h2.send_headers(self.stream, list(fields), end_stream=True)
        self._flush()

    def cut(self) -> None:
        """Break the stream off."""
        self._h2.reset_stream(self.stream, 2)
        self._flush()

    def _room(self) -> int:
        return min(self._h2.local_flow_control_window(self.stream), self._h2.max_outbound_frame_size)

    def _read(self) -> bool:
        """Wait for a window. False: the other side has given the stream up."""
        data = self._sock.recv(65536)
        events = self._h2.receive_data(data) if data else []
        self._flush()
        self.is_reset = not data or any(isinstance(event, StreamReset) for event in events)
        return not self.is_reset

    def answer(
        self, status: int, fields: Iterable[tuple[str, str]] = (), body: bytes = b"", trailers: Pairs = ()
    ) -> None:
        """A whole answer; without body and trailers it is a head alone."""
        self.head(status, *fields, end=not body and not trailers)
        if body:
            self.data(body, end=not trailers)
        if trailers:
            self.trailers(*trailers)


class H2Backend:
    """Listens on a free loopback port; ``serve`` answers every request that is complete."""

    def __init__(self, serve: Callable[[H2Exchange], None]) -> None:
        self.serve = serve
        self.requests: list[H2Request] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(timeout=10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            threading.Thread(target=self._connection, args=(sock,), daemon=True).start()

    def _connection(self, sock: socket.socket) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        connection.initiate_connection()
        open_requests: dict[int, H2Request] = {}
        with sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(connection.data_to_send())
            while data := sock.recv(65536):
                for event in connection.receive_data(data):
                    match event:
                        case RequestReceived():
                            open_requests[event.stream_id] = H2Request(_fields(event.headers))
                        case DataReceived():
                            open_requests[event.stream_id].body += event.data
                            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        case TrailersReceived():
                            open_requests[event.stream_id].trailers = _fields(event.headers)
                        case StreamEnded():
                            request = open_requests.pop(event.stream_id)
                            self.requests.append(request)
                            self.serve(H2Exchange(connection, sock, event.stream_id, request))
                        case ConnectionTerminated():
                            return
                        case StreamReset() | WindowUpdated():
                            pass
                        case _:
                            pass
                sock.sendall(connection.data_to_send())


def _fields(headers: Iterable[tuple[bytes, bytes]] | Iterable[tuple[str, str]]) -> Fields:
    def text(value: bytes | str) -> str:
        return value.decode("latin-1") if isinstance(value, bytes) else value

    return Fields(tuple((text(name), text(value)) for name, value in headers))
