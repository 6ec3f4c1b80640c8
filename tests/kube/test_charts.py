"""The charts and kustomizations at a real API server: it takes every object as written, and gives no right too many."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import yaml

from tests.deploy.valuesets import VALUES
from tests.support.charts import (
    BUILD_SECONDS,
    CHART,
    CRDS_CHART,
    KUSTOMIZE,
    RELEASE,
    helm,
    kustomized,
    of_kind,
    render,
    the,
)
from tests.support.kube.client import client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.charts import Object, Values
    from tests.support.kube.client import KubeClient
    from tests.support.kube.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

CRDS = "apiextensions.k8s.io/v1"
MONITORS = "servicemonitors.monitoring.coreos.com"
AMBASSADOR = "getambassador.io"


UNUSUAL: tuple[Values, ...] = (
    {"deploymentStrategy": {"type": "Recreate"}},
    {"daemonSet": True, "deploymentStrategy": {"type": "OnDelete"}},
    {"podDisruptionBudget": {"minAvailable": "50%"}, "adminService": {"type": "NodePort", "nodePort": 30877}},
    {"podDisruptionBudget": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}, "image": {"digest": f"sha256:{'0' * 64}"}},
)
"""What other values of the chart must not go with."""


def service_monitors() -> Object:
    """What the Prometheus operator brings, as far as its name."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything}}}
    return {
        "apiVersion": CRDS,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": MONITORS},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest_asyncio.fixture
async def definitions(kube: KubeClient) -> AsyncIterator[None]:
    """The CustomResourceDefinitions of our own chart and of the operator, gone afterwards unless they were there."""
    before = {one["metadata"]["name"] for one in await kube.list(CRDS, "CustomResourceDefinition", "")}
    wanted = [*render(chart=CRDS_CHART), service_monitors()]
    await kube.apply(wanted)
    yield
    for name in {one["metadata"]["name"] for one in wanted} - before:
        await kube.delete(CRDS, "CustomResourceDefinition", name)


@pytest_asyncio.fixture
async def judge(control_plane: ControlPlane, namespace: str) -> AsyncIterator[KubeClient]:
    """A client that leaves nothing behind, and so has nothing to clear of kinds that are gone by then."""
    async with client(control_plane.admin, namespace) as judge:
        yield judge


async def accepted(judge: KubeClient, objects: list[Object]) -> None:
    """Server-side apply without consequences; a field that the API does not know is an error."""
    done = await judge.apply(objects, dryRun="All", fieldValidation="Strict")
    assert len(done) == len(objects)


async def test_every_object_of_the_chart_is_valid(judge: KubeClient, definitions: None) -> None:
    for values in (*VALUES.values(), *UNUSUAL):
        await accepted(judge, render(values, namespace=judge.namespace))


@pytest.mark.parametrize("folder", ["base", "overlays/single-namespace", "overlays/autoscaling"])
async def test_every_object_of_a_kustomization_is_valid(judge: KubeClient, folder: str) -> None:
    objects = kustomized(KUSTOMIZE / folder)
    for one in objects:
        if "namespace" in one["metadata"]:
            one["metadata"]["namespace"] = judge.namespace
    await accepted(judge, objects)


@pytest.mark.parametrize(("escalation", "admitted"), [(False, True), (True, False)])
async def test_pods_are_admitted_where_only_restricted_ones_are(
    kube: KubeClient, escalation: bool, admitted: bool
) -> None:
    """Kubernetes' own judgement of a pod's security, by the admission that makes pods or does not."""
    await kube.patch("v1", "Namespace", kube.namespace, {"metadata": {"labels": RESTRICTED}})
    security = {"containerSecurityContext": {"allowPrivilegeEscalation": escalation}}
    objects = render({"security": security}, namespace=kube.namespace)
    await kube.apply(of_kind(objects, "ServiceAccount", "Deployment"))
    deployment = the(objects, "Deployment")
    path = await kube.path("apps/v1", "Deployment", deployment["metadata"]["name"])
    done = await kube.wait(path, decided, "its pods are made or refused")
    assert (done["status"].get("replicas") == deployment["spec"]["replicas"]) is admitted, done["status"]


RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def decided(deployment: Object) -> bool:
    status = deployment.get("status", {})
    failed = any(one["type"] == "ReplicaFailure" for one in status.get("conditions") or [])
    return failed or status.get("replicas") == deployment["spec"]["replicas"]


def shades(**conversion: object) -> Object:
    """A definition that no other test has."""
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "apiVersion": CRDS,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "shades.tests.sluice.example"},
        "spec": {
            "group": "tests.sluice.example",
            "scope": "Namespaced",
            "names": {"kind": "Shade", "plural": "shades"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            "conversion": conversion,
        },
    }


async def test_definitions_with_a_webhook_are_taken_over(
    kube: KubeClient, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Emissary's name a webhook, which would have to run for as long as they do."""
    service = {"namespace": "emissary-system", "name": "emissary-apiext", "path": "/", "port": 443}
    webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}
    await kube.apply([shades(strategy="Webhook", webhook=webhook)])
    chart = tmp_path / "sluice-crds"
    shutil.copytree(CRDS_CHART, chart, ignore=shutil.ignore_patterns("files"))
    (chart / "files").mkdir()
    (chart / "files" / "shades.yaml").write_text(yaml.safe_dump(shades(strategy="None")), encoding="utf-8")
    place = ["--namespace", kube.namespace, "--kubeconfig", str(control_plane.admin.path)]
    try:
        helm("install", "definitions", str(chart), "--take-ownership", *place)
        found = await kube.get(CRDS, "CustomResourceDefinition", "shades.tests.sluice.example")
        assert found["spec"]["conversion"] == {"strategy": "None"}
        helm("uninstall", "definitions", *place)
        await kube.get(CRDS, "CustomResourceDefinition", "shades.tests.sluice.example")
    finally:
        await kube.delete(CRDS, "CustomResourceDefinition", "shades.tests.sluice.example")


