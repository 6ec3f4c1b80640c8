"""Where a service is: endpoints or a DNS name.

Source of the rules: Emissary's resolvers (features.md 1.2, "Resolvers") and the Kubernetes API of Service and
EndpointSlice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway import ir
from gateway.diagnostics import Origin
from gateway.translate.services import is_ip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.diagnostics import Collector
    from gateway.resources import EndpointSlice, Service
    from gateway.resources.consul import ConsulService
    from gateway.resources.core import ServicePort, SliceEndpoint

_NOWHERE = Origin()
_HEADLESS = "None"


@dataclass(frozen=True, slots=True)
class Target:
    """Either endpoints or a DNS name; with neither, requests are answered 503."""

    endpoints: tuple[ir.Endpoint, ...] = ()
    dns: ir.DnsTarget | None = None
    app_protocol: str = ""
    """``appProtocol`` of the port, empty when it says nothing."""


@dataclass(frozen=True, slots=True)
class DnsWish:
    """How names are resolved: the fields of :class:`gateway.ir.DnsTarget` beside host and port."""

    ipv4: bool = True
    ipv6: bool = False
    respect_ttl: bool = False
    logical: bool = False

    def target(self, host: str, port: int) -> ir.DnsTarget:
        """The target for one name."""
        return ir.DnsTarget(host, port, self.ipv4, self.ipv6, self.respect_ttl, self.logical)


def discover(
    host: str,
    port: int | str,
    *,
    service: Service | None,
    slices: Sequence[EndpointSlice] | None,
    dns: DnsWish,
    found: Collector,
) -> Target:
    """Find the target of ``host:port``. ``slices`` is ``None`` when the Service's address or its name is wanted."""
    if is_ip(host):
        return Target(endpoints=(ir.Endpoint(host, port),)) if isinstance(port, int) else Target()
    declared = _service_port(service, port)
    number = port if isinstance(port, int) else declared.port if declared is not None else None
    spoken = declared.app_protocol if declared is not None else ""
    if service is not None and service.spec.type == "ExternalName" and service.spec.external_name:
        if number is None:
            return _no_port(host, port, found)
        return Target(dns=dns.target(service.spec.external_name, number), app_protocol=spoken)
    if slices is not None and (service is not None or slices):
        return _endpoints(host, port, declared, slices, found)
    if number is None:
        return _no_port(host, port, found)
    if service is not None and declared is None and service.spec.ports:
        found.warning("service-port", f"Service {host} has no port {number}", _NOWHERE, "spec.service")
    address = _address(service)
    if address is not None:
        return Target(endpoints=(ir.Endpoint(address, number),), app_protocol=spoken)
    return Target(dns=dns.target(host, number), app_protocol=spoken)


def discover_consul(name: str, service: ConsulService | None, found: Collector) -> Target:
    """The instances that Consul knows; ``service`` is ``None`` before it has answered."""
    instances = service.instances if service is not None else ()
    if not instances:
        said = "Consul has none that passes its checks" if service is not None else "Consul has not been heard"
        found.warning("no-endpoints", f"{name} has no instance, {said}: requests get 503", _NOWHERE, "spec.service")
    return Target(endpoints=tuple(ir.Endpoint(item.address, item.port, item.weight) for item in instances))


def _service_port(service: Service | None, port: int | str) -> ServicePort | None:
    if service is None:
        return None
    return next((item for item in service.spec.ports if port in (item.port, item.name)), None)


def has_address(service: Service | None) -> bool:
    """Whether the Service has a cluster address. Headless ones, and manifests that never were in a cluster, have none:
    their EndpointSlices, if there are any, say more than a name that may not resolve."""
    return service is not None and service.spec.cluster_ip not in ("", _HEADLESS)


def _address(service: Service | None) -> str | None:
    return service.spec.cluster_ip if service is not None and has_address(service) else None


def _endpoints(
    host: str, port: int | str, declared: ServicePort | None, slices: Iterable[EndpointSlice], found: Collector
) -> Target:
    """Endpoints of all slices that serve, once each, ordered. A slice port carries the name of the Service port.

    An endpoint that is shutting down and still serves is kept for the case that no other is left; one that is ready in
    any slice is ready.
    """
    known: dict[tuple[str, int], ir.Endpoint] = {}
    spoken = declared.app_protocol if declared is not None else ""
    for item in slices:
        if item.address_type == "FQDN":
            continue
        ports = [p for p in item.ports if p.protocol == "TCP" and p.port and _is_port(p.name, p.port, port, declared)]
        spoken = spoken or next((p.app_protocol for p in ports if p.app_protocol), "")
        numbers = [p.port for p in ports if p.port]
        for endpoint in item.endpoints:
            state = _state(endpoint)
            if state is None or not endpoint.addresses:
                continue
            for number in numbers:
                key = (endpoint.addresses[0], number)
                if key not in known or (state == "ready" and known[key].state != "ready"):
                    known[key] = ir.Endpoint(*key, zone=endpoint.zone, state=state)
    if not known:
        found.warning(
            "no-endpoints", f"{host}:{port} has no ready endpoint: requests get 503", _NOWHERE, "spec.service"
        )
    return Target(endpoints=tuple(known[key] for key in sorted(known)), app_protocol=spoken)


def _state(endpoint: SliceEndpoint) -> Literal["ready", "terminating"] | None:
    """``None`` for an endpoint that serves nothing."""
    if endpoint.is_ready:
        return "ready"
    return "terminating" if endpoint.is_serving and endpoint.is_terminating else None


def _is_port(name: str, number: int, port: int | str, declared: ServicePort | None) -> bool:
    """Without the Service, a number means the port of the endpoints themselves."""
    if declared is not None:
        return name == declared.name
    return port in (number, name)


def _no_port(host: str, port: int | str, found: Collector) -> Target:
    found.warning(
        "service-port", f"Service {host} has no port named {port!r}: requests get 503", _NOWHERE, "spec.service"
    )
    return Target()
