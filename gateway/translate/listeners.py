"""Listeners: which port takes which contributions, and the ports that exist without a Listener.

Source of the rules: Emissary's ``irlistener.py`` (features.md 1.2, "Listener"). Unlike Emissary, which serves nothing
without a Listener, the gateway then opens its two default ports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from gateway import ir
from gateway.diagnostics import Origin
from gateway.translate.domains import host_globs, wider_domain
from gateway.translate.origins import GATEWAY, ir_origin
from gateway.translate.tcproutes import without_claimed
from gateway.translate.virtualhosts import blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.diagnostics import Collector
    from gateway.resources import LabelSelector
    from gateway.translate.settings import TranslateSettings
    from gateway.translate.tcproutes import TcpPart
    from gateway.translate.virtualhosts import Contribution, VirtualHostTable


@dataclass(frozen=True, slots=True, eq=False)
class Port:
    """A port to open. ``namespace`` ``None`` takes contributions of all namespaces."""

    name: str
    origin: Origin
    address: str
    port: int
    tls: bool
    security: Literal["xfp", "secure", "insecure"]
    namespace: str | None = None
    selector: LabelSelector | None = None
    additional: bool = False
    """Made by ``requestPolicy.insecure.additionalPort``: takes only the Hosts that ask for it."""
    proxy_protocol: bool = False
    trusted_hops: int = 0
    protocol: Literal["http", "tcp", "udp"] = "http"
    http2_max_concurrent_streams: int | None = None
    http3: bool = False
    """See :class:`gateway.ir.Listener`."""
    tcp: tuple[TcpPart, ...] = ()

    def takes(self, part: Contribution) -> bool:
        """Whether a Host or Ingress attaches here."""
        if self.additional:
            return part.additional_port == self.port
        if self.namespace is not None and part.namespace != self.namespace:
            return False
        return self.selector is None or self.selector.matches(part.labels)


def default_ports(
    parts: Iterable[Contribution], settings: TranslateSettings, options: ir.Options, *, proxy_protocol: bool
) -> list[Port]:
    """Ports for manifests without a Listener: cleartext, and TLS if some certificate is there."""
    numbers = [("http", settings.http_port, False)]
    if any(part.terminations for part in parts):
        numbers.append(("https", settings.https_port, True))
    return [
        Port(
            name,
            Origin(),
            settings.bind_address,
            port,
            tls,
            "xfp",
            proxy_protocol=proxy_protocol,
            trusted_hops=options.xff_num_trusted_hops,
        )
        for name, port, tls in numbers
    ]


def additional_ports(
    parts: Iterable[Contribution], ports: Sequence[Port], settings: TranslateSettings, options: ir.Options
) -> list[Port]:
    """Cleartext ports that Hosts ask for and no Listener has."""
    open_ports = {port.port for port in ports if port.protocol != "udp"}
    wanted = sorted({part.additional_port for part in parts if part.additional_port} - open_ports)
    return [
        Port(
            f"additional/{number}",
            Origin(),
            settings.bind_address,
            number,
            tls=False,
            security="insecure",
            additional=True,
            trusted_hops=options.xff_num_trusted_hops,
        )
        for number in wanted
    ]


def with_http3(ports: Iterable[Port]) -> list[Port]:
    """Mark ports for HTTP over TLS whose address and number an HTTP/3 listener has as well: they advertise it."""
    ports = list(ports)
    quic = {(port.address, port.port) for port in ports if port.protocol == "udp"}
    return [
        replace(port, http3=True)
        if port.protocol == "http" and port.tls and (port.address, port.port) in quic
        else port
        for port in ports
    ]


def without_collisions(ports: Iterable[Port], found: Collector) -> list[Port]:
    """Of several ports on one address and number, the first (by namespace and name) wins."""
    taken: list[Port] = []
    for port in ports:
        other = next((item for item in taken if _collide(item, port)), None)
        if other is None:
            taken.append(port)
        else:
            owner = other.origin if other.origin.kind else f"the default listener {other.name}"
            found.error(
                "listener-port-collision",
                f"port {port.port} is taken by {owner}; this {port.origin.kind} is not opened",
                port.origin,
                "spec.port",
            )
    return taken


def build_listener(
    port: Port,
    contributions: Sequence[Contribution],
    table: VirtualHostTable,
    settings: TranslateSettings,
    found: Collector,
) -> ir.Listener:
    """Attach contributions. A TLS port takes the domains for which a certificate is there."""
    parts = [part for part in contributions if port.protocol != "tcp" and port.takes(part)]
    parts = without_claimed(parts, port.tcp, tls=port.tls, found=found)
    lenders = parts
    own = [part.termination for part in port.tcp if part.termination is not None]
    terminations = tuple(own)
    if port.tls:
        lenders = _trusted(parts)
        parts = _secured(parts)
        terminations = _terminations([*own, *(item for part in parts for item in part.terminations)], found)
        if not terminations and port.origin.kind:
            found.warning("listener-without-tls", "no Host with a certificate attaches: nothing is served", port.origin)
    return ir.Listener(
        name=port.name,
        origin=ir_origin(port.origin) if port.origin.kind else GATEWAY,
        address=port.address,
        port=port.port,
        tls=port.tls,
        security=port.security,
        virtual_hosts=table.attach(port.name, parts, lenders),
        proxy_protocol=port.proxy_protocol,
        trusted_hops=port.trusted_hops,
        terminations=terminations,
        protocol=port.protocol,
        http2_max_concurrent_streams=port.http2_max_concurrent_streams,
        http3=port.protocol == "udp" or port.http3,
        tcp_routes=tuple(part.route for part in port.tcp),
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
    )


def _secured(parts: Sequence[Contribution]) -> list[Contribution]:
    """What a TLS port serves: domains with a certificate, without contributions whose own TLS could not be built.

    A domain of which nothing is left is blocked; otherwise a wider Host with a certificate would serve its Mappings,
    perhaps without the client authentication that the failed one asks for.
    """
    domains = {part.domain for part in parts if part.terminations and not part.tls_failed}
    domains |= _lent_certificates(parts, domains)
    failed = {part.domain: part for part in reversed(parts) if part.tls_failed and part.domain not in domains}
    served = [part for part in parts if part.domain in domains and not part.tls_failed]
    return [*served, *(blocked(part) for _, part in sorted(failed.items()))]


def _lent_certificates(parts: Sequence[Contribution], secured: set[str]) -> set[str]:
    """Domains of Ingresses without a certificate, in the domain of a Host with one: they are served under that."""
    wide = host_globs(parts)
    own = {part.domain for part in parts if part.is_host}
    others = {part.domain for part in parts} - own - secured if wide else set()
    return {domain for domain in others if wider_domain(domain, wide) in secured}


def _trusted(parts: Sequence[Contribution]) -> list[Contribution]:
    """What Hosts lend to domains of Ingresses over TLS: nothing, if their own TLS could not be built."""
    sound = {part.domain for part in parts if not part.tls_failed}
    trusted = [part for part in parts if not part.tls_failed]
    return [*trusted, *(blocked(part) for part in parts if part.tls_failed and part.domain not in sound)]


def _terminations(items: Iterable[ir.TlsTermination], found: Collector) -> tuple[ir.TlsTermination, ...]:
    """One termination per server name; the first one wins."""
    by_name: dict[str, ir.TlsTermination] = {}
    chosen: dict[ir.TlsTermination, None] = {}
    for item in items:
        clash = [name for name in item.server_names if by_name.setdefault(name, item) != item]
        if clash:
            other = by_name[clash[0]].origin
            found.warning(
                "tls-name-taken",
                f"{', '.join(clash)}: the TLS settings of {other.kind} {other.namespace}/{other.name} are used",
                Origin(item.origin.kind, item.origin.namespace, item.origin.name, item.origin.path),
            )
        if len(clash) < len(item.server_names):
            chosen[item] = None
    return tuple(sorted(chosen, key=lambda item: (item.server_names, item.certificate)))


def _collide(first: Port, second: Port) -> bool:
    if first.port != second.port or first.port == 0 or (first.protocol == "udp") != (second.protocol == "udp"):
        return False
    wild = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return first.address == second.address or first.address in wild or second.address in wild
