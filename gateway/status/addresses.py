"""Where clients reach the gateway: what an Ingress says in ``status.loadBalancer``.

Given addresses win; else they are those of a named Service (``--publish-service``, as ingress-nginx has it); else those
of the Services labelled ``app.kubernetes.io/component: ambassador-service`` in the gateway's namespace, as in Emissary.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from gateway.kube import ResourcePath
from gateway.status.wanted import Address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.status.writer import StatusApi

SERVICES: Final = ResourcePath("", "v1", "services")
COMPONENT: Final = "app.kubernetes.io/component=ambassador-service"


def given_address(text: str) -> Address:
    """An address as an operator writes it: an IP address or a name."""
    try:
        return Address(ip=str(ipaddress.ip_address(text)))
    except ValueError:
        return Address(hostname=text)


async def published(client: StatusApi, namespace: str, service: str) -> tuple[Address, ...]:
    """Addresses of the Services in front of the gateway. ``service``: ``namespace/name``, or empty for the labelled
    ones in ``namespace``. Raises as :class:`gateway.kube.KubeClient` does."""
    if service:
        place, _, name = service.partition("/")
        return service_addresses([await client.get(SERVICES.item(place, name))])
    page = await client.get(SERVICES.collection(namespace), [("labelSelector", COMPONENT)])
    return service_addresses(page.get("items") or ())


def service_addresses(services: Iterable[dict[str, Any]]) -> tuple[Address, ...]:
    """Addresses of the load balancers of Services, and their external addresses where there are none; each once."""
    found: dict[Address, None] = {}
    for service in services:
        balancer = service.get("status", {}).get("loadBalancer", {})
        entries = [
            Address(ip=item.get("ip") or "", hostname="" if item.get("ip") else item.get("hostname") or "")
            for item in balancer.get("ingress") or ()
        ]
        own = [item for item in entries if item != Address()]
        others = service.get("spec", {}).get("externalIPs") or ()
        found.update(dict.fromkeys(own or [Address(ip=text) for text in others]))
    return tuple(found)
