"""The API server of the tests is a real one: objects, identities, watches that come too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.kube.client import ApiError, KubeClient, client
from tests.support.kube.programs import VERSION

if TYPE_CHECKING:
    from tests.support.kube.controlplane import ControlPlane

SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
"""
READER = """\
apiVersion: v1
kind: ServiceAccount
metadata: {{name: reader}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader}}
rules:
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects:
- kind: ServiceAccount
  name: reader
  namespace: {namespace}
"""
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: colors.tests.sluice.example}
spec:
  group: tests.sluice.example
  scope: Namespaced
  names: {kind: Color, plural: colors}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {name: {type: string}}}}}}
"""
GROUP = "tests.sluice.example/v1"
GONE = 410


async def test_it_says_its_version(kube: KubeClient) -> None:
    assert (await kube.request("GET", "/version"))["gitVersion"] == VERSION


async def test_objects_are_applied_and_changed(kube: KubeClient) -> None:
    (first,) = await kube.apply(SETTINGS)
    (second,) = await kube.apply(SETTINGS.replace("blue", "green"))
    assert first["data"] == {"color": "blue"}
    assert (await kube.get("v1", "ConfigMap", "settings"))["data"] == {"color": "green"}
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])


async def test_rights_of_a_service_account_end_where_its_role_ends(
    kube: KubeClient, control_plane: ControlPlane, namespace: str
) -> None:
    await kube.apply(SETTINGS)
    await kube.apply(READER.format(namespace=namespace))
    token = await kube.token("reader")
    async with client(control_plane.kubeconfig("reader", token), namespace) as reader:
        assert (await reader.get("v1", "ConfigMap", "settings"))["data"] == {"color": "blue"}
        with pytest.raises(ApiError, match='cannot list resource "secrets"') as refused:
            await reader.list("v1", "Secret")
    assert refused.value.status == 403


async def test_custom_resources_are_served_once_their_definition_is_applied(kube: KubeClient) -> None:
    color = {"apiVersion": GROUP, "kind": "Color", "metadata": {"name": "a"}, "spec": {"name": "red"}}
    await kube.apply(CRD)
    try:
        await kube.apply([color])
        assert [item["spec"]["name"] for item in await kube.list(GROUP, "Color")] == ["red"]
        with pytest.raises(ApiError, match="must be of type string"):
            await kube.create({**color, "metadata": {"name": "b"}, "spec": {"name": 1}})
    finally:
        await kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "colors.tests.sluice.example")


async def test_a_watch_from_before_a_compaction_is_told_410(kube: KubeClient, control_plane: ControlPlane) -> None:
    """The API server keeps its data over a crash, but not the history."""
    (old,) = await kube.apply(SETTINGS)
    await kube.apply(SETTINGS.replace("blue", "green"))
    control_plane.compact()
    control_plane.kill_api_server()
    control_plane.start_api_server()
    assert (await kube.get("v1", "ConfigMap", "settings"))["data"] == {"color": "green"}
    path = f"/api/v1/namespaces/{kube.namespace}/configmaps"
    query = {"watch": True, "resourceVersion": old["metadata"]["resourceVersion"], "timeoutSeconds": 5}
    answer = await kube.request("GET", path, query=query)
    assert answer["type"] == "ERROR"
    assert answer["object"]["code"] == GONE
