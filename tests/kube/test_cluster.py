"""Pods on the node of the tests: what a Deployment, an EndpointSlice, a Service and a log of them are."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.support.kube.client import KubeClient, eventually, has_condition
from tests.support.kube.workloads import (
    ECHO_PORT,
    NAMESPACE,
    POD_NAME,
    SERVICE,
    ask,
    echo,
    endpoint_conditions,
    endpoints_are,
    finished,
    python_pod,
    ready_endpoints,
    rolled_out,
    says,
)

if TYPE_CHECKING:
    from tests.support.kube.node import Node

pytestmark = pytest.mark.usefixtures("node")


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


async def test_an_endpoint_that_ends_still_serves(kube: KubeClient) -> None:
    """A deleted pod takes no new connections by the book, and answers until it is told to end."""
    await kube.apply([echo(1, lifecycle={"preStop": {"sleep": {"seconds": 20}}})])
    await kube.apply(SERVICE)
    await rolled_out(kube, 1)
    (address,) = await endpoints_are(kube, lambda seen: len(seen) == 1, "one endpoint")
    await kube.patch("apps/v1", "Deployment", "echo", {"spec": {"replicas": 0}})
    ending = {"ready": False, "serving": True, "terminating": True}

    async def ends() -> bool:
        return await endpoint_conditions(kube) == {address: ending}

    await eventually(ends, lambda: f"{address} is {ending}")
    assert (await ask(f"http://{address}:{ECHO_PORT}/"))["namespace"] == kube.namespace


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
    await eventually(says(log, "up\n"), lambda: "the pod is up")
    await kube.delete("v1", "Pod", "ends")
    await kube.wait_gone(path)
    assert log.read_text() == "up\nasked to end\nended\n"


async def test_a_pod_that_ignores_sigterm_is_killed_when_its_time_is_over(kube: KubeClient, node: Node) -> None:
    script = (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: print('no')); print('up')\nwhile True: signal.pause()"
    )
    (pod,) = await kube.apply([python_pod("stays", script, terminationGracePeriodSeconds=1)])
    log = node.log_path(kube.namespace, "stays", pod["metadata"]["uid"], "main")
    await eventually(says(log, "up\n"), lambda: "the pod is up")
    await kube.delete("v1", "Pod", "stays")
    await kube.wait_gone(await kube.path("v1", "Pod", "stays"))
    assert log.read_text() == "up\nno\n"
