"""Changes under load: no request fails, no connection is reset; a killed worker takes only its own requests along."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.protocol.traffic import Traffic, fresh, kept, tunnelled, upload
from tests.support import manifests as m
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, request
from tests.support.replies import tunnel
from tests.support.waiting import until
from tests.support.wire import WireError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.backend import Backend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CHANGES = 100
BURST = 50
CLIENTS = 24


def version(ports: Ports, upstream: int, number: int) -> list[m.Object]:
    """Configuration ``number``: a marker on every answer, a route that comes and goes, a port that comes and goes."""
    target = f"{LOOPBACK}:{upstream}"
    objects = [
        m.listener("http", ports.http),
        m.host("any"),
        m.mapping("all", "/", target, timeout_ms=0, add_response_headers={"X-Version": str(number)}),
        m.mapping("socket", "/socket", target, allow_upgrade=["websocket"], timeout_ms=0),
        m.mapping(f"route-{number}", f"/route-{number}", target),
    ]
    if number % 2:
        objects.append(m.listener("sometimes", ports.extra[0]))
    return objects


def until_live(port: int, number: int) -> None:
    """Wait until new connections are answered by configuration ``number``."""
    data = request("GET", "/version", ("Connection", "close"))
    until(lambda: ask(port, data).fields.get("x-version") == str(number), f"version {number}")


def test_changes_under_load(upstream: Backend, tmp_path: Path) -> None:
    """100 changes, each seen live before the next one, then 50 in one go."""
    upstream.reset()
    upstream.on("/socket", tunnel)
    ports = Ports(extra=1)
    with GatewayProcess(tmp_path, ports, version(ports, upstream.port, 0), workers=2) as gateway:
        workers = gateway.children()
        with Traffic(ports.http, kept, kept, kept, fresh, fresh, upload, upload, tunnelled) as traffic:
            for kind in ("kept", "fresh", "tunnelled"):
                traffic.progress(kind, 10)
            for number in range(1, CHANGES + 1):
                gateway.configure(*version(ports, upstream.port, number))
                until_live(ports.http, number)
            for number in range(CHANGES + 1, CHANGES + BURST + 1):
                gateway.configure(*version(ports, upstream.port, number))
            until_live(ports.http, CHANGES + BURST)
            for kind in ("kept", "fresh", "tunnelled", "upload"):
                traffic.progress(kind, 1)
        assert traffic.failures == []
        assert gateway.children() == workers
    assert upstream.faults() == []


@dataclass(slots=True)
class Loss:
    """What one client lost: requests without a complete answer, and connections that could not be made."""

    served: int = 0
    lost: int = 0
    unreachable: int = 0


def insist(port: int, stop: threading.Event, loss: Loss) -> None:
    """Ask on one connection; when it breaks, take the next one."""
    while not stop.is_set():
        try:
            client = RawClient(port)
        except OSError:
            loss.unreachable += 1
            return
        with client:
            try:
                while not stop.is_set():
                    if client.ask(request("GET", "/kept")).status != 200:
                        loss.lost += 1
                        break
                    loss.served += 1
            except (OSError, WireError):
                loss.lost += 1


def test_a_killed_worker_takes_only_its_own_requests_along(upstream: Backend, tmp_path: Path) -> None:
    upstream.reset()
    ports = Ports()
    objects = [m.listener("http", ports.http), m.host("any"), m.mapping("all", "/", f"{LOOPBACK}:{upstream.port}")]
    stop = threading.Event()
    losses = [Loss() for _ in range(CLIENTS)]
    threads = [threading.Thread(target=insist, args=(ports.http, stop, loss)) for loss in losses]
    with GatewayProcess(tmp_path, ports, objects, workers=2) as gateway:
        first, second = gateway.children()
        try:
            for thread in threads:
                thread.start()
            until(lambda: all(loss.served > 10 for loss in losses), "every client is served")
            gateway.kill_child(first)
            until(lambda: len(gateway.children()) == 2 and first not in gateway.children(), "a new worker")
            marks = [loss.served for loss in losses]
            until(lambda: all(loss.served > mark + 10 for loss, mark in zip(losses, marks, strict=True)), "all go on")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert second in gateway.children()
    assert [loss for loss in losses if loss.unreachable or loss.lost > 1] == []
    assert 0 < sum(loss.lost for loss in losses) < CLIENTS
