"""Plain networking.k8s.io/v1 Ingress with the semantics of the Kubernetes documentation.

Rules: ``Exact`` compares the whole path, ``Prefix`` compares path segments, ``ImplementationSpecific`` is a plain
prefix; nothing is stripped. The longest path wins, ``Exact`` before ``Prefix``. A wildcard host stands for exactly
one label. On a conflict the oldest Ingress wins, then namespace and name. The default backend takes what no rule
matches, on the hosts of its Ingress and on all hosts without rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.diagnostics import Collector, Diagnostic
from gateway.resources import Secret
from gateway.translate.barrier import guarded
from gateway.translate.ingress.rules import DomainRoutes, IngressParts, translate_ingress
from gateway.translate.origins import ir_origin
from gateway.translate.virtualhosts import Contribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway import ir
    from gateway.resources import Ingress, ResourceSet
    from gateway.translate.certificates import CertificateStore
    from gateway.translate.clusters import ClusterTable
    from gateway.translate.protection import Protection
    from gateway.translate.ranking import RankedRoute


@dataclass(slots=True)
class IngressMemo:
    """What the last pass of this dialect left."""

    secrets: tuple[Secret, ...] | None = None
    guard: Protection | None = None
    parts: dict[tuple[str, str], tuple[Ingress, IngressParts, tuple[Diagnostic, ...]]] = field(default_factory=dict)
    contributions: dict[tuple[str, str, str], tuple[tuple[object, ...], Contribution]] = field(default_factory=dict)


def translate_ingresses(
    resources: ResourceSet,
    ingresses: Sequence[Ingress],
    store: CertificateStore,
    clusters: ClusterTable,
    guard: Protection,
    memo: IngressMemo,
    found: Collector,
) -> list[Contribution]:
    """Contributions of all plain Ingresses, the oldest first."""
    parts = _translate(resources, ingresses, store, guard, memo, found)
    taken: dict[tuple[object, ...], ir.Origin] = {}
    current: dict[tuple[str, str, str], tuple[tuple[object, ...], Contribution]] = {}
    for ingress, part in parts:
        for spec in part.clusters:
            result = clusters.require(spec)
            found.extend(
                Diagnostic(item.severity, item.code, item.message, ingress.origin, "spec", item.hint)
                for item in result.findings
            )
        for certificate in part.certificates:
            store.use(certificate)
        for domain in part.domains:
            routes = _unclaimed(domain, ingress, taken, found)
            key = (ingress.namespace, ingress.name, domain.domain)
            state: tuple[object, ...] = (part, tuple(routes))
            entry = memo.contributions.get(key)
            if entry is None or entry[0] != state:
                entry = (state, _contribution(ingress, domain, routes))
            current[key] = entry
    memo.contributions = current
    return [contribution for _, contribution in current.values()]


def age(ingress: Ingress) -> tuple[bool, str, str, str]:
    """Sort key: oldest first. RFC 3339 text in UTC sorts as time; an Ingress of a folder has no age and comes last."""
    created = ingress.metadata.creation_timestamp
    return (created is None, created or "", ingress.namespace, ingress.name)


def _translate(
    resources: ResourceSet,
    ingresses: Sequence[Ingress],
    store: CertificateStore,
    guard: Protection,
    memo: IngressMemo,
    found: Collector,
) -> list[tuple[Ingress, IngressParts]]:
    secrets = resources.of(Secret)
    known = memo.parts if memo.secrets is secrets and memo.guard == guard else {}
    current: dict[tuple[str, str], tuple[Ingress, IngressParts, tuple[Diagnostic, ...]]] = {}
    for ingress in sorted(ingresses, key=age):
        key = (ingress.namespace, ingress.name)
        entry = known.get(key)
        if entry is None or entry[0] is not ingress:
            notes = Collector()
            parts = guarded(
                ingress.origin,
                notes,
                lambda item=ingress, notes=notes: translate_ingress(item, store, guard, notes),  # type: ignore[misc]
            )
            entry = (ingress, parts if parts is not None else IngressParts((), (), ()), notes.sorted())
        current[key] = entry
        found.extend(entry[2])
    memo.parts = current
    memo.secrets, memo.guard = secrets, guard
    return [(ingress, parts) for ingress, parts, _ in current.values()]


def _unclaimed(
    domain: DomainRoutes, ingress: Ingress, taken: dict[tuple[object, ...], ir.Origin], found: Collector
) -> list[RankedRoute]:
    """Routes whose host and path no older Ingress has."""
    routes: list[RankedRoute] = []
    for item in domain.routes:
        path = item.route.match.path
        backend = item.route.name.endswith("/default-backend")
        owner = taken.setdefault((domain.domain, path.kind, path.value, backend), item.route.origin)
        if owner is item.route.origin:
            routes.append(item)
        else:
            host = domain.domain if domain.domain != "*" else "all hosts"
            found.warning(
                "ingress-conflict",
                f"path {path.value} of {host} belongs to the older Ingress {owner.namespace}/{owner.name}",
                ingress.origin,
                "spec.rules",
            )
    return routes


def _contribution(ingress: Ingress, domain: DomainRoutes, routes: Sequence[RankedRoute]) -> Contribution:
    return Contribution(
        domain=domain.domain,
        origin=ir_origin(ingress.origin),
        namespace=ingress.namespace,
        labels=ingress.metadata.labels,
        routes=tuple(routes),
        terminations=domain.terminations,
    )
