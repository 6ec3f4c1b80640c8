"""Upstream clusters: what routes ask for, and what Services, EndpointSlices and TLSContexts make of it.

A :class:`ClusterSpec` is made when a route is translated and depends on that route's object only; the cluster also
depends on objects that change often (endpoints), so it is built, and remembered, apart from routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import ir
from gateway.base.differences import same_objects
from gateway.diagnostics import Collector
from gateway.resources import EndpointSlice, Secret, Service, TLSContext
from gateway.resources.consul import ConsulService
from gateway.translate.certificates import secret_place
from gateway.translate.discovery import DnsWish, discover, discover_consul, has_address
from gateway.translate.services import service_key
from gateway.translate.tlssettings import find_context
from gateway.translate.upstreamtls import upstream_tls

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from gateway.diagnostics import Diagnostic
    from gateway.resources import ResourceSet
    from gateway.resources.consul import ConsulTarget
    from gateway.resources.model import Resource
    from gateway.translate.certificates import CertificateStore

CONNECT_TIMEOUT_MS = 3_000
IDLE_TIMEOUT_MS = 3_600_000
HTTP2_PROTOCOLS = frozenset({"kubernetes.io/h2c", "kubernetes.io/grpc", "grpc"})
"""``appProtocol`` of Service ports that speak HTTP/2 by prior knowledge (KEP-3726; ``grpc`` is what meshes write)."""


@dataclass(frozen=True, slots=True)
class TlsRequest:
    """TLS towards the upstream as a route asks for it. ``context`` is a name as seen from ``namespace``."""

    server_name: str
    context: str = ""
    namespace: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class ClusterPolicy:
    """Which endpoint is used, how much and whether at all: see the fields of the same names in the IR."""

    balancer: ir.Balancer | None = None
    breakers: tuple[ir.CircuitBreaker, ...] = ()
    health_checks: tuple[ir.HealthCheck, ...] = ()
    outlier: ir.OutlierDetection | None = None
    tcp_keepalive: ir.TcpKeepalive | None = None


NO_POLICY = ClusterPolicy()
NAMES = DnsWish()


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """A wish for a cluster. ``name`` states all that differs from the defaults, so equal names are equal specs."""

    name: str
    host: str
    port: int | str
    endpoints: bool = False
    """Balance over the endpoints instead of the address of the Service (KubernetesEndpointResolver)."""
    consul: ConsulTarget | None = None
    """Balance over what Consul knows instead."""
    tls: TlsRequest | None = None
    connect_timeout_ms: int = CONNECT_TIMEOUT_MS
    idle_timeout_ms: int = IDLE_TIMEOUT_MS
    max_connection_lifetime_ms: int | None = None
    dns: DnsWish = NAMES
    stats_name: str = ""
    http2: bool = False
    """The route asks for HTTP/2; the port of the Service may ask for it, too."""
    policy: ClusterPolicy = NO_POLICY


@dataclass(frozen=True, slots=True, eq=False)
class ClusterResult:
    """What became of a spec. ``failure`` is set when the cluster must not be used without what could not be built."""

    spec: ClusterSpec
    cluster: ir.Cluster
    failure: str = ""
    findings: tuple[Diagnostic, ...] = ()
    """About the spec, without an origin: the route that asks for it fills that in."""
    certificate: ir.Certificate | None = None
    inputs: tuple[Resource | None, ...] = ()

    def says_the_same(self, other: ClusterResult) -> bool:
        """Whether a route that uses it need not know that it is another one: its endpoints alone may differ."""
        return self is other or (
            self.failure == other.failure
            and self.findings == other.findings
            and self.cluster.name == other.cluster.name
        )


class ClusterTable:
    """Builds the clusters of one pass; results whose inputs are the same objects as before are taken over."""

    __slots__ = ("_current", "_known", "_resources", "_slices", "_store", "_whole", "same_world", "used", "world")

    def __init__(
        self,
        resources: ResourceSet,
        store: CertificateStore,
        known: dict[str, ClusterResult],
        known_world: tuple[object, ...],
    ) -> None:
        self._resources = resources
        self._store = store
        self._known = known
        self._slices: dict[tuple[str, str], list[EndpointSlice]] | None = None
        self.used: dict[str, ClusterResult] = {}
        self.world = (
            resources.of(Service),
            resources.of(EndpointSlice),
            resources.of(Secret),
            resources.of(TLSContext),
            resources.of(ConsulService),
        )
        self.same_world = bool(known_world) and all(a is b for a, b in zip(self.world, known_world, strict=True))
        self._whole = bool(known_world)
        """Whether the last pass came to its end."""
        self._current = self.same_world
        """Whether what is known of the last pass is what would be built now."""

    def renew(self) -> bool:
        """Build clusters of the last pass again where their Services, endpoints, Secrets or TLSContexts are others.

        False where one of them says something else to its routes, which then have to be looked at, too.
        """
        if not self._whole:
            return False
        if not self._current:
            known: dict[str, ClusterResult] = {}
            for name, earlier in self._known.items():
                result = known[name] = self.used.get(name) or self._refresh(earlier.spec, earlier)
                if not result.says_the_same(earlier):
                    return False
            self._known, self._current = known, True
        return True

    def carry_over(self, names: AbstractSet[str]) -> None:
        """Require again what the last pass required under these names; only after :meth:`renew` was true."""
        self.used = dict(self._known)
        if len(names) != len(self.used):
            for name in self.used.keys() - names:
                del self.used[name]

    def require(self, spec: ClusterSpec) -> ClusterResult:
        """The cluster for ``spec``. It becomes part of the gateway if a route that is served uses it."""
        found = self.used.get(spec.name)
        if found is None:
            found = self._known.get(spec.name)
            if found is None or not self._current:
                found = self._refresh(spec, found)
            self.used[spec.name] = found
        return found

    def _refresh(self, spec: ClusterSpec, earlier: ClusterResult | None) -> ClusterResult:
        inputs = self._inputs(spec)
        if earlier is not None and same_objects(inputs, earlier.inputs):
            return earlier
        built = self._build(spec, inputs)
        if earlier is not None and earlier.cluster == built.cluster and earlier.failure == built.failure:
            return ClusterResult(spec, earlier.cluster, built.failure, built.findings, built.certificate, inputs)
        return built

    def _inputs(self, spec: ClusterSpec) -> tuple[Resource | None, ...]:
        service: Service | ConsulService | None = None
        slices: list[EndpointSlice] = []
        key = service_key(spec.host)
        if spec.consul is not None:
            known = self._resources.by_key(spec.consul.key)
            service = known if isinstance(known, ConsulService) else None
        elif key is not None:
            service = self._resources.get(Service, *key)
            if spec.endpoints or not has_address(service):
                slices = self._slices_of(key)
        context: TLSContext | None = None
        secrets: tuple[Secret | None, ...] = (None, None)
        if spec.tls is not None and spec.tls.context:
            context = find_context(self._resources, spec.tls.context, spec.tls.namespace)
            if context is not None:
                secrets = (self._secret(context, context.spec.secret), self._secret(context, context.spec.ca_secret))
        return (service, context, *secrets, *slices)

    def _secret(self, context: TLSContext, name: str) -> Secret | None:
        if not name:
            return None
        namespacing = context.spec.secret_namespacing is not False
        return self._store.peek(*secret_place(name, context.namespace, namespacing=namespacing))

    def _slices_of(self, key: tuple[str, str]) -> list[EndpointSlice]:
        if self._slices is None:
            self._slices = {}
            for item in self._resources.of(EndpointSlice):
                self._slices.setdefault((item.namespace, item.service_name), []).append(item)
        return self._slices.get(key, [])

    def _build(self, spec: ClusterSpec, inputs: tuple[Resource | None, ...]) -> ClusterResult:
        service, context, secret, ca_secret, *slices = inputs
        found = Collector()
        if spec.consul is not None:
            target = discover_consul(spec.host, service if isinstance(service, ConsulService) else None, found)
        else:
            target = discover(
                spec.host,
                spec.port,
                service=service if isinstance(service, Service) else None,
                slices=[item for item in slices if isinstance(item, EndpointSlice)]
                if spec.endpoints or slices
                else None,
                dns=spec.dns,
                found=found,
            )
        http2 = spec.http2 or target.app_protocol in HTTP2_PROTOCOLS
        failure = ""
        tls: ir.UpstreamTls | None = None
        certificate: ir.Certificate | None = None
        if spec.tls is not None:
            outcome = upstream_tls(
                spec.tls.server_name,
                verify=spec.tls.verify,
                http2=http2,
                wanted=spec.tls.context,
                context=context if isinstance(context, TLSContext) else None,
                secret=secret if isinstance(secret, Secret) else None,
                ca_secret=ca_secret if isinstance(ca_secret, Secret) else None,
                store=self._store,
                found=found,
            )
            tls, certificate, failure = outcome.tls, outcome.certificate, outcome.failure
        namespace, name = service_key(spec.host) or ("", spec.host)
        cluster = ir.Cluster(
            name=spec.name,
            origin=ir.Origin("Service", namespace, name),
            endpoints=target.endpoints,
            dns=target.dns,
            tls=tls,
            connect_timeout_ms=spec.connect_timeout_ms,
            idle_timeout_ms=spec.idle_timeout_ms,
            max_connection_lifetime_ms=spec.max_connection_lifetime_ms,
            stats_name=spec.stats_name,
            protocol="http2" if http2 else "http1",
            balancer=spec.policy.balancer,
            breakers=spec.policy.breakers,
            health_checks=spec.policy.health_checks,
            outlier=spec.policy.outlier,
            tcp_keepalive=spec.policy.tcp_keepalive,
        )
        return ClusterResult(spec, cluster, failure, found.sorted(), certificate, inputs)
