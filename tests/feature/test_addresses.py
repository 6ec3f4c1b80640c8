"""Which client addresses are served: ``ip_allow`` and ``ip_deny`` of the Module, before any route is looked at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support import manifests as m
from tests.support.backend import Backend
from tests.support.gatewayproc import GatewayProcess, Ports
from tests.support.h2client import h2_ask
from tests.support.ports import LOOPBACK
from tests.support.rawclient import ask, request
from tests.support.replies import plain
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.native


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend(plain(200, b"hello")) as running:
        yield running


def objects(ports: Ports, upstream: int, **config: object) -> list[m.Object]:
    log = {"envoy_log_type": "json", "envoy_log_format": {"flags": "%RESPONSE_FLAGS%", "status": "%RESPONSE_CODE%"}}
    return [
        m.listener("http", ports.http),
        m.listener("proxied", ports.extra[0], "HTTPPROXY"),
        m.listener("behind", ports.extra[1], l7Depth=1),
        m.host("any"),
        m.mapping("all", "/all", f"{LOOPBACK}:{upstream}"),
        m.module(**log, **config),
    ]


def forwarded(address: str, target: str = "/all") -> bytes:
    return request("GET", target, ("X-Forwarded-For", address))


def proxied(address: str) -> bytes:
    return f"PROXY TCP4 {address} {LOOPBACK} 4711 80\r\n".encode() + request("GET", "/all")


def test_denied_addresses_are_those_of_the_trusted_client(backend: Backend, tmp_path: Path) -> None:
    ports = Ports(extra=2)
    rules = [{"remote": "192.0.2.0/24"}, {"peer": "198.51.100.0/24"}]
    with GatewayProcess(tmp_path, ports, objects(ports, backend.port, ip_deny=rules)) as gateway:
        direct, with_proxy, behind = ports.http, *ports.extra
        assert ask(direct, request("GET", "/all")).status == 200
        assert ask(direct, forwarded("192.0.2.7")).status == 200, "an address that anybody can write counts for nothing"
        assert ask(behind, forwarded("192.0.2.7")).status == 403
        assert ask(behind, forwarded("192.0.2.7", "/no-route")).status == 403, "before routes are looked at"
        assert ask(behind, forwarded("192.0.3.7")).status == 200
        assert ask(with_proxy, proxied("192.0.2.7")).status == 403
        # A peer is the other end of the connection: no header and no PROXY line makes one.
        assert ask(with_proxy, proxied("198.51.100.7")).status == 200
        assert ask(behind, forwarded("198.51.100.7")).status == 200
        denied = h2_ask(behind, "GET", "/all", ("x-forwarded-for", "192.0.2.7"))
        assert (denied.status, denied.body) == (403, b"access denied\n")
        assert h2_ask(behind, "GET", "/all", ("x-forwarded-for", "192.0.3.7")).status == 200
        assert gateway.metric("sluice_address_denied_total") == 4
        entry = json.dumps({"flags": "RBAC", "status": 403}, separators=(",", ":"))
        until(lambda: gateway.log().count(entry) == 4, "the log lines")


def test_only_allowed_addresses_are_served(backend: Backend, tmp_path: Path) -> None:
    ports = Ports(extra=2)
    rules = [{"remote": "192.0.2.0/24"}, {"remote": "2001:db8::/32"}]
    with GatewayProcess(tmp_path, ports, objects(ports, backend.port, ip_allow=rules)) as gateway:
        direct, _, behind = ports.http, *ports.extra
        assert ask(direct, request("GET", "/all")).status == 403
        assert ask(behind, forwarded("192.0.2.255")).status == 200
        assert ask(behind, forwarded("2001:db8::1")).status == 200
        assert ask(behind, forwarded("192.0.1.255")).status == 403
        # The peer is allowed, whoever it speaks for.
        gateway.configure(*objects(ports, backend.port, ip_allow=[{"peer": f"{LOOPBACK}/32"}]))
        until(lambda: ask(direct, request("GET", "/all")).status == 200, "the new rule")
        assert ask(behind, forwarded("192.0.1.255")).status == 200


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({"ip_deny": [{"remote": "not-an-address"}]}, id="unreadable-range"),
        pytest.param({"ip_deny": "192.0.2.1"}, id="wrong-type"),
        pytest.param({"ip_allow": [{"peer": LOOPBACK}], "ip_deny": [{"peer": "192.0.2.1"}]}, id="both"),
    ],
)
def test_rules_that_cannot_be_read_serve_nobody(backend: Backend, tmp_path: Path, rules: dict[str, object]) -> None:
    ports = Ports(extra=2)
    with GatewayProcess(tmp_path, ports, objects(ports, backend.port, **rules)):
        assert ask(ports.http, request("GET", "/all")).status == 403
        assert backend.requests == []
