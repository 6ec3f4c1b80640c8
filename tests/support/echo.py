"""A TCP service on loopback that sends back what it gets, with its name in front if it has one."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self

from tests.support.ports import LOOPBACK

if TYPE_CHECKING:
    import ssl
    from types import TracebackType


class Echo:
    """Serves until the context ends. ``peers`` lists the addresses of its clients in the order they came."""

    def __init__(self, name: bytes = b"", tls: ssl.SSLContext | None = None) -> None:
        self._name = name
        self._tls = tls
        self._listener = socket.create_server((LOOPBACK, 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        self.service = f"{LOOPBACK}:{self.port}"
        self.peers: list[tuple[str, int]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self._tls.wrap_socket(sock, server_side=True) if self._tls else sock as stream:
                stream.sendall(self._name)
                while data := stream.recv(65536):
                    stream.sendall(data)
        except OSError:
            return
