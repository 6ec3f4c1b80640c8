"""Services beside the traffic: who is asked about requests and who is told of them.

The data plane does not call them yet. They are compiled, shown (``sluice ir``) and kept out of what workers are sent,
until it does; routes that need an answer of theirs to be safe are refused instead (``gateway.translate.protection``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ir.actions import HeaderValue
    from gateway.ir.clusters import Cluster
    from gateway.ir.matching import Origin


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The part of a request body that an authorising service sees: ``max_bytes``, or with ``allow_partial`` the first
    ``max_bytes`` of a larger one, which is answered 413 otherwise."""

    max_bytes: int
    allow_partial: bool


@dataclass(frozen=True, slots=True)
class ExternalAuthorization:
    """A service that is asked before a request goes on (Envoy: ext_authz).

    ``clusters`` are balanced as one. ``protocol`` http: a request with the method and the path of the client's below
    ``path_prefix``; grpc: ``envoy.service.auth.v3.Authorization``. Of the client's headers only those of
    ``allowed_request_headers`` are sent to the service, of the service's those of ``allowed_authorization_headers`` go
    upstream; names are in lower case. ``add_headers`` are put on the question. When the service cannot be asked within
    ``timeout_ms``, the answer is ``status_on_error``, or the request passes (``failure_mode_allow``).
    """

    origin: Origin
    clusters: tuple[str, ...]
    protocol: Literal["http", "grpc"] = "http"
    path_prefix: str = ""
    timeout_ms: int = 5000
    allowed_request_headers: tuple[str, ...] = ()
    allowed_authorization_headers: tuple[str, ...] = ()
    add_headers: tuple[HeaderValue, ...] = ()
    linkerd_headers: bool = False
    body: RequestBody | None = None
    status_on_error: int = 403
    failure_mode_allow: bool = False


@dataclass(frozen=True, slots=True)
class RateLimitClient:
    """A limiter that is asked about the labels of ``domain`` (Envoy: ``envoy.service.ratelimit.v3``).

    Without its answer within ``timeout_ms`` a request passes, or is refused (``failure_mode_deny``).
    ``resource_exhausted``: gRPC clients are told RESOURCE_EXHAUSTED instead of UNAVAILABLE.
    """

    origin: Origin
    cluster: str
    domain: str
    timeout_ms: int = 20
    failure_mode_deny: bool = False
    resource_exhausted: bool = False


@dataclass(frozen=True, slots=True)
class SpanTag:
    """A tag of every span. ``value`` is the constant, or the name of the variable or the header; ``default`` is used
    where that is absent."""

    name: str
    source: Literal["literal", "environment", "request_header"]
    value: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where spans go. Percentages are those of Envoy's ``client_sampling``, ``random_sampling``, ``overall_sampling``.

    ``collector_…``, ``propagation_modes``, ``trace_id_128bit`` and ``shared_span_context`` are for the drivers that
    have them; ``None`` and empty text mean the driver's default.
    """

    origin: Origin
    cluster: str
    driver: Literal["zipkin", "datadog", "opentelemetry"]
    client_percent: int = 100
    random_percent: int = 100
    overall_percent: int = 100
    tags: tuple[SpanTag, ...] = ()
    service_name: str = ""
    collector_endpoint: str = ""
    collector_endpoint_version: str = ""
    collector_hostname: str = ""
    propagation_modes: tuple[str, ...] = ()
    trace_id_128bit: bool | None = None
    shared_span_context: bool | None = None


@dataclass(frozen=True, slots=True)
class LoggedHeader:
    """A header that is logged of requests, of answers, of trailers."""

    name: str
    request: bool = False
    response: bool = False
    trailer: bool = False


@dataclass(frozen=True, slots=True)
class AccessLogService:
    """Who receives the access log (``envoy.service.accesslog.v3``): of requests (http) or of connections (tcp).

    Entries are sent when they are ``flush_interval_ms`` old or ``flush_bytes`` together.
    """

    origin: Origin
    name: str
    cluster: str
    protocol: Literal["http", "tcp"]
    flush_interval_ms: int = 1000
    flush_bytes: int = 16_384
    headers: tuple[LoggedHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class Services:
    """All of them, and their clusters, which join those of the gateway when the data plane calls them."""

    authorization: ExternalAuthorization | None = None
    rate_limits: RateLimitClient | None = None
    tracing: Tracing | None = None
    access_logs: tuple[AccessLogService, ...] = ()
    clusters: tuple[Cluster, ...] = ()
