"""From Mappings to the routes of each Host, with a memory of the last pass.

Three steps, each of which keeps what did not change: a Mapping becomes a member, members with one match become a
group (one route), groups go to the Hosts that take them. Where nothing but Mappings changed, only those Mappings, their
groups and the Hosts that take them are looked at. Nothing here is O(Mappings x Hosts) unless every Mapping really
belongs to every Host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.diagnostics import Collector, Diagnostic
from gateway.resources import Mapping, ResourceSet, diff
from gateway.translate.ambassador.association import HostIndex
from gateway.translate.ambassador.distribution import HostRoutes, distribute, redistribute
from gateway.translate.ambassador.grouping import GroupMemo
from gateway.translate.ambassador.members import Member, Place, Translated, translate_mapping
from gateway.translate.barrier import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.translate.ambassador.context import MappingContext
    from gateway.translate.ambassador.hosts import HostPart
    from gateway.translate.ambassador.ingresses import Expanded
    from gateway.translate.clusters import ClusterTable
    from gateway.translate.virtualhosts import Contribution


@dataclass(slots=True)
class RoutingMemo:
    """What the last pass left."""

    complete: bool = False
    """False while a pass runs, and after one that failed: then nothing but whole results is trusted."""
    signature: tuple[object, ...] = ()
    resources: ResourceSet = field(default_factory=ResourceSet)
    expanded: tuple[Expanded, ...] = ()
    index: HostIndex = field(default_factory=lambda: HostIndex((), strict=False))
    members: dict[Place, Translated] = field(default_factory=dict)
    findings: dict[Place, tuple[Diagnostic, ...]] = field(default_factory=dict)
    """Of members."""
    groups: GroupMemo = field(default_factory=GroupMemo)
    hosts: list[HostRoutes] = field(default_factory=list)


def route_mappings(
    resources: ResourceSet,
    expanded: Sequence[Expanded],
    hosts: Sequence[HostPart],
    context: MappingContext,
    clusters: ClusterTable,
    memo: RoutingMemo,
    found: Collector,
) -> list[Contribution]:
    """Translate all Mappings and give each Host its routes. ``expanded`` has those that no manifest declares."""
    same_context = memo.signature == context.signature
    same_hosts = memo.complete and same_context and memo.index.hosts == tuple(hosts)
    same_others = same_hosts and memo.expanded == tuple(expanded) and clusters.renew()
    memo.complete = False
    if not same_hosts:
        memo.index = HostIndex(hosts, strict=context.settings.strict_label_selectors)
    if same_others:
        _change(*diff(memo.resources, resources).within(Mapping), context, clusters, memo)
    else:
        known = memo.members if same_context else {}
        members = _translate_all(resources.of(Mapping), expanded, known, context, memo)
        memo.groups.regroup(members, memo.index, clusters, same_hosts=same_hosts)
        memo.hosts = distribute(memo.groups.groups.values(), memo.index.hosts, memo.hosts)
    memo.signature, memo.resources, memo.expanded = context.signature, resources, tuple(expanded)
    memo.complete = True
    for findings in (*memo.findings.values(), *memo.groups.findings.values()):
        found.extend(findings)
    return [host.contribution for host in memo.hosts]


def _translate_all(
    mappings: Iterable[Mapping],
    expanded: Iterable[Expanded],
    known: dict[Place, Translated],
    context: MappingContext,
    memo: RoutingMemo,
) -> list[Member]:
    """Translate Mappings that ``known`` does not have; the members of all in their order."""
    memo.signature = context.signature
    memo.members, memo.findings = {}, {}
    named = [(_name(mapping), _place(mapping), mapping) for mapping in mappings]
    others = [item for ingress in expanded for item in ingress.mappings]
    named += [(name, (1, f"{number:09}", ""), mapping) for number, (name, mapping) in enumerate(others)]
    for name, place, mapping in named:
        translated = known.get(place)
        if translated is None or translated.mapping is not mapping:
            translated = _translate(name, place, mapping, context)
        _keep(place, translated, memo)
    return [item.member for item in memo.members.values() if item.member is not None]


def _change(
    gone: Iterable[Mapping],
    fresh: Iterable[Mapping],
    context: MappingContext,
    clusters: ClusterTable,
    memo: RoutingMemo,
) -> None:
    """Mappings of manifests changed and nothing else did."""
    left: list[Translated] = []
    for mapping in gone:
        place = _place(mapping)
        left.append(memo.members.pop(place))
        memo.findings.pop(place, None)
    entering: list[Translated] = []
    for mapping in fresh:
        place = _place(mapping)
        translated = _translate(_name(mapping), place, mapping, context)
        _keep(place, translated, memo)
        entering.append(translated)
    changes = memo.groups.change(
        [item.member for item in left if item.member is not None],
        [item.member for item in entering if item.member is not None],
        memo.index,
        clusters,
    )
    redistribute(changes, memo.hosts)


def _translate(name: str, place: Place, mapping: Mapping, context: MappingContext) -> Translated:
    crash = Collector()
    translated = guarded(mapping.origin, crash, lambda: translate_mapping(name, place, mapping, context))
    return translated if translated is not None else Translated(mapping, None, crash.sorted())


def _keep(place: Place, translated: Translated, memo: RoutingMemo) -> None:
    memo.members[place] = translated
    if translated.findings:
        memo.findings[place] = translated.findings


def _name(mapping: Mapping) -> str:
    return f"mapping/{mapping.namespace}/{mapping.name}"


def _place(mapping: Mapping) -> Place:
    return (0, mapping.namespace, mapping.name)
