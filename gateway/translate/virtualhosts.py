"""Virtual hosts: what Hosts and Ingresses contribute to one domain, merged.

Precedence inside a domain is the one ranking of :mod:`gateway.translate.ranking`. What cannot be ranked is decided by
the first contribution: Hosts by namespace and name, then Ingresses from the oldest. The strictest cleartext policy of
the Hosts holds; a plain Ingress has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from gateway import ir
from gateway.base.differences import differences, positions
from gateway.base.globs import globs_intersect
from gateway.diagnostics import Origin
from gateway.translate.domains import group, host_globs, may_lend, wider_domain
from gateway.translate.protection import REFUSAL
from gateway.translate.ranking import BACKEND_RANK, RankedRoute, in_order

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from collections.abc import Mapping as Map

    from gateway.diagnostics import Collector
    from gateway.translate.domains import Domains

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

    @property
    def is_host(self) -> bool:
        """Whether it is from a Host: only Hosts have a policy about cleartext."""
        return self.insecure_action is not None


@dataclass(frozen=True, slots=True, eq=False)
class BuiltHost:
    """A virtual host and what it was made of."""

    parts: tuple[Contribution, ...]
    host: ir.VirtualHost
    clusters: frozenset[str]
    """Names of the clusters that its routes use."""


@dataclass(frozen=True, slots=True, eq=False)
class ListenerHosts:
    """The virtual hosts of one listener, by domain, with their names in order."""

    domains: Domains
    hosts: Map[str, BuiltHost]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VirtualHostMemo:
    """All of the last pass."""

    domains: Domains | None = None
    listeners: Map[str, ListenerHosts] = field(default_factory=dict)
    built: Map[str, BuiltHost] = field(default_factory=dict)


class VirtualHostTable:
    """Builds the virtual hosts of one pass; one that has the same parts as before is the same object."""

    __slots__ = ("_all", "_earlier", "_listeners", "used")

    def __init__(self, contributions: Iterable[Contribution], earlier: VirtualHostMemo) -> None:
        contributions = tuple(contributions)
        self._earlier = earlier
        self._all = group(contributions, contributions, earlier.domains)
        self._listeners: dict[str, ListenerHosts] = {}
        self.used: dict[str, BuiltHost] = {}

    def memo(self) -> VirtualHostMemo:
        """For the next pass."""
        return VirtualHostMemo(self._all, self._listeners, self.used)

    def attach(self, listener: str, parts: Iterable[Contribution], lenders: Iterable[Contribution]) -> tuple[str, ...]:
        """Names of the virtual hosts for the contributions that a listener takes; see :class:`Domains`.

        A domain has one virtual host for all listeners; a listener that takes only a part of it gets its own.
        """
        earlier = self._earlier.listeners.get(listener)
        mine = group(parts, lenders, earlier.domains if earlier is not None else None)
        if earlier is None or mine.changed is None or self._all.changed is None:
            hosts = {domain: self._host(listener, domain, chosen) for domain, chosen in mine.chosen.items()}
            names = tuple(sorted(built.host.name for built in hosts.values()))
        else:
            touched = mine.changed | (self._all.changed & mine.chosen.keys())
            fresh = {domain: self._host(listener, domain, mine.chosen[domain]) for domain in touched}
            hosts = {**earlier.hosts, **fresh}
            same = all(built.host.name == earlier.hosts[domain].host.name for domain, built in fresh.items())
            names = earlier.names if same else tuple(sorted(built.host.name for built in hosts.values()))
        self.used.update((built.host.name, built) for built in hosts.values())
        self._listeners[listener] = ListenerHosts(mine, hosts, names)
        return names

    def _host(self, listener: str, domain: str, chosen: Sequence[Contribution]) -> BuiltHost:
        name = domain if chosen == self._all.chosen.get(domain) else f"{domain}@{listener}"
        return self.used.get(name) or self._build(name, domain, tuple(chosen))

    def _build(self, name: str, domain: str, parts: tuple[Contribution, ...]) -> BuiltHost:
        earlier = self._earlier.built.get(name)
        if earlier is None:
            host = merge(name, domain, parts)
            return BuiltHost(parts, host, used_clusters(host.routes))
        if earlier.parts == parts:
            return earlier
        host = _exchanged(earlier, parts) or merge(name, domain, parts)
        host = earlier.host if earlier.host == host else host
        return BuiltHost(parts, host, _renewed(earlier, host))


def report_shadowed(contributions: Sequence[Contribution], found: Collector) -> None:
    """Say where the Mappings of a Host are not served on a domain of it because an Ingress has that domain."""
    wide = host_globs(contributions)
    own = {item.domain for item in contributions if item.is_host} if wide else set()
    for item in contributions if wide else ():
        lending = wide.get(wider_domain(item.domain, wide), []) if item.domain not in own else []
        if not may_lend(lending, (item,)):
            host = lending[0].origin
            found.notice(
                "host-shadowed",
                f"Mappings of Host {host.namespace}/{host.name} are not served on {item.domain}: "
                "the Host asks for client certificates, and this Ingress has TLS of its own for that name",
                Origin(item.origin.kind, item.origin.namespace, item.origin.name, item.origin.path),
                "spec.tls",
                "declare a Host for that name, or leave TLS to the Host",
            )


def merge(name: str, domain: str, parts: Sequence[Contribution]) -> ir.VirtualHost:
    """Merge contributions to one domain; those of a wider domain are lent."""
    action = max((part.insecure_action for part in parts), key=_STRICTNESS.__getitem__)
    routes = [route for part in parts if part.domain == domain for route in part.routes]
    lent = [route for part in parts if part.domain != domain for route in part.routes if _reaches(route, domain)]
    if lent and action != "route":
        routes = [RankedRoute(item.rank, replace(item.route, insecure_exempt=True)) for item in routes]
    return ir.VirtualHost(
        name=name,
        origin=parts[0].origin,
        domains=(domain,),
        routes=in_order([*routes, *lent]),
        insecure_action=action or "route",
    )


def _reaches(item: RankedRoute, domain: str) -> bool:
    """Whether a route can match some host of a domain."""
    authority = item.route.match.authority
    if authority is None or authority.kind in ("regex", "present"):
        return True
    star = {"exact": ("", ""), "prefix": ("", "*"), "suffix": ("*", "")}[authority.kind]
    return globs_intersect(f"{star[0]}{authority.value}{star[1]}", domain)


def _exchanged(earlier: BuiltHost, parts: Sequence[Contribution]) -> ir.VirtualHost | None:
    """The virtual host where routes of its one part are others and belong to the same places; ``None`` if not so."""
    if len(parts) != 1 or len(earlier.parts) != 1:
        return None
    old, new = earlier.parts[0], parts[0]
    if len(old.routes) != len(new.routes) or not _alike(old, new):
        return None
    pairs = [(old.routes[index], new.routes[index]) for index in positions(old.routes, new.routes)]
    if any(older.rank != newer.rank or older.route.name != newer.route.name for older, newer in pairs):
        return None
    fresh = {id(older.route): newer.route for older, newer in pairs}
    routes = tuple([fresh.get(id(route), route) for route in earlier.host.routes])
    # An equal virtual host of an older pass may have been kept, with routes that are equal and not the same.
    return replace(earlier.host, routes=routes) if len(positions(earlier.host.routes, routes)) == len(fresh) else None


def _alike(old: Contribution, new: Contribution) -> bool:
    """Whether both make the same virtual host, but for the routes."""
    return (old.domain, old.origin, old.insecure_action) == (new.domain, new.origin, new.insecure_action)


def _renewed(earlier: BuiltHost, host: ir.VirtualHost) -> frozenset[str]:
    """The clusters of a virtual host, the same set as before where that holds."""
    gone, fresh = differences(earlier.host.routes, host.routes)
    entered = used_clusters(fresh)
    if used_clusters(gone) <= entered <= earlier.clusters:
        return earlier.clusters
    clusters = used_clusters(host.routes)
    return earlier.clusters if earlier.clusters == clusters else clusters


def used_clusters(routes: Collection[ir.Route]) -> frozenset[str]:
    """Names of the clusters that routes send or mirror requests to."""
    names = {choice.forward.cluster for route in routes for choice in route.choices if choice.forward is not None}
    names.update(shadow.cluster for route in routes for shadow in route.shadows)
    return frozenset(names)


def blocked(part: Contribution) -> Contribution:
    """In the place of a contribution whose TLS failed: its domain answers 500, so that no wider domain answers."""
    routes = (refusal(part.domain, part.origin),)
    return Contribution(part.domain, part.origin, part.namespace, part.labels, routes, part.insecure_action)


def refusal(domain: str, origin: ir.Origin) -> RankedRoute:
    """A route that answers every request for a domain with 500."""
    everything = ir.RouteMatch(ir.PathMatch("prefix", "/"))
    route = ir.Route(f"blocked/{domain}", origin, everything, (ir.Choice(100.0, origin, direct=REFUSAL),))
    return RankedRoute(BACKEND_RANK, route)
