"""Sluice as its chart installs it: pods of the test's node with the chart's probes, rights, restrictions and drain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.charts import of_kind, render, the
from tests.support.kube.client import eventually
from tests.support.kube.edge import HTTP_PORT, settled
from tests.support.kube.node import SLUICE_IMAGE
from tests.support.kube.traffic import Target

if TYPE_CHECKING:
    from tests.support.kube.client import KubeClient, Object

LEASES = "coordination.k8s.io/v1"
GRACE = 2
"""Seconds of the drain's first half, in which the endpoints have to be gone; a cluster takes more, tests wait less."""
_LEFT_OUT = ("PodDisruptionBudget", "NetworkPolicy", "IngressClass")
"""What nobody here acts on, and what is not of one namespace."""


def values(namespace: str, replicas: int) -> Object:
    """Of a small installation that reads its own namespace only, beside those of other tests."""
    return {
        "fullnameOverride": "edge",
        "image": {"repository": SLUICE_IMAGE, "tag": "dev"},
        "replicaCount": replicas,
        "workers": 1,
        "scope": {"singleNamespace": True},
        "service": {"type": "ClusterIP"},
        "drain": {"graceSeconds": GRACE, "timeoutSeconds": 10},
        "minReadySeconds": 0,
        "readinessProbe": {"periodSeconds": 1},
        "ingressClassResource": {"enabled": False},
    }


class Installation:
    """A release of the chart in the namespace of a client."""

    def __init__(self, kube: KubeClient, target: Target) -> None:
        self._kube = kube
        self.target = target
        """The address of its Service."""

    @classmethod
    async def make(cls, kube: KubeClient, replicas: int, **more: Any) -> Installation:
        """Returns when all replicas are ready."""
        objects = render({**values(kube.namespace, replicas), **more}, namespace=kube.namespace)
        made = await kube.apply([one for one in objects if one["kind"] not in _LEFT_OUT])
        service = next(one for one in of_kind(made, "Service") if one["metadata"]["name"] == "edge")
        assert the(made, "Deployment")["metadata"]["name"] == "edge"
        await settled(kube, "edge")
        port = next(one["port"] for one in service["spec"]["ports"] if one["targetPort"] == HTTP_PORT)
        return cls(kube, Target(service["spec"]["clusterIP"], port))

    async def pods(self) -> set[str]:
        """Names of its pods that are not on their way out."""
        found = await self._kube.list("v1", "Pod", labelSelector="app.kubernetes.io/instance=sluice")
        return {one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]}

    async def leader(self, *but: str) -> str:
        """The pod that leads, when it is another one than those."""
        holder = ""

        async def there() -> bool:
            nonlocal holder
            leases = await self._kube.list(LEASES, "Lease")
            holder = next((str(one["spec"].get("holderIdentity") or "") for one in leases), "")
            return bool(holder) and not any(holder.startswith(name) for name in but)

        await eventually(there, lambda: f"a leader, and not {but}; there is {holder!r}", 60.0)
        return next(name for name in await self.pods() if holder.startswith(name))
