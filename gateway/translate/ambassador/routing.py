"""From Mappings to the routes of each Host, with a memory of the last pass.

Three steps, each of which keeps what did not change: a Mapping becomes a member, members with one match become a
group (one route), groups go to the Hosts that take them. Nothing here is O(Mappings x Hosts) unless every Mapping
really belongs to every Host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.diagnostics import Collector, Diagnostic
from gateway.translate.ambassador.association import HostIndex
from gateway.translate.ambassador.groups import Group, build_group
from gateway.translate.ambassador.members import Member, Translated, translate_mapping
from gateway.translate.barrier import guarded
from gateway.translate.origins import ir_origin
from gateway.translate.virtualhosts import Contribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Mapping as Map

    from gateway.resources import Mapping
    from gateway.translate.ambassador.context import MappingContext
    from gateway.translate.ambassador.hosts import HostPart
    from gateway.translate.clusters import ClusterResult, ClusterTable
    from gateway.translate.ranking import RankedRoute


@dataclass(slots=True)
class KnownGroup:
    """A group with what it was made of."""

    members: list[Member]
    clusters: list[ClusterResult]
    group: Group | None
    findings: tuple[Diagnostic, ...]
    takers: tuple[int, ...] = ()


@dataclass(slots=True)
class RoutingMemo:
    """What the last pass left. ``hosts`` are those whose positions ``KnownGroup.takers`` means."""

    signature: tuple[object, ...] = ()
    members: dict[int, Translated] = field(default_factory=dict)
    """By ``id`` of the Mapping, which the value keeps alive."""
    groups: dict[str, KnownGroup] = field(default_factory=dict)
    hosts: tuple[HostPart, ...] = ()
    contributions: dict[str, tuple[HostPart, list[RankedRoute], Contribution]] = field(default_factory=dict)


def route_mappings(
    mappings: Iterable[Mapping],
    names: Map[int, str],
    hosts: Sequence[HostPart],
    context: MappingContext,
    clusters: ClusterTable,
    memo: RoutingMemo,
    found: Collector,
) -> list[Contribution]:
    """Translate all Mappings and give each Host its routes.

    ``names`` has the unique route names (by ``id`` of the object) of Mappings that no manifest declares.
    """
    members = _translate(mappings, names, context, memo, found)
    groups = _group(members, clusters, memo, found)
    return _distribute(groups, HostIndex(hosts, strict=context.settings.strict_label_selectors), memo, found)


def _translate(
    mappings: Iterable[Mapping], names: Map[int, str], context: MappingContext, memo: RoutingMemo, found: Collector
) -> list[Member]:
    known = memo.members if memo.signature == context.signature else {}
    current: dict[int, Translated] = {}
    members: list[Member] = []
    for mapping in mappings:
        number = id(mapping)
        translated = known.get(number)
        if translated is None:
            name = names.get(number) or f"mapping/{mapping.namespace}/{mapping.name}"
            translated = _translate_one(name, mapping, context)
        current[number] = translated
        if translated.findings:
            found.extend(translated.findings)
        if translated.member is not None:
            members.append(translated.member)
    memo.signature = context.signature
    memo.members = current
    return members


def _translate_one(name: str, mapping: Mapping, context: MappingContext) -> Translated:
    crash = Collector()
    translated = guarded(mapping.origin, crash, lambda: translate_mapping(name, mapping, context))
    return translated if translated is not None else Translated(mapping, None, crash.sorted())


def _group(members: Iterable[Member], clusters: ClusterTable, memo: RoutingMemo, found: Collector) -> list[KnownGroup]:
    by_key: dict[str, list[Member]] = {}
    for member in members:
        parts = by_key.get(member.group)
        if parts is None:
            by_key[member.group] = [member]
        else:
            parts.append(member)
    known = memo.groups
    current: dict[str, KnownGroup] = {}
    for key, parts in by_key.items():
        results = [clusters.require(part.cluster) for part in parts if part.cluster is not None]
        entry = known.get(key)
        if entry is None or entry.members != parts or entry.clusters != results:
            entry = _build(parts, results)
        current[key] = entry
        if entry.findings:
            found.extend(entry.findings)
    memo.groups = current
    return list(current.values())


def _build(members: list[Member], results: list[ClusterResult]) -> KnownGroup:
    upstream = [member.name for member in members if member.cluster is not None]
    by_name = dict(zip(upstream, results, strict=True))
    crash = Collector()
    group = guarded(members[0].origin, crash, lambda: build_group(members, by_name))
    findings = group.findings if group is not None else crash.sorted()
    return KnownGroup(members, results, group, findings)


def _distribute(
    groups: Iterable[KnownGroup], index: HostIndex, memo: RoutingMemo, found: Collector
) -> list[Contribution]:
    same_hosts = memo.hosts == index.hosts
    routes: list[list[RankedRoute]] = [[] for _ in index.hosts]
    for entry in groups:
        group = entry.group
        if group is None or group.route is None:
            continue
        if not same_hosts or not entry.takers:
            entry.takers = index.takers(group)
            if not entry.takers:
                _report_homeless(entry.members[0], group, found)
        for position in entry.takers:
            routes[position].append(group.route)
    memo.hosts = index.hosts
    current: dict[str, tuple[HostPart, list[RankedRoute], Contribution]] = {}
    for part, taken in zip(index.hosts, routes, strict=True):
        key = f"{part.host.origin.kind}/{part.host.namespace}/{part.host.name}"
        earlier = memo.contributions.get(key)
        if earlier is None or earlier[0] is not part or earlier[1] != taken:
            earlier = (part, taken, _contribution(part, taken))
        current[key] = earlier
    memo.contributions = current
    return [contribution for _, _, contribution in current.values()]


def _contribution(part: HostPart, routes: Sequence[RankedRoute]) -> Contribution:
    host = part.host
    return Contribution(
        domain=part.domain,
        origin=ir_origin(host.origin),
        namespace=host.namespace,
        labels=host.metadata.labels,
        routes=tuple(routes),
        insecure_action=part.insecure_action,
        terminations=(part.termination,) if part.termination is not None else (),
        additional_port=part.additional_port,
        tls_failed=part.tls_failed,
    )


def _report_homeless(member: Member, group: Group, found: Collector) -> None:
    hint = "set hostname, or a mappingSelector on the Host" if group.hostname is None and not group.any_host else ""
    found.warning("mapping-without-host", "no Host takes this Mapping: it is not served", member.origin, "", hint)
