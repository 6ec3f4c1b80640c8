"""TCP routes on ports: which port takes them, the ports they open, the Hosts they displace.

Source of the rules: Emissary's ``irlistener.py`` (``ListenerFactory.finalize``) and ``v3listener.py``: a TCPMapping
goes to the Listener with its address and port, or gets a port of its own; it beats a Host with the same server name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.diagnostics import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway import ir
    from gateway.diagnostics import Collector
    from gateway.translate.listeners import Port
    from gateway.translate.settings import TranslateSettings
    from gateway.translate.virtualhosts import Contribution


@dataclass(frozen=True, slots=True)
class TcpPart:
    """A TCP route and where it belongs. ``address`` is empty for that of the settings."""

    origin: Origin
    address: str
    port: int
    route: ir.TcpRoute
    termination: ir.TlsTermination | None = None


def attach(
    ports: Sequence[Port], parts: Sequence[TcpPart], settings: TranslateSettings, make: type[Port]
) -> list[Port]:
    """Give each part to the TCP port with its address and number; what is left opens ports. Order is kept."""
    left: dict[tuple[str, int], list[TcpPart]] = {}
    for part in parts:
        left.setdefault((part.address or settings.bind_address, part.port), []).append(part)
    result: list[Port] = []
    for port in ports:
        own = left.pop((port.address, port.port), None) if port.protocol != "udp" else None
        result.append(replace(port, tcp=_ordered(own)) if own else port)
    for (address, number), own in sorted(left.items()):
        result.append(
            make(
                f"tcp/{address}:{number}",
                own[0].origin,
                address,
                number,
                tls=False,
                security="secure",
                protocol="tcp",
                tcp=_ordered(own),
            )
        )
    return result


def _ordered(parts: Iterable[TcpPart]) -> tuple[TcpPart, ...]:
    return tuple(sorted(parts, key=lambda part: (part.route.server_names, part.route.name)))


def without_routes(ports: Iterable[Port], found: Collector) -> list[Port]:
    """Leave out TCP ports that forward nothing."""
    kept: list[Port] = []
    for port in ports:
        if port.protocol == "tcp" and not port.tcp:
            found.warning(
                "listener-not-served", "no TCPMapping is for this port: it is not opened", port.origin, "spec.port"
            )
        else:
            kept.append(port)
    return kept


def without_claimed(
    parts: Sequence[Contribution], tcp: Sequence[TcpPart], *, tls: bool, found: Collector
) -> list[Contribution]:
    """Leave out Hosts whose connections a TCP route takes: by server name on a TLS port, all of them in cleartext."""
    if not tcp:
        return list(parts)
    everything = None if tls else next((part for part in tcp if not part.route.server_names), None)
    by_name = {name: part for part in tcp for name in part.route.server_names} if tls else {}
    kept: list[Contribution] = []
    for item in parts:
        winner = everything or by_name.get(item.domain)
        if winner is None:
            kept.append(item)
            continue
        found.error(
            "tcp-mapping-conflict",
            f"{winner.origin} takes the connections to port {winner.port}: nothing of it is served there",
            Origin(item.origin.kind, item.origin.namespace, item.origin.name, item.origin.path),
            "spec.hostname",
        )
    return kept
