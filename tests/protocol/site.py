"""The configuration that most protocol tests share, and the running gateway behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support import manifests as m
from tests.support.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from tests.support.backend import Backend
    from tests.support.gatewayproc import GatewayProcess, Ports

SITE = "site.example"
ABSENT = "absent.example"
TIMEOUT_MS = 400


@dataclass(frozen=True, slots=True)
class Edge:
    """A running gateway and the upstream that records what it lets through."""

    gateway: GatewayProcess
    backend: Backend

    @property
    def port(self) -> int:
        """Cleartext, no trusted hop."""
        return self.gateway.ports.http

    def port_with_hops(self, hops: int) -> int:
        """Cleartext with this many trusted proxies in front."""
        return [self.gateway.ports.http, *self.gateway.ports.extra][hops]


def listeners(ports: Ports) -> list[m.Object]:
    return [
        m.listener("http", ports.http),
        *(m.listener(f"hops-{hops}", port, l7Depth=hops) for hops, port in enumerate(ports.extra, 1)),
    ]


def routes(upstream: int) -> list[m.Object]:
    """Every route has a response header ``X-Route`` with its name, so that the decision is visible."""
    target = f"{LOOPBACK}:{upstream}"
    dead = f"{LOOPBACK}:{free_port()}"

    def mapping(name: str, prefix: str, service: str = target, hostname: str = SITE, **spec: object) -> m.Object:
        return m.mapping(name, prefix, service, hostname, **{"add_response_headers": {"X-Route": name}, **spec})

    return [
        mapping("all", "/"),
        mapping("admin", "/admin"),
        mapping("stripped", "/api", rewrite="/"),
        mapping("renamed", "/old/", rewrite="/new/"),
        mapping("dead", "/dead", dead),
        mapping("impatient", "/impatient", timeout_ms=TIMEOUT_MS),
        mapping("patient", "/patient", timeout_ms=0),
        mapping("socket", "/socket", allow_upgrade=["websocket"]),
        mapping("edited", "/edited", add_request_headers={"X-Auth-User": "gateway"}, remove_request_headers=["X-Gone"]),
        mapping("short", "/tie"),
        mapping("long", "/tie/break"),
        mapping("exact", "/tie/exact", prefix_exact=True),
        mapping("headed", "/tie", headers={"X-Variant": "b"}),
        mapping("first", "/tie/break/first", precedence=10, prefix_regex=True),
        mapping("evil", "/evil/(a+)+b", prefix_regex=True),
        mapping("named", "/", hostname="named.example"),
        mapping("wild", "/", hostname="*.wild.example"),
    ]


def site(ports: Ports, upstream: int, **module: object) -> list[m.Object]:
    objects = [*listeners(ports), m.host("any"), *routes(upstream)]
    return [*objects, m.module(**module)] if module else objects
