"""Clusters of services that are asked or told about requests: AuthService, RateLimitService and their kin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from gateway.resources.model import Resource
from gateway.translate.ambassador import policies
from gateway.translate.ambassador.clusternames import cluster_name
from gateway.translate.ambassador.upstream import HTTP_PORT, HTTPS_PORT
from gateway.translate.clusters import ClusterPolicy, ClusterSpec, TlsRequest
from gateway.translate.services import ServiceError, parse_service, qualify
from gateway.translate.upstreamtls import VERIFY_ANNOTATION

if TYPE_CHECKING:
    from gateway import ir
    from gateway.diagnostics import Collector
    from gateway.resources import ResourceSet
    from gateway.resources.policy import CircuitBreaker
    from gateway.translate.clusters import ClusterTable

R = TypeVar("R", bound=Resource)


def only_one(kind: type[R], resources: ResourceSet, found: Collector) -> R | None:
    """The object of a kind of which, as in Emissary, exactly one counts; of several none does, which each is told."""
    services = resources.of(kind)
    if len(services) == 1:
        return services[0]
    for item in services:
        message = f"exactly one {kind.KIND} is supported, there are {len(services)}; none is used"
        found.error("service-not-single", message, item.origin)
    return None


@dataclass(frozen=True, slots=True)
class ServiceWish:
    """What such an object says about its service; ``field`` is where the service stands."""

    service: str
    field: str = "service"
    http2: bool = False
    tls: str = ""
    stats_name: str = ""
    breakers: tuple[CircuitBreaker, ...] | None = None


@dataclass(frozen=True, slots=True)
class ServiceClusters:
    """The clusters that services have asked for in this pass, by name."""

    table: ClusterTable
    built: dict[str, ir.Cluster]

    def require(self, owner: Resource, wish: ServiceWish, found: Collector) -> str | None:
        """The name of the cluster for ``wish``; ``None`` when it cannot be built, which is reported at ``owner``."""
        try:
            address = parse_service(wish.service)
        except ServiceError as error:
            found.error("service-syntax", str(error), owner.origin, f"spec.{wish.field}")
            return None
        if address.remark:
            found.warning("service-syntax", address.remark, owner.origin, f"spec.{wish.field}")
        host = qualify(address.host, owner.namespace)
        tls: TlsRequest | None = None
        if wish.tls or address.scheme == "https":
            verify = owner.metadata.annotations.get(VERIFY_ANNOTATION, "").strip().lower() != "false"
            tls = TlsRequest(host, wish.tls, owner.namespace if wish.tls else "", verify)
        spec = ClusterSpec(
            name="",
            host=host,
            port=address.port or (HTTPS_PORT if tls is not None else HTTP_PORT),
            tls=tls,
            stats_name=wish.stats_name,
            http2=wish.http2,
            policy=ClusterPolicy(
                breakers=policies.breakers(wish.breakers, owner.origin, found, "spec.circuit_breakers")
            ),
        )
        result = self.table.require(replace(spec, name=cluster_name(spec, "")))
        for item in result.findings:
            found.add(replace(item, origin=owner.origin, field=f"spec.{wish.field}"))
        if result.failure:
            found.error("upstream-tls", result.failure, owner.origin, "spec.tls")
            return None
        self.built[result.cluster.name] = result.cluster
        return result.cluster.name
