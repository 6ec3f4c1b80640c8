"""Upstreams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ir.matching import Origin


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and port. ``weight`` is relative inside the cluster."""

    address: str
    port: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class DnsTarget:
    """A name that the worker resolves (A and AAAA as enabled) and keeps fresh."""

    host: str
    port: int
    ipv4: bool = True
    ipv6: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """TLS towards an upstream. ``verify`` uses ``ca`` (PEM) or the system roots, against ``server_name``."""

    server_name: str
    verify: bool = True
    ca: str | None = None
    certificate: str | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"
    max_version: Literal["1.2", "1.3"] = "1.3"
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Endpoints that serve the same thing. Either ``endpoints`` or ``dns`` is used; no usable endpoint: 503."""

    name: str
    origin: Origin
    endpoints: tuple[Endpoint, ...] = ()
    dns: DnsTarget | None = None
    tls: UpstreamTls | None = None
    connect_timeout_ms: int = 3000
    idle_timeout_ms: int = 3_600_000
    max_connection_lifetime_ms: int | None = None
    stats_name: str = ""
