"""Names of clusters: host and port, and everything that differs from the defaults.

Equal names mean equal clusters, so Mappings with the same wishes share connections and statistics. What would be too
long for a name stands in it as a digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.base.hashing import content_hash
from gateway.translate.clusters import CONNECT_TIMEOUT_MS, IDLE_TIMEOUT_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway import ir
    from gateway.translate.clusters import ClusterPolicy, ClusterSpec
    from gateway.translate.discovery import DnsWish

_DIGITS = 12
"""48 bits of a digest: names are compared among the clusters of one host and port only."""


def cluster_name(spec: ClusterSpec, tag: str) -> str:
    """The name of a cluster; ``tag`` is the ``cluster_tag`` of a Mapping."""
    parts = [f"[{spec.host}]:{spec.port}" if ":" in spec.host else f"{spec.host}:{spec.port}"]
    if spec.http2:
        parts.append("http2")
    if spec.consul is not None:
        parts.append(f"consul={spec.consul.place.datacenter}@{spec.consul.place.address}")
    elif spec.endpoints:
        parts.append("endpoints")
    tls = spec.tls
    if tls is not None:
        parts.append("tls" if not tls.context else f"tls={tls.namespace}/{tls.context}")
        if tls.server_name != spec.host:
            parts.append(f"sni={tls.server_name}")
        if not tls.verify:
            parts.append("unverified")
    if tag:
        parts.append(f"tag={tag}")
    if spec.connect_timeout_ms != CONNECT_TIMEOUT_MS:
        parts.append(f"connect={spec.connect_timeout_ms}")
    if spec.idle_timeout_ms != IDLE_TIMEOUT_MS:
        parts.append(f"idle={spec.idle_timeout_ms}")
    if spec.max_connection_lifetime_ms is not None:
        parts.append(f"lifetime={spec.max_connection_lifetime_ms}")
    parts.extend(_dns(spec.dns))
    parts.extend(_policy(spec.policy))
    if spec.stats_name:
        parts.append(f"stats={spec.stats_name}")
    return ";".join(parts)


def _dns(dns: DnsWish) -> Iterator[str]:
    if (dns.ipv4, dns.ipv6) != (True, False):
        yield f"ip={'4' if dns.ipv4 else ''}{'6' if dns.ipv6 else ''}"
    if dns.respect_ttl:
        yield "ttl"
    if dns.logical:
        yield "logical"


def _policy(policy: ClusterPolicy) -> Iterator[str]:
    if policy.balancer is not None:
        yield f"lb={policy.balancer.policy}"
    if policy.breakers:
        yield f"cb={'+'.join(map(_breaker, policy.breakers))}"
    if policy.health_checks:
        yield f"health={content_hash(repr(policy.health_checks))[:_DIGITS]}"
    if policy.outlier is not None:
        yield f"outlier={content_hash(repr(policy.outlier))[:_DIGITS]}"
    alive = policy.tcp_keepalive
    if alive is not None:
        yield f"keepalive={alive.idle_s or '-'}/{alive.interval_s or '-'}/{alive.probes or '-'}"


def _breaker(item: ir.CircuitBreaker) -> str:
    """Emissary's letters: connections, pending requests, requests, retries."""
    limits = f"c{item.max_connections}p{item.max_pending_requests}r{item.max_requests}t{item.max_retries}"
    return f"{item.priority[0]}{limits}"
