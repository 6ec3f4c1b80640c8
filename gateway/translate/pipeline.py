"""All dialects, one gateway.

Precedence between dialects on one host is documented in :mod:`gateway.translate.virtualhosts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gateway import ir
from gateway.base.differences import same_objects
from gateway.diagnostics import Collector, Diagnostic, Origin
from gateway.resources import (
    Host,
    Listener,
    Mapping,
    Module,
)
from gateway.translate.ambassador import translate_ambassador
from gateway.translate.ambassador.listeners import listener_ports
from gateway.translate.ambassador.module import find_module, label_domain, options
from gateway.translate.ambassador.services import translate_services
from gateway.translate.ambassador.tcpmappings import translate_tcp_mappings
from gateway.translate.certificates import CertificateStore
from gateway.translate.classes import classify
from gateway.translate.clusters import ClusterTable
from gateway.translate.ingress import translate_ingresses
from gateway.translate.listeners import (
    Port,
    additional_ports,
    build_listener,
    default_ports,
    with_http3,
    without_collisions,
)
from gateway.translate.memo import Memo, Served
from gateway.translate.origins import line_of
from gateway.translate.protection import protection, report_refused
from gateway.translate.tcproutes import TcpPart, attach, without_routes
from gateway.translate.virtualhosts import Contribution, VirtualHostTable, report_shadowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.resources import ResourceSet
    from gateway.translate.settings import TranslateSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Translation:
    """The result: what the data plane shall do, and what there is to say about the objects."""

    gateway: ir.Gateway
    diagnostics: tuple[Diagnostic, ...]


def translate(resources: ResourceSet, settings: TranslateSettings, memo: Memo | None = None) -> Translation:
    """Translate all objects. With the memo of the last call, only what changed is translated again.

    The result is a function of ``resources`` and ``settings`` alone: it is the same with and without a memo, and parts
    that did not change are the same objects as in the last result.
    """
    memo = memo if memo is not None else Memo()
    found = Collector()
    module = find_module(resources, settings.namespace, found)
    gateway_options = options(module, settings, found)
    store = CertificateStore(resources, memo.certificates)
    clusters = ClusterTable(resources, store, memo.clusters, memo.world)
    # Until this pass is through, no part of the memo may be taken for a whole.
    memo.world = ()
    ingresses = classify(resources, settings, found)
    guard = protection(resources, settings, label_domain(module))
    parts: list[Contribution] = translate_ambassador(
        resources, ingresses.emissary, settings, module, store, clusters, guard, memo.ambassador, found
    )
    services = translate_services(resources, settings, module, clusters, found)
    parts += translate_ingresses(resources, ingresses.plain, store, clusters, guard, memo.ingress, found)
    tcp = translate_tcp_mappings(resources, settings, module, store, clusters, found)
    ports = _ports(resources, parts, tcp, settings, gateway_options, module, found)
    hosts = VirtualHostTable(parts, memo.hosts)
    report_shadowed(parts, found)
    listeners = tuple(
        sorted((build_listener(port, parts, hosts, settings, found) for port in ports), key=lambda item: item.name)
    )
    served = _served(clusters, hosts, listeners, store, memo)
    gateway = ir.Gateway(
        options=gateway_options,
        listeners=listeners,
        virtual_hosts=tuple(hosts.used[name].host for name in sorted(hosts.used)),
        clusters=served,
        certificates=tuple(store.used[name] for name in sorted(store.used)),
        services=services,
    )
    gateway = _settled(gateway, memo.gateway)
    memo.world, memo.clusters, memo.hosts, memo.gateway = clusters.world, clusters.used, hosts.memo(), gateway
    memo.certificates = {name: known for name, known in store.known.items() if name in store.used}
    report_refused(resources, label_domain(module), found)
    findings = found.sorted()
    memo.located = {id(item): (item, _located(item, memo.located.get(id(item)), resources)) for item in findings}
    return Translation(gateway, tuple([located for _, located in memo.located.values()]))


def _ports(
    resources: ResourceSet,
    parts: Sequence[Contribution],
    tcp: Sequence[TcpPart],
    settings: TranslateSettings,
    gateway_options: ir.Options,
    module: Module | None,
    found: Collector,
) -> list[Port]:
    listeners = resources.of(Listener)
    if listeners:
        if module is not None and module.spec.config.use_proxy_proto:
            message = "has no effect beside Listeners, whose protocols say where PROXY is spoken"
            found.notice("field-unused", message, module.origin, "spec.config.use_proxy_proto")
        ports = with_http3(without_collisions(listener_ports(listeners, settings, gateway_options, found), found))
    else:
        proxy_protocol = module is not None and bool(module.spec.config.use_proxy_proto)
        ports = default_ports(parts, settings, gateway_options, proxy_protocol=proxy_protocol)
        if any((resources.of(Host), resources.of(Mapping))):
            opened = f"port{'s' if len(ports) > 1 else ''} {', '.join(str(port.port) for port in ports)}"
            found.notice(
                "default-listeners",
                f"there is no Listener: the gateway opens {opened}; Emissary would serve nothing",
                Origin("Listener"),
            )
    ports = [*ports, *additional_ports(parts, ports, settings, gateway_options)]
    return without_routes(without_collisions(attach(ports, tcp, settings, Port), found), found)


def _served(
    clusters: ClusterTable,
    hosts: VirtualHostTable,
    listeners: Sequence[ir.Listener],
    store: CertificateStore,
    memo: Memo,
) -> tuple[ir.Cluster, ...]:
    """Clusters that served routes use, by name; the tuple of the last pass when every one is the same."""
    tcp = frozenset(choice.cluster for item in listeners for route in item.tcp_routes for choice in route.choices)
    if memo.served.wanted and memo.served.wanted[-1] == tcp:
        tcp = memo.served.wanted[-1]
    wanted = (*[built.clusters for built in hosts.used.values()], tcp)
    if not clusters.same_world or not same_objects(wanted, memo.served.wanted):
        results = [clusters.used[name] for name in sorted(frozenset().union(*wanted))]
        served = tuple([result.cluster for result in results])
        if same_objects(served, memo.served.clusters):
            served = memo.served.clusters
        memo.served = Served(wanted, served, tuple([item.certificate for item in results if item.certificate]))
    for certificate in memo.served.certificates:
        store.use(certificate)
    return memo.served.clusters


def _settled(new: ir.Gateway, old: ir.Gateway | None) -> ir.Gateway:
    """Take over equal objects of the last pass that are built anew each time, so that they keep their identity."""
    if old is None:
        return new
    return ir.Gateway(
        options=old.options if new.options == old.options else new.options,
        listeners=_kept(new.listeners, old.listeners),
        virtual_hosts=new.virtual_hosts,
        clusters=new.clusters,
        certificates=new.certificates,
        services=old.services if new.services == old.services else new.services,
    )


def _kept(new: tuple[T, ...], old: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(next((earlier for earlier in old if earlier == item), item) for item in new)


def _located(item: Diagnostic, earlier: tuple[Diagnostic, Diagnostic] | None, resources: ResourceSet) -> Diagnostic:
    """Add the line of the object; ``earlier``: the finding with the line of the last pass, which may still hold."""
    line = line_of(item.origin, resources)
    if earlier is not None and earlier[0] is item and earlier[1].line == line:
        return earlier[1]
    return item.at_line(line)
