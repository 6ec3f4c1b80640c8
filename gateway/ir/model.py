"""The neutral intermediate representation: what the edge shall do, without any dialect.

Every object is a frozen, slotted dataclass that serialises by ``orjson`` to the wire form that the native
compiler reads (``_native/snapshot``); field names are the same on both sides. Durations are milliseconds unless the
name says otherwise, sizes are bytes, weights are percent. ``None`` means "use the default of the layer above".
The parts are in the modules beside this one, by topic; all names are importable from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.ir.actions import (
    Choice,
    DirectResponse,
    Forward,
    HashSource,
    HeaderEdits,
    HeaderValue,
    PathRewrite,
    Redirect,
    RetryPolicy,
)
from gateway.ir.clusters import Balancer, CircuitBreaker, Cluster, DnsTarget, Endpoint, TcpKeepalive, UpstreamTls
from gateway.ir.health import GrpcCheck, HealthCheck, HttpCheck, OutlierDetection, StatusRange
from gateway.ir.listeners import Certificate, Listener, TcpChoice, TcpRoute, TlsTermination, UdpRoute
from gateway.ir.matching import NamedMatch, Origin, PathMatch, RouteMatch, StringMatch
from gateway.ir.options import Compression, IpRule, IpRules, Options
from gateway.ir.routes import (
    BandwidthLimit,
    Cors,
    ErrorOverride,
    Fault,
    LimitKey,
    Route,
    RouteLimit,
    Shadow,
    VirtualHost,
)
from gateway.ir.services import (
    AccessLogService,
    ExternalAuthorization,
    LoggedHeader,
    RateLimitClient,
    RequestBody,
    Services,
    SpanTag,
    Tracing,
)

__all__ = [
    "AccessLogService",
    "Balancer",
    "BandwidthLimit",
    "Certificate",
    "Choice",
    "CircuitBreaker",
    "Cluster",
    "Compression",
    "Cors",
    "DirectResponse",
    "DnsTarget",
    "Endpoint",
    "ErrorOverride",
    "ExternalAuthorization",
    "Fault",
    "Forward",
    "Gateway",
    "GrpcCheck",
    "HashSource",
    "HeaderEdits",
    "HeaderValue",
    "HealthCheck",
    "HttpCheck",
    "IpRule",
    "IpRules",
    "LimitKey",
    "Listener",
    "LoggedHeader",
    "NamedMatch",
    "Options",
    "Origin",
    "OutlierDetection",
    "PathMatch",
    "PathRewrite",
    "RateLimitClient",
    "Redirect",
    "RequestBody",
    "RetryPolicy",
    "Route",
    "RouteLimit",
    "RouteMatch",
    "Services",
    "Shadow",
    "SpanTag",
    "StatusRange",
    "StringMatch",
    "TcpChoice",
    "TcpKeepalive",
    "TcpRoute",
    "TlsTermination",
    "Tracing",
    "UdpRoute",
    "UpstreamTls",
    "VirtualHost",
]


@dataclass(frozen=True, slots=True)
class Gateway:
    """The whole configuration; every tuple is ordered by name, so equal inputs give equal bytes."""

    options: Options = field(default_factory=Options)
    listeners: tuple[Listener, ...] = ()
    virtual_hosts: tuple[VirtualHost, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    services: Services = field(default_factory=Services)
    """Not part of what workers are sent yet: see :class:`~gateway.ir.services.Services`."""
