"""``defaults`` of the Module: what Mappings say where they say nothing.

Source of the rules: Emissary's documentation "Defaults" of the Module. ``httpmapping`` wins over the older place beside
it; both come before settings of the Module itself. Headers to add and remove are joined elsewhere (``actions.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from gateway.resources import Mapping, MappingSpec

if TYPE_CHECKING:
    from gateway.diagnostics import Collector, Origin
    from gateway.resources.module import Defaults

_APPLIED: Final = (
    "allow_upgrade",
    "circuit_breakers",
    "cluster_idle_timeout_ms",
    "cluster_max_connection_lifetime_ms",
    "connect_timeout_ms",
    "cors",
    "error_response_overrides",
    "idle_timeout_ms",
    "load_balancer",
    "retry_policy",
    "timeout_ms",
)
_NOT_APPLIED: Final = {
    "auth_context_extensions": "external authorisation is not there yet",
    "bypass_auth": "a Mapping that does not bypass authentication could not be told from one that says nothing",
    "use_websocket": "expected allow_upgrade: [websocket] instead",
}
_PLAIN = MappingSpec(prefix="", service="")


def with_defaults(mapping: Mapping, defaults: Defaults | None) -> Mapping:
    """The Mapping with values for fields that it does not set; the same object where nothing changes."""
    if defaults is None:
        return mapping
    values = {
        name: value
        for name in _APPLIED
        if getattr(mapping.spec, name) == getattr(_PLAIN, name) and (value := _default(defaults, name)) is not None
    }
    return msgspec.structs.replace(mapping, spec=msgspec.structs.replace(mapping.spec, **values)) if values else mapping


def report_defaults(defaults: Defaults | None, origin: Origin, found: Collector) -> None:
    """Defaults that are accepted and not applied."""
    if defaults is None:
        return
    inner = defaults.httpmapping
    for name, reason in _NOT_APPLIED.items():
        place = "httpmapping." if inner is not None and getattr(inner, name) is not None else ""
        if place or getattr(defaults, name) is not None:
            message = f"the default is accepted and has no effect: {reason}"
            found.notice("field-unused", message, origin, f"spec.config.defaults.{place}{name}")


def _default(defaults: Defaults, name: str) -> object:
    inner = getattr(defaults.httpmapping, name) if defaults.httpmapping is not None else None
    return inner if inner is not None else getattr(defaults, name)
