"""What is read, and stands in the IR, but has no effect in the data plane yet: the one table of it.

A line is a feature; whoever builds its effect deletes the line, and with it the findings. Names are ``Kind.field``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

WITHOUT_EFFECT: Final[Map[str, tuple[str, ...]]] = {
    # Not in the IR.
    "external authorisation": ("Mapping.auth_context_extensions",),
    "raw Envoy configuration": ("Mapping.envoy_override", "Mapping.modules", "Module.runtime_flags"),
    "scripts": ("Module.lua_scripts",),
    "client certificates in headers": (
        "Module.forward_client_cert_details",
        "Module.set_current_client_cert_details",
    ),
    "statistics": ("Module.grpc_stats", "Module.statsd"),
    "admin": ("Module.admin_port", "Module.debug_mode", "Module.diagnostics", "Module.envoy_log_path"),
    "probes": ("Module.liveness_probe", "Module.readiness_probe"),
    "other keys": ("Module.allow_chunked_length", "Module.service_port"),
}
_NAMES = frozenset(name for names in WITHOUT_EFFECT.values() for name in names)


def is_unused(name: str) -> bool:
    """Whether ``Kind.field`` has no effect yet."""
    return name in _NAMES


def unused_fields(kind: str) -> tuple[str, ...]:
    """The fields of a kind that have no effect yet, in order."""
    return tuple(sorted(name.partition(".")[2] for name in _NAMES if name.startswith(f"{kind}.")))
