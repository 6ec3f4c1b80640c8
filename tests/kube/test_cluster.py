"""Pods on the node of the tests: what a Deployment, an EndpointSlice, a Service and a log of them are."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.kube.client import KubeClient, eventually, has_condition
from tests.support.kube.node import ECHO_IMAGE, PYTHON_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kube.node import Node

pytestmark = pytest.mark.usefixtures("node")

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


async def ready_endpoints(kube: KubeClient) -> set[str]:
    slices = await kube.list("discovery.k8s.io/v1", "EndpointSlice", labelSelector="kubernetes.io/service-name=echo")
    endpoints = [endpoint for item in slices for endpoint in item["endpoints"] or []]
    return {endpoint["addresses"][0] for endpoint in endpoints if endpoint["conditions"]["ready"]}


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


async def test_a_deployment_of_three_serves(kube: KubeClient) -> None:
    await kube.apply([echo(3)])
    await kube.apply(SERVICE)
    await rolled_out(kube, 3)
    addresses = await endpoints_are(kube, lambda seen: len(seen) == 3, "three endpoints")
    pods = {pod["status"]["podIP"]: pod["metadata"]["name"] for pod in await kube.list("v1", "Pod")}
    answers = {address: await ask(f"http://{address}:{ECHO_PORT}/where?x=1") for address in addresses}
    assert {address: answer["pod"] for address, answer in answers.items()} == pods
    assert {answer["path"] for answer in answers.values()} == {"/where?x=1"}
    assert {answer["namespace"] for answer in answers.values()} == {kube.namespace}


async def test_the_address_of_a_service_leads_to_its_ready_pods(kube: KubeClient) -> None:
    await kube.apply([echo(2)])
    await kube.apply(SERVICE)
    await rolled_out(kube, 2)
    address = (await kube.get("v1", "Service", "echo"))["spec"]["clusterIP"]
    pods = {pod["metadata"]["name"] for pod in await kube.list("v1", "Pod")}
    seen: set[str] = set()

    async def all_seen() -> bool:
        try:
            seen.add((await ask(f"http://{address}/"))["pod"])
        except aiohttp.ClientConnectionError:
            return False
        return seen == pods

    await eventually(all_seen, lambda: f"answers of {pods}; there are {seen}")
    # From a pod too: endpoint and client are on the same bridge.
    script = f"import urllib.request; print(urllib.request.urlopen('http://{address}/').status)"
    await kube.apply([python_pod("client", script)])
    await finished(kube, "client")
    assert await kube.logs("client") == "200\n"


async def test_a_service_without_endpoints_refuses(kube: KubeClient) -> None:
    await kube.apply(SERVICE)
    address = (await kube.get("v1", "Service", "echo"))["spec"]["clusterIP"]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(socket.create_connection, (address, 80), 10)


async def test_scaling_and_rolling_keep_the_service_up(kube: KubeClient) -> None:
    await kube.apply([echo(3)])
    await kube.apply(SERVICE)
    await rolled_out(kube, 3)
    before = await endpoints_are(kube, lambda seen: len(seen) == 3, "three endpoints")
    await kube.patch("apps/v1", "Deployment", "echo", {"spec": {"replicas": 1}})
    await rolled_out(kube, 1)
    (kept,) = await endpoints_are(kube, lambda seen: len(seen) == 1, "one endpoint")
    assert kept in before
    await kube.apply([echo(1, env=[POD_NAME, NAMESPACE, {"name": "SERVICE_NAME", "value": "new"}])])
    await rolled_out(kube, 1)
    (fresh,) = await endpoints_are(kube, lambda seen: len(seen) == 1 and kept not in seen, "another endpoint")
    assert (await ask(f"http://{fresh}:{ECHO_PORT}/"))["service"] == "new"


async def test_a_failing_readiness_probe_takes_an_endpoint_away(kube: KubeClient) -> None:
    await kube.apply([echo(1, readinessProbe={"httpGet": {"path": "/status/503", "port": ECHO_PORT}})])
    await kube.apply(SERVICE)
    deployment = await kube.path("apps/v1", "Deployment", "echo")
    await kube.wait(deployment, lambda item: item["status"].get("replicas") == 1, "one pod")

    async def runs() -> bool:
        pods = await kube.list("v1", "Pod")
        return all(pod["status"]["phase"] == "Running" for pod in pods)

    await eventually(runs, lambda: "the pod runs")
    (pod,) = await kube.list("v1", "Pod")
    assert has_condition(pod, "Ready", "False")
    assert await ready_endpoints(kube) == set()


async def test_logs_are_read_through_the_api(kube: KubeClient) -> None:
    await kube.apply([python_pod("talks", "import sys; print('one'); print('two', file=sys.stderr); print('three')")])
    await finished(kube, "talks")
    assert await kube.logs("talks") == "one\ntwo\nthree\n"
    assert await kube.logs("talks", tailLines=1) == "three\n"


async def test_a_deleted_pod_gets_sigterm_and_time(kube: KubeClient, node: Node) -> None:
    script = (
        "import signal, sys, time\n"
        "def end(*_): print('asked to end'); time.sleep(0.2); print('ended'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up'); signal.pause()"
    )
    (pod,) = await kube.apply([python_pod("ends", script)])
    path = await kube.path("v1", "Pod", "ends")
    log = node.log_path(kube.namespace, "ends", pod["metadata"]["uid"], "main")
    await eventually(_says(log, "up\n"), lambda: "the pod is up")
    await kube.delete("v1", "Pod", "ends")
    await kube.wait_gone(path)
    assert log.read_text() == "up\nasked to end\nended\n"


async def test_a_pod_that_ignores_sigterm_is_killed_when_its_time_is_over(kube: KubeClient, node: Node) -> None:
    script = (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: print('no')); print('up')\nwhile True: signal.pause()"
    )
    (pod,) = await kube.apply([python_pod("stays", script, terminationGracePeriodSeconds=1)])
    log = node.log_path(kube.namespace, "stays", pod["metadata"]["uid"], "main")
    await eventually(_says(log, "up\n"), lambda: "the pod is up")
    await kube.delete("v1", "Pod", "stays")
    await kube.wait_gone(await kube.path("v1", "Pod", "stays"))
    assert log.read_text() == "up\nno\n"


def _says(log: Any, text: str) -> Any:
    async def says() -> bool:
        return bool(log.exists() and text in log.read_text())

    return says
