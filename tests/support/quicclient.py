"""An HTTP/3 client below politeness: any field, any frame, flow control as the test wants it.

One thread, one UDP socket; nothing happens outside of :meth:`QuicClient.pump`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamReset,
)

from tests.support.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

RawFields = list[tuple[bytes, bytes]]
PATIENCE = 10.0


@dataclass(slots=True)
class Reply:
    """What came back on one stream."""

    fields: RawFields = field(default_factory=list)
    body: bytes = b""
    trailers: RawFields = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    """Error code of a stream that the gateway broke off."""
    stopped: int | None = None
    """Error code with which the gateway refused the rest of the request."""

    @property
    def status(self) -> int:
        return int(self.one(b":status"))

    def one(self, name: bytes) -> bytes:
        (value,) = [value for key, value in self.fields if key == name]
        return value

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


def head(method: str = "GET", path: str = "/", host: str = "one.example", *more: tuple[bytes, bytes]) -> RawFields:
    """The fields of a request."""
    pseudo = {":method": method, ":scheme": "https", ":authority": host, ":path": path}
    return [*((name.encode(), value.encode()) for name, value in pseudo.items()), *more]


def configuration(
    server_name: str, authority: str | None, *, max_stream_data: int = 1 << 20, max_data: int = 1 << 20
) -> QuicConfiguration:
    """A client's settings; without an ``authority`` (PEM) any certificate will do."""
    config = QuicConfiguration(
        is_client=True,
        alpn_protocols=H3_ALPN,
        server_name=server_name,
        max_stream_data=max_stream_data,
        max_data=max_data,
    )
    if authority is None:
        config.verify_mode = ssl.CERT_NONE
    else:
        config.load_verify_locations(cadata=authority.encode())
    return config


class QuicClient:
    """A connection; the constructor returns when its handshake is complete."""

    def __init__(self, port: int, config: QuicConfiguration) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect((LOOPBACK, port))
        self.quic = QuicConnection(configuration=config)
        self.replies: dict[int, Reply] = defaultdict(Reply)
        self.terminated: ConnectionTerminated | None = None
        self._completed = False
        self.quic.connect((LOOPBACK, port), now=time.monotonic())
        self.h3 = H3Connection(self.quic)
        try:
            self.pump(lambda: self._completed)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye and leave."""
        self.quic.close()
        with contextlib.suppress(OSError):
            self._send()
        self.sock.close()

    def request(self, fields: RawFields, body: bytes | None = None, *, end: bool = True) -> int:
        """Send a request; its stream. With ``end`` false the stream stays open."""
        stream = self.quic.get_next_available_stream_id()
        self.h3.send_headers(stream, fields, end_stream=end and body is None)
        if body is not None:
            self.h3.send_data(stream, body, end_stream=end)
        return stream

    def ask(self, fields: RawFields, body: bytes | None = None) -> Reply:
        """A whole exchange."""
        stream = self.request(fields, body)
        reply = self.replies[stream]
        self.pump(lambda: reply.over)
        return reply

    def pump(self, done: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Send and receive until ``done``. Raises :class:`TimeoutError`, :class:`ConnectionError` at its end."""
        deadline = time.monotonic() + patience
        self._send()
        while not done():
            if self.terminated is not None:
                raise ConnectionError(f"{self.terminated.error_code:#x} {self.terminated.reason_phrase}")
            self._wait(deadline)
            self._send()

    def idle(self, seconds: float) -> None:
        """Only receive, for a while."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            self.pump(lambda: time.monotonic() >= deadline, seconds)

    def _wait(self, deadline: float) -> None:
        now = time.monotonic()
        if now >= deadline:
            raise TimeoutError("the gateway does not answer")
        timer = self.quic.get_timer()
        self.sock.settimeout(max(min(deadline if timer is None else timer, deadline) - now, 0.0001))
        try:
            data = self._receive()
        except TimeoutError:
            now = time.monotonic()
            if timer is not None and now >= timer:
                self.quic.handle_timer(now=now)
        else:
            self.quic.receive_datagram(data, (LOOPBACK, self.sock.getpeername()[1]), now=time.monotonic())
        while (event := self.quic.next_event()) is not None:
            self._handle(event)

    def _receive(self) -> bytes:
        """The next datagram. The refusal of one that was sent is told before what had come until then."""
        try:
            return self.sock.recv(65_536)
        except ConnectionRefusedError as refused:
            self.sock.settimeout(0)
            try:
                return self.sock.recv(65_536)
            except OSError:
                raise ConnectionError("nobody listens") from refused

    def _send(self) -> None:
        for data, _ in self.quic.datagrams_to_send(now=time.monotonic()):
            self.sock.send(data)

    def _handle(self, event: QuicEvent) -> None:
        match event:
            case HandshakeCompleted():
                self._completed = True
            case ConnectionTerminated():
                self.terminated = event
            case StreamReset(stream_id=stream, error_code=code):
                self.replies[stream].reset = code
            case StopSendingReceived(stream_id=stream, error_code=code):
                self.replies[stream].stopped = code
        for answer in self.h3.handle_event(event):
            self._answered(answer)

    def _answered(self, event: H3Event) -> None:
        match event:
            case HeadersReceived(headers=fields, stream_id=stream, stream_ended=ended):
                reply = self.replies[stream]
                if reply.fields and int(reply.one(b":status")) >= 200:
                    reply.trailers = fields
                else:
                    reply.fields = fields
                reply.ended = ended
            case DataReceived(data=data, stream_id=stream, stream_ended=ended):
                reply = self.replies[stream]
                reply.body += data
                reply.ended = ended


def initials(port: int, config: QuicConfiguration, count: int) -> Sequence[tuple[QuicConnection, bytes]]:
    """First flights of ``count`` clients, not sent yet: one datagram each."""
    flights = []
    for _ in range(count):
        quic = QuicConnection(configuration=config)
        quic.connect((LOOPBACK, port), now=time.monotonic())
        (data, _), *_ = quic.datagrams_to_send(now=time.monotonic())
        flights.append((quic, data))
    return flights
