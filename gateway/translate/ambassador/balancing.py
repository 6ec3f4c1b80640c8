"""``load_balancer`` of Mapping and Module: the balancer of the cluster, and what requests are hashed by.

Source of the rules: Emissary's ``irserviceresolver.py``, ``ircluster.py`` and ``v3route.py`` (features.md 1.2, "Traffic
policy"): a Mapping may only set it with an endpoint resolver; the Module's is for the clusters of such resolvers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import ir
from gateway.base.durations import parse_duration_ms

if TYPE_CHECKING:
    from gateway.diagnostics import Collector, Origin
    from gateway.resources.policy import LoadBalancer

HASHING = frozenset({"ring_hash", "maglev"})


def effective(
    own: LoadBalancer | None, module: LoadBalancer | None, *, endpoints: bool, origin: Origin, found: Collector
) -> LoadBalancer | None:
    """What counts. A Mapping without an endpoint resolver is served without it; Emissary refuses to serve it."""
    if endpoints:
        return own if own is not None else module
    if own is not None:
        found.error(
            "load-balancer-resolver",
            "needs an endpoint resolver (KubernetesEndpointResolver); the field is ignored",
            origin,
            "spec.load_balancer",
            hint="set resolver: endpoint",
        )
    return None


def balancer(settings: LoadBalancer | None) -> ir.Balancer | None:
    """The balancer of the cluster; ``None`` for the gateway's own choice."""
    return ir.Balancer(settings.policy) if settings is not None else None


def hash_source(settings: LoadBalancer | None) -> ir.HashSource | None:
    """What requests are hashed by. The reader has checked that it is exactly one thing."""
    if settings is None or settings.policy not in HASHING:
        return None
    if settings.cookie is not None:
        cookie = settings.cookie
        return ir.HashSource("cookie", cookie.name, cookie.path, parse_duration_ms(cookie.ttl) if cookie.ttl else None)
    if settings.header:
        return ir.HashSource("header", settings.header)
    return ir.HashSource("source_address")
