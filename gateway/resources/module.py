"""getambassador.io Module: gateway-wide settings under the name ``ambassador``.

The CRD leaves ``config`` open; the fields are the ones that Emissary's ``irambassador.py`` reads. ``None`` means "not
set". Durations are milliseconds, sizes bytes unless the name says otherwise.
"""

from collections.abc import Mapping as Map
from typing import ClassVar, Literal

from gateway.diagnostics import Origin
from gateway.resources.core import PortNumber
from gateway.resources.model import GETAMBASSADOR, Integer, Metadata, Part, Resource
from gateway.resources.policy import (
    AddedHeader,
    CircuitBreaker,
    Cors,
    ErrorResponseOverride,
    KeepAlive,
    LabelSpecifier,
    LoadBalancer,
    NotNegative,
    RetryPolicy,
)

FreeForm = Map[str, object]


MODULE_NAME = "ambassador"
"""Name of the only Module that is acted on."""


class Buffer(Part, frozen=True, kw_only=True, gc=False):
    """Request buffering."""

    max_request_bytes: NotNegative


class DiagnosticsSettings(Part, frozen=True, kw_only=True, gc=False):
    """Where the diagnostics pages are served."""

    enabled: bool | None = None
    allow_non_local: bool | None = None
    prefix: str = ""
    rewrite: str = ""
    service: str = ""


class Probe(Part, frozen=True, kw_only=True, gc=False):
    """A probe path on every host."""

    enabled: bool | None = None
    prefix: str = ""
    rewrite: str = ""
    service: str = ""


class GrpcStats(Part, frozen=True, kw_only=True, gc=False):
    """Statistics per gRPC method."""

    all_methods: bool | None = None
    services: tuple[FreeForm, ...] = ()
    upstream_stats: bool | None = None


class Gzip(Part, frozen=True, kw_only=True, gc=False):
    """Response compression."""

    memory_level: Integer | None = None
    min_content_length: Integer | None = None
    compression_level: str = ""
    compression_strategy: str = ""
    window_bits: Integer | None = None
    content_type: tuple[str, ...] = ()
    disable_on_etag_header: bool | None = None
    remove_accept_encoding_header: bool | None = None


class AddressRule(Part, frozen=True, kw_only=True, gc=False):
    """An address range (CIDR) of the connection (``peer``) or of the trusted client (``remote``); one is set."""

    peer: str | None = None
    remote: str | None = None


class ClientCertDetails(Part, frozen=True, kw_only=True, gc=False):
    """Parts of the client certificate that go into X-Forwarded-Client-Cert."""

    subject: bool | None = None
    cert: bool | None = None
    chain: bool | None = None
    dns: bool | None = None
    uri: bool | None = None


class MappingDefaults(Part, frozen=True, kw_only=True, gc=False):
    """Defaults for every Mapping, under ``defaults.httpmapping`` (older: directly under ``defaults``)."""

    add_request_headers: Map[str, AddedHeader] | None = None
    add_response_headers: Map[str, AddedHeader] | None = None
    remove_request_headers: tuple[str, ...] | None = None
    remove_response_headers: tuple[str, ...] | None = None
    auth_context_extensions: Map[str, str] | None = None
    bypass_auth: bool | None = None
    circuit_breakers: tuple[CircuitBreaker, ...] | None = None
    cors: Cors | None = None
    error_response_overrides: tuple[ErrorResponseOverride, ...] | None = None
    load_balancer: LoadBalancer | None = None
    retry_policy: RetryPolicy | None = None
    timeout_ms: NotNegative | None = None
    idle_timeout_ms: NotNegative | None = None
    connect_timeout_ms: NotNegative | None = None
    cluster_idle_timeout_ms: NotNegative | None = None
    cluster_max_connection_lifetime_ms: NotNegative | None = None
    allow_upgrade: tuple[str, ...] | None = None
    use_websocket: bool | None = None


class Defaults(MappingDefaults, frozen=True, kw_only=True, gc=False):
    """``defaults`` of the Module; ``httpmapping`` wins over the older place."""

    httpmapping: MappingDefaults | None = None


class LabelDefaults(Part, frozen=True, kw_only=True, gc=False):
    """Rate-limit labels that are put before those of every Mapping."""

    defaults: tuple[LabelSpecifier, ...] = ()


