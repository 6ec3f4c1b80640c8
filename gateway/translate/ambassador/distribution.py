"""Which routes each Host has, and what it contributes with them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from gateway.translate.origins import ir_origin
from gateway.translate.virtualhosts import Contribution, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.translate.ambassador.grouping import Change, KnownGroup
    from gateway.translate.ambassador.hosts import HostPart
    from gateway.translate.ranking import RankedRoute

_PLACE = attrgetter("place")


@dataclass(slots=True)
class HostRoutes:
    """A Host, the groups it takes in their order, and its contribution."""

    part: HostPart
    groups: list[KnownGroup]
    contribution: Contribution


def distribute(
    groups: Iterable[KnownGroup], hosts: Sequence[HostPart], earlier: Iterable[HostRoutes]
) -> list[HostRoutes]:
    """Give each Host its groups. The contribution of one with the same routes as ``earlier`` is the same object."""
    taken: list[list[KnownGroup]] = [[] for _ in hosts]
    for entry in groups:
        for position in entry.takers:
            taken[position].append(entry)
    known = {id(item.part): item.contribution for item in earlier}
    return [
        HostRoutes(part, mine, _contribution(part, _routes(mine), known.get(id(part))))
        for part, mine in zip(hosts, taken, strict=True)
    ]


def redistribute(changes: Sequence[Change], hosts: Sequence[HostRoutes]) -> None:
    """Move the groups that are others now; Hosts that take none of them are not looked at."""
    touched: set[int] = set()
    # First out, then in: a place may go from one group to another.
    for before in [before for before, _ in changes if before is not None]:
        for position in before.takers:
            mine = hosts[position].groups
            del mine[bisect_left(mine, before.place, key=_PLACE)]
            touched.add(position)
    for after in [after for _, after in changes if after is not None]:
        for position in after.takers:
            mine = hosts[position].groups
            mine.insert(bisect_left(mine, after.place, key=_PLACE), after)
            touched.add(position)
    for position in touched:
        host = hosts[position]
        host.contribution = _contribution(host.part, _routes(host.groups), host.contribution)


def _routes(groups: Iterable[KnownGroup]) -> tuple[RankedRoute, ...]:
    return tuple([entry.group.route for entry in groups if entry.group is not None and entry.group.route is not None])


def _contribution(part: HostPart, routes: tuple[RankedRoute, ...], earlier: Contribution | None) -> Contribution:
    host = part.host
    if part.closed:
        routes = (refusal(part.domain, ir_origin(host.origin)),)
    if earlier is not None and earlier.routes == routes:
        return earlier
    return Contribution(
        domain=part.domain,
        origin=ir_origin(host.origin),
        namespace=host.namespace,
        labels=host.metadata.labels,
        routes=routes,
        insecure_action=part.insecure_action,
        terminations=(part.termination,) if part.termination is not None else (),
        additional_port=part.additional_port,
        tls_failed=part.tls_failed,
    )
