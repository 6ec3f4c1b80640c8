"""The Module ``ambassador``: gateway-wide options, and what is accepted without effect yet.

Source of the keys: Emissary's ``irambassador.py`` (features.md 1.2, "Module").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import orjson

from gateway import ir
from gateway.diagnostics import Origin
from gateway.resources import Module, ModuleConfig
from gateway.resources.module import MODULE_NAME
from gateway.translate.ambassador.defaults import report_defaults
from gateway.translate.ambassador.httpoptions import compression, error_overrides, header_case, ip_rules
from gateway.translate.ambassador.policies import breakers, keepalive, retry_policy
from gateway.translate.differences import report_fields

if TYPE_CHECKING:
    from gateway.diagnostics import Collector
    from gateway.resources import ResourceSet
    from gateway.translate.settings import TranslateSettings

DEFAULT_LABEL_DOMAIN = "ambassador"

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


def label_domain(module: Module | None) -> str:
    """The domain of rate-limit labels where an object names none."""
    return (module.spec.config.default_label_domain if module is not None else None) or DEFAULT_LABEL_DOMAIN


def options(module: Module | None, settings: TranslateSettings, found: Collector) -> ir.Options:
    """Options of the IR; a key that the Module does not set keeps the gateway's default."""
    config = module.spec.config if module is not None else ModuleConfig()
    if module is not None:
        _report(module, found)
    origin = module.origin if module is not None else Origin()
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
        "gzip": compression(config.gzip, origin, found),
        "max_request_bytes": config.buffer.max_request_bytes if config.buffer is not None else None,
        "buffer_limit_bytes": config.buffer_limit_bytes or None,
        "error_overrides": error_overrides(
            config.error_response_overrides, origin, found, "spec.config.error_response_overrides"
        ),
        "ip_rules": ip_rules(config, origin, found),
        "grpc_web": config.enable_grpc_web,
        "grpc_http11_bridge": config.enable_grpc_http11_bridge,
        **header_case(config, origin, found),
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


def _report(module: Module, found: Collector) -> None:
    """Keys without an effect, and what is wrong with the defaults of Mappings, once for all Mappings."""
    config, origin = module.spec.config, module.origin
    report_fields(Module.KIND, config, ModuleConfig(), origin, "spec.config", found)
    report_defaults(config.defaults, origin, found)
    retry_policy(config.retry_policy, origin, found, "spec.config.retry_policy")
    breakers(config.circuit_breakers, origin, found, "spec.config.circuit_breakers")
    keepalive(config.keepalive, origin, found, "spec.config.keepalive")
