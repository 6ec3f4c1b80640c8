"""An edge of a cluster as its owner writes it: what Emissary's quickstart applies, and applications behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.kube.client import eventually
from tests.support.kube.node import ECHO_IMAGE, PYTHON_IMAGE
from tests.support.kube.workloads import ECHO_PORT, NAMESPACE, POD_NAME

if TYPE_CHECKING:
    from tests.support.kube.client import KubeClient, Object

GROUP = "getambassador.io/v3alpha1"
HTTP_PORT = 8080
HTTPS_PORT = 8443
ADMIN_PORT = 8877
APPLICATION_PORT = 8080
PREFIX = "/backend/"


def edge_object(kind: str, name: str, spec: Object) -> Object:
    """One of getambassador.io."""
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec}


def listener(name: str = "edge", port: int = HTTP_PORT, **spec: Any) -> Object:
    """The Listener of the quickstart: HTTP, trusting X-Forwarded-Proto, for the Hosts of all namespaces."""
    base = {"port": port, "protocol": "HTTP", "securityModel": "XFP", "hostBinding": {"namespace": {"from": "ALL"}}}
    return edge_object("Listener", name, {**base, **spec})


def mapping(name: str = "quote-backend", prefix: str = PREFIX, service: str = "quote", **spec: Any) -> Object:
    """The Mapping of the quickstart: any hostname, a prefix that is cut off."""
    return edge_object("Mapping", name, {"hostname": "*", "prefix": prefix, "service": service, **spec})


def service(name: str = "quote") -> Object:
    """Port 80 of all pods with the label ``app: name``."""
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def echo_server(name: str = "quote", replicas: int = 1, **template: Any) -> Object:
    """Pods that end at once when they are told to, with all that they are doing."""
    container = {"image": f"{ECHO_IMAGE}:v1.6.3", "ports": [{"name": "http", "containerPort": ECHO_PORT}]}
    return _deployment(name, replicas, container, "/health", template)


def application(name: str = "quote", replicas: int = 1, **template: Any) -> Object:
    """Pods that end well (``tests/support/kube/application.py``)."""
    container = {
        "image": PYTHON_IMAGE,
        "args": ["-m", "tests.support.kube.application", str(APPLICATION_PORT)],
        "ports": [{"name": "http", "containerPort": APPLICATION_PORT}],
    }
    return _deployment(name, replicas, container, "/", template)


def _deployment(name: str, replicas: int, container: Object, health: str, template: Object) -> Object:
    labels = {"app": name}
    probe = {"httpGet": {"path": health, "port": "http"}, "periodSeconds": 1}
    main = {"name": "main", "env": [POD_NAME, NAMESPACE], "readinessProbe": probe, **container}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels, **template}, "spec": {"containers": [main]}},
        },
    }


async def settled(kube: KubeClient, deployment: str, deadline: float = 60.0) -> list[str]:
    """Wait until a Deployment has the pods that it should, all of its newest template and ready, and others have ended;
    their names."""

    def is_there(item: Object) -> bool:
        status, wanted = item["status"], int(item["spec"]["replicas"])
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        newest: bool = status.get("observedGeneration") == item["metadata"]["generation"]
        return newest and counts == [wanted] * 3

    found = await kube.wait(await kube.path("apps/v1", "Deployment", deployment), is_there, "rolled out", deadline)
    labels = found["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    pods = (await kube.resource("v1", "Pod")).path(kube.namespace)
    wanted = int(found["spec"]["replicas"])
    seen: list[str] = []

    async def ended() -> bool:
        items = (await kube.request("GET", pods, query={"labelSelector": selector}))["items"]
        seen[:] = [item["metadata"]["name"] for item in items]
        return len(seen) == wanted

    await eventually(ended, lambda: f"{wanted} pods of {deployment}; there are {seen}", deadline)
    return seen


async def restart(kube: KubeClient, deployment: str) -> None:
    """Begin to replace all pods, as ``kubectl rollout restart`` does."""
    item = await kube.get("apps/v1", "Deployment", deployment)
    stamp = {"tests/generation": str(item["metadata"]["generation"])}
    change = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    await kube.patch("apps/v1", "Deployment", deployment, change)


async def scale(kube: KubeClient, deployment: str, replicas: int) -> list[str]:
    """Returns the names of the pods when the Deployment has as many as it should."""
    await kube.patch("apps/v1", "Deployment", deployment, {"spec": {"replicas": replicas}})
    return await settled(kube, deployment)
