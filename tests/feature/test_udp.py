"""UDP routes from outside, with workers as processes: sessions through changes and through the end of a worker."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway import ir
from gateway.plane.supervisor import Supervisor
from gateway.settings import ListenSettings, Settings, WorkerSettings
from tests.support.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.native

WORKERS = 2
SETTINGS = Settings(listen=ListenSettings(ephemeral=True), workers=WorkerSettings(count=WORKERS))
ORIGIN = ir.Origin("UDPRoute", "default", "dns")


class Service:
    """Answers each datagram with the address it came from."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(65536)
            if data == b"end":
                self._socket.close()
                return
            self._socket.sendto(b"%d" % peer[1], peer)

    def end(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"end", (LOOPBACK, self.port))


@contextmanager
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.end()


def configuration(*services: Service, idle_timeout_ms: int | None = None) -> ir.Gateway:
    endpoints = tuple(ir.Endpoint(LOOPBACK, one.port) for one in services)
    choices = (ir.TcpChoice(100.0, "dns", ORIGIN),)
    listener = ir.Listener(
        name="udp",
        origin=ORIGIN,
        address=LOOPBACK,
        port=5353,
        tls=False,
        security="insecure",
        virtual_hosts=(),
        protocol="udp",
        udp_route=ir.UdpRoute("dns", ORIGIN, choices, idle_timeout_ms),
    )
    return ir.Gateway(listeners=(listener,), clusters=(ir.Cluster("dns", ORIGIN, endpoints),))


class Plane:
    """A running supervisor."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.supervisor = Supervisor(SETTINGS, self._event.set)

    async def publish(self, gateway: ir.Gateway) -> None:
        self.supervisor.publish(ir.encode(gateway), gateway.listeners)
        await self.until(lambda: self.supervisor.ready and self.supervisor.workers_current == WORKERS)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._event.clear()
                # Counters change without an event.
                await asyncio.wait({asyncio.ensure_future(self._event.wait())}, timeout=0.01)

    def count(self, name: str) -> int:
        return int((self.supervisor.counters() or {})[name])


@asynccontextmanager
async def running(gateway: ir.Gateway) -> AsyncIterator[Plane]:
    plane = Plane()
    plane.supervisor.start()
    try:
        await plane.publish(gateway)
        yield plane
    finally:
        await plane.supervisor.close()


def client(stack: ExitStack, plane: Plane) -> socket.socket:
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.connect((LOOPBACK, plane.supervisor.sockets.ports()["udp"]))
    sock.settimeout(0.5)
    return sock


def ask(sock: socket.socket) -> bytes:
    """As a resolver does: ask again when no answer comes."""
    for _ in range(40):
        sock.send(b"?")
        try:
            return sock.recv(100)
        except (TimeoutError, ConnectionRefusedError):
            continue
    raise AssertionError("no answer")


async def ask_all(clients: list[socket.socket]) -> list[bytes]:
    return [await asyncio.to_thread(ask, sock) for sock in clients]


async def test_sessions_live_through_changes() -> None:
    with service() as one, service() as two, ExitStack() as stack:
        async with running(configuration(one)) as plane:
            clients = [client(stack, plane) for _ in range(20)]
            before = await ask_all(clients)
            assert len(set(before)) == 20, "each client has a session of its own"
            await plane.publish(configuration(one, two, idle_timeout_ms=30_000))
            assert await ask_all(clients) == before
            assert plane.count("udp_sessions") == 20
            await plane.publish(configuration(two))
            after = await ask_all(clients)
            assert set(after).isdisjoint(before)
            assert plane.count("udp_sessions") == 40


async def test_a_new_worker_serves_the_clients_of_the_old_one() -> None:
    with service() as one, ExitStack() as stack:
        async with running(configuration(one)) as plane:
            clients = [client(stack, plane) for _ in range(20)]
            before = await ask_all(clients)
            killed, kept = plane.supervisor.pids
            os.kill(killed, signal.SIGKILL)
            await plane.until(lambda: killed not in plane.supervisor.pids and len(plane.supervisor.pids) == WORKERS)
            after = await ask_all(clients)
            same = sum(old == new for old, new in zip(before, after, strict=True))
            assert 0 < same < 20, "only the sessions of the old worker began again"
            assert kept in plane.supervisor.pids
            assert plane.count("active") == 20


async def test_a_port_goes_when_its_listener_does() -> None:
    with service() as one, ExitStack() as stack:
        gateway = configuration(one)
        async with running(gateway) as plane:
            sock = client(stack, plane)
            await ask_all([sock])
            await plane.publish(replace(gateway, listeners=()))
            await plane.until(lambda: not plane.supervisor.sockets.busy and plane.count("active") == 0)

            def refused() -> bool:
                try:
                    sock.send(b"?")
                    sock.recv(100)
                except ConnectionRefusedError:
                    return True
                except TimeoutError:
                    pass
                return False

            assert await asyncio.to_thread(lambda: any(refused() for _ in range(20)))
