"""The Module ``ambassador``: gateway-wide options, and what is accepted without effect yet.

Source of the keys: Emissary's ``irambassador.py`` (features.md 1.2, "Module").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import orjson

from gateway import ir
from gateway.resources import Module, ModuleConfig

if TYPE_CHECKING:
    from gateway.diagnostics import Collector
    from gateway.resources import ResourceSet
    from gateway.translate.settings import TranslateSettings

MODULE_NAME = "ambassador"

_EFFECTIVE = frozenset(
    {
        "add_linkerd_headers",
        "cluster_idle_timeout_ms",
        "cluster_max_connection_lifetime_ms",
        "cluster_request_timeout_ms",
        "connect_timeout_ms",
        "cors",
        "default_label_domain",
        "default_labels",
        "defaults",
        "enable_http10",
        "enable_ipv4",
        "enable_ipv6",
        "envoy_log_format",
        "envoy_log_type",
        "headers_with_underscores_action",
        "ip_allow",
        "ip_deny",
        "listener_idle_timeout_ms",
        "max_request_headers_kb",
        "merge_slashes",
        "preserve_external_request_id",
        "reject_requests_with_escaped_slashes",
        "resolver",
        "server_name",
        "strip_matching_host_port",
        "suppress_envoy_headers",
        "use_ambassador_namespace_for_service_resolution",
        "use_proxy_proto",
        "use_remote_address",
        "x_forwarded_proto_redirect",
        "xff_num_trusted_hops",
    }
)
_NO_OPERATION = frozenset({"regex_type", "prune_unreachable_routes", "regex_max_size", "envoy_validation_timeout"})
"""Settings of Emissary's own machinery that has no counterpart; nothing is missing without them."""
_UNDERSCORES: dict[str, Literal["allow", "reject", "drop"]] = {
    "ALLOW": "allow",
    "REJECT_REQUEST": "reject",
    "DROP_HEADER": "drop",
}


def find_module(resources: ResourceSet, namespace: str, found: Collector) -> Module | None:
    """The Module that counts: named ``ambassador``, preferably in the gateway's namespace."""
    modules = [module for module in resources.of(Module) if module.name == MODULE_NAME]
    if not modules:
        return None
    chosen = next((module for module in modules if module.namespace == namespace), modules[0])
    for module in modules:
        if module is not chosen:
            found.warning("module-ignored", f"only the Module of namespace {chosen.namespace} is read", module.origin)
    return chosen


def options(module: Module | None, settings: TranslateSettings, found: Collector) -> ir.Options:
    """Options of the IR; a key that the Module does not set keeps the gateway's default."""
    config = module.spec.config if module is not None else ModuleConfig()
    if module is not None:
        _report_unused(module, found)
    values: dict[str, object] = {
        "server_name": config.server_name,
        "max_request_headers_kb": config.max_request_headers_kb,
        "listener_idle_timeout_ms": config.listener_idle_timeout_ms,
        "enable_http10": config.enable_http10,
        "use_remote_address": config.use_remote_address,
        "xff_num_trusted_hops": config.xff_num_trusted_hops,
        "preserve_external_request_id": config.preserve_external_request_id,
        "suppress_envoy_headers": config.suppress_envoy_headers,
        "merge_slashes": config.merge_slashes,
        "strip_matching_host_port": config.strip_matching_host_port,
        "x_forwarded_proto_redirect": config.x_forwarded_proto_redirect,
    }
    if config.headers_with_underscores_action is not None:
        values["headers_with_underscores"] = _UNDERSCORES[config.headers_with_underscores_action]
    if config.reject_requests_with_escaped_slashes is not None:
        values["escaped_slashes"] = "reject" if config.reject_requests_with_escaped_slashes else "keep"
    values |= _access_log(config, settings)
    return ir.Options(**{key: value for key, value in values.items() if value is not None})  # type: ignore[arg-type]


def _access_log(config: ModuleConfig, settings: TranslateSettings) -> dict[str, object]:
    """The Module's choice, else the operator's. ``typed_json`` differs from ``json`` in Envoy's value types only."""
    if config.envoy_log_type is None and config.envoy_log_format is None:
        return {"access_log": settings.access_log, "access_log_format": settings.access_log_format}
    form = config.envoy_log_format
    if form is not None and not isinstance(form, str):
        return {"access_log": "json", "access_log_format": orjson.dumps(dict(form)).decode()}
    kind = "text" if config.envoy_log_type in (None, "text") else "json"
    return {"access_log": kind, "access_log_format": form or ""}


def _report_unused(module: Module, found: Collector) -> None:
    config = module.spec.config
    default = ModuleConfig()
    for name in config.__struct_fields__:
        if getattr(config, name) == getattr(default, name) or name in _EFFECTIVE:
            continue
        if name == "auth_enabled" or name in _NO_OPERATION:
            continue
        found.notice(
            "module-key-unused", "the key is accepted and has no effect yet", module.origin, f"spec.config.{name}"
        )
