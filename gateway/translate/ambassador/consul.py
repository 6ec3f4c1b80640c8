"""ConsulResolvers: which names they have, and which services of Consul the routes need.

Source of the rules: Emissary's ``irserviceresolver.py`` and ``cmd/entrypoint/consul.go``: the datacenter is required,
resolvers are found by name in any namespace, the port of ``service`` is ignored, names of services have no dots, and
``consul`` and ``consul-endpoint`` are one resolver if only one of them exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.diagnostics import Collector
from gateway.resources import Mapping, TCPMapping
from gateway.resources.consul import ConsulPlace, ConsulTarget
from gateway.resources.hosts import ConsulResolver
from gateway.translate.ambassador.module import find_module
from gateway.translate.services import ServiceError, is_ip, parse_service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.resources import ResourceSet

_ALIASES = ("consul", "consul-endpoint")


def consul_places(resources: ResourceSet) -> dict[str, ConsulPlace]:
    """Resolver name to where it asks."""
    places = {item.name: ConsulPlace(item.spec.address, item.spec.datacenter) for item in resources.of(ConsulResolver)}
    known = [name for name in _ALIASES if name in places]
    if len(known) == 1:
        places.update(dict.fromkeys(_ALIASES, places[known[0]]))
    return places


def consul_targets(resources: ResourceSet, namespace: str) -> frozenset[ConsulTarget]:
    """The services that Mappings and TCPMappings ask Consul for. ``namespace``: that of the gateway and its Module."""
    places = consul_places(resources)
    if not places:
        return frozenset()
    module = find_module(resources, namespace, Collector())
    default = (module.spec.config.resolver if module is not None else None) or ""
    return frozenset(
        target
        for mapping in _mappings(resources)
        if (target := _target(places.get(mapping.spec.resolver or default), mapping.spec.service)) is not None
    )


def _mappings(resources: ResourceSet) -> Iterator[Mapping | TCPMapping]:
    yield from resources.of(Mapping)
    yield from resources.of(TCPMapping)


def _target(place: ConsulPlace | None, service: str) -> ConsulTarget | None:
    if place is None:
        return None
    try:
        host = parse_service(service).host
    except ServiceError:
        return None
    return None if "." in host or is_ip(host) else ConsulTarget(place, host)
