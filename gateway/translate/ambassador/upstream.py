"""The cluster that a Mapping asks for: service, resolver, TLS, connection settings.

Source of the rules: Emissary's ``ircluster.py`` and ``irbasemapping.py`` (features.md 1.2, "Target and rewriting").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.translate.clusters import CONNECT_TIMEOUT_MS, IDLE_TIMEOUT_MS, ClusterSpec, TlsRequest
from gateway.translate.services import ServiceAddress, qualify
from gateway.translate.upstreamtls import VERIFY_ANNOTATION

if TYPE_CHECKING:
    from gateway.diagnostics import Collector
    from gateway.resources import Mapping
    from gateway.translate.ambassador.context import MappingContext

HTTP_PORT = 80
HTTPS_PORT = 443


class ResolverError(ValueError):
    """The Mapping names a resolver that does not exist or cannot be used."""


def cluster_spec(mapping: Mapping, address: ServiceAddress, context: MappingContext, found: Collector) -> ClusterSpec:
    """Translate the upstream side of a Mapping. Raises :class:`ResolverError`."""
    spec, module = mapping.spec, context.module
    resolver = spec.resolver or module.resolver or "kubernetes-service"
    endpoints = context.resolvers.get(resolver)
    if endpoints is None:
        raise ResolverError(f"there is no resolver {resolver!r} for Kubernetes services")
    own = not module.use_ambassador_namespace_for_service_resolution
    host = qualify(address.host, mapping.namespace if own else context.settings.namespace)
    tls = _tls(mapping, address, host, found)
    port = address.port or (HTTPS_PORT if tls is not None else HTTP_PORT)
    connect = _first(spec.connect_timeout_ms, module.connect_timeout_ms, CONNECT_TIMEOUT_MS)
    idle = _first(spec.cluster_idle_timeout_ms, module.cluster_idle_timeout_ms, IDLE_TIMEOUT_MS)
    lifetime = _first(spec.cluster_max_connection_lifetime_ms, module.cluster_max_connection_lifetime_ms, 0) or None
    ipv4 = _either(spec.enable_ipv4, module.enable_ipv4, default=True)
    ipv6 = _either(spec.enable_ipv6, module.enable_ipv6, default=False)
    parts = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    if endpoints:
        parts.append("endpoints")
    if tls is not None:
        parts.append("tls" if not tls.context else f"tls={tls.namespace}/{tls.context}")
        if tls.server_name != host:
            parts.append(f"sni={tls.server_name}")
        if not tls.verify:
            parts.append("unverified")
    if spec.cluster_tag:
        parts.append(f"tag={spec.cluster_tag}")
    if connect != CONNECT_TIMEOUT_MS:
        parts.append(f"connect={connect}")
    if idle != IDLE_TIMEOUT_MS:
        parts.append(f"idle={idle}")
    if lifetime is not None:
        parts.append(f"lifetime={lifetime}")
    if (ipv4, ipv6) != (True, False):
        parts.append(f"ip={'4' if ipv4 else ''}{'6' if ipv6 else ''}")
    if spec.stats_name:
        parts.append(f"stats={spec.stats_name}")
    return ClusterSpec(
        name=";".join(parts),
        host=host,
        port=port,
        endpoints=endpoints,
        tls=tls,
        connect_timeout_ms=connect,
        idle_timeout_ms=idle,
        max_connection_lifetime_ms=lifetime,
        ipv4=ipv4,
        ipv6=ipv6,
        stats_name=spec.stats_name,
    )


def _tls(mapping: Mapping, address: ServiceAddress, host: str, found: Collector) -> TlsRequest | None:
    spec = mapping.spec
    if not spec.tls and address.scheme != "https":
        return None
    if spec.tls and address.scheme == "http":
        found.warning(
            "tls-over-http",
            f"TLSContext {spec.tls!r} is used although the service says http://",
            mapping.origin,
            "spec.tls",
        )
    verify = mapping.metadata.annotations.get(VERIFY_ANNOTATION, "").strip().lower() != "false"
    return TlsRequest(spec.host_rewrite or host, spec.tls, mapping.namespace if spec.tls else "", verify)


def _first(own: int | None, module: int | None, default: int) -> int:
    if own is not None:
        return own
    return default if module is None else module


def _either(own: bool | None, module: bool | None, *, default: bool) -> bool:
    if own is not None:
        return own
    return default if module is None else module
