"""An HTTP/2 client that says whatever it is told to and reads strictly (the state machine is hyper-h2's)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from tests.support.messages import Response
from tests.support.rawclient import HOST, RawClient
from tests.support.wire import EndOfStreamError, Fields

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence
    from types import TracebackType

HEAD = 9
"""Bytes in front of the payload of a frame."""

RawField = tuple[bytes, bytes]


def pseudo(
    method: str = "GET", target: str = "/", host: str | None = HOST, scheme: str = "http"
) -> list[tuple[bytes, bytes]]:
    """The pseudo-header fields of a request, in the usual order."""
    fields = [(":method", method), (":scheme", scheme), (":path", target)]
    if host is not None:
        fields.insert(2, (":authority", host))
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


@dataclass(frozen=True, slots=True)
class Reset:
    """The stream was broken off, or the whole connection with it."""

    code: int
    connection: bool = False


Outcome = Response | Reset


@dataclass(slots=True)
class Stream:
    """What came back so far."""

    head: Fields | None = None
    interim: list[Response] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: Fields = field(default_factory=Fields)
    ended: bool = False
    reset: Reset | None = None

    def response(self) -> Response:
        assert self.head is not None
        fields = Fields(tuple((name, value) for name, value in self.head.items if not name.startswith(":")))
        status = int(self.head.one(":status"))
        return Response("2", status, "", fields, bytes(self.body), self.trailers, "none", tuple(self.interim))


class H2Client:
    """One connection. Nothing that is sent is checked; everything that is received is."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._raw = RawClient(port, tls=tls, server_name=server_name, timeout=timeout)
        self.sock = self._raw.sock
        self._h2 = H2Connection(
            H2Configuration(header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self._buffer = bytearray()
        self.streams: dict[int, Stream] = {}
        self.goaway: Reset | None = None
        self.closed = False
        self._h2.initiate_connection()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def flush(self) -> None:
        self.sock.sendall(self._h2.data_to_send())

    def start(self, fields: Iterable[RawField], *, end: bool = True) -> int:
        """Open a stream with exactly these fields, pseudo-header fields included."""
        number = self._h2.get_next_available_stream_id()
        self.streams[number] = Stream()
        self._h2.send_headers(number, list(fields), end_stream=end)
        self.flush()
        return number

    def data(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Send a part of a body as the windows allow."""
        while len(data) > (room := min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)):
            if room:
                self._h2.send_data(stream, data[:room])
                data = data[room:]
                self.flush()
            else:
                self.read()
        self._h2.send_data(stream, data, end_stream=end)
        self.flush()

    def trailers(self, stream: int, *fields: tuple[str, str]) -> None:
        """End a stream with trailer fields."""
        self._h2.send_headers(stream, [(name.encode(), value.encode()) for name, value in fields], end_stream=True)
        self.flush()

    def cancel(self, stream: int) -> None:
        self._h2.reset_stream(stream, ErrorCodes.CANCEL)
        self.flush()

    def read(self) -> None:
        """Take in what has come; waits for something, or for the end of the connection."""
        data = self.sock.recv(65536)
        if not data:
            self.closed = True
            return
        self._buffer += data
        # Frame by frame: what comes behind a GOAWAY is of no use to the state machine.
        while self.goaway is None and len(self._buffer) >= HEAD:
            length = HEAD + int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < length:
                break
            for event in self._h2.receive_data(bytes(self._buffer[:length])):
                self._take(event)
            del self._buffer[:length]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.flush()

    def _take(self, event: Event) -> None:
        match event:
            case InformationalResponseReceived():
                head = _fields(event.headers)
                self.streams[event.stream_id].interim.append(Response("2", int(head.one(":status")), "", head))
            case ResponseReceived():
                self.streams[event.stream_id].head = _fields(event.headers)
            case TrailersReceived():
                self.streams[event.stream_id].trailers = _fields(event.headers)
            case DataReceived():
                self.streams[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self.streams[event.stream_id].ended = True
            case StreamReset():
                self.streams[event.stream_id].reset = Reset(int(event.error_code or 0))
            case ConnectionTerminated():
                self.goaway = Reset(int(event.error_code or 0), connection=True)
            case _:
                pass

    def outcome(self, number: int) -> Outcome:
        """The complete answer, or how the stream was broken off."""
        stream = self.streams[number]
        while not stream.ended and stream.reset is None:
            if self.closed:
                if self.goaway is None:
                    raise EndOfStreamError("the connection ended without a GOAWAY")
                return self.goaway
            self.read()
        return stream.reset or stream.response()

    def response(self, number: int) -> Response:
        outcome = self.outcome(number)
        assert isinstance(outcome, Response), outcome
        return outcome

    def ask(
        self,
        method: str = "GET",
        target: str = "/",
        *fields: tuple[str, str],
        host: str | None = HOST,
        body: bytes | None = None,
        trailers: Sequence[tuple[str, str]] = (),
    ) -> Outcome:
        """One whole exchange."""
        rest = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        number = self.start([*pseudo(method, target, host), *rest], end=body is None)
        if body is not None:
            self.data(number, body, end=not trailers)
        if trailers:
            self.trailers(number, *trailers)
        return self.outcome(number)


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    return Fields(tuple((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers))


def h2_ask(
    port: int, method: str = "GET", target: str = "/", *fields: tuple[str, str], body: bytes | None = None
) -> Response:
    """One exchange on its own connection that must end in an answer."""
    with H2Client(port) as client:
        outcome = client.ask(method, target, *fields, body=body)
    assert isinstance(outcome, Response), outcome
    return outcome
