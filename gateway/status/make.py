"""A keeper of statuses from the settings of a process."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from uuid import uuid4

from gateway.base.hashing import content_hash
from gateway.kube import Access, KubeClient
from gateway.status.keeper import LEASE, Publishing, StatusKeeper

if TYPE_CHECKING:
    from gateway.settings import KubernetesSettings, Settings, StatusSettings

_DIGITS = 8


def make_keeper(settings: Settings, cluster: KubernetesSettings, status: StatusSettings) -> StatusKeeper:
    """Nothing is connected before :meth:`StatusKeeper.run`."""
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
    return StatusKeeper(lambda: KubeClient.connect(access), publishing)


def lease_name(ambassador_id: str) -> str:
    """The Lease of the gateways with one id: those with another have objects of their own."""
    return LEASE if ambassador_id == "default" else f"{LEASE}-{content_hash(ambassador_id)[:_DIGITS]}"
