"""A recording upstream on loopback: one thread per connection, every byte kept, every request read strictly."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.support.messages import RequestHead, read_request_body, read_request_head
from tests.support.ports import LOOPBACK
from tests.support.wire import ByteStream, EndOfStreamError, Fields, WireError

if TYPE_CHECKING:
    import ssl
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class Recorded:
    """A complete request. ``number`` counts from 1 on its connection."""

    connection: int
    number: int
    head: RequestHead
    body: bytes
    trailers: Fields


@dataclass(slots=True)
class Connection:
    """What happened on one upstream connection. ``fault`` is why its bytes are not HTTP; ``truncated`` says that the
    proxy stopped in the middle of a message, which is how it gives up a request."""

    id: int
    raw: bytearray = field(default_factory=bytearray)
    heads: list[RequestHead] = field(default_factory=list)
    requests: int = 0
    fault: str | None = None
    truncated: bool = False
    closed: bool = False


class Exchange:
    """One request in the hands of a handler: it may read, send any bytes, or cut the connection."""

    def __init__(
        self, backend: Backend, connection: Connection, sock: socket.socket, stream: ByteStream, head: RequestHead
    ) -> None:
        self._backend = backend
        self.connection = connection
        self.sock = sock
        self.stream = stream
        self.head = head
        self.keep_alive = True
        connection.requests += 1
        self.number = connection.requests

    def read_body(self) -> Recorded:
        """Read the request to its end and record it as complete."""
        body, trailers = read_request_body(self.stream, self.head)
        recorded = Recorded(self.connection.id, self.number, self.head, body, trailers)
        self._backend.record(recorded)
        return recorded

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        """Close after what was sent."""
        self.keep_alive = False

    def reset(self) -> None:
        """Close with a TCP reset when the handler returns."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep_alive = False


Handler = Callable[[Exchange], None]


class Backend:
    """Listens on a free loopback port. ``on`` scripts the targets that start with a prefix; the longest one wins.

    Without ``recording`` it reads as strictly and keeps the faults, but neither bytes nor requests: for long runs."""

    def __init__(
        self, default: Handler, tls: ssl.SSLContext | None = None, port: int = 0, *, recording: bool = True
    ) -> None:
        self._default = default
        self._recording = recording
        self._tls = tls
        self._lock = threading.Lock()
        self._handlers: dict[str, Handler] = {}
        self._ids = itertools.count(1)
        self._sockets: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((LOOPBACK, port), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        self.connections: list[Connection] = []
        self.requests: list[Recorded] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def on(self, prefix: str, handler: Handler) -> None:
        with self._lock:
            self._handlers[prefix] = handler

    def reset(self) -> None:
        """Forget scripts and records and drop all connections, so that the next test starts with none."""
        with self._lock:
            self._handlers.clear()
        self.drop_connections()
        with self._lock:
            self.connections.clear()
            self.requests.clear()

    def drop_connections(self) -> None:
        """Close every connection as a restarted server would, and wait until their threads are gone."""
        with self._lock:
            sockets, threads = list(self._sockets.values()), list(self._threads)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(timeout=10)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(timeout=10)
        self.drop_connections()

    def record(self, recorded: Recorded) -> None:
        if self._recording:
            with self._lock:
                self.requests.append(recorded)

    def received(self) -> bytes:
        """All bytes of all connections, in order of the connections."""
        with self._lock:
            return b"".join(bytes(connection.raw) for connection in self.connections)

    def heads(self) -> list[RequestHead]:
        """Every request head that arrived, complete request or not."""
        with self._lock:
            return [head for connection in self.connections for head in connection.heads]

    def faults(self) -> list[str]:
        """Why any connection carried something else than well-formed requests."""
        with self._lock:
            return [connection.fault for connection in self.connections if connection.fault]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(next(self._ids))
            thread = threading.Thread(target=self._serve, args=(connection, sock), daemon=True)
            with self._lock:
                self.connections.append(connection)
                self._sockets[connection.id] = sock
                self._threads = [known for known in self._threads if known.is_alive()]
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: Connection, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            stream = ByteStream(sock, connection.raw)
            while stream.has_more() and self._one(connection, sock, stream):
                pass
        except OSError:
            pass  # the proxy or the test cut the connection
        except EndOfStreamError:
            connection.truncated = True
        except WireError as error:
            connection.fault = str(error)
        except Exception as error:
            connection.fault = f"handler: {error!r}"
        finally:
            with self._lock:
                self._sockets.pop(connection.id, None)
                if not (self._recording or connection.fault):
                    self.connections.remove(connection)
            connection.closed = True
            sock.close()

    def _one(self, connection: Connection, sock: socket.socket, stream: ByteStream) -> bool:
        if not self._recording:
            connection.raw.clear()
        head = read_request_head(stream)
        if self._recording:
            connection.heads.append(head)
        exchange = Exchange(self, connection, sock, stream, head)
        self._handler(head.target)(exchange)
        return exchange.keep_alive

    def _handler(self, target: str) -> Handler:
        with self._lock:
            matching = [prefix for prefix in self._handlers if target.startswith(prefix)]
            return self._handlers[max(matching, key=len)] if matching else self._default
