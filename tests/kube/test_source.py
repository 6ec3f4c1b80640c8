"""The Kubernetes source on a real API server: what it says after anything that can happen is what a new list says."""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from gateway.resources import Host, Mapping, Secret
from gateway.resources.crds import definitions
from gateway.resources.reader import ReadSettings
from gateway.settings import KubernetesSettings
from gateway.sources.kubernetes import KubernetesSource
from gateway.translate import TranslateSettings
from gateway.translate.references import References
from tests.support.kube.client import client
from tests.support.kubesource import Followed, followed, host, mapping, secret
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.resources import Resource, ResourceSet
    from tests.support.kube.client import KubeClient
    from tests.support.kube.controlplane import ControlPlane
    from tests.support.kube.credentials import Kubeconfig

GROUP = "getambassador.io/v3alpha1"
DEFINITIONS: tuple[dict[str, Any], ...] = definitions()
MAPPING_DEFINITION = next(item for item in DEFINITIONS if item["spec"]["names"]["kind"] == "Mapping")
GRANT = """\
apiVersion: v1
kind: ServiceAccount
metadata: {{name: gateway}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: gateway}}
rules:
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [getambassador.io]
  resources: [authservices, filterpolicies, hosts, mappings, modules]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [cert]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: gateway}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: gateway}}
subjects: [{{kind: ServiceAccount, name: gateway, namespace: {namespace}}}]
"""


async def removed(kube: KubeClient, definition: str) -> None:
    await kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", definition)
    await kube.wait_gone(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}")


def source_of(identity: Kubeconfig, namespace: str, **settings: Any) -> KubernetesSource:
    return KubernetesSource(
        KubernetesSettings(kubeconfig=str(identity.path), namespaces=(namespace,), **settings),
        ReadSettings("default", namespace),
        References(TranslateSettings(namespace=namespace)).of,
    )


def content(resources: ResourceSet) -> dict[str, Resource]:
    """Objects by key, without versions: those of objects whose status alone was written may be older."""
    return {str(item.key): replace(item, metadata=replace(item.metadata, resource_version="")) for item in resources}


async def settled(seen: Followed, identity: Kubeconfig, namespace: str) -> None:
    """Wait until the source says what another one lists now."""
    fresh = content((await source_of(identity, namespace).load()).resources)
    await eventually(lambda: seen.states and content(seen.resources) == fresh, "what a new list says", 30.0)


@pytest.mark.usefixtures("installed")
async def test_changes_are_followed(kube: KubeClient, control_plane: ControlPlane, namespace: str) -> None:
    await kube.apply([mapping("a", namespace), host("h", "cert", namespace), secret("cert", namespace)])
    async with followed(source_of(control_plane.admin, namespace)) as seen:
        await seen.until(lambda found: found.get(Secret, namespace, "cert"), "the first state")
        await kube.apply([mapping("b", namespace), mapping("a", namespace, prefix="/changed/")])
        await seen.until(lambda found: found.of(Mapping)[0].spec.prefix == "/changed/", "an edit")
        await seen.until(lambda found: len(found.of(Mapping)) == 2, "an object added")
        kept = seen.resources.get(Mapping, namespace, "b")
        await kube.delete(GROUP, "Mapping", "a", namespace)
        await seen.until(lambda found: len(found.of(Mapping)) == 1, "an object deleted")
        rotated = base64.b64encode(b"rotated").decode()
        await kube.apply([secret("cert", namespace, value=rotated)])
        await seen.until(lambda found: found.of(Secret)[0].data.get("value") == b"rotated", "a Secret rotated")
        path = f"/apis/{GROUP}/namespaces/{namespace}/mappings/b/status"
        await kube.request("PATCH", path, {"status": {"state": "Running"}}, media="application/merge-patch+json")
        await kube.apply([mapping("c", namespace)])
        await seen.until(lambda found: len(found.of(Mapping)) == 2, "the next change")
        assert seen.resources.get(Mapping, namespace, "b") is kept
        await settled(seen, control_plane.admin, namespace)
        await eventually(lambda: seen.source.status().up, "contact for every kind")


