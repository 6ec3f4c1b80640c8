"""One Ingress: its rules, default backend and TLS sections, by domain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import ir
from gateway.translate.acme import is_acme
from gateway.translate.certificates import SecretError
from gateway.translate.clusters import ClusterSpec
from gateway.translate.origins import ir_origin
from gateway.translate.protection import NOT_APPLIED, REFUSAL, Protection
from gateway.translate.ranking import BACKEND_RANK, Rank, RankedRoute, ingress_rank

if TYPE_CHECKING:
    from gateway.diagnostics import Collector
    from gateway.resources import Ingress
    from gateway.resources.networking import HttpIngressPath, IngressBackend, IngressTls
    from gateway.translate.certificates import CertificateStore

REQUEST_TIMEOUT_MS = 60_000
"""Kubernetes names no time limit; 60 s is ingress-nginx's read timeout, which Ingress users are used to."""
UPGRADES = ("websocket",)
"""Ingress has no field for it, and every common controller passes WebSockets."""
_LABEL = "[^.]+"


@dataclass(frozen=True, slots=True, eq=False)
class DomainRoutes:
    """What an Ingress adds to one domain."""

    domain: str
    routes: tuple[RankedRoute, ...]
    terminations: tuple[ir.TlsTermination, ...]


@dataclass(frozen=True, slots=True, eq=False)
class IngressParts:
    """A translated Ingress."""

    domains: tuple[DomainRoutes, ...]
    clusters: tuple[ClusterSpec, ...]
    certificates: tuple[ir.Certificate, ...]


class _Builder:
    """Collects the parts of one Ingress."""

    def __init__(self, ingress: Ingress, guard: Protection, found: Collector) -> None:
        self.ingress = ingress
        self.guard = guard
        self.found = found
        self.origin = ir_origin(ingress.origin)
        self.name = f"ingress/{ingress.namespace}/{ingress.name}"
        self.routes: dict[str, list[RankedRoute]] = {}
        self.clusters: dict[str, ClusterSpec] = {}
        self.refused = False

    def add(
        self, domain: str, suffix: str, path: ir.PathMatch, rank: Rank, backend: IngressBackend, field: str
    ) -> None:
        """Add a route to a domain; a wildcard domain checks that its star is one label."""
        authority: ir.StringMatch | None = None
        if domain.startswith("*."):
            authority = ir.StringMatch("regex", f"{_LABEL}{re.escape(domain[1:])}")
        route = ir.Route(
            name=f"{self.name}/{suffix}",
            origin=self.origin,
            match=ir.RouteMatch(path, authority=authority),
            choices=(self._choice(domain, path, backend, field),),
            upgrades=UPGRADES,
            insecure_exempt=is_acme(path),
        )
        self.routes.setdefault(domain, []).append(RankedRoute(rank, route))

    def _choice(self, domain: str, path: ir.PathMatch, backend: IngressBackend, field: str) -> ir.Choice:
        reason = self.guard.refuses(domain, path.value, exempt=False)
        if reason:
            self.found.warning(NOT_APPLIED, f"{reason}; requests are answered 500", self.ingress.origin, field)
            return ir.Choice(100.0, self.origin, direct=REFUSAL)
        service = backend.service
        port = service.port.number or service.port.name if service is not None else ""
        if service is None or not port:
            self.found.error(
                "ingress-backend",
                "a Service with a port is needed; requests are answered 503",
                self.ingress.origin,
                field,
            )
            return ir.Choice(100.0, self.origin, direct=ir.DirectResponse(503))
        host = f"{service.name}.{self.ingress.namespace}"
        cluster = ClusterSpec(f"{host}:{port}", host, port)
        self.clusters[cluster.name] = cluster
        return ir.Choice(100.0, self.origin, forward=ir.Forward(cluster.name, timeout_ms=REQUEST_TIMEOUT_MS))


def translate_ingress(ingress: Ingress, store: CertificateStore, guard: Protection, found: Collector) -> IngressParts:
    """Translate one Ingress of our own class."""
    builder = _Builder(ingress, guard, found)
    for i, rule in enumerate(ingress.spec.rules):
        domain = rule.host.lower() or "*"
        builder.routes.setdefault(domain, [])
        for j, item in enumerate(rule.http.paths if rule.http is not None else ()):
            field = f"spec.rules[{i}].http.paths[{j}]"
            path = _path(item)
            builder.add(
                domain, f"{i}-{j}", path, ingress_rank(path.value, exact=path.kind == "exact"), item.backend, field
            )
    backend = ingress.spec.default_backend
    if backend is not None:
        everything = ir.PathMatch("prefix", "/")
        for domain in sorted({*builder.routes, "*"}):
            builder.add(domain, "default-backend", everything, BACKEND_RANK, backend, "spec.defaultBackend")
    terminations, certificates = _tls(ingress, store, found)
    domains = tuple(
        DomainRoutes(domain, tuple(routes), tuple(item for item in terminations if _covers(item, domain)))
        for domain, routes in sorted(builder.routes.items())
    )
    return IngressParts(domains, tuple(builder.clusters.values()), certificates)


def _path(item: HttpIngressPath) -> ir.PathMatch:
    text = item.path or "/"
    match item.path_type:
        case "Exact":
            return ir.PathMatch("exact", text)
        case "Prefix":
            return ir.PathMatch("segment_prefix", text.rstrip("/") or "/")
        case "ImplementationSpecific":
            return ir.PathMatch("prefix", text)


def _tls(
    ingress: Ingress, store: CertificateStore, found: Collector
) -> tuple[list[ir.TlsTermination], tuple[ir.Certificate, ...]]:
    terminations: list[ir.TlsTermination] = []
    certificates: list[ir.Certificate] = []
    for i, section in enumerate(ingress.spec.tls):
        field = f"spec.tls[{i}]"
        if not section.secret_name:
            found.warning("ingress-tls", "no secretName: these hosts are not served over TLS", ingress.origin, field)
            continue
        try:
            certificate = store.load(store.find(ingress.namespace, section.secret_name))
        except SecretError as error:
            found.error("ingress-tls", f"{error}; these hosts are not served over TLS", ingress.origin, field)
            continue
        certificates.append(certificate)
        terminations.append(ir.TlsTermination(_names(section), certificate.name, ir_origin(ingress.origin)))
    return terminations, tuple(certificates)


def _names(section: IngressTls) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host.lower() or "*" for host in section.hosts)) or ("*",)


def _covers(termination: ir.TlsTermination, domain: str) -> bool:
    """A certificate's ``*.x`` covers one label, as in RFC 6125."""
    suffix = domain.partition(".")[2]
    return any(name in ("*", domain) or (name == f"*.{suffix}" and bool(suffix)) for name in termination.server_names)
