"""The cluster that a Mapping or a TCPMapping asks for: service, resolver, TLS, connection settings, policies.

Source of the rules: Emissary's ``ircluster.py`` and ``irbasemapping.py`` (features.md 1.2, "Target and rewriting",
"Traffic policy", "TCPMapping").
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.diagnostics import Collector
from gateway.resources import Mapping
from gateway.resources.consul import ConsulTarget
from gateway.translate.ambassador import balancing, health, policies
from gateway.translate.ambassador.clusternames import cluster_name
from gateway.translate.clusters import CONNECT_TIMEOUT_MS, IDLE_TIMEOUT_MS, ClusterPolicy, ClusterSpec, TlsRequest
from gateway.translate.discovery import DnsWish
from gateway.translate.services import ServiceAddress, qualify
from gateway.translate.upstreamtls import VERIFY_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    from gateway.resources import ModuleConfig, TCPMapping
    from gateway.resources.consul import ConsulPlace
    from gateway.translate.settings import TranslateSettings

HTTP_PORT = 80
HTTPS_PORT = 443


class ResolverError(ValueError):
    """The Mapping names a resolver that does not exist or cannot be used."""


def cluster_spec(
    mapping: Mapping,
    address: ServiceAddress,
    module: ModuleConfig,
    resolvers: Map[str, bool],
    settings: TranslateSettings,
    found: Collector,
    consul: Map[str, ConsulPlace],
) -> ClusterSpec:
    """Translate the upstream side of a Mapping. Raises :class:`ResolverError`."""
    spec, origin = mapping.spec, mapping.origin
    plain = _plain(mapping, address, module, resolvers, settings, found, consul)
    policy = ClusterPolicy(
        balancer=balancing.balancer(
            balancing.effective(
                spec.load_balancer, module.load_balancer, endpoints=plain.endpoints, origin=origin, found=found
            )
        ),
        breakers=plain.policy.breakers,
        health_checks=health.health_checks(spec, endpoints=plain.endpoints, origin=origin, found=found),
        outlier=health.outlier_detection(spec, origin, found),
        tcp_keepalive=plain.policy.tcp_keepalive
        if spec.keepalive is None
        else policies.keepalive(spec.keepalive, origin, found, "spec.keepalive"),
    )
    lifetime = _first(spec.cluster_max_connection_lifetime_ms, module.cluster_max_connection_lifetime_ms, 0) or None
    return _named(
        replace(
            plain,
            connect_timeout_ms=_first(spec.connect_timeout_ms, module.connect_timeout_ms, CONNECT_TIMEOUT_MS),
            idle_timeout_ms=_first(spec.cluster_idle_timeout_ms, module.cluster_idle_timeout_ms, IDLE_TIMEOUT_MS),
            max_connection_lifetime_ms=lifetime,
            dns=replace(
                plain.dns,
                respect_ttl=bool(spec.respect_dns_ttl),
                logical=policies.is_logical_dns(spec, origin, found),
            ),
            http2=spec.grpc,
            policy=policy,
        ),
        spec.cluster_tag,
    )


def tcp_cluster_spec(
    mapping: TCPMapping,
    address: ServiceAddress,
    module: ModuleConfig,
    resolvers: Map[str, bool],
    settings: TranslateSettings,
    found: Collector,
    consul: Map[str, ConsulPlace],
) -> ClusterSpec:
    """Translate the upstream side of a TCPMapping. Raises :class:`ResolverError`."""
    plain = _plain(mapping, address, module, resolvers, settings, found, consul)
    balancer = balancing.balancer(module.load_balancer) if plain.endpoints else None
    return _named(replace(plain, policy=replace(plain.policy, balancer=balancer)), mapping.spec.cluster_tag)


def _plain(
    mapping: Mapping | TCPMapping,
    address: ServiceAddress,
    module: ModuleConfig,
    resolvers: Map[str, bool],
    settings: TranslateSettings,
    found: Collector,
    consul: Map[str, ConsulPlace],
) -> ClusterSpec:
    """What both kinds have; the name is made later."""
    spec = mapping.spec
    resolver = spec.resolver or module.resolver or "kubernetes-service"
    target = _consul_target(mapping, address, consul.get(resolver), found)
    endpoints = True if resolver in consul else resolvers.get(resolver)
    if endpoints is None:
        raise ResolverError(f"there is no resolver {resolver!r}")
    own = not module.use_ambassador_namespace_for_service_resolution
    host = (
        address.host if target is not None else qualify(address.host, mapping.namespace if own else settings.namespace)
    )
    tls = _tls(mapping, address, host, found)
    if spec.circuit_breakers is not None:
        breakers = policies.breakers(spec.circuit_breakers, mapping.origin, found, "spec.circuit_breakers")
    else:
        breakers = policies.breakers(module.circuit_breakers, mapping.origin, Collector(), "")
    return ClusterSpec(
        name="",
        host=host,
        port=(address.port if target is None else None) or (HTTPS_PORT if tls is not None else HTTP_PORT),
        endpoints=endpoints,
        consul=target,
        tls=tls,
        dns=DnsWish(
            _either(spec.enable_ipv4, module.enable_ipv4, default=True),
            _either(spec.enable_ipv6, module.enable_ipv6, default=False),
        ),
        stats_name=spec.stats_name,
        policy=ClusterPolicy(
            breakers=breakers, tcp_keepalive=policies.keepalive(module.keepalive, mapping.origin, Collector(), "")
        ),
    )


def _consul_target(
    mapping: Mapping | TCPMapping, address: ServiceAddress, place: ConsulPlace | None, found: Collector
) -> ConsulTarget | None:
    """The service of Consul that is meant; ``None`` for other resolvers, and for an IP address, as in Emissary."""
    if place is None or address.is_ip:
        return None
    if "." in address.host:
        raise ResolverError(f"a ConsulResolver takes the name of a service of Consul, without dots; got {address.host}")
    if address.port is not None:
        message = f"Consul knows the ports of {address.host}, so port {address.port} is ignored"
        found.notice("service-port", message, mapping.origin, "spec.service")
    return ConsulTarget(place, address.host)


def _named(spec: ClusterSpec, tag: str) -> ClusterSpec:
    return replace(spec, name=cluster_name(spec, tag))


def _tls(mapping: Mapping | TCPMapping, address: ServiceAddress, host: str, found: Collector) -> TlsRequest | None:
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
    rewritten = mapping.spec.host_rewrite if isinstance(mapping, Mapping) else None
    return TlsRequest(rewritten or host, spec.tls, mapping.namespace if spec.tls else "", verify)


def _first(own: int | None, module: int | None, default: int) -> int:
    if own is not None:
        return own
    return default if module is None else module


def _either(own: bool | None, module: bool | None, *, default: bool) -> bool:
    if own is not None:
        return own
    return default if module is None else module
