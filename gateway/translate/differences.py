"""What behaves otherwise than in Emissary, and not because it is still to come: the one table of it.

A line is a field. Where an object sets it, a notice of the code :data:`DIFFERS` says what is different. Differences
that no field shows are in docs/migrating-from-emissary.md.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec import structs

from gateway.translate.unused import is_unused

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    import msgspec

    from gateway.diagnostics import Collector, Origin

DIFFERS: Final = "differs-from-emissary"
UNUSED: Final = "field-unused"
DIFFERENCE_CODES: Final = frozenset(
    {DIFFERS, "default-listeners", "upstream-tls-verified", "tcp-passthrough", "tls-version-raised", "acme-ignored"}
)
"""Codes of notices about what is different; those with a name of their own are reported where they arise."""

DIFFERENCES: Final[Map[str, str]] = {
    # There is no Envoy to hand these to.
    "Mapping.envoy_override": "is raw configuration of Envoy and is ignored, also what it protects",
    "Mapping.modules": "is ignored, as in Emissary since 1.0",
    "Module.envoy_validation_timeout": "is ignored: there is no Envoy whose configuration needs to be validated",
    "Module.lua_scripts": "is not run, also what it protects: scripts in Lua are not supported",
    "Module.runtime_flags": "are flags of Envoy's runtime and are ignored",
    "Module.regex_type": "is ignored: all patterns run in linear time",
    "Module.regex_max_size": "is ignored: patterns have a limit of their own, by compiled size, and are never too slow",
    "Module.prune_unreachable_routes": "is ignored: routes that no request can reach cost nothing",
    "Module.allow_chunked_length": "is ignored: a request with both lengths is refused (request smuggling)",
    "Module.admin_port": "is ignored: there is no Envoy with a port of its own; the admin port is --admin-address",
    "Module.statsd": "is ignored: metrics are read from /metrics in the form of Prometheus",
    # Works here.
    "Mapping.error_response_overrides": "works here, for the gateway's own answers, too; Emissary 4 ignores it",
    "Module.error_response_overrides": "works here, for the gateway's own answers, too; Emissary 4 ignores it",
    "Module.header_case_overrides": "works here; Emissary 4 ignores it",
    "Module.proper_case": "works here; Emissary 4 ignores it",
    # Elsewhere.
    "Module.diagnostics": (
        "decides nothing about traffic: diagnostics are on the admin port alone, and never routed to clients"
    ),
    "Module.envoy_log_path": "is ignored: the access log goes to standard output",
}
"""``Kind.field`` to what is different about it; Modules by the keys of ``config``."""
_MAY_PROTECT: Final = frozenset({"Mapping.envoy_override", "Module.lua_scripts"})
"""What people also use to refuse requests: leaving it out deserves a warning."""


def report_fields(
    kind: str, spec: msgspec.Struct, plain: msgspec.Struct, origin: Origin, prefix: str, found: Collector
) -> None:
    """One notice for each field that is set (otherwise than in ``plain``) and is different or has no effect yet."""
    for attribute, name, code, message in _told(kind, type(plain)):
        if getattr(spec, attribute) != getattr(plain, attribute):
            report = found.warning if f"{kind}.{name}" in _MAY_PROTECT else found.notice
            report(code, message, origin, f"{prefix}.{name}")


@lru_cache(maxsize=16)
def _told(kind: str, model: type[msgspec.Struct]) -> tuple[tuple[str, str, str, str], ...]:
    """Attribute, name in manifests, code and message of the fields there is something to say about."""
    told: list[tuple[str, str, str, str]] = []
    for field in structs.fields(model):
        difference = DIFFERENCES.get(f"{kind}.{field.encode_name}")
        if difference is not None:
            told.append((field.name, field.encode_name, DIFFERS, difference))
        elif is_unused(f"{kind}.{field.encode_name}"):
            told.append((field.name, field.encode_name, UNUSED, "is accepted and has no effect yet"))
    return tuple(told)
