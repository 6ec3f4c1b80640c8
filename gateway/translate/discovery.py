"""Where a service is: endpoints or a DNS name.

Source of the rules: Emissary's resolvers (features.md 1.2, "Resolvers") and the Kubernetes API of Service and
EndpointSlice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import ir
from gateway.diagnostics import Origin
from gateway.translate.services import is_ip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.diagnostics import Collector
    from gateway.resources import EndpointSlice, Service
    from gateway.resources.core import ServicePort

_NOWHERE = Origin()
_HEADLESS = "None"


@dataclass(frozen=True, slots=True)
class Target:
    """Either endpoints or a DNS name; with neither, requests are answered 503."""

    endpoints: tuple[ir.Endpoint, ...] = ()
    dns: ir.DnsTarget | None = None


def discover(
    host: str,
    port: int | str,
    *,
    service: Service | None,
    slices: Sequence[EndpointSlice] | None,
    ipv4: bool,
    ipv6: bool,
    found: Collector,
) -> Target:
    """Find the target of ``host:port``. ``slices`` is ``None`` when the Service's address or its name is wanted."""
    if is_ip(host):
        return Target(endpoints=(ir.Endpoint(host, port),)) if isinstance(port, int) else Target()
    declared = _service_port(service, port)
    number = port if isinstance(port, int) else declared.port if declared is not None else None
    if service is not None and service.spec.type == "ExternalName" and service.spec.external_name:
        if number is None:
            return _no_port(host, port, found)
        return Target(dns=ir.DnsTarget(service.spec.external_name, number, ipv4, ipv6))
    if slices is not None and (service is not None or slices):
        return _endpoints(host, port, declared, slices, found)
    if number is None:
        return _no_port(host, port, found)
    if service is not None and declared is None and service.spec.ports:
        found.warning("service-port", f"Service {host} has no port {number}", _NOWHERE, "spec.service")
    address = _address(service)
    if address is not None:
        return Target(endpoints=(ir.Endpoint(address, number),))
    return Target(dns=ir.DnsTarget(host, number, ipv4, ipv6))


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
    """Ready endpoints of all slices, once each, ordered. A slice port carries the name of the Service port."""
    addresses: set[tuple[str, int]] = set()
    for item in slices:
        if item.address_type == "FQDN":
            continue
        numbers = [
            p.port for p in item.ports if p.protocol == "TCP" and p.port and _is_port(p.name, p.port, port, declared)
        ]
        for endpoint in item.endpoints:
            if endpoint.is_ready and endpoint.addresses:
                addresses.update((endpoint.addresses[0], number) for number in numbers)
    if not addresses:
        found.warning(
            "no-endpoints", f"{host}:{port} has no ready endpoint: requests get 503", _NOWHERE, "spec.service"
        )
    return Target(endpoints=tuple(ir.Endpoint(address, number) for address, number in sorted(addresses)))


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