@pytest.mark.usefixtures("installed")
async def test_an_object_that_is_nested_too_deep_holds_up_no_other(
    kube: KubeClient, control_plane: ControlPlane, namespace: str
) -> None:
    await kube.apply([mapping("a", namespace), mapping("listed", namespace, envoy_override=nested(300))])
    async with followed(source_of(control_plane.admin, namespace)) as seen:
        await seen.until(lambda found: [item.name for item in found.of(Mapping)] == ["a"], "the first state")
        await kube.apply([mapping("watched", namespace, envoy_override=nested(300)), mapping("b", namespace)])
        await seen.until(lambda found: [item.name for item in found.of(Mapping)] == ["a", "b"], "the next event")
        refused = {one.origin.name for one in seen.last.diagnostics if one.code == "object-depth"}
        assert refused == {"listed", "watched"}
        assert seen.source.status().lists["Mapping"] == 1


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.usefixtures("installed")
async def test_definitions_that_come_late_are_taken_up(
    kube: KubeClient, control_plane: ControlPlane, namespace: str
) -> None:
    name = "mappings.getambassador.io"
    await kube.apply([host("h", namespace=namespace)])
    await removed(kube, name)
    try:
        async with followed(source_of(control_plane.admin, namespace)) as seen:
            await seen.until(lambda found: found.of(Host), "a state without the kind")
            assert "mappings" in next(one.message for one in seen.last.diagnostics if one.code == "kind-missing")
            await kube.apply([MAPPING_DEFINITION])
            await kube.apply([mapping("a", namespace)])
            await eventually(lambda: seen.resources.of(Mapping), "the object of the new kind", 30.0)
            assert "kind-missing" not in seen.codes
            await removed(kube, name)
            await eventually(lambda: not seen.resources.of(Mapping), "no object of a kind that is gone", 30.0)
            assert seen.resources.of(Host)
    finally:
        await kube.apply([MAPPING_DEFINITION])


@pytest.mark.usefixtures("installed")
async def test_a_gateway_with_few_rights_serves_what_it_may_read(
    kube: KubeClient, control_plane: ControlPlane, namespace: str
) -> None:
    await kube.apply(GRANT.format(namespace=namespace))
    await kube.apply(
        [
            mapping("a", namespace),
            host("h", "cert", namespace),
            host("i", "other", namespace),
            secret("cert", namespace),
            secret("other", namespace),
        ]
    )
    identity = control_plane.kubeconfig("gateway", await kube.token("gateway"))
    async with followed(source_of(identity, namespace)) as seen:
        await eventually(lambda: seen.states and seen.resources.of(Secret), "a state", 40.0)
        assert [item.name for item in seen.resources.of(Secret)] == ["cert"]
        assert len(seen.resources.of(Host)) == 2
        denied = {one.origin.kind for one in seen.last.diagnostics if one.code == "kind-denied"}
        assert denied == {"EndpointSlice", "Ingress", "IngressClass", "Secret"} | (
            {item["spec"]["names"]["kind"] for item in DEFINITIONS} - {"AuthService", "Host", "Mapping", "Module"}
        )
        await eventually(lambda: "reference-unreadable" in seen.codes, "a finding about the other Secret")


@pytest.mark.usefixtures("installed")
@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_store_is_right_after_the_server_lost_its_history(
    kube: KubeClient, control_plane: ControlPlane, namespace: str
) -> None:
    await kube.apply([mapping(f"m{number}", namespace) for number in range(20)])
    async with followed(source_of(control_plane.admin, namespace)) as seen:
        await seen.until(lambda found: len(found.of(Mapping)) == 20, "the first state")
        states = len(seen.states)
        control_plane.kill_api_server()
        await eventually(lambda: not seen.source.status().up, "the loss", 30.0)
        assert len(seen.states) == states
        control_plane.start_api_server()
        async with client(control_plane.admin, namespace) as again:
            # Most of this happens before the source comes back from its back-off.
            await again.delete(GROUP, "Mapping", "m3", namespace)
            await again.apply([mapping("m4", namespace, prefix="/new/"), mapping("new", namespace)])
        control_plane.compact()
        await settled(seen, control_plane.admin, namespace)
        assert {item.name for item in seen.resources.of(Mapping)} == {
            *(f"m{number}" for number in range(20) if number != 3),
            "new",
        }
        await eventually(lambda: seen.source.status().up, "contact again", 40.0)
        await kube.apply([mapping("newest", namespace)])
        await seen.until(lambda found: found.get(Mapping, namespace, "newest"), "the next event")


@pytest.mark.usefixtures("installed")
@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_gateway_starts_from_its_copy_without_the_server(
    kube: KubeClient, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    await kube.apply([mapping("a", namespace), host("h", "cert", namespace), secret("cert", namespace)])
    async with followed(source_of(control_plane.admin, namespace, state_dir=str(tmp_path))) as seen:
        await seen.until(lambda found: found.of(Secret), "the first state")
        await eventually(lambda: (tmp_path / "kubernetes.json").exists(), "a copy")
        before = content(seen.resources)
    control_plane.kill_api_server()
    with contextlib.ExitStack() as stack:
        restarted = stack.callback(control_plane.start_api_server)
        async with followed(source_of(control_plane.admin, namespace, state_dir=str(tmp_path))) as seen:
            await eventually(lambda: seen.states, "the copy")
            assert content(seen.resources) == before
            assert "source-stale" in seen.codes
            stack.pop_all()
            restarted()
            await kube.apply([mapping("b", namespace)])
            await seen.until(lambda found: found.get(Mapping, namespace, "b"), "the live objects")
            assert "source-stale" not in seen.codes
