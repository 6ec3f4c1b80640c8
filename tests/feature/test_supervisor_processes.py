"""Workers as real processes: replaced when they crash, without losing connections that wait."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests
from tests.support.backend import Backend
from tests.support.gatewayproc import READY, GatewayProcess, Ports
from tests.support.rawclient import RawClient, ask, request
from tests.support.replies import plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.native
CLOSE = ("Connection", "close")


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend(plain(200, b"hello")) as running:
        yield running


@pytest.fixture
def ports() -> Ports:
    return Ports(extra=1)


def objects(ports: Ports, backend: Backend) -> list[manifests.Object]:
    return [
        manifests.listener("web", ports.http, security="INSECURE"),
        manifests.mapping("all", "/", f"127.0.0.1:{backend.port}"),
    ]


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def metric(gateway: GatewayProcess, name: str) -> float:
    lines = gateway.admin_page("/metrics").body.decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " "))


def test_a_killed_worker_is_replaced_and_queued_connections_are_served(
    tmp_path: Path, ports: Ports, backend: Backend
) -> None:
    with GatewayProcess(tmp_path, ports, objects(ports, backend)) as gateway:
        (first,) = gateway.children()
        os.kill(first, signal.SIGSTOP)  # What connects now waits in the accept queue.
        waiting = [RawClient(ports.http, timeout=20.0) for _ in range(20)]
        for client in waiting:
            client.send(request("GET", "/", CLOSE))
        gateway.kill_child(first)
        for client in waiting:
            with client:
                assert client.response().status == 200
        (second,) = gateway.children()
        assert second != first
        until(lambda: metric(gateway, "sluice_worker_restarts_total") == 1, "the replacement is counted")


@pytest.mark.slow
def test_siblings_serve_the_queue_of_a_crash_loop(tmp_path: Path, ports: Ports, backend: Backend) -> None:
    with GatewayProcess(tmp_path, ports, objects(ports, backend), workers=2) as gateway:
        steady = gateway.children()[0]

        def crash_until_it_waits_long() -> bool:
            for pid in gateway.children():
                if pid != steady:
                    gateway.kill_child(pid)
            return re.search(r"next one in [3-9]\.", gateway.log()) is not None

        until(crash_until_it_waits_long, "a wait of some seconds", deadline=40.0)
        for _ in range(40):
            with RawClient(ports.http, timeout=2.0) as client:
                assert client.ask(request("GET", "/", CLOSE)).status == 200
        assert gateway.children() == [steady], "all of that happened during the wait"
        assert gateway.admin(READY) == 200


def test_memory_of_idle_processes(tmp_path: Path, ports: Ports, backend: Backend) -> None:
    with GatewayProcess(tmp_path, ports, objects(ports, backend), workers=2) as gateway:
        assert ask(ports.http, request("GET", "/", CLOSE)).status == 200
        assert gateway.admin("/metrics") == 200
        for pid in gateway.children():
            assert resident(pid) <= 35 * 1024 * 1024
        assert resident(gateway.pid) <= 60 * 1024 * 1024


def test_workers_end_when_their_master_is_killed(tmp_path: Path, ports: Ports, backend: Backend) -> None:
    gateway = GatewayProcess(tmp_path, ports, objects(ports, backend), workers=2)
    workers = gateway.children()
    gateway.process.kill()
    gateway.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers are gone")


def test_a_listener_can_move_to_another_port(tmp_path: Path, ports: Ports, backend: Backend) -> None:
    (other,) = ports.extra
    with GatewayProcess(tmp_path, ports, objects(ports, backend), workers=2) as gateway:
        _, route = objects(ports, backend)
        gateway.configure(manifests.listener("web", other, security="INSECURE"), route)

        def served(port: int) -> bool:
            with contextlib.suppress(OSError):
                return ask(port, request("GET", "/", CLOSE)).status == 200
            return False

        until(lambda: served(other), "the new port serves")
        until(lambda: not served(ports.http), "the old port is closed")
        assert [served(other) for _ in range(20)] == [True] * 20


def test_a_taken_port_is_reported_and_served_once_it_is_free(tmp_path: Path, ports: Ports, backend: Backend) -> None:
    import socket

    (other,) = ports.extra
    with socket.create_server(("127.0.0.1", other)) as taken:
        both = [*objects(ports, backend), manifests.listener("second", other, security="INSECURE")]
        with GatewayProcess(tmp_path, ports, both) as gateway:
            assert ask(ports.http, request("GET", "/", CLOSE)).status == 200
            assert b"port-unavailable" in gateway.admin_page("/ambassador/v0/diag/").body
            taken.close()
            until(lambda: b"port-unavailable" not in gateway.admin_page("/ambassador/v0/diag/").body, "retried")
            assert ask(other, request("GET", "/", CLOSE)).status == 200
