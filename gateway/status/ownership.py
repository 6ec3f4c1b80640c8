"""Whose address an Ingress shows. Two gateways that serve one Ingress must not fight over ``status.loadBalancer``, by
which external-dns and the like send production to one of them.

The API server notes in ``metadata.managedFields`` who wrote a field last (Kubernetes documentation, "Server-Side
Apply", "Field management"); for a client that gives no name it is the beginning of its ``User-Agent``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.status.wanted import Address, IngressStatus

if TYPE_CHECKING:
    from collections.abc import Collection

    from gateway.status.wanted import RawStatus, Wanted

MANAGER: Final = "sluice"
"""Us: the ``User-Agent`` of :class:`gateway.kube.KubeClient`."""

Shown = frozenset[Address]


def shown(status: RawStatus) -> Shown:
    """The addresses that an Ingress shows."""
    balancer = status.get("loadBalancer")
    listed = balancer.get("ingress") if isinstance(balancer, dict) else None
    entries = [item for item in listed or () if isinstance(item, dict)]
    return frozenset(Address(ip=item.get("ip") or "", hostname=item.get("hostname") or "") for item in entries)


def managers(raw: dict[str, Any]) -> frozenset[str]:
    """Who wrote ``status.loadBalancer`` of an object; empty where the API server does not say."""
    found = set()
    for entry in raw.get("metadata", {}).get("managedFields") or ():
        fields = (entry.get("fieldsV1") or {}).get("f:status") or {}
        if "f:loadBalancer" in fields:
            found.add(str(entry.get("manager") or ""))
    return frozenset(found)


def is_foreign(wanted: Wanted, status: RawStatus, writers: frozenset[str], held: Collection[Shown]) -> bool:
    """Whether an Ingress shows addresses of somebody else, which are not ours to replace.

    ``writers``: :func:`managers` of it. ``held``: what our Services have and had; an Ingress that shows exactly that
    follows them, whoever wrote it: a gateway that took over another one's Service keeps it up to date.
    """
    if not isinstance(wanted, IngressStatus):
        return False
    there = shown(status)
    return bool(there) and there not in held and MANAGER not in writers
