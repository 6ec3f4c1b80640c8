"""Gateway-wide HTTP behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.ir.routes import ErrorOverride


@dataclass(frozen=True, slots=True)
class Compression:
    """Compression of answers (Emissary: ``gzip`` of the Module; defaults are those of Envoy's compressor).

    ``algorithms`` are content codings (RFC 9110, section 8.4.1), the preferred one first. Answers below
    ``min_content_length`` bytes and of other types than ``content_types`` stay as they are. ``level`` (1 fast to 9
    small), ``window_bits`` (9-15) and ``memory_level`` (1-9) are zlib's.
    """

    min_content_length: int = 30
    level: int = 6
    window_bits: int = 12
    memory_level: int = 5
    content_types: tuple[str, ...] = (
        "application/javascript",
        "application/json",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/css",
        "text/html",
        "text/plain",
        "text/xml",
    )
    disable_on_etag_header: bool = False
    remove_accept_encoding_header: bool = False
    algorithms: tuple[str, ...] = ("br", "zstd", "gzip")


@dataclass(frozen=True, slots=True)
class IpRule:
    """A range of addresses in CIDR form. ``peer``: of the connection; ``remote``: the trusted client address."""

    source: Literal["peer", "remote"]
    cidr: str


@dataclass(frozen=True, slots=True)
class IpRules:
    """Which client addresses are served (Emissary: ``ip_allow``, ``ip_deny``); others are answered 403.

    ``allow``: those of some entry only. ``deny``: all but those of some entry.
    """

    action: Literal["allow", "deny"]
    entries: tuple[IpRule, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """Gateway-wide HTTP behaviour (Emissary: the ``ambassador`` Module).

    ``max_request_bytes``: a request body is read as a whole before it goes upstream, and a larger one is answered 413
    (``buffer``). ``buffer_limit_bytes``: bytes of an answer that has to be read as a whole, ``None`` for one mebibyte.
    ``proper_case`` writes header names in HTTP/1.1 as ``Proper-Case``, ``header_case_overrides`` writes the listed
    names as listed; at most one of the two is set. ``grpc_web`` translates grpc-web to gRPC, ``grpc_http11_bridge``
    gRPC over HTTP/1.1 to gRPC. ``listener_idle_timeout_ms`` is zero for no limit. ``http2_max_concurrent_streams`` is
    for connections of clients.
    """

    server_name: str = "sluice"
    max_request_headers_kb: int = 60
    max_headers: int = 100
    max_target_bytes: int = 16_384
    request_head_timeout_ms: int = 10_000
    body_idle_timeout_ms: int = 30_000
    listener_idle_timeout_ms: int = 3_600_000
    enable_http10: bool = True
    use_remote_address: bool = True
    xff_num_trusted_hops: int = 0
    preserve_external_request_id: bool = False
    suppress_envoy_headers: bool = False
    headers_with_underscores: Literal["allow", "reject", "drop"] = "reject"
    merge_slashes: bool = False
    escaped_slashes: Literal["reject", "keep"] = "reject"
    strip_matching_host_port: bool = False
    x_forwarded_proto_redirect: bool = False
    access_log: Literal["off", "json", "text"] = "off"
    access_log_format: str = ""
    """Text form: Envoy's command operators (``%REQ(:METHOD)%`` …). JSON form: a JSON object of such templates."""
    gzip: Compression | None = None
    max_request_bytes: int | None = None
    buffer_limit_bytes: int | None = None
    error_overrides: tuple[ErrorOverride, ...] = ()
    proper_case: bool = False
    header_case_overrides: tuple[str, ...] = ()
    ip_rules: IpRules | None = None
    grpc_web: bool = False
    grpc_http11_bridge: bool = False
    http2_max_concurrent_streams: int = 100
