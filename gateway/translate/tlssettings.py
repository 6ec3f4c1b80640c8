"""What TLSContext, Host.tls and an Ingress' tls have in common: versions, ALPN, lookup of contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.resources import TLSContext

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from gateway.diagnostics import Collector, Origin
    from gateway.resources import ResourceSet
    from gateway.resources.hosts import TlsSettings

Version = Literal["1.2", "1.3"]
HTTP1 = frozenset({"http/1.1", "http/1.0"})
SPOKEN = HTTP1 | {"h2"}
"""ALPN names (RFC 7301) of what the data plane speaks with clients."""
OFFERED = ("h2", "http/1.1")
"""What clients are offered where nothing is set."""


def find_context(resources: ResourceSet, name: str, namespace: str) -> TLSContext | None:
    """The TLSContext that ``name`` means.

    Emissary knows contexts by bare name in all namespaces; duplicates become ``name.namespace``. Here the namespace of
    the asking object wins, then ``name.namespace``, then the first one by namespace.
    """
    found = resources.get(TLSContext, namespace, name)
    if found is None and "." in name:
        bare, _, where = name.rpartition(".")
        found = resources.get(TLSContext, where, bare)
    if found is None:
        found = next((context for context in resources.of(TLSContext) if context.name == name), None)
    return found


def report_unused_settings(
    settings: TlsSettings, names: Iterable[str], origin: Origin, found: Collector, field: str
) -> None:
    """A notice for each setting that is given and cannot be followed."""
    for name in names:
        if getattr(settings, name):
            message = "is accepted and has no effect" + (": all curves are offered" if name == "ecdh_curves" else "")
            found.notice("field-unused", message, origin, f"{field}.{name}")


def versions(settings: TlsSettings, origin: Origin, found: Collector, field: str) -> tuple[Version, Version]:
    """Lowest and highest version. TLS 1.0 and 1.1 are not spoken (RFC 8996): they are raised to 1.2 with a notice."""
    lowest = _version(settings.min_tls_version, "1.2", origin, found, f"{field}.min_tls_version")
    highest = _version(settings.max_tls_version, "1.3", origin, found, f"{field}.max_tls_version")
    if lowest > highest:
        found.warning(
            "tls-versions",
            f"min_tls_version {lowest} is above max_tls_version {highest}; both are {lowest} now",
            origin,
            field,
        )
        highest = lowest
    return lowest, highest


def alpn(
    settings: TlsSettings, origin: Origin, found: Collector, field: str, spoken: AbstractSet[str] = SPOKEN
) -> tuple[str, ...]:
    """``h2, http/1.1`` as a tuple, without protocols that are not ``spoken``: offering one of them would break the
    connections of everybody who takes it. Empty when nothing is set or left."""
    wanted = [part.strip() for part in settings.alpn_protocols.split(",") if part.strip()]
    unspoken = [name for name in wanted if name not in spoken]
    if unspoken:
        found.notice(
            "alpn-unspoken",
            f"{', '.join(unspoken)} is not spoken here and not offered",
            origin,
            f"{field}.alpn_protocols",
        )
    return tuple(name for name in wanted if name in spoken)


def _version(text: str | None, default: Version, origin: Origin, found: Collector, field: str) -> Version:
    if text is None:
        return default
    if text == "v1.3":
        return "1.3"
    if text != "v1.2":
        found.notice("tls-version-raised", f"TLS {text} is not spoken, 1.2 is the lowest version", origin, field)
    return "1.2"
