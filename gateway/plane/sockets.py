"""The listening sockets of the master: one SO_REUSEPORT socket for each (address, port, TCP or UDP) and worker slot.

The master keeps every socket open for as long as its listener exists, so a worker that crashes or is replaced loses no
queued connection. A socket that is no longer wanted is retired: it refuses new connections, what is queued is still
accepted, then it is closed. Nothing here waits; the owner calls :meth:`SocketTable.advance` until ``busy`` is false.

The kernel gives every datagram of a connection to the same UDP socket for as long as the group of sockets stays the
same, which it does because the master holds all of them. A UDP socket has no queue of connections: its worker refuses
new ones.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.diagnostics import Diagnostic, Origin
from gateway.plane import tcp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.ir.model import Listener
    from gateway.settings import ListenSettings

RETIRE_LIMIT = 5.0
"""Seconds after which a retired socket is closed although connections wait in it: no worker accepts them."""

_HINTS = {
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start",
    errno.EADDRINUSE: "another process listens there; it is tried again every second",
    errno.EADDRNOTAVAIL: "this machine does not have the address",
}

UDP_BUFFER = 1024 * 1024
"""Bytes of datagrams that one UDP socket may hold in either direction; capped by ``rmem_max`` and ``wmem_max``."""

Kind = Literal["tcp", "quic", "udp"]
"""How a worker serves a socket: a UDP port that changes from HTTP/3 to a UDP route gets new sockets."""

Key = tuple[str, int, str, Kind]


@dataclass(slots=True)
class Bound:
    """A listener's sockets, one for each worker slot. ``token`` tells this set from any other one."""

    token: int
    name: str
    address: str
    port: int
    kind: Kind
    sockets: list[socket.socket]
    retired_at: float | None = None

    @property
    def udp(self) -> bool:
        """Whether these are UDP sockets."""
        return self.kind != "tcp"

    @property
    def waiting(self) -> bool:
        """Whether connections wait to be accepted."""
        return not self.udp and any(map(tcp.waiting, self.sockets))

    def refuse_new(self) -> None:
        """Ignore new connections over TCP, as far as the kernel can; those over UDP are the workers' to refuse."""
        if not self.udp:
            for sock in self.sockets:
                tcp.refuse_new(sock)

    def take_new(self) -> None:
        """Undo :meth:`refuse_new`."""
        if not self.udp:
            for sock in self.sockets:
                tcp.take_new(sock)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


