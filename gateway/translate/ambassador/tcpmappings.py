"""TCPMapping: groups of them become TCP routes.

Source of the rules: Emissary's ``irtcpmapping.py``, ``irtcpmappinggroup.py`` and ``v3listener.py`` (features.md 1.2,
"TCPMapping"). Mappings with the same address, port and host share connections by weight. A host is compared with the
name in the TLS hello: TLS is terminated as the Host or TLSContext of that name says. Without one Emissary serves
nothing; here the bytes are passed through. What cannot be served is closed: a route without choices keeps the name
from wider names, from the route for every connection and from HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway import ir
from gateway.base.durations import DurationError, parse_duration_ms
from gateway.base.globs import globs_intersect
from gateway.diagnostics import Collector
from gateway.resources import Host, ModuleConfig, TCPMapping, TLSContext
from gateway.translate.ambassador.consul import consul_places
from gateway.translate.ambassador.context import known_resolvers
from gateway.translate.ambassador.matching import bare_host
from gateway.translate.ambassador.termination import TerminationError, tcp_termination
from gateway.translate.ambassador.upstream import ResolverError, tcp_cluster_spec
from gateway.translate.ambassador.weights import WeightError, shares
from gateway.translate.barrier import guarded
from gateway.translate.certificates import SecretError
from gateway.translate.origins import ir_origin
from gateway.translate.services import ServiceError, parse_service
from gateway.translate.tcproutes import TcpPart

if TYPE_CHECKING:
    from collections.abc import Mapping as Map
    from collections.abc import Sequence

    from gateway.resources import Module, ResourceSet
    from gateway.resources.consul import ConsulPlace
    from gateway.translate.certificates import CertificateStore
    from gateway.translate.clusters import ClusterTable
    from gateway.translate.settings import TranslateSettings

_MUST_AGREE = ("circuit_breakers", "enable_ipv4", "enable_ipv6", "idle_timeout_ms", "tls")


@dataclass(frozen=True, slots=True)
class _Surroundings:
    resources: ResourceSet
    settings: TranslateSettings
    module: ModuleConfig
    resolvers: Map[str, bool]
    consul: Map[str, ConsulPlace]
    store: CertificateStore
    clusters: ClusterTable


def translate_tcp_mappings(
    resources: ResourceSet,
    settings: TranslateSettings,
    module: Module | None,
    store: CertificateStore,
    clusters: ClusterTable,
    found: Collector,
) -> list[TcpPart]:
    """The TCP routes of all TCPMappings, in the order of their first members."""
    mappings = resources.of(TCPMapping)
    if not mappings:
        return []
    config = module.spec.config if module is not None else ModuleConfig()
    around = _Surroundings(
        resources, settings, config, known_resolvers(resources), consul_places(resources), store, clusters
    )
    groups: dict[tuple[str, int, str], list[TCPMapping]] = {}
    for mapping in mappings:
        spec = mapping.spec
        address = spec.address or settings.bind_address
        groups.setdefault((address, spec.port, _host(mapping)), []).append(mapping)
    return [
        guarded(members[0].origin, found, lambda key=key, members=members: _part(key, members, around, found))  # type: ignore[misc]
        or _closed(key, members[0])
        for key, members in groups.items()
    ]


def _host(mapping: TCPMapping) -> str:
    """The server name, empty for every connection: Emissary takes ``*`` for that, too."""
    host = bare_host(mapping.spec.host)
    return "" if host == "*" else host


def _part(
    key: tuple[str, int, str], mappings: Sequence[TCPMapping], around: _Surroundings, found: Collector
) -> TcpPart:
    address, port, host = key
    members = _agreeing(mappings, found)
    first = members[0]
    termination: ir.TlsTermination | None = None
    if host:
        try:
            termination = _termination(host, first, around, found)
        except (SecretError, TerminationError) as error:
            found.error("tcp-tls", f"{error}; its connections are closed", first.origin, "spec.host")
            return _closed(key, first)
    try:
        parts = shares([member.spec.weight for member in members])
    except WeightError as error:
        for member in members:
            found.error("group-weights", f"{error}; its connections are closed", member.origin, "spec.weight")
        return _closed(key, first)
    choices = [
        choice for index, share in parts if (choice := _choice(members[index], share, around, found)) is not None
    ]
    if not choices:
        return _closed(key, first)
    route = ir.TcpRoute(
        name=f"tcp/{first.namespace}/{first.name}",
        origin=ir_origin(first.origin),
        server_names=(host,) if host else (),
        choices=tuple(choices),
        idle_timeout_ms=_idle_timeout(first, found),
        terminate=termination is not None,
    )
    return TcpPart(first.origin, address, port, route, termination)


def _closed(key: tuple[str, int, str], first: TCPMapping) -> TcpPart:
    """Of a group that cannot be served."""
    address, port, host = key
    route = ir.TcpRoute(
        name=f"tcp/{first.namespace}/{first.name}",
        origin=ir_origin(first.origin),
        server_names=(host,) if host else (),
        choices=(),
    )
    return TcpPart(first.origin, address, port, route)


def _agreeing(mappings: Sequence[TCPMapping], found: Collector) -> list[TCPMapping]:
    """Members that set nothing otherwise than the first one; a later member may leave a setting out."""
    first = mappings[0]
    accepted = [first]
    for mapping in mappings[1:]:
        wrong = [
            name
            for name in _MUST_AGREE
            if (value := getattr(mapping.spec, name)) not in (None, "") and value != getattr(first.spec, name)
        ]
        if wrong:
            found.error(
                "group-mismatch",
                f"{', '.join(wrong)} must be the same as in {first.origin}, which takes the same connections; "
                "the TCPMapping is not served",
                mapping.origin,
                f"spec.{wrong[0]}",
            )
        else:
            accepted.append(mapping)
    return accepted


def _termination(host: str, mapping: TCPMapping, around: _Surroundings, found: Collector) -> ir.TlsTermination | None:
    """With the first Host by hostname whose TLS covers the name, else the first TLSContext that lists it."""
    resources, store = around.resources, around.store
    hosts = [item for item in resources.of(Host) if globs_intersect(bare_host(item.spec.hostname or "*"), host)]
    contexts = [item for item in resources.of(TLSContext) if host in item.spec.hosts]
    sources: list[Host | TLSContext] = [*sorted(hosts, key=lambda item: item.spec.hostname), *contexts]
    for source in sources:
        # What there is to say about a Host's settings is said where the Host is translated.
        notes = Collector() if isinstance(source, Host) else found
        termination = tcp_termination(host, source, resources, store, notes)
        if termination is not None:
            return replace(termination, origin=ir_origin(mapping.origin))
    found.notice(
        "tcp-passthrough",
        f"no Host or TLSContext terminates TLS for {host}: it is passed through; Emissary would not serve it",
        mapping.origin,
        "spec.host",
    )
    return None


def _choice(mapping: TCPMapping, share: int, around: _Surroundings, found: Collector) -> ir.TcpChoice | None:
    """``None`` for a member whose upstream is unknown or could only be reached less securely than asked for."""
    origin = mapping.origin
    try:
        address = parse_service(mapping.spec.service)
        spec = tcp_cluster_spec(
            mapping, address, around.module, around.resolvers, around.settings, found, around.consul
        )
    except (ServiceError, ResolverError) as error:
        field = "spec.service" if isinstance(error, ServiceError) else "spec.resolver"
        found.error("tcp-upstream", f"{error}; its connections are closed", origin, field)
        return None
    if address.remark:
        found.warning("service-syntax", address.remark, origin, "spec.service")
    result = around.clusters.require(spec)
    found.extend(replace(item, origin=origin) for item in result.findings)
    if result.failure:
        found.error("upstream-tls", f"{result.failure}; its connections are closed", origin, "spec.tls")
        return None
    return ir.TcpChoice(float(share), spec.name, ir_origin(origin))


def _idle_timeout(mapping: TCPMapping, found: Collector) -> int | None:
    """The CRD types it as text: digits are milliseconds, a Go duration is taken as well."""
    value = mapping.spec.idle_timeout_ms
    if value == "" or isinstance(value, int):
        return value if isinstance(value, int) else None
    if value.isascii() and value.isdigit() and len(value) <= 15:
        return int(value)
    try:
        return parse_duration_ms(value)
    except DurationError as error:
        found.error("tcp-idle-timeout", f"{error}; it is ignored", mapping.origin, "spec.idle_timeout_ms")
        return None
