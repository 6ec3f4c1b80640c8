"""A client that sends frames one by one, in any order and number, without a state machine."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Self

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.support.h2client import RawField, pseudo
from tests.support.rawclient import RawClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ENHANCE_YOUR_CALM = 11
HEAD = 9


def raw_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame, valid or not."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def headers(stream: int, block: bytes, *flags: str) -> bytes:
    frame = HeadersFrame(stream, data=block, flags=flags or ("END_HEADERS", "END_STREAM"))
    return frame.serialize()


def continuation(stream: int, block: bytes, *flags: str) -> bytes:
    return ContinuationFrame(stream, data=block, flags=flags).serialize()


def data(stream: int, payload: bytes, *flags: str) -> bytes:
    return DataFrame(stream, data=payload, flags=flags).serialize()


def reset(stream: int, code: int = 8) -> bytes:
    return RstStreamFrame(stream, error_code=code).serialize()


def window_update(stream: int, increment: int) -> bytes:
    return raw_frame(8, 0, stream, increment.to_bytes(4, "big"))


def ping() -> bytes:
    return PingFrame(0, opaque_data=b"12345678").serialize()


def settings(**values: int) -> bytes:
    return SettingsFrame(
        0, settings={getattr(SettingsFrame, name): value for name, value in values.items()}
    ).serialize()


class FrameClient:
    """One connection. What came back is kept in ``seen``; nothing is answered but what a test sends."""

    def __init__(self, port: int, first: bytes | None = None, timeout: float = 10.0) -> None:
        self._raw = RawClient(port, timeout=timeout)
        self.sock = self._raw.sock
        self._timeout = timeout
        self._encoder = Encoder()
        self._buffer = bytearray()
        self.seen: list[Frame] = []
        self.closed = False
        self.sock.sendall(PREFACE + (settings() if first is None else first))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def block(self, fields: Sequence[RawField] | None = None) -> bytes:
        """A header block of this connection."""
        return self._encoder.encode(pseudo() if fields is None else fields)

    def send(self, *frames: bytes) -> Self:
        self.sock.sendall(b"".join(frames))
        return self

    def flood(self, frames: Iterable[bytes], *, reading: bool = True, patience: float = 10.0) -> bool:
        """Send all of it while taking in what comes back; without ``reading`` what comes back stays in the kernel.

        True when all was taken. False when the gateway closed, or took nothing for ``patience`` seconds.
        """
        self.sock.setblocking(False)
        try:
            for piece in _pieces(frames):
                if not self._push(piece, reading, patience):
                    return False
        finally:
            self.sock.settimeout(self._timeout)
        return True

    def _push(self, piece: bytes, reading: bool, patience: float) -> bool:
        view = memoryview(piece)
        while view:
            readable, writable, _ = select.select([self.sock] if reading else [], [self.sock], [], patience)
            try:
                if readable and not self.read():
                    return False
                if writable:
                    view = view[self.sock.send(view) :]
            except BlockingIOError:
                continue
            except OSError:
                self.closed = True
                return False
            if not readable and not writable:
                return False
        return True

    def read(self) -> bool:
        """Take in what is there, waiting for something; False at the end."""
        try:
            received = self.sock.recv(65536)
        except ConnectionResetError:
            received = b""
        self.closed = not received
        self._buffer += received
        while len(self._buffer) >= HEAD:
            frame, length = Frame.parse_frame_header(memoryview(bytes(self._buffer[:HEAD])))
            if len(self._buffer) < HEAD + length:
                break
            frame.parse_body(memoryview(bytes(self._buffer[HEAD : HEAD + length])))
            del self._buffer[: HEAD + length]
            self.seen.append(frame)
        return bool(received)

    def until(self, *kinds: type[Frame], stream: int | None = None) -> Frame | None:
        """The first frame of these kinds; ``None`` when the connection ended before it came."""
        checked = 0
        while True:
            for frame in self.seen[checked:]:
                if isinstance(frame, kinds) and stream in (None, frame.stream_id):
                    return frame
            checked = len(self.seen)
            if not self.read():
                return None

    def goaway(self) -> int | None:
        """Wait for the end of the connection; the code of the last GOAWAY before it."""
        while not self.closed and self.read():
            pass
        codes = [frame.error_code for frame in self.seen if isinstance(frame, GoAwayFrame)]
        return codes[-1] if codes else None

    def window_frames(self) -> list[WindowUpdateFrame]:
        return [frame for frame in self.seen if isinstance(frame, WindowUpdateFrame)]


def _pieces(frames: Iterable[bytes], size: int = 64 * 1024) -> Iterable[bytes]:
    """Frames in pieces that are worth a call."""
    piece = bytearray()
    for frame in frames:
        piece += frame
        if len(piece) >= size:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
