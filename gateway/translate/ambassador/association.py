"""Which Hosts take a group of Mappings.

Source of the rules: Emissary's ``irhost.matches_httpgroup`` (features.md 1.2, "Mapping ↔ Host association"):
a regex host asks every Host; a hostname must intersect with that of the Host; a selector must match the labels; with
both, both must hold; with neither there is no association. Hosts are indexed by name, so that a Mapping with an exact
hostname costs one look-up and one comparison per wildcard Host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.base.globs import globs_intersect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.translate.ambassador.groups import Group
    from gateway.translate.ambassador.hosts import HostPart


class HostIndex:
    """The Hosts of one pass; the order is that of ``hosts``, results are positions in it."""

    __slots__ = ("_all", "_by_glob", "_by_name", "_selecting", "_strict", "_wild", "hosts")

    def __init__(self, hosts: Sequence[HostPart], *, strict: bool) -> None:
        self.hosts = tuple(hosts)
        self._strict = strict
        self._all = tuple(range(len(self.hosts)))
        self._selecting = tuple(i for i in self._all if self.hosts[i].host.spec.effective_selector is not None)
        self._wild = tuple(i for i in self._all if "*" in self.hosts[i].domain)
        self._by_name: dict[str, list[int]] = {}
        for position in self._all:
            self._by_name.setdefault(self.hosts[position].domain, []).append(position)
        self._by_glob: dict[str, tuple[int, ...]] = {}

    def takers(self, group: Group) -> tuple[int, ...]:
        """Positions of the Hosts that take ``group``, ascending."""
        if group.any_host:
            named = self._all
        elif group.hostname is None:
            return tuple(i for i in self._selecting if self._selects(i, group))
        else:
            named = self._intersecting(group.hostname)
        if not self._selecting:
            return named
        if self._strict:
            return tuple(i for i in named if self._selects(i, group))
        return tuple(sorted({*named, *(i for i in self._selecting if self._selects(i, group))}))

    def _selects(self, position: int, group: Group) -> bool:
        selector = self.hosts[position].host.spec.effective_selector
        return selector is None or selector.matches(group.labels)

    def _intersecting(self, glob: str) -> tuple[int, ...]:
        found = self._by_glob.get(glob)
        if found is None:
            if glob == "*":
                found = self._all
            elif "*" in glob:
                found = tuple(i for i in self._all if globs_intersect(self.hosts[i].domain, glob))
            else:
                wild = [i for i in self._wild if globs_intersect(self.hosts[i].domain, glob)]
                found = tuple(sorted({*self._by_name.get(glob, ()), *wild}))
            self._by_glob[glob] = found
        return found
