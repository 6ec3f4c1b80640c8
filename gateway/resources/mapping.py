"""getambassador.io/v3alpha1 Mapping. Every field of the published CustomResourceDefinition is here.

``None`` means "not set": the default of the Module or of the gateway applies, which the translation decides.
Durations are milliseconds when the name ends in ``_ms`` and Go duration text otherwise.
"""

from collections.abc import Mapping as Map
from typing import Annotated, ClassVar, Literal

import msgspec

from gateway.resources.model import GETAMBASSADOR, CamelPart, Integer, Part, Resource
from gateway.resources.policy import (
    AddedHeader,
    CircuitBreaker,
    Cors,
    ErrorResponseOverride,
    HealthCheck,
    KeepAlive,
    LabelSpecifier,
    LoadBalancer,
    NotNegative,
    OutlierDetection,
    RegexRewrite,
    RetryPolicy,
)

FreeForm = Map[str, object]
"""An object that the CRD leaves open (``x-kubernetes-preserve-unknown-fields``)."""


class Docs(Part, frozen=True, kw_only=True, gc=False):
    """Where the API description of the service is found."""

    path: str = ""
    url: str = ""
    display_name: str = ""
    ignored: bool = False
    timeout_ms: NotNegative | None = None


class ExplicitTls(CamelPart, frozen=True, kw_only=True, gc=False):
    """Round-trip helper of the version conversion; it has no effect."""

    service_scheme: str | None = None
    tls: str = ""


class MappingSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of a Mapping."""

    ambassador_id: tuple[str, ...] = ()

    # What is matched.
    prefix: str
    prefix_exact: bool = False
    prefix_regex: bool = False
    case_sensitive: bool | None = None
    hostname: str = ""
    host: str = ""
    host_regex: bool = False
    method: str = ""
    method_regex: bool = False
    headers: Map[str, str] = {}
    regex_headers: Map[str, str] = {}
    query_parameters: Map[str, str] = {}
    regex_query_parameters: Map[str, str] = {}
    precedence: Integer = 0

    # Where it goes and what is rewritten.
    service: str
    resolver: str | None = None
    rewrite: str | None = None
    """``None``: the default of Emissary, which is ``/``. The empty string: no rewrite."""
    regex_rewrite: RegexRewrite | None = None
    host_rewrite: str | None = None
    auto_host_rewrite: bool | None = None
    host_redirect: bool = False
    path_redirect: str | None = None
    prefix_redirect: str | None = None
    regex_redirect: RegexRewrite | None = None
    redirect_response_code: Literal[301, 302, 303, 307, 308] | None = None
    shadow: bool = False
    weight: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    cluster_tag: str = ""
    stats_name: str = ""
    add_request_headers: Map[str, AddedHeader] = {}
    add_response_headers: Map[str, AddedHeader] = {}
    remove_request_headers: tuple[str, ...] = ()
    remove_response_headers: tuple[str, ...] = ()
    add_linkerd_headers: bool | None = None

    # Traffic policy.
    timeout_ms: NotNegative | None = None
    idle_timeout_ms: NotNegative | None = None
    connect_timeout_ms: NotNegative | None = None
    cluster_idle_timeout_ms: NotNegative | None = None
    cluster_max_connection_lifetime_ms: NotNegative | None = None
    retry_policy: RetryPolicy | None = None
    circuit_breakers: tuple[CircuitBreaker, ...] | None = None
    load_balancer: LoadBalancer | None = None
    health_checks: tuple[HealthCheck, ...] = ()
    keepalive: KeepAlive | None = None
    priority: str = ""
    outlier_detection: str | OutlierDetection = ""
    """An object of Envoy's fields, or its JSON text, because the CRD of Emissary takes only a string."""
    dns_type: str = ""
    respect_dns_ttl: bool | None = None
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None

    # Protocol, security, labels.
    grpc: bool = False
    tls: str = ""
    allow_upgrade: tuple[str, ...] = ()
    use_websocket: bool = False
    cors: Cors | None = None
    bypass_auth: bool = False
    auth_context_extensions: Map[str, str] = {}
    labels: Map[str, tuple[Map[str, tuple[LabelSpecifier, ...]], ...]] = {}
    """Domain to a list of one-entry groups: ``{"ambassador": ({"group": (specifier, …)}, …)}``."""
    error_response_overrides: tuple[ErrorResponseOverride, ...] = ()
    bypass_error_response_overrides: bool | None = None
    docs: Docs | None = None
    envoy_override: FreeForm | None = None
    modules: tuple[FreeForm, ...] = ()

    # Round-trip helpers of the version conversion; they have no effect.
    v2_explicit_tls: ExplicitTls | None = msgspec.field(default=None, name="v2ExplicitTLS")
    v2_bool_headers: tuple[str, ...] = msgspec.field(default=(), name="v2BoolHeaders")
    v2_bool_query_parameters: tuple[str, ...] = msgspec.field(default=(), name="v2BoolQueryParameters")


class Mapping(Resource, frozen=True, kw_only=True, weakref=True):
    """An HTTP route of the Ambassador dialect."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "Mapping"

    spec: MappingSpec
