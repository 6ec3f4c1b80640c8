"""A keeper of statuses from the settings of a process."""

from __future__ import annotations

import re
import socket
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from gateway.base.keys import kind_group
from gateway.kube import Access, KubeClient
from gateway.resources import Host, Mapping
from gateway.status.keeper import LEASE, Publishing, StatusKeeper

if TYPE_CHECKING:
    from gateway.settings import KubernetesSettings, Settings, StatusSettings
    from gateway.sources.statuses import SeenStatuses

_MAX_ID, _DIGITS = 40, 8
"""With both of them the name is a DNS label (RFC 1123), at most 63 characters."""


def make_keeper(
    settings: Settings, cluster: KubernetesSettings, status: StatusSettings, seen: SeenStatuses
) -> StatusKeeper:
    """Nothing is connected before :meth:`StatusKeeper.run`. ``seen``: what the source of objects sees of statuses."""
    # Whose status an Ingress shows is told by ``metadata.managedFields``, which is not remembered.
    seen.kinds = frozenset({kind_group(kind.KIND, kind.GROUP) for kind in (Mapping, Host)})
    access = Access(cluster.kubeconfig, cluster.context, cluster.in_cluster)
    publishing = Publishing(
        # As client-go has it: a pod whose container restarts is another candidate.
        identity=f"{socket.gethostname()}_{uuid4()}",
        namespace=settings.namespace,
        watched=cluster.namespaces,
        kinds=("Mapping", "Host", "Ingress") if status.mappings else ("Host", "Ingress"),
        service=status.service,
        addresses=status.addresses,
        lease=lease_name(settings.ambassador_id),
    )
    return StatusKeeper(lambda: KubeClient.connect(access), publishing, seen=seen)


def lease_name(ambassador_id: str) -> str:
    """The Lease of the gateways with one id: those with another have objects of their own.

    The chart computes the same, to give rights to this Lease alone; so it uses nothing that Helm does not have.
    """
    if ambassador_id == "default":
        return LEASE
    label = re.sub("[^A-Za-z0-9-]+", "-", ambassador_id).lower().strip("-")[:_MAX_ID].strip("-")
    if label == ambassador_id:
        return f"{LEASE}-{label}"
    return "-".join(filter(None, (LEASE, label, sha256(ambassador_id.encode()).hexdigest()[:_DIGITS])))
