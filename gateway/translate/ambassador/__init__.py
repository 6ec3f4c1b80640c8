"""The getambassador.io dialect: Listener, Host, Mapping, TLSContext, Module, RateLimit; Ingresses of its class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.base.differences import same_objects
from gateway.diagnostics import Collector, Diagnostic
from gateway.resources import Host, Mapping, Service, TLSContext
from gateway.resources import Secret as SecretObject
from gateway.translate.ambassador.context import mapping_context
from gateway.translate.ambassador.hosts import HostPart, closed_host, default_host, translate_host
from gateway.translate.ambassador.ingresses import Expanded, expand
from gateway.translate.ambassador.routing import RoutingMemo, route_mappings
from gateway.translate.barrier import guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway import ir
    from gateway.resources import Ingress, LabelSelector, Module, ResourceSet
    from gateway.translate.certificates import CertificateStore
    from gateway.translate.clusters import ClusterTable
    from gateway.translate.protection import Protection
    from gateway.translate.settings import TranslateSettings
    from gateway.translate.virtualhosts import Contribution


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A Host as it was translated, and the Secrets that it depends on, whether they were there or not."""

    part: HostPart
    secrets: dict[tuple[str, str], SecretObject | None]


@dataclass(frozen=True, slots=True)
class HostPass:
    """All Hosts as they were translated, in order, and everything that this depended on."""

    hosts: tuple[Host, ...]
    contexts: tuple[TLSContext, ...]
    secrets: tuple[SecretObject, ...]
    parts: list[HostPart]
    findings: tuple[Diagnostic, ...]
    certificates: tuple[ir.Certificate, ...]
    selectors: tuple[LabelSelector, ...]
    """Of the Hosts that take Mappings by their labels."""

    def holds(self, hosts: Sequence[Host], resources: ResourceSet) -> bool:
        """Whether nothing of it is another object now."""
        return (
            self.contexts is resources.of(TLSContext)
            and self.secrets is resources.of(SecretObject)
            and same_objects(self.hosts, hosts)
        )


@dataclass(slots=True)
class AmbassadorMemo:
    """What the last pass of this dialect left."""

    routing: RoutingMemo = field(default_factory=RoutingMemo)
    default: Host | None = None
    contexts: tuple[TLSContext, ...] | None = None
    hosts: dict[tuple[str, str, str], KnownHost] = field(default_factory=dict)
    whole: HostPass | None = None
    """``None`` where a Host could not be translated: it is tried again."""
    ingress_services: tuple[Service, ...] = ()
    ingresses: dict[tuple[str, str], tuple[Ingress, Expanded, tuple[Diagnostic, ...]]] = field(default_factory=dict)


def translate_ambassador(
    resources: ResourceSet,
    ingresses: Sequence[Ingress],
    settings: TranslateSettings,
    module: Module | None,
    store: CertificateStore,
    clusters: ClusterTable,
    guard: Protection,
    memo: AmbassadorMemo,
    found: Collector,
) -> list[Contribution]:
    """Contributions of all Hosts, with the routes of the Mappings that they take."""
    expanded = _expand(ingresses, resources, memo, found)
    mappings = resources.of(Mapping)
    hosts = [*resources.of(Host), *(host for item in expanded for host in item.hosts)]
    if not hosts and (mappings or any(item.mappings for item in expanded)):
        default = default_host(settings.namespace, store)
        if memo.default is None or memo.default != default:
            memo.default = default
        hosts.append(memo.default)
        _report_ignored_contexts(resources, found)
    whole = _translate_hosts(hosts, resources, store, memo, found)
    context = mapping_context(resources, settings, module, whole.selectors, guard)
    return route_mappings(resources, expanded, whole.parts, context, clusters, memo.routing, found)


def _expand(
    ingresses: Sequence[Ingress], resources: ResourceSet, memo: AmbassadorMemo, found: Collector
) -> list[Expanded]:
    services = resources.of(Service)
    known = memo.ingresses if memo.ingress_services is services else {}
    current: dict[tuple[str, str], tuple[Ingress, Expanded, tuple[Diagnostic, ...]]] = {}
    for ingress in ingresses:
        key = (ingress.namespace, ingress.name)
        entry = known.get(key)
        if entry is None or entry[0] is not ingress:
            notes = Collector()
            result = guarded(ingress.origin, notes, lambda item=ingress, notes=notes: expand(item, resources, notes))  # type: ignore[misc]
            entry = (ingress, result if result is not None else Expanded((), ()), notes.sorted())
        current[key] = entry
        found.extend(entry[2])
    memo.ingresses = current
    memo.ingress_services = services
    return [expanded for _, expanded, _ in current.values()]


def _translate_hosts(
    hosts: Sequence[Host], resources: ResourceSet, store: CertificateStore, memo: AmbassadorMemo, found: Collector
) -> HostPass:
    whole = memo.whole
    if whole is None or not whole.holds(hosts, resources):
        whole, complete = _translate_each(hosts, resources, store, memo)
        memo.whole = whole if complete else None
    found.extend(whole.findings)
    for certificate in whole.certificates:
        store.use(certificate)
    return whole


def _translate_each(
    hosts: Sequence[Host], resources: ResourceSet, store: CertificateStore, memo: AmbassadorMemo
) -> tuple[HostPass, bool]:
    """Hosts that are others, or one of whose Secrets is, are translated anew; and whether each of them could be."""
    contexts = resources.of(TLSContext)
    current: dict[tuple[str, str, str], KnownHost] = {}
    parts: list[HostPart] = []
    certificates: list[ir.Certificate] = []
    found, complete = Collector(), True
    for host in hosts:
        key = (host.origin.kind, host.namespace, host.name)
        known = memo.hosts.get(key)
        if known is None or known.part.host is not host or memo.contexts is not contexts or _stale(known, store):
            store.asked = {}
            part = guarded(host.origin, found, lambda item=host: translate_host(item, resources, store))  # type: ignore[misc]
            if part is None:
                parts.append(closed_host(host))
                complete = False
                continue
            # A certificate that is renewed is another content under the same name: the routes of the Host may stay.
            part = known.part if known is not None and known.part.says_the_same(part) else part
            known, store.asked = KnownHost(part, store.asked), {}
        current[key] = known
        parts.append(known.part)
        found.extend(known.part.findings)
        termination = known.part.termination
        if termination is not None:
            certificates.append(store.known[termination.certificate][1])
    memo.hosts = current
    memo.contexts = contexts
    secrets = resources.of(SecretObject)
    selectors = tuple(host.spec.effective_selector for host in hosts if host.spec.effective_selector is not None)
    whole = HostPass(tuple(hosts), contexts, secrets, parts, found.sorted(), tuple(certificates), selectors)
    return whole, complete


def _stale(known: KnownHost, store: CertificateStore) -> bool:
    """Whether a Secret of a Host is another one now."""
    return any(store.peek(*place) is not secret for place, secret in known.secrets.items())


def _report_ignored_contexts(resources: ResourceSet, found: Collector) -> None:
    for context in resources.of(TLSContext):
        if context.spec.hosts:
            found.error(
                "tls-context-ignored", "there is no Host, so TLS is not terminated", context.origin, "spec.hosts"
            )
