"""What the tests run on the node, and how they wait for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.kube.client import KubeClient, eventually
from tests.support.kube.node import ECHO_IMAGE, PYTHON_IMAGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

ECHO_PORT = 3000
HTTP_OK = 200
POD_NAME = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
NAMESPACE = {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}


def echo(replicas: int, **container: Any) -> dict[str, Any]:
    labels = {"app": "echo"}
    probe = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1}
    main = {
        "name": "echo",
        "image": f"{ECHO_IMAGE}:v1.6.3",
        "env": [POD_NAME, NAMESPACE],
        "ports": [{"name": "http", "containerPort": ECHO_PORT}],
        "readinessProbe": probe,
        **container,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "echo"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [main]}},
        },
    }


SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  selector: {app: echo}
  ports:
  - {name: web, port: 80, targetPort: http}
"""


def python_pod(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """A pod that runs a script once; ``spec`` may have more of a pod, ``container`` more of its container."""
    container = {"name": "main", "image": PYTHON_IMAGE, "args": ["-c", script], **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [container], **spec},
    }


async def rolled_out(kube: KubeClient, replicas: int) -> None:
    """The Deployment has this many ready pods of its newest template, and no others."""

    def is_there(item: dict[str, Any]) -> bool:
        status = item["status"]
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
        return status.get("observedGeneration") == item["metadata"]["generation"] and counts == [replicas] * 3

    await kube.wait(await kube.path("apps/v1", "Deployment", "echo"), is_there, f"{replicas} ready")


async def endpoint_conditions(kube: KubeClient) -> dict[str, dict[str, bool]]:
    """By address: what the EndpointSlices say of ``ready``, ``serving`` and ``terminating``."""
    slices = await kube.list("discovery.k8s.io/v1", "EndpointSlice", labelSelector="kubernetes.io/service-name=echo")
    endpoints = [endpoint for item in slices for endpoint in item["endpoints"] or []]
    return {endpoint["addresses"][0]: endpoint["conditions"] for endpoint in endpoints}


async def ready_endpoints(kube: KubeClient) -> set[str]:
    return {address for address, state in (await endpoint_conditions(kube)).items() if state["ready"]}


async def endpoints_are(kube: KubeClient, condition: Callable[[set[str]], bool], what: str) -> set[str]:
    seen: set[str] = set()

    async def reached() -> bool:
        nonlocal seen
        seen = await ready_endpoints(kube)
        return condition(seen)

    await eventually(reached, lambda: f"{what}; there are {seen}")
    return seen


async def ask(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == HTTP_OK
        document: dict[str, Any] = json.loads(await answer.read())
    return document


async def finished(kube: KubeClient, name: str) -> dict[str, Any]:
    """The pod at its end, which is expected to be a good one."""
    path = await kube.path("v1", "Pod", name)
    pod = await kube.wait(path, lambda item: item["status"]["phase"] in ("Succeeded", "Failed"), "finished")
    assert pod["status"]["phase"] == "Succeeded", await kube.logs(name)
    return pod


def says(log: Path, text: str) -> Callable[[], Awaitable[bool]]:
    """Whether a log has the text by now; for ``eventually``."""

    def look() -> bool:
        return log.exists() and text in log.read_text(encoding="utf-8")

    async def does() -> bool:
        return look()

    return does
