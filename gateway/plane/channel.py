"""One end of a control connection: non-blocking in both directions, driven by the loop's readers and writers.

Sending never waits. What the kernel does not take at once is queued with duplicates of its descriptors and goes out
when the other side reads on.
"""

from __future__ import annotations

import array
import os
import socket
from collections import deque
from typing import TYPE_CHECKING

from gateway.plane.control import INLINE_LIMIT, MAX_DESCRIPTORS, Message, ProtocolError, decode, encode

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

MAX_QUEUED = 4096
"""Messages that wait for a peer that does not read. Snapshots are coalesced before they get here, so only a peer that
hangs for good fills this."""
_READS_PER_WAKEUP = 64
_ANCILLARY_BYTES = socket.CMSG_SPACE((MAX_DESCRIPTORS + 1) * array.array("i").itemsize)


class ChannelFullError(ConnectionError):
    """The peer has not read for so long that its queue is full."""


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair of non-blocking ends. Raises :class:`OSError`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


class Channel:
    """Sends and receives :data:`gateway.plane.control.Message` over one end."""

    GONE = "the other side is gone"
    """Reason of ``on_closed`` for an orderly end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_message: Callable[[Message], None],
        on_closed: Callable[[str], None],
    ) -> None:
        """``on_message`` and ``on_closed`` (with a reason) run on the loop, ``on_closed`` at most once."""
        self._loop = loop
        self._sock = sock
        self._on_message = on_message
        self._on_closed = on_closed
        self._queue: deque[tuple[bytes, list[int]]] = deque()
        self._open = False

    def start(self) -> None:
        """Begin to read. Must be called on the loop's thread."""
        self._open = True
        self._loop.add_reader(self._sock.fileno(), self._readable)

    @property
    def queued(self) -> int:
        """Messages that the peer has not taken yet."""
        return len(self._queue)

    def send(self, message: Message) -> None:
        """Send or queue. The caller keeps its descriptors. A closed channel swallows the message (``on_closed`` tells).

        Raises :class:`ChannelFullError`, and :class:`OSError` when no descriptor can be made.
        """
        if not self._open:
            return
        data, descriptors, spill = encode(message)
        try:
            if self._queue or not self._try(data, descriptors):
                if len(self._queue) >= MAX_QUEUED:
                    raise ChannelFullError("the worker does not read its control messages")
                self._queue.append((data, [os.dup(fd) for fd in descriptors]))
                self._loop.add_writer(self._sock.fileno(), self._writable)
        finally:
            if spill is not None:
                os.close(spill)

    def close(self) -> None:
        """Close without telling ``on_closed``. Calling it twice is fine."""
        if self._sock.fileno() < 0:
            return
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
        while self._queue:
            self._drop_first()
        self._sock.close()

    def _try(self, data: bytes, descriptors: list[int]) -> bool:
        """False when the kernel's buffer is full."""
        try:
            if descriptors:
                socket.send_fds(self._sock, [data], descriptors)
            else:
                self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return False
        except (BrokenPipeError, ConnectionResetError):
            return True  # The reader sees the end and reports it once, after what the peer sent before it went.
        return True

    def _writable(self) -> None:
        while self._queue:
            if not self._try(*self._queue[0]):
                return
            self._drop_first()
        self._loop.remove_writer(self._sock.fileno())

    def _drop_first(self) -> None:
        for fd in self._queue.popleft()[1]:
            os.close(fd)

    def _readable(self) -> None:
        for _ in range(_READS_PER_WAKEUP):
            if not self._open:
                return
            try:
                data, ancillary, flags, _ = self._sock.recvmsg(
                    2 * INLINE_LIMIT, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionResetError:
                data, ancillary, flags = b"", [], 0
            if not data:
                self._lost(self.GONE)
                return
            descriptors = _descriptors(ancillary)
            try:
                if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                    raise ProtocolError("truncated control message")
                message = decode(data, descriptors)
            except ProtocolError as error:
                self._lost(str(error))
                return
            self._on_message(message)

    def _lost(self, reason: str) -> None:
        self.close()
        self._on_closed(reason)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)
