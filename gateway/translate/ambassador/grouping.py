"""Members with one match become a group: which groups there are, and which Hosts take each.

A group is built again if a member of it is another object than in the last pass or a cluster says something else, and
asked for its Hosts again if the Hosts are others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.diagnostics import Collector, Diagnostic
from gateway.translate.ambassador.groups import Group, build_group
from gateway.translate.barrier import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.translate.ambassador.association import HostIndex
    from gateway.translate.ambassador.members import Member, Place
    from gateway.translate.clusters import ClusterResult, ClusterTable


@dataclass(frozen=True, slots=True, eq=False)
class KnownGroup:
    """A group with what it was made of. ``takers`` are positions in the Hosts; none where nothing is served."""

    members: tuple[Member, ...]
    """In their order; never empty."""
    clusters: tuple[ClusterResult, ...]
    group: Group | None
    takers: tuple[int, ...]
    findings: tuple[Diagnostic, ...]

    @property
    def place(self) -> Place:
        """Where the group stands among all groups."""
        return self.members[0].place


Change = tuple[KnownGroup | None, KnownGroup | None]
"""A group before and after; ``None`` where there is none."""


@dataclass(slots=True)
class GroupMemo:
    """All groups of the last pass, by what their members have in common."""

    groups: dict[str, KnownGroup] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    """How many members ask for a cluster, by its name."""
    findings: dict[str, tuple[Diagnostic, ...]] = field(default_factory=dict)

    def regroup(self, members: Iterable[Member], index: HostIndex, clusters: ClusterTable, *, same_hosts: bool) -> None:
        """Make these members, in their order, all there are. ``same_hosts``: as in the last pass."""
        by_key: dict[str, list[Member]] = {}
        for member in members:
            parts = by_key.get(member.group)
            if parts is None:
                by_key[member.group] = [member]
            else:
                parts.append(member)
        known, self.groups, self.users, self.findings = self.groups, {}, {}, {}
        for key, parts in by_key.items():
            self._put(key, parts, known.get(key), index, clusters, same_hosts=same_hosts)
            self._count(parts, 1)

    def change(
        self, gone: Iterable[Member], fresh: Iterable[Member], index: HostIndex, clusters: ClusterTable
    ) -> list[Change]:
        """Take members out and put others in, where nothing else changed; the groups that are others now."""
        left = set(gone)
        self._count(left, -1)
        clusters.carry_over(self.users.keys())
        entering: dict[str, list[Member]] = {member.group: [] for member in left}
        for member in fresh:
            entering.setdefault(member.group, []).append(member)
        changes: list[Change] = []
        for key, parts in entering.items():
            earlier = self.groups.pop(key, None)
            self.findings.pop(key, None)
            self._count(parts, 1)
            parts += [member for member in (earlier.members if earlier is not None else ()) if member not in left]
            parts.sort(key=lambda member: member.place)
            if parts:
                self._put(key, parts, None, index, clusters, same_hosts=True)
            changes.append((earlier, self.groups.get(key)))
        return changes

    def _put(
        self,
        key: str,
        parts: list[Member],
        earlier: KnownGroup | None,
        index: HostIndex,
        clusters: ClusterTable,
        *,
        same_hosts: bool,
    ) -> None:
        members = tuple(parts)
        results = tuple([clusters.require(part.cluster) for part in parts if part.cluster is not None])
        if earlier is not None and earlier.members == members and _say_the_same(earlier.clusters, results):
            entry = earlier if same_hosts else _placed(members, results, earlier.group, earlier.findings, index)
        else:
            entry = _build(members, results, index)
        self.groups[key] = entry
        if entry.findings:
            self.findings[key] = entry.findings

    def _count(self, members: Iterable[Member], step: int) -> None:
        for member in members:
            if member.cluster is not None:
                name = member.cluster.name
                self.users[name] = self.users.get(name, 0) + step
                if not self.users[name]:
                    del self.users[name]


def _say_the_same(earlier: tuple[ClusterResult, ...], now: tuple[ClusterResult, ...]) -> bool:
    return earlier == now or (
        len(earlier) == len(now) and all(old.says_the_same(new) for old, new in zip(earlier, now, strict=True))
    )


def _build(members: tuple[Member, ...], results: tuple[ClusterResult, ...], index: HostIndex) -> KnownGroup:
    upstream = [member.name for member in members if member.cluster is not None]
    by_name = dict(zip(upstream, results, strict=True))
    crash = Collector()
    group = guarded(members[0].origin, crash, lambda: build_group(members, by_name))
    return _placed(members, results, group, crash.sorted(), index)


def _placed(
    members: tuple[Member, ...],
    results: tuple[ClusterResult, ...],
    group: Group | None,
    crash: tuple[Diagnostic, ...],
    index: HostIndex,
) -> KnownGroup:
    """Ask which Hosts take the group; ``crash`` says why there is none."""
    if group is None:
        return KnownGroup(members, results, None, (), crash)
    if group.route is None:
        return KnownGroup(members, results, group, (), group.findings)
    takers = index.takers(group)
    findings = group.findings if takers else (*group.findings, _homeless(members[0], group))
    return KnownGroup(members, results, group, takers, findings)


def _homeless(member: Member, group: Group) -> Diagnostic:
    hint = "set hostname, or a mappingSelector on the Host" if group.hostname is None and not group.any_host else ""
    message = "no Host takes this Mapping: it is not served"
    return Diagnostic("warning", "mapping-without-host", message, member.origin, "", hint)
