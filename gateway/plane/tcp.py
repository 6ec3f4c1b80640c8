"""Closing a listening TCP socket without losing a connection (Linux).

Closing a socket resets what waits in its accept queue. So a socket is first told to ignore new SYN packets (a packet
filter): handshakes that have begun still complete, and a new client's retransmission reaches whoever listens then. When
the queue is empty the socket can go. Imported by workers.

Linux lets everybody have such a filter, but hardened kernels and sandboxes do not. There a socket goes on accepting
until it is closed with an empty queue, and a handshake that ends in that very moment is reset.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
# Classic BPF on a TCP socket starts at the TCP header; byte 13 holds the flags, 0x02 is SYN.
# A handshake's last packet (ACK) must pass, so only SYN is dropped: load, test, drop, accept.
_IGNORE_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF_FFFF))
)
_TCP_INFO_UNACKED = 24
"""Offset in ``struct tcp_info``; on a listening socket the field is the length of the accept queue."""
_TCP_INFO_BYTES = 104


def refuse_new(sock: socket.socket) -> bool:
    """Ignore new connection attempts from now on; false where the kernel does not let this process have a filter."""
    program = ctypes.create_string_buffer(_IGNORE_SYN, len(_IGNORE_SYN))
    value = struct.pack("HP", len(_IGNORE_SYN) // 8, ctypes.addressof(program))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, value)
    except OSError:
        return False
    return True


def take_new(sock: socket.socket) -> None:
    """Undo :func:`refuse_new`. Raises :class:`OSError`."""
    # ENOENT: there was no filter.
    with contextlib.suppress(FileNotFoundError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def waiting(sock: socket.socket) -> int:
    """Connections in the accept queue. Raises :class:`OSError`."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return int(struct.unpack_from("I", info, _TCP_INFO_UNACKED)[0])
