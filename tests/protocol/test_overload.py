"""Too many connections, too little memory, no more descriptors (behaviour rows 51 to 53)."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.app import Gateway
from gateway.settings import AdminSettings, ListenSettings, OverloadSettings, Settings, WorkerSettings
from tests.support import manifests as m
from tests.support.certs import Authority
from tests.support.gatewayproc import READY, GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, request
from tests.support.waiting import until
from tests.support.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.backend import Backend
    from tests.support.messages import Response

MIB = 1 << 20


def plain_site(ports: Ports, upstream: Backend) -> list[m.Object]:
    return [
        m.listener("http", ports.http),
        m.host("any"),
        m.mapping("all", "/", f"{LOOPBACK}:{upstream.port}"),
    ]


def served(port: int) -> RawClient | None:
    """A connection that answers, ``None`` for one that is refused."""
    try:
        client = RawClient(port)
    except ConnectionResetError:
        return None
    try:
        assert client.ask(request()).status == 200
    except (WireError, ConnectionError):
        client.sock.close()
        return None
    return client


def refused(gateway: GatewayProcess, limit: str) -> float:
    return gateway.metric(f'sluice_connections_refused_total{{limit="{limit}"}}')


def test_connections_of_a_listener(upstream: Backend, tmp_path: Path) -> None:
    """Workers share the limit; the admin port has none."""
    ports = Ports()
    arguments = ["--max-connections", "12"]
    with (
        GatewayProcess(tmp_path, ports, plain_site(ports, upstream), workers=2, arguments=arguments) as gateway,
        ExitStack() as cleanup,
    ):
        clients = [client for _ in range(12) if (client := served(ports.http)) is not None]
        for client in clients:
            cleanup.enter_context(client)
        assert len(clients) == 12
        assert [served(ports.http) for _ in range(5)] == [None] * 5
        assert refused(gateway, "listener") == 5
        assert gateway.metric("sluice_connections_active") == 12
        assert gateway.admin(READY) == 200
        clients[0].sock.close()
        until(lambda: gateway.metric("sluice_connections_active") == 11, "a place to be free")
        again = served(ports.http)
        assert again is not None
        cleanup.enter_context(again)
        assert all(client.ask(request()).status == 200 for client in clients[1:])


def test_a_worker_that_dies_frees_its_places(upstream: Backend, tmp_path: Path) -> None:
    ports = Ports()
    arguments = ["--max-connections", "6", "--max-connections-per-address", "6"]
    with (
        GatewayProcess(tmp_path, ports, plain_site(ports, upstream), workers=2, arguments=arguments) as gateway,
        ExitStack() as cleanup,
    ):
        for _ in range(6):
            client = served(ports.http)
            assert client is not None
            cleanup.enter_context(client)
        for pid in gateway.children():
            gateway.kill_child(pid)
        until(lambda: gateway.metric("sluice_connections_active") == 0, "the places of dead workers to be free")
        until(lambda: gateway.admin(READY) == 200, "new workers")
        again = [served(ports.http) for _ in range(7)]
        for client in again:
            if client is not None:
                cleanup.enter_context(client)
        assert [client is not None for client in again] == [True] * 6 + [False]


def test_connections_of_an_address(upstream: Backend, tmp_path: Path) -> None:
    """A client that only opens connections cannot take the places of others, over TLS and without a word either."""
    ports = Ports()
    leaf = Authority().issue("site.example")
    objects = [
        *plain_site(ports, upstream),
        m.listener("https", ports.https, "HTTPS"),
        m.tls_secret("cert", leaf.chain, leaf.key),
        m.host("named", "site.example", "Route", "cert"),
    ]
    arguments = ["--max-connections-per-address", "4"]
    with (
        GatewayProcess(tmp_path, ports, objects, workers=2, arguments=arguments) as gateway,
        ExitStack() as cleanup,
    ):
        silent = [cleanup.enter_context(RawClient(ports.https)) for _ in range(4)]
        until(lambda: gateway.metric("sluice_connections_active") == 4, "silent connections to count")
        assert served(ports.http) is None
        assert refused(gateway, "address") == 1
        other = socket.create_connection((LOOPBACK, ports.http), 10, source_address=("127.0.0.9", 0))
        cleanup.enter_context(other)
        other.sendall(request())
        assert other.recv(12) == b"HTTP/1.1 200"
        silent[0].sock.close()
        until(lambda: gateway.metric("sluice_connections_active") == 4, "a place to be free")
        client = served(ports.http)
        assert client is not None
        cleanup.enter_context(client)


def test_the_address_behind_a_proxy(upstream: Backend, tmp_path: Path) -> None:
    ports = Ports()
    objects = plain_site(ports, upstream)
    objects[0] = m.listener("http", ports.http, "HTTPPROXY")

    def through_proxy(address: str) -> RawClient:
        client = RawClient(ports.http)
        client.send(f"PROXY TCP4 {address} 127.0.0.1 4711 80\r\n".encode() + request())
        return client

    with (
        GatewayProcess(tmp_path, ports, objects, arguments=["--max-connections-per-address", "1"]) as gateway,
        ExitStack() as cleanup,
    ):
        for address in ("192.0.2.1", "192.0.2.2"):
            assert cleanup.enter_context(through_proxy(address)).response().status == 200
        assert cleanup.enter_context(through_proxy("192.0.2.1")).ended()
        assert refused(gateway, "address") == 1


def test_no_more_descriptors(upstream: Backend, tmp_path: Path) -> None:
    """The accept loop waits instead of burning the processor, and goes on when there are descriptors again."""
    ports = Ports()
    with (
        GatewayProcess(tmp_path, ports, plain_site(ports, upstream)) as gateway,
        ExitStack() as cleanup,
    ):
        (worker,) = gateway.children()
        usual = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        assert usual[0] == usual[1], "the gateway takes what the system gives"
        client = served(ports.http)
        assert client is not None
        cleanup.enter_context(client)
        opened = len(list(Path(f"/proc/{worker}/fd").iterdir()))
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (opened + 4, usual[1]))
        waiting = [cleanup.enter_context(RawClient(ports.http)) for _ in range(12)]
        until(lambda: gateway.metric("sluice_accept_failures_total") >= 3, "accepts to fail")
        assert client.ask(request()).status == 200, "connections that are there are served"
        before = gateway.metric("sluice_accept_failures_total"), cpu_seconds(worker)
        until(lambda: gateway.metric("sluice_accept_failures_total") >= before[0] + 10, "a second of failures", 30)
        # Ten pauses of 0.1 s each: a loop without a pause would have used the processor all the time.
        assert cpu_seconds(worker) - before[1] < 0.5
        resource.prlimit(worker, resource.RLIMIT_NOFILE, usual)
        assert [one.ask(request()).status for one in waiting] == [200] * 12
        assert gateway.children() == [worker]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class FakeGroup:
    """Files as the kernel shows them for a control group. A real one cannot be made on every machine, nor filled
    without harm to what else runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folders = [folder, folder / "memory"]
        self.folders[1].mkdir()
        self.write("memory.max", "memory.limit_in_bytes", f"{100 * MIB}\n")
        self.use(10)

    def use(self, mib: int, cache: int = 0) -> None:
        self.write(
            "memory.stat", "memory.stat", f"anon 1\ninactive_file {cache * MIB}\ntotal_inactive_file {cache * MIB}\n"
        )
        self.write("memory.current", "memory.usage_in_bytes", f"{(mib + cache) * MIB}\n")

    def write(self, new: str, old: str, text: str) -> None:
        for folder, name in zip(self.folders, (new, old), strict=True):
            (folder / (name + ".part")).write_text(text, "ascii")
            (folder / (name + ".part")).rename(folder / name)


