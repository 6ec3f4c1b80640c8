"""Ingresses of Emissary's own class become Mappings and Hosts, as Emissary does it.

Source of the rules: Emissary's ``fetch/ingress.py`` (features.md 1.4). Unlike every other ingress controller, the path
is stripped by the default rewrite ``/``. ``Exact`` has precedence 1; both prefix types are plain string prefixes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.resources import Host, LabelSelector, Mapping, MappingSpec, Service
from gateway.resources.hosts import AcmeProvider, HostSpec, InsecurePolicy, NameReference, RequestPolicy
from gateway.resources.model import Metadata

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    from gateway.diagnostics import Collector
    from gateway.resources import Ingress, ResourceSet
    from gateway.resources.networking import IngressBackend

INGRESS_LABEL = "a10r-k8s-ingress"
_ONE_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"


@dataclass(frozen=True, slots=True, eq=False)
class Expanded:
    """What one Ingress stands for. Mappings come with their unique route names."""

    hosts: tuple[Host, ...]
    mappings: tuple[tuple[str, Mapping], ...]


def expand(ingress: Ingress, resources: ResourceSet, found: Collector) -> Expanded:
    """Translate one Ingress into the objects that Emissary would make of it."""
    identity = f"a10r-ingress-{ingress.name}-{ingress.namespace}" if ingress.spec.tls else ""
    labels = dict(ingress.metadata.labels)
    if identity:
        labels[INGRESS_LABEL] = identity
    hosts = [
        _host(ingress, f"{ingress.name}-{i}-{j}", host, tls.secret_name, identity)
        for i, tls in enumerate(ingress.spec.tls)
        if tls.secret_name
        for j, host in enumerate(tls.hosts or ("*",))
    ]
    mappings: list[tuple[str, Mapping]] = []

    def add(suffix: str, backend: IngressBackend, field: str, values: dict[str, object]) -> None:
        service = _service(ingress, backend, resources, found, field)
        if service is not None:
            name = f"ingress/{ingress.namespace}/{ingress.name}/{suffix}"
            mappings.append((name, _mapping(ingress, suffix, labels, {"service": service, **values})))

    if ingress.spec.default_backend is not None:
        values: dict[str, object] = {"hostname": "*", "prefix": "/"}
        add("default-backend", ingress.spec.default_backend, "spec.defaultBackend", values)
    for i, rule in enumerate(ingress.spec.rules):
        place = _host_values(rule.host, selected=bool(identity))
        for j, path in enumerate(rule.http.paths if rule.http is not None else ()):
            exact = path.path_type == "Exact"
            values = {"prefix": path.path or "/", "prefix_exact": exact, "precedence": int(exact), **place}
            add(f"{i}-{j}", path.backend, f"spec.rules[{i}].http.paths[{j}].backend", values)
    return Expanded(tuple(hosts), tuple(mappings))


def _host(ingress: Ingress, name: str, hostname: str, secret: str, identity: str) -> Host:
    return Host(
        metadata=Metadata(name=name, namespace=ingress.namespace, labels=ingress.metadata.labels),
        origin=ingress.origin,
        spec=HostSpec(
            hostname=hostname,
            acme_provider=AcmeProvider(authority="none"),
            tls_secret=NameReference(name=secret),
            mapping_selector=LabelSelector(match_labels={INGRESS_LABEL: identity}),
            request_policy=RequestPolicy(insecure=InsecurePolicy(action="Route")),
        ),
    )


def _mapping(ingress: Ingress, suffix: str, labels: Map[str, str], values: dict[str, object]) -> Mapping:
    return Mapping(
        metadata=Metadata(
            name=f"{ingress.name}-{suffix}",
            namespace=ingress.namespace,
            labels=labels,
            annotations=ingress.metadata.annotations,
        ),
        origin=ingress.origin,
        spec=MappingSpec(**values),  # type: ignore[arg-type]
    )


def _host_values(host: str, *, selected: bool) -> dict[str, object]:
    """A wildcard host is a regex for one label; no host means ``*`` unless the Ingress' own Hosts select it."""
    if host.startswith("*."):
        return {"host": f"{_ONE_LABEL}{re.escape(host[1:])}", "host_regex": True}
    if host:
        return {"hostname": host}
    return {} if selected else {"hostname": "*"}


def _service(
    ingress: Ingress, backend: IngressBackend, resources: ResourceSet, found: Collector, field: str
) -> str | None:
    if backend.service is None:
        found.error("ingress-backend", "only Services can be backends", ingress.origin, field)
        return None
    name, port = backend.service.name, backend.service.port
    number = port.number
    if number is None:
        service = resources.get(Service, ingress.namespace, name)
        ports = service.spec.ports if service is not None else ()
        number = next((item.port for item in ports if item.name == port.name), None)
    if number is None:
        found.error("ingress-backend", f"Service {name} has no port named {port.name!r}", ingress.origin, field)
        return None
    return f"{name}.{ingress.namespace}:{number}"
