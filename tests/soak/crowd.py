"""Thousands of connections that ask once and then only stay."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
from typing import TYPE_CHECKING, Self

from tests.support.ports import LOOPBACK
from tests.support.rawclient import request

if TYPE_CHECKING:
    from types import TracebackType

SOURCES = [f"127.0.1.{n}" for n in range(1, 9)]
"""Addresses to come from: one alone has too few ports for all that a long test opens and closes."""
RESERVE = 2500
"""Descriptors of a process for everything else."""


def raise_descriptor_limit() -> int:
    """Let this process and those that it starts open as many descriptors as the machine allows; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Crowd:
    """``size`` keep-alive connections, every tenth with TLS."""

    def __init__(self, port: int, tls_port: int, size: int) -> None:
        self._sockets: list[socket.socket] = []
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        try:
            for n in range(size):
                secure = n % 10 == 0
                sock = _connected(SOURCES[n % len(SOURCES)], tls_port if secure else port)
                self._sockets.append(sock)
                if secure:
                    self._sockets[-1] = tls.wrap_socket(sock, server_hostname="localhost")
                self._ask(self._sockets[-1])
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Every one of them is served again on its connection."""
        for sock in self._sockets:
            self._ask(sock)

    def close(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.close()
        self._sockets.clear()

    def _ask(self, sock: socket.socket) -> None:
        sock.sendall(request("GET", "/stay"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = sock.recv(65536)
            assert data, "an idle connection was closed"
            answer += data
        assert answer.startswith(b"HTTP/1.1 204 "), answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connected(source: str, port: int) -> socket.socket:
    sock = socket.socket()
    # The kernel chooses the port when it knows the destination, so that a port may serve several of them.
    sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
    sock.bind((source, 0))
    sock.settimeout(30)
    sock.connect((LOOPBACK, port))
    return sock
