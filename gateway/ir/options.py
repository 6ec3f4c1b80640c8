"""Gateway-wide HTTP behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """Gateway-wide HTTP behaviour (Emissary: the ``ambassador`` Module)."""

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