class ModuleConfig(Part, frozen=True, kw_only=True, gc=False):
    """``spec.config`` of the Module ``ambassador``."""

    add_linkerd_headers: bool | None = None
    admin_port: PortNumber | None = None
    allow_chunked_length: bool | None = None
    auth_enabled: bool | None = None
    buffer: Buffer | None = None
    buffer_limit_bytes: NotNegative | None = None
    circuit_breakers: tuple[CircuitBreaker, ...] | None = None
    cluster_idle_timeout_ms: NotNegative | None = None
    cluster_max_connection_lifetime_ms: NotNegative | None = None
    cluster_request_timeout_ms: NotNegative | None = None
    connect_timeout_ms: NotNegative | None = None
    cors: Cors | None = None
    debug_mode: bool | None = None
    default_label_domain: str | None = None
    default_labels: Map[str, LabelDefaults] = {}
    defaults: Defaults | None = None
    diagnostics: DiagnosticsSettings | None = None
    enable_grpc_http11_bridge: bool | None = None
    enable_grpc_web: bool | None = None
    enable_http10: bool | None = None
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    envoy_log_format: str | Map[str, object] | None = None
    envoy_log_path: str | None = None
    envoy_log_type: Literal["text", "json", "typed_json"] | None = None
    envoy_validation_timeout: NotNegative | None = None
    error_response_overrides: tuple[ErrorResponseOverride, ...] = ()
    forward_client_cert_details: (
        Literal["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"] | None
    ) = None
    set_current_client_cert_details: ClientCertDetails | None = None
    grpc_stats: GrpcStats | None = None
    gzip: Gzip | None = None
    header_case_overrides: tuple[str, ...] = ()
    proper_case: bool | None = None
    headers_with_underscores_action: Literal["ALLOW", "REJECT_REQUEST", "DROP_HEADER"] | None = None
    ip_allow: tuple[AddressRule, ...] | None = None
    ip_deny: tuple[AddressRule, ...] | None = None
    keepalive: KeepAlive | None = None
    listener_idle_timeout_ms: NotNegative | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    load_balancer: LoadBalancer | None = None
    lua_scripts: str | None = None
    max_request_headers_kb: NotNegative | None = None
    merge_slashes: bool | None = None
    reject_requests_with_escaped_slashes: bool | None = None
    preserve_external_request_id: bool | None = None
    prune_unreachable_routes: bool | None = None
    regex_max_size: NotNegative | None = None
    regex_type: str | None = None
    resolver: str | None = None
    retry_policy: RetryPolicy | None = None
    runtime_flags: FreeForm | None = None
    server_name: str | None = None
    service_port: PortNumber | None = None
    statsd: FreeForm | None = None
    strip_matching_host_port: bool | None = None
    suppress_envoy_headers: bool | None = None
    use_ambassador_namespace_for_service_resolution: bool | None = None
    use_proxy_proto: bool | None = None
    use_remote_address: bool | None = None
    x_forwarded_proto_redirect: bool | None = None
    xff_num_trusted_hops: NotNegative | None = None


class ModuleSpec(Part, frozen=True, kw_only=True, gc=False):
    """``spec`` of a Module."""

    ambassador_id: tuple[str, ...] = ()
    config: ModuleConfig = ModuleConfig()


class Module(Resource, frozen=True, kw_only=True, weakref=True):
    """Gateway-wide settings; only the one named ``ambassador`` is read."""

    GROUP: ClassVar[str] = GETAMBASSADOR
    KIND: ClassVar[str] = "Module"

    spec: ModuleSpec


def restricts_addresses(raw: Map[str, object]) -> bool:
    """Whether a Module as written says anything about client addresses."""
    spec = raw.get("spec")
    config = spec.get("config") if isinstance(spec, Map) else None
    return isinstance(config, Map) and any(config.get(name) is not None for name in ("ip_allow", "ip_deny"))


def closed_module(metadata: Metadata, origin: Origin) -> Module:
    """What stands in for a Module that restricts addresses and cannot be read: both rules set serves nobody."""
    return Module(metadata=metadata, origin=origin, spec=ModuleSpec(config=ModuleConfig(ip_allow=(), ip_deny=())))
