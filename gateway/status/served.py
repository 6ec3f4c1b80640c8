"""Which objects the data plane has routes of, kept up to date by what differs between two configurations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from gateway.base.differences import differences
from gateway.translate.protection import REFUSAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway import ir

Named: TypeAlias = tuple[str, str, str]
"""Kind, namespace, name."""


class Served:
    """Counts routes per object. An object of which every route is refused is not served."""

    __slots__ = ("_hosts", "_routes")

    def __init__(self) -> None:
        self._hosts: tuple[ir.VirtualHost, ...] = ()
        self._routes: Counter[Named] = Counter()

    def update(self, hosts: tuple[ir.VirtualHost, ...]) -> set[Named]:
        """Take over a configuration; the objects that are served now and were not, or the other way round."""
        left, entered = differences(self._hosts, hosts)
        earlier, after = ({host.name: host.routes for host in items} for items in (left, entered))
        gone: Counter[Named] = Counter()
        come: Counter[Named] = Counter()
        for name in earlier.keys() | after.keys():
            less, more = differences(earlier.get(name, ()), after.get(name, ()))
            gone.update(_origins(less))
            come.update(_origins(more))
        changed: set[Named] = set()
        for one in gone.keys() | come.keys():
            before = self._routes[one]
            count = before + come[one] - gone[one]
            if count:
                self._routes[one] = count
            else:
                del self._routes[one]
            if bool(before) != bool(count):
                changed.add(one)
        self._hosts = hosts
        return changed

    def __contains__(self, one: Named) -> bool:
        return one in self._routes

    def of_kind(self, kind: str) -> Iterator[Named]:
        """All objects of one kind that are served."""
        return (one for one in self._routes if one[0] == kind)


def _origins(routes: Iterable[ir.Route]) -> Iterator[Named]:
    for route in routes:
        for choice in route.choices:
            if choice.direct != REFUSAL:
                yield choice.origin.kind, choice.origin.namespace, choice.origin.name
