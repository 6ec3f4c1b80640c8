"""Ten thousand Mappings on a thousand Hosts, and what they lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]
NAMESPACE = "edge"
GROUP = "getambassador.io/v3alpha1"
VERSION_HEADER = "x-version"
"""A response header of a Mapping, by which a change of it is seen."""


FOREIGN = -1
"""Number of the Mapping that belongs to another gateway."""


def host_name(number: int) -> str:
    return f"host-{number}.example.com"


def mapping_name(number: int) -> str:
    return f"mapping-{number}"


def prefix(number: int) -> str:
    return f"/service-{number}/"


def general(port: int) -> Iterator[Object]:
    """What there is one of."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield _object(
        GROUP,
        "Listener",
        "http",
        spec={
            "port": port,
            "protocol": "HTTP",
            "securityModel": "INSECURE",
            "hostBinding": {"namespace": {"from": "ALL"}},
        },
    )


def of_a_host(number: int, backend: str, port: int) -> Iterator[Object]:
    """A Host, and a Service with an endpoint that all of its Mappings share."""
    name = f"service-{number}"
    yield _object(
        GROUP,
        "Host",
        f"host-{number}",
        spec={"hostname": host_name(number), "requestPolicy": {"insecure": {"action": "Route"}}},
    )
    # Headless, so that the endpoint itself is the target and no proxy for Services is measured with it.
    yield _object("v1", "Service", name, spec={"clusterIP": "None", "ports": [{"name": "http", "port": port}]})
    yield {
        **_object("discovery.k8s.io/v1", "EndpointSlice", f"{name}-1"),
        "metadata": {"name": f"{name}-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [backend], "conditions": {"ready": True}}],
    }


def mapping(number: int, hosts: int, port: int, version: str = "0") -> Object:
    """Mappings go round the Hosts."""
    host = number % hosts
    spec = {
        "hostname": host_name(host),
        "prefix": prefix(number),
        "service": f"service-{host}:{port}",
        "add_response_headers": {VERSION_HEADER: {"value": version, "append": False}},
    }
    return _object(GROUP, "Mapping", mapping_name(number), spec=spec)


def foreign(port: int) -> Object:
    """A Mapping of another ``ambassador_id``: the API server tells us about it, and it is none of our business."""
    item = mapping(FOREIGN, 1, port)
    item["spec"]["ambassador_id"] = ["another"]
    return item


def _object(api_version: str, kind: str, name: str, **fields: Object) -> Object:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        **fields,
    }
