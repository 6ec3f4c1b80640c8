"""Virtual hosts: what Hosts and Ingresses contribute to one domain, merged.

Precedence inside a domain is the one ranking of :mod:`gateway.translate.ranking`. What cannot be ranked is decided by
the first contribution: Hosts by namespace and name, then Ingresses from the oldest. The strictest cleartext policy of
the Hosts holds; a plain Ingress has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway import ir
from gateway.translate.protection import REFUSAL
from gateway.translate.ranking import BACKEND_RANK, RankedRoute, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Mapping as Map

InsecureAction = Literal["redirect", "reject", "route"]
_STRICTNESS: dict[InsecureAction | None, int] = {None: 0, "route": 1, "redirect": 2, "reject": 3}


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """What one object adds to one domain. ``namespace`` and ``labels`` decide which Listeners take it."""

    domain: str
    origin: ir.Origin
    namespace: str
    labels: Map[str, str]
    routes: tuple[RankedRoute, ...]
    insecure_action: InsecureAction | None = None
    terminations: tuple[ir.TlsTermination, ...] = ()
    additional_port: int | None = None
    tls_failed: bool = False
    """TLS is wanted but could not be built: nothing of this may be served over TLS, not even under a wider name."""


@dataclass(frozen=True, slots=True, eq=False)
class BuiltHost:
    """A virtual host and what it was made of."""

    parts: tuple[Contribution, ...]
    host: ir.VirtualHost
    clusters: frozenset[str]
    """Names of the clusters that its routes use."""


class VirtualHostTable:
    """Builds the virtual hosts of one pass; one that has the same parts as before is the same object."""

    __slots__ = ("_all", "_known", "used")

    def __init__(self, contributions: Iterable[Contribution], known: dict[str, BuiltHost]) -> None:
        self._known = known
        self._all: dict[str, list[Contribution]] = {}
        for item in contributions:
            self._all.setdefault(item.domain, []).append(item)
        self.used: dict[str, BuiltHost] = {}

    def attach(self, listener: str, parts: Iterable[Contribution]) -> tuple[str, ...]:
        """Names of the virtual hosts for the contributions that a listener takes.

        A domain has one virtual host for all listeners; a listener that takes only a part of it gets its own.
        """
        domains: dict[str, list[Contribution]] = {}
        for item in parts:
            domains.setdefault(item.domain, []).append(item)
        names: list[str] = []
        for domain, chosen in domains.items():
            name = domain if chosen == self._all.get(domain) else f"{domain}@{listener}"
            names.append(name)
            if name not in self.used:
                self.used[name] = self._build(name, domain, tuple(chosen))
        return tuple(sorted(names))

    def _build(self, name: str, domain: str, parts: tuple[Contribution, ...]) -> BuiltHost:
        earlier = self._known.get(name)
        if earlier is not None and earlier.parts == parts:
            return earlier
        host = merge(name, domain, parts)
        clusters = used_clusters(host)
        if earlier is not None:
            host = earlier.host if earlier.host == host else host
            clusters = earlier.clusters if earlier.clusters == clusters else clusters
        return BuiltHost(parts, host, clusters)


def merge(name: str, domain: str, parts: Sequence[Contribution]) -> ir.VirtualHost:
    """Merge contributions to one domain."""
    action = max((part.insecure_action for part in parts), key=_STRICTNESS.__getitem__)
    return ir.VirtualHost(
        name=name,
        origin=parts[0].origin,
        domains=(domain,),
        routes=in_order(route for part in parts for route in part.routes),
        insecure_action=action or "route",
    )


def used_clusters(host: ir.VirtualHost) -> frozenset[str]:
    """Names of the clusters that the routes of a virtual host send or mirror requests to."""
    names = {choice.forward.cluster for route in host.routes for choice in route.choices if choice.forward is not None}
    names.update(shadow.cluster for route in host.routes for shadow in route.shadows)
    return frozenset(names)


def blocked(part: Contribution) -> Contribution:
    """In the place of a contribution whose TLS failed: its domain answers 500, so that no wider domain answers."""
    everything = ir.RouteMatch(ir.PathMatch("prefix", "/"))
    route = ir.Route(
        f"blocked/{part.domain}", part.origin, everything, (ir.Choice(100.0, part.origin, direct=REFUSAL),)
    )
    return Contribution(
        part.domain, part.origin, part.namespace, part.labels, (RankedRoute(BACKEND_RANK, route),), part.insecure_action
    )
