"""What is read and has no effect in the data plane yet: the one table of it.

A line is a feature or a kind; whoever builds its effect deletes the line, and with it the findings. Names of fields are
``Kind.field``, those of a Module the keys of its ``config``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.resources import (
    AuthService,
    DevPortal,
    LogService,
    RateLimitService,
    TracingService,
)

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    from gateway.resources.model import Resource

KINDS_WITHOUT_EFFECT: Final[Map[type[Resource], str]] = {
    AuthService: "the service is not asked yet: routes under it are answered 500 (security), unless they bypass it",
    RateLimitService: "the limiter is not asked yet: without failure_mode_deny requests pass; RateLimits are enforced",
    TracingService: "no spans are sent yet",
    LogService: "no access log is sent to it yet; the Module's envoy_log_type writes one to standard output",
    DevPortal: "there is no developer portal; the object is accepted and has no effect",
}
"""Kinds of which nothing acts yet, and what that means for traffic."""

WITHOUT_EFFECT: Final[Map[str, tuple[str, ...]]] = {
    "external authorisation": ("Mapping.auth_context_extensions", "Module.auth_enabled"),
    "developer portal": ("Mapping.docs",),
    "client certificates in headers": (
        "Module.forward_client_cert_details",
        "Module.set_current_client_cert_details",
    ),
    "statistics": ("Module.grpc_stats", "Listener.statsPrefix"),
    "admin": ("Module.debug_mode",),
    "probes": ("Module.liveness_probe", "Module.readiness_probe"),
    "other keys": ("Module.service_port",),
}
_NAMES = frozenset(name for names in WITHOUT_EFFECT.values() for name in names)


def is_unused(name: str) -> bool:
    """Whether ``Kind.field`` has no effect yet."""
    return name in _NAMES
