"""Upstreams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ir.health import HealthCheck, OutlierDetection
    from gateway.ir.matching import Origin


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and port. ``weight`` is relative inside the cluster.

    ``zone`` is that of the EndpointSlice, empty when unknown. An endpoint that is ``terminating`` (shutting down, still
    serving) is used only when no endpoint of the cluster is ``ready``, as kube-proxy does (KEP-1669).
    """

    address: str
    port: int
    weight: int = 1
    zone: str = ""
    state: Literal["ready", "terminating"] = "ready"


@dataclass(frozen=True, slots=True)
class DnsTarget:
    """A name that the worker resolves (A and AAAA as enabled) and keeps fresh.

    ``respect_ttl``: asked again when the answer's TTL is over, instead of at a fixed pace (Emissary:
    ``respect_dns_ttl``). ``logical``: new connections go to the first address of the last answer, and open ones are
    kept when the answer changes (Envoy's LOGICAL_DNS); otherwise every address is an endpoint.
    """

    host: str
    port: int
    ipv4: bool = True
    ipv6: bool = False
    respect_ttl: bool = False
    logical: bool = False


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
class Balancer:
    """How an endpoint is chosen (Emissary: ``load_balancer``; the other fields are Envoy's, with its defaults).

    ``panic_threshold_percent``: with fewer healthy endpoints than this all of them are used. ``slow_start_ms``: time
    over which a new endpoint gets its full share, 0 for none. ``zone_aware``: endpoints of the own zone go first.
    """

    policy: Literal["round_robin", "least_request", "ring_hash", "maglev", "ewma"]
    panic_threshold_percent: int = 50
    slow_start_ms: int = 0
    zone_aware: bool = False


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Limits towards a cluster for requests of one priority, over all processes (Emissary: ``circuit_breakers``).

    Defaults are Envoy's. What is above ``max_pending_requests`` or ``max_requests`` is answered 503 at once;
    ``max_retries`` counts retries in flight at the same time.
    """

    priority: Literal["default", "high"] = "default"
    max_connections: int = 1024
    max_pending_requests: int = 1024
    max_requests: int = 1024
    max_retries: int = 3


@dataclass(frozen=True, slots=True)
class TcpKeepalive:
    """Keep-alive probes on upstream connections (Emissary: ``keepalive``). ``None`` is the system's own value.

    ``idle_s``: silence before the first probe. ``interval_s``: time between probes. ``probes``: how many may stay
    unanswered. The first two are seconds, as in tcp(7).
    """

    idle_s: int | None = None
    interval_s: int | None = None
    probes: int | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Endpoints that serve the same thing. Either ``endpoints`` or ``dns`` is used; no usable endpoint: 503.

    ``protocol``: ``http2`` is spoken by prior knowledge, and with TLS by ALPN ``h2``. ``breakers`` has at most one
    entry per priority. All ``health_checks`` must hold.
    """

    name: str
    origin: Origin
    endpoints: tuple[Endpoint, ...] = ()
    dns: DnsTarget | None = None
    tls: UpstreamTls | None = None
    connect_timeout_ms: int = 3000
    idle_timeout_ms: int = 3_600_000
    max_connection_lifetime_ms: int | None = None
    stats_name: str = ""
    protocol: Literal["http1", "http2"] = "http1"
    balancer: Balancer | None = None
    breakers: tuple[CircuitBreaker, ...] = ()
    health_checks: tuple[HealthCheck, ...] = ()
    outlier: OutlierDetection | None = None
    tcp_keepalive: TcpKeepalive | None = None
