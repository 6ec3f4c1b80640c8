"""The end of a process: readiness first, running requests to their end, then exit."""

from __future__ import annotations

import re
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests
from tests.support.backend import Backend
from tests.support.gatewayproc import READY, GatewayProcess, Ports
from tests.support.rawclient import RawClient, ask, request
from tests.support.replies import held, plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.native


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets the held answers go."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def backend(release: threading.Event) -> Iterator[Backend]:
    with Backend(plain(200, b"hello")) as running:
        running.on("/slow", held(release, plain(200, b"late")))
        yield running
        release.set()


@pytest.fixture
def ports() -> Ports:
    return Ports()


def start(folder: Path, ports: Ports, backend: Backend, *arguments: str) -> GatewayProcess:
    route = manifests.mapping("all", "/", f"127.0.0.1:{backend.port}", timeout_ms=60_000)
    listener = manifests.listener("web", ports.http, security="INSECURE")
    return GatewayProcess(folder, ports, [listener, route], workers=2, arguments=arguments)


def busy(gateway: GatewayProcess) -> bool:
    return b"sluice_requests_in_flight 1.0" in gateway.admin_page("/metrics").body


def ended(gateway: GatewayProcess) -> int:
    until(lambda: gateway.process.poll() is not None, "the gateway ends", deadline=20.0)
    return gateway.process.returncode


def test_running_requests_end_well_and_new_ones_are_refused(
    tmp_path: Path, ports: Ports, backend: Backend, release: threading.Event
) -> None:
    with start(tmp_path, ports, backend) as gateway, RawClient(ports.http) as client, RawClient(ports.http) as idle:
        assert idle.ask(request("GET", "/")).status == 200
        client.send(request("GET", "/slow"))
        until(lambda: busy(gateway), "the request runs")
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: gateway.admin(READY) == 503, "readiness fails")
        until(idle.ended, "the idle connection is closed")

        def refused() -> bool:
            try:
                ask(ports.http, request("GET", "/", ("Connection", "close")))
            except ConnectionRefusedError:
                return True
            except OSError:
                return False
            return False

        until(refused, "new connections are refused")
        assert gateway.process.poll() is None
        release.set()
        answer = client.response()
        assert (answer.status, answer.body) == (200, b"late")
        assert answer.announces_close
        assert ended(gateway) == 0
        assert re.search(r"drained in \d+\.\d s, no connection was cut", gateway.log())


def test_the_grace_keeps_accepting_while_not_ready(tmp_path: Path, ports: Ports, backend: Backend) -> None:
    gateway = start(tmp_path, ports, backend, "--drain-grace", "600")
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: gateway.admin(READY) == 503, "readiness fails")
    assert ask(ports.http, request("GET", "/", ("Connection", "close"))).status == 200
    gateway.process.send_signal(signal.SIGTERM)
    assert ended(gateway) == 128 + signal.SIGTERM


def test_a_connection_in_use_ends_with_an_answer_and_not_between_two(
    tmp_path: Path, ports: Ports, backend: Backend
) -> None:
    with start(tmp_path, ports, backend, "--drain-grace", "4") as gateway, RawClient(ports.http) as client:
        assert not client.ask(request("GET", "/")).announces_close
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: gateway.admin(READY) == 503, "readiness fails")
        # An end without an answer raises.
        until(lambda: client.ask(request("GET", "/")).announces_close, "the last answer")
        assert client.ended()
        # The gateway itself is still there.
        assert ask(ports.http, request("GET", "/")).status == 200
        assert ended(gateway) == 0


def test_a_second_signal_ends_at_once(tmp_path: Path, ports: Ports, backend: Backend) -> None:
    gateway = start(tmp_path, ports, backend, "--drain-timeout", "600")
    with RawClient(ports.http) as client:
        client.send(request("GET", "/slow"))
        until(lambda: busy(gateway), "the request runs")
        gateway.process.send_signal(signal.SIGINT)
        until(lambda: gateway.admin(READY) == 503, "readiness fails")
        gateway.process.send_signal(signal.SIGINT)
        assert ended(gateway) == 128 + signal.SIGINT
        assert "1 connection was cut" in gateway.log()


def test_the_timeout_ends_a_drain(tmp_path: Path, ports: Ports, backend: Backend) -> None:
    with start(tmp_path, ports, backend, "--drain-timeout", "0.5") as gateway, RawClient(ports.http) as client:
        client.send(request("GET", "/slow"))
        until(lambda: busy(gateway), "the request runs")
        gateway.process.send_signal(signal.SIGTERM)
        assert ended(gateway) == 0
        assert "1 connection was cut" in gateway.log()