class SocketTable:
    """Binds what the configuration wants, retires what it no longer wants. Times are monotonic seconds."""

    def __init__(self, settings: ListenSettings, slots: int) -> None:
        self._settings = settings
        self._slots = slots
        self._tokens = itertools.count(1)
        self._wanted: dict[Key, Listener] = {}
        self._bound: dict[Key, Bound] = {}
        self._retiring: list[tuple[Key, Bound]] = []
        self._failed: dict[Key, OSError] = {}
        self._conflicts: tuple[Diagnostic, ...] = ()

    def update(self, listeners: Iterable[Listener], now: float) -> None:
        """Make ``listeners`` the wanted ones: bind, rename and retire. Ports that fail become diagnostics."""
        wanted: dict[Key, Listener] = {}
        conflicts: list[Diagnostic] = []
        for listener in listeners:
            key = self._key(listener)
            if key in wanted:
                conflicts.append(_conflict(listener, wanted[key]))
            else:
                wanted[key] = listener
        self._wanted, self._conflicts = wanted, tuple(conflicts)
        self._failed = {}
        for key in [key for key in self._bound if key not in wanted]:
            self._retire(key, now)
        for key, listener in wanted.items():
            self._take(key, listener)

    def retry(self) -> bool:
        """Try the failed ports again; True when one of them could be bound."""
        before = len(self._failed)
        for key in list(self._failed):
            self._take(key, self._wanted[key])
        return len(self._failed) < before

    def retire_all(self, now: float) -> None:
        """Refuse new connections everywhere: the process is about to end."""
        self._wanted, self._failed = {}, {}
        for key in list(self._bound):
            self._retire(key, now)

    def advance(self, now: float) -> bool:
        """Close retired sockets whose queues are empty; True when one went (workers must be told)."""
        keep: list[tuple[Key, Bound]] = []
        for key, bound in self._retiring:
            age = now - (now if bound.retired_at is None else bound.retired_at)
            if age < self._settings.handover or (age < RETIRE_LIMIT and bound.waiting):
                keep.append((key, bound))
            else:
                bound.close()
        gone = len(keep) < len(self._retiring)
        self._retiring = keep
        return gone

    def close(self) -> None:
        """Close everything at once."""
        for bound in [*self._bound.values(), *(bound for _, bound in self._retiring)]:
            bound.close()
        self._bound, self._retiring, self._failed = {}, [], {}

    @property
    def busy(self) -> bool:
        """Whether retired sockets still wait for their queues."""
        return bool(self._retiring)

    @property
    def failing(self) -> bool:
        """Whether a wanted port is not bound."""
        return bool(self._failed)

    def slot(self, slot: int, *, lent: bool = False) -> dict[str, dict[int, int]]:
        """What a worker slot shall accept from: listener name to {token: descriptor}. The master keeps ownership.

        ``lent``: what another worker can serve for this one. Connections cannot be handed back with a UDP socket, so
        that is none: clients of HTTP/3 take TCP meanwhile, datagrams wait or are lost.
        """
        table: dict[str, dict[int, int]] = {}
        for bound in [*self._bound.values(), *(bound for _, bound in self._retiring)]:
            if lent and bound.udp:
                continue
            token = bound.token * self._slots + slot
            table.setdefault(bound.name, {})[token] = bound.sockets[slot].fileno()
        return table

    def ports(self) -> Mapping[str, int]:
        """Bound port of each listener."""
        return {bound.name: bound.port for bound in self._bound.values()}

    def addresses(self) -> list[tuple[str, str, int]]:
        """(listener, address, port) of everything that is bound, in order."""
        return sorted((bound.name, bound.address, bound.port) for bound in self._bound.values())

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Ports that cannot be served."""
        return self._conflicts + tuple(_failure(self._wanted[key], error) for key, error in self._failed.items())

    def _key(self, listener: Listener) -> Key:
        name = listener.name if self._settings.ephemeral or not listener.port else ""
        return (listener.address, listener.port, name, _kind(listener))

    def _take(self, key: Key, listener: Listener) -> None:
        bound = self._bound.get(key) or self._revive(key)
        if bound is not None:
            bound.name = listener.name
            return
        kind = key[3]
        dual_stack = not any((other[1], other[3]) == (key[1], kind) and ":" not in other[0] for other in self._wanted)
        port = 0 if self._settings.ephemeral else listener.port
        try:
            backlog = self._settings.backlog if kind == "tcp" else None
            sockets = bind(listener.address, port, self._slots, backlog, dual_stack=dual_stack)
        except OSError as error:
            self._failed[key] = error
            return
        self._failed.pop(key, None)
        port = sockets[0].getsockname()[1]
        self._bound[key] = Bound(next(self._tokens), listener.name, listener.address, port, kind, sockets)

    def _retire(self, key: Key, now: float) -> None:
        bound = self._bound.pop(key)
        bound.retired_at = now
        bound.refuse_new()
        self._retiring.append((key, bound))

    def _revive(self, key: Key) -> Bound | None:
        for index, (candidate, bound) in enumerate(self._retiring):
            if candidate == key:
                del self._retiring[index]
                bound.take_new()
                bound.retired_at = None
                self._bound[key] = bound
                return bound
        return None


def _kind(listener: Listener) -> Kind:
    if listener.protocol != "udp":
        return "tcp"
    return "quic" if listener.http3 else "udp"


def bind(address: str, port: int, count: int, backlog: int | None, *, dual_stack: bool = True) -> list[socket.socket]:
    """``count`` sockets that share one port: listening ones, or UDP ones without a ``backlog``. Raises
    :class:`OSError`; then nothing stays open.

    A first bind without SO_REUSEPORT finds out whether somebody else has the port: another process of the same user
    would otherwise silently take a share of the connections.
    """
    with ExitStack() as cleanup:
        kind = socket.SOCK_DGRAM if backlog is None else socket.SOCK_STREAM
        with _socket(address, kind, dual_stack=dual_stack) as probe:
            probe.bind((address, port))
        sockets: list[socket.socket] = []
        for _ in range(count):
            sock = cleanup.enter_context(_socket(address, kind, dual_stack=dual_stack))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((address, port))
            port = sock.getsockname()[1]
            sockets.append(sock)
        if backlog is not None:
            for sock in sockets:
                sock.listen(backlog)
        cleanup.pop_all()
        return sockets


def _socket(address: str, kind: socket.SocketKind, *, dual_stack: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    if kind == socket.SOCK_STREAM:
        # Connections of the process before may still be closing. A UDP port could be shared by this option.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UDP_BUFFER)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::" or not dual_stack))
    return sock


def _origin(listener: Listener) -> Origin:
    origin = listener.origin
    return Origin(origin.kind, origin.namespace, origin.name, origin.path)


def _failure(listener: Listener, error: OSError) -> Diagnostic:
    port = f"UDP port {listener.port}" if listener.protocol == "udp" else f"port {listener.port}"
    message = f"cannot listen on {listener.address} {port}: {os.strerror(error.errno or 0)}"
    return Diagnostic(
        "error", "port-unavailable", message, _origin(listener), "spec.port", _HINTS.get(error.errno or 0, "")
    )


def _conflict(listener: Listener, first: Listener) -> Diagnostic:
    message = f"{listener.address} port {listener.port} is already used by listener {first.name}"
    return Diagnostic("error", "port-conflict", message, _origin(listener), "spec.port", "give it another port")