async def test_helm_installs_changes_and_removes_a_release(kube: KubeClient, control_plane: ControlPlane) -> None:
    """Names of cluster-wide objects are of this test alone, because other tests are in the same cluster."""
    place = ["--namespace", kube.namespace, "--kubeconfig", str(control_plane.admin.path)]
    values = {"fullnameOverride": kube.namespace, "ingressClassResource": {"enabled": False}}
    scaled = {**values, "autoscaling": {"enabled": True}, "networkPolicy": {"enabled": False}}

    async def there() -> set[str]:
        named = [("apps/v1", "Deployment"), ("v1", "Service"), ("autoscaling/v2", "HorizontalPodAutoscaler")]
        named += [("networking.k8s.io/v1", "NetworkPolicy"), ("rbac.authorization.k8s.io/v1", "RoleBinding")]
        return {kind for version, kind in named if await kube.list(version, kind)}

    helm("install", RELEASE, str(CHART), *place, values=values)
    assert await there() == {"Deployment", "Service", "NetworkPolicy", "RoleBinding"}
    helm("upgrade", RELEASE, str(CHART), *place, values=scaled)
    assert await there() == {"Deployment", "Service", "HorizontalPodAutoscaler", "RoleBinding"}
    helm("uninstall", RELEASE, *place, "--wait")
    assert await there() == set()
    roles = await kube.list("rbac.authorization.k8s.io/v1", "ClusterRole", "")
    assert kube.namespace not in {one["metadata"]["name"] for one in roles}


READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")


class Account:
    """What the ServiceAccount of one installation may do, asked of the API server."""

    def __init__(self, kube: KubeClient, account: str) -> None:
        self._kube = kube
        self._user = f"system:serviceaccount:{kube.namespace}:{account}"

    async def may(self, verb: str, resource: str, group: str = "", namespace: str = "", name: str = "") -> bool:
        resource, _, sub = resource.partition("/")
        attributes = {"verb": verb, "resource": resource, "group": group, "namespace": namespace, "name": name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {"name": ""},
            "spec": {
                "user": self._user,
                "groups": ["system:authenticated", "system:serviceaccounts"],
                "resourceAttributes": {**attributes, "subresource": sub},
            },
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool((await self._kube.request("POST", path, review))["status"]["allowed"])

    async def verbs(self, resource: str, group: str = "", namespace: str = "", name: str = "") -> set[str]:
        return {verb for verb in (*READ, *WRITE) if await self.may(verb, resource, group, namespace, name)}


async def installed(kube: KubeClient, **values: object) -> tuple[Account, list[Object]]:
    """The rights of the chart, applied; names are of this test alone, because roles are of the whole cluster."""
    objects = render({"fullnameOverride": kube.namespace, **values}, namespace=kube.namespace)
    await kube.apply(of_kind(objects, "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"))
    return Account(kube, kube.namespace), objects


async def removed(kube: KubeClient, objects: list[Object]) -> None:
    for one in of_kind(objects, "ClusterRole", "ClusterRoleBinding"):
        await kube.delete(one["apiVersion"], one["kind"], one["metadata"]["name"])


async def test_the_gateway_reads_everywhere_and_writes_statuses(kube: KubeClient) -> None:
    account, objects = await installed(kube)
    try:
        for resource, group in (("mappings", AMBASSADOR), ("hosts", AMBASSADOR), ("ingresses", "networking.k8s.io")):
            assert await account.verbs(resource, group) == set(READ)
            assert await account.verbs(f"{resource}/status", group) == {"patch", "update"}
        for resource, group in (("services", ""), ("secrets", ""), ("endpointslices", "discovery.k8s.io")):
            assert await account.verbs(resource, group) == set(READ)
        for resource, group in (("pods", ""), ("nodes", ""), ("deployments", "apps"), ("services/status", "")):
            assert await account.verbs(resource, group) == set()
        leases = ("leases", "coordination.k8s.io")
        assert await account.verbs(*leases, namespace=kube.namespace, name="sluice-status") == {
            "create",
            "get",
            "update",
        }
        assert await account.verbs(*leases, namespace=kube.namespace, name="another") == {"create"}
        assert await account.verbs(*leases, namespace="kube-system") == set()
    finally:
        await removed(kube, objects)


async def test_secrets_are_read_by_name_alone_where_the_operator_wants_it(kube: KubeClient) -> None:
    account, objects = await installed(kube, rbac={"listSecrets": False})
    try:
        assert await account.verbs("secrets") == {"get"}
        assert await account.verbs("configmaps") == set()
    finally:
        await removed(kube, objects)


async def test_in_one_namespace_the_gateway_sees_no_other(kube: KubeClient) -> None:
    account, objects = await installed(kube, scope={"singleNamespace": True})
    assert list(of_kind(objects, "ClusterRole", "ClusterRoleBinding")) == []
    for resource, group in (("mappings", AMBASSADOR), ("secrets", ""), ("services", "")):
        assert await account.verbs(resource, group, kube.namespace) == set(READ)
        assert await account.verbs(resource, group, "default") == set()
        assert await account.verbs(resource, group) == set()
