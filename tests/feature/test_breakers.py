"""Circuit breakers as the metrics show them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.ports import LOOPBACK
from tests.support.rawclient import RawClient, ask, request
from tests.support.replies import held, plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.native


def shown(gateway: GatewayProcess) -> dict[str, float]:
    """Samples of circuit breakers that are about requests, without the label of their only cluster."""
    found: dict[str, float] = {}
    for line in gateway.admin_page("/metrics").body.decode().splitlines():
        key, _, value = line.partition(" ")
        name, _, labels = key.partition("{")
        if name.startswith("sluice_upstream_circuit_breaker") and 'resource="requests"' in labels:
            found[name] = float(value)
    return found


def test_a_breaker_is_seen_to_open_to_decline_and_to_close(tmp_path: Path) -> None:
    release = threading.Event()
    ports = Ports()
    opened, declined = "sluice_upstream_circuit_breaker_open", "sluice_upstream_circuit_breaker_overflows_total"
    with Backend(held(release, plain(200, b"fine"))) as backend:
        limits = [{"priority": "default", "max_requests": 1}]
        objects = [
            m.listener("http", ports.http),
            m.host("any"),
            m.mapping("one", "/", f"{LOOPBACK}:{backend.port}", circuit_breakers=limits),
        ]
        with GatewayProcess(tmp_path, ports, objects, workers=2) as gateway, RawClient(ports.http) as first:
            first.send(request("GET", "/"))
            until(lambda: shown(gateway) == {opened: 1, declined: 0}, "an open breaker")
            assert ask(ports.http, request("GET", "/")).status == 503
            assert shown(gateway) == {opened: 1, declined: 1}
            release.set()
            assert first.response().status == 200
            until(lambda: shown(gateway) == {opened: 0, declined: 1}, "a closed breaker")