@pytest.mark.parametrize("workers", [1, 2])
async def test_memory(upstream: Backend, tmp_path: Path, workers: int) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "manifests").mkdir()
    group = FakeGroup(tmp_path / "group")
    ports = Ports()
    m.write(tmp_path / "manifests", "main.yaml", *plain_site(ports, upstream))
    settings = Settings(
        paths=(str(tmp_path / "manifests"),),
        listen=ListenSettings(LOOPBACK, ports.http, ports.https),
        admin=AdminSettings(port=ports.admin),
        workers=WorkerSettings(count=workers),
        overload=OverloadSettings(interval=0.02, control_groups=str(tmp_path / "group")),
    )

    async def call(work: Callable[[], Response]) -> Response:
        return await asyncio.to_thread(work)

    async def level(wanted: int) -> None:
        async with asyncio.timeout(10):
            await gateway.until(lambda: gateway.facts().memory_pressure == wanted)

    async with Gateway(settings=settings) as gateway:
        with await asyncio.to_thread(RawClient, ports.http) as client:
            assert not (await call(lambda: client.ask(request()))).announces_close
            group.use(93, cache=5)
            await level(1)
            assert (await call(lambda: client.ask(request()))).announces_close
            assert client.ended()

        group.use(96)
        await level(2)
        answer = await call(lambda: ask(ports.http, request("POST", "/", body=b"x" * 1000), "POST"))
        assert (answer.status, answer.fields.one("retry-after"), answer.announces_close) == (503, "1", True)
        counters = gateway.counters()
        assert counters is not None
        assert counters["shed"] == 1

        group.use(50)
        await level(0)
        answer = await call(lambda: ask(ports.http, request()))
        assert (answer.status, answer.announces_close) == (200, False)
