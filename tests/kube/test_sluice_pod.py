"""Sluice as a pod of its own image: what its user may do, its probes, its way to a Service, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support import manifests as m
from tests.support.kube.client import has_condition
from tests.support.kube.node import SLUICE_IMAGE
from tests.support.kube.workloads import SERVICE, ask, echo, rolled_out

if TYPE_CHECKING:
    from tests.support.kube.client import KubeClient

pytestmark = [pytest.mark.usefixtures("node"), pytest.mark.native]

HTTP_PORT = 8080
ADMIN_PORT = 8877


def probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": ADMIN_PORT}, "periodSeconds": 1, "failureThreshold": 30}


def sluice() -> dict[str, Any]:
    """As restricted as the strictest Pod Security Standard wants it, on a read-only root."""
    container = {
        "name": "sluice",
        "image": f"{SLUICE_IMAGE}:dev",
        "args": ["run", "/etc/sluice", "--admin-address", f"0.0.0.0:{ADMIN_PORT}", "--workers", "1"],
        "readinessProbe": probe("/ambassador/v0/check_ready"),
        "livenessProbe": probe("/ambassador/v0/check_alive"),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "manifests", "mountPath": "/etc/sluice", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    volumes = [{"name": "manifests", "configMap": {"name": "manifests"}}, {"name": "tmp", "emptyDir": {}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "sluice"},
        "spec": {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 20},
    }


async def test_sluice_serves_from_a_pod_and_ends_in_time(kube: KubeClient) -> None:
    await kube.apply([echo(2)])
    (service,) = await kube.apply(SERVICE)
    await rolled_out(kube, 2)
    target = f"http://{service['spec']['clusterIP']}:80"
    objects = [m.listener("http", HTTP_PORT), m.host("all"), m.mapping("echo", "/", target)]
    data = {"main.yaml": yaml.safe_dump_all(objects)}
    await kube.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "manifests"}, "data": data}])
    await kube.apply([sluice()])
    path = await kube.path("v1", "Pod", "sluice")
    pod = await kube.wait(path, lambda item: has_condition(item, "Ready"), "ready")
    answer = await ask(f"http://{pod['status']['podIP']}:{HTTP_PORT}/through/sluice")
    assert answer["path"] == "/through/sluice"
    assert answer["namespace"] == kube.namespace
    await kube.delete("v1", "Pod", "sluice")
    await kube.wait_gone(path, 15)
