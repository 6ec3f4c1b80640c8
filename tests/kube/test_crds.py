"""The CustomResourceDefinitions on a real API server: it takes them, and drops nothing of what people write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml

from gateway.resources import Mapping
from gateway.resources.crds import definitions
from gateway.resources.reader import ReadSettings
from gateway.sources.kubernetes.store import ObjectStore
from tests.support.kube.client import ApiError, client, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.kube.client import KubeClient
    from tests.support.kube.controlplane import ControlPlane

Raw = dict[str, Any]

ROOT = Path(__file__).parents[2]
PUBLISHED = Path(os.environ.get("SLUICE_EMISSARY_CRDS") or ROOT.parent / "shared/data/emissary-crds.yaml")
API = "apiextensions.k8s.io/v1"
GROUP = "getambassador.io"
INVALID = 422
EXCLUSIVE = ({"http", "grpc"}, {"tls", "tlsContext"})
"""Fields that stand alone."""

pytestmark = pytest.mark.timeout(180)


def published(path: Path) -> list[Raw]:
    found = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return [item for item in found if item and item["kind"] == "CustomResourceDefinition"]


def sample(schema: Raw, second: bool = False) -> Any:
    """A value with every field of a schema; of a field with two types the first, or the ``second``."""
    if "oneOf" in schema:
        return sample({"type": schema["oneOf"][second]["type"], "items": schema.get("items", {})}, second)
    if "enum" in schema:
        return schema["enum"][-1]
    match schema.get("type"):
        case "object" if schema.get("properties"):
            fields = {name: sample(member, second) for name, member in schema["properties"].items()}
            for names in EXCLUSIVE:
                if names <= fields.keys():
                    fields.pop(sorted(names)[second])
            one = schema.get("maxProperties") == 1
            return dict(list(fields.items())[:1]) if one else fields
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return {"a": sample(schema["additionalProperties"], second)}
        case "object":
            return {"any": {"thing": [1, "a", True]}}
        case "array":
            return [sample(schema["items"], second)]
        case "integer":
            return schema.get("minimum", 7)
        case "boolean":
            return True
        case "string":
            return "2026-01-02T03:04:05Z" if schema.get("format") == "date-time" else "https://"
        case None if schema.get("x-kubernetes-int-or-string"):
            return 5 if second else "5"
        case _:
            return {"any": ["thing"]} if second else "thing"


@pytest_asyncio.fixture
async def defined(kube: KubeClient, control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    """A client in the namespace of the test, with the definitions in force until its end."""
    async with client(control_plane.admin, kube.namespace) as one:
        await one.apply(ROOT / "deploy/crds/getambassador.io.yaml")
        yield one
        await one.clear()
        for item in definitions():
            await one.delete(API, "CustomResourceDefinition", item["metadata"]["name"])  # type: ignore[index]


def instances(source: list[Raw], *, second: bool) -> list[tuple[str, str, Raw]]:
    """Kind, version and full ``spec`` for all definitions."""
    return [
        (
            item["spec"]["names"]["kind"],
            version["name"],
            sample(version["schema"]["openAPIV3Schema"]["properties"]["spec"], second),
        )
        for item in source
        for version in item["spec"]["versions"]
    ]


async def nothing_is_lost(kube: KubeClient, source: list[Raw], *, second: bool) -> None:
    served = {item["spec"]["names"]["kind"]: item["spec"]["versions"] for item in definitions()}  # type: ignore[index]
    for kind, version, spec in instances(source, second=second):
        name = f"{version}-{int(second)}"
        meta = {"name": name}
        await kube.create({"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": meta, "spec": spec})
        for other in served[kind]:
            read = await kube.get(f"{GROUP}/{other['name']}", kind, name)
            assert read["spec"] == spec, f"{kind} written in {version} and read in {other['name']}"


async def test_the_api_server_takes_them(defined: KubeClient) -> None:
    names = [item["metadata"]["name"] for item in definitions()]  # type: ignore[index]
    for name in names:
        definition = await defined.get(API, "CustomResourceDefinition", name)
        conditions = {item["type"]: item["status"] for item in definition["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}, "a schema that is not structural says so"


@pytest.mark.parametrize("second", [False, True])
async def test_every_field_survives_in_every_version(defined: KubeClient, second: bool) -> None:
    await nothing_is_lost(defined, list(definitions()), second=second)


@pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the definitions of Emissary are not here; SLUICE_EMISSARY_CRDS says where they are"
)
@pytest.mark.parametrize("second", [False, True])
async def test_every_field_of_emissary_survives_in_every_version(defined: KubeClient, second: bool) -> None:
    await nothing_is_lost(defined, published(PUBLISHED), second=second)


REFUSED: list[tuple[str, Raw, str]] = [
    ("Host", {"tls": {}, "tlsContext": {"name": "a"}}, "only one of tls and tlsContext"),
    ("Listener", {"port": 80, "securityModel": "XFP", "hostBinding": {}}, "protocol or protocolStack"),
    ("Mapping", {"prefix": "/", "service": "s", "load_balancer": {"policy": "maglev"}}, "expect one of cookie"),
    ("Mapping", {"prefix": "/", "service": "s", "health_checks": [{"health_check": {}}]}, "exactly one of http"),
    ("Mapping", {"prefix": "/"}, "spec.service: Required"),
]


async def test_what_emissary_would_not_serve_is_refused(defined: KubeClient) -> None:
    for kind, spec, message in REFUSED:
        item = {"apiVersion": f"{GROUP}/v3alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}
        with pytest.raises(ApiError, match=message) as refused:
            await defined.create(item)
        assert refused.value.status == INVALID


async def test_a_mapping_without_a_host_means_what_it_meant_when_it_was_written(defined: KubeClient) -> None:
    for version in ("v2", "v3alpha1"):
        item = {"apiVersion": f"{GROUP}/{version}", "kind": "Mapping", "metadata": {"name": version}}
        await defined.create({**item, "spec": {"prefix": "/a/", "service": "s"}})
    for read_as in ("v2", "v3alpha1"):
        store = ObjectStore(ReadSettings())
        for raw in await defined.list(f"{GROUP}/{read_as}", "Mapping"):
            typed = {"apiVersion": f"{GROUP}/{read_as}", "kind": "Mapping", **raw}
            store.put(store.read(f"Mapping.{GROUP}", typed))
        found = {mapping.name: mapping.spec.hostname for mapping in store.state().resources.of(Mapping)}
        assert found == {"v2": "*", "v3alpha1": ""}


async def test_status_is_a_part_of_its_own(defined: KubeClient) -> None:
    spec = {"prefix": "/a/", "service": "s"}
    item = {"apiVersion": f"{GROUP}/v3alpha1", "kind": "Mapping", "metadata": {"name": "a"}, "spec": spec}
    created = await defined.create({**item, "status": {"state": "Running"}})
    assert "status" not in created
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Served",
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    status = {"state": "Running", "reason": "x", "conditions": [condition]}
    path = (await defined.path(f"{GROUP}/v3alpha1", "Mapping", "a")) + "/status"
    merged = await defined.request("PATCH", path, {"status": status}, media="application/merge-patch+json")
    assert merged["status"] == status


async def test_they_replace_definitions_that_are_converted_by_a_webhook(defined: KubeClient) -> None:
    """As ``kubectl replace`` does it, over Emissary's: what is stored stays."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mappings.getambassador.io"
    spec = {"prefix": "/a/", "service": "s", "hostname": "a.example"}
    await defined.create(
        {"apiVersion": f"{GROUP}/v3alpha1", "kind": "Mapping", "metadata": {"name": "a"}, "spec": spec}
    )
    service = {"name": "emissary-apiext", "namespace": "emissary-system", "path": "/webhooks/crd-convert", "port": 443}
    webhook = {
        "strategy": "Webhook",
        "webhook": {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]},
    }
    old = await defined.request("GET", path)
    await defined.request("PUT", path, {**old, "spec": {**old["spec"], "conversion": webhook}})
    (ours,) = (item for item in definitions() if item["metadata"]["name"] == "mappings.getambassador.io")  # type: ignore[index]
    version = (await defined.request("GET", path))["metadata"]["resourceVersion"]
    metadata = {**ours["metadata"], "resourceVersion": version}  # type: ignore[dict-item]
    replaced = await defined.request("PUT", path, {**ours, "metadata": metadata})
    assert replaced["spec"]["conversion"] == {"strategy": "None"}

    async def served() -> bool:
        try:
            return bool((await defined.get(f"{GROUP}/v2", "Mapping", "a"))["spec"] == spec)
        except ApiError:
            return False

    await eventually(served, lambda: "the Mapping is read without the webhook", 30)
