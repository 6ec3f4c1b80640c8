"""The CustomResourceDefinitions: their names, that they are structural, and that they lose nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gateway.resources.crds import definitions, render
from gateway.resources.crds.docs import plain
from gateway.resources.model import GETAMBASSADOR
from gateway.resources.registry import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema = dict[str, Any]

ROOT = Path(__file__).parents[3]
PUBLISHED = Path(os.environ.get("SLUICE_EMISSARY_CRDS") or ROOT.parent / "shared/data/emissary-crds.yaml")
"""The definitions of Emissary 4.1; the comparison is skipped where they are not."""
DEFINITIONS: dict[str, Schema] = {item["spec"]["names"]["kind"]: item for item in definitions()}  # type: ignore[index]
WIDER = {
    "ambassador_id",
    "ambassadorId",
    "tls",
    "origins",
    "methods",
    "headers",
    "exposed_headers",
    "remove_request_headers",
    "remove_response_headers",
    "add_request_headers{}",
    "add_response_headers{}",
    "headers{}",
    "query_parameters{}",
    "labels{}[]{}[]",
    "idle_timeout_ms",
    "outlier_detection",
}
"""Where ours takes each of the types that the field has in a version of Emissary, or that the reader takes."""


def schema_of(definition: Schema, version: str) -> Schema:
    (found,) = (item for item in definition["spec"]["versions"] if item["name"] == version)
    schema: Schema = found["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from walk(member, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from walk(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


def is_open(schema: Schema) -> bool:
    return "type" not in schema and bool(
        schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    )


def test_every_kind_of_the_reader_is_defined() -> None:
    assert set(DEFINITIONS) == {kind for group, kind in KINDS if group == GETAMBASSADOR}


@pytest.mark.parametrize(
    ("kind", "versions", "storage", "columns"),
    [
        ("AuthService", ["v1", "v2", "v3alpha1"], "v2", []),
        ("Host", ["v2", "v3alpha1"], "v2", ["Hostname", "State", "Phase Completed", "Phase Pending", "Age"]),
        ("Listener", ["v3alpha1"], "v3alpha1", ["Port", "Protocol", "Stack", "StatsPrefix", "Security", "L7Depth"]),
        (
            "Mapping",
            ["v1", "v2", "v3alpha1"],
            "v2",
            ["Source Host", "Hostname", "Source Prefix", "Dest Service", "State", "Reason"],
        ),
        ("RateLimit", ["v1beta1", "v1beta2", "v1", "v2", "v3alpha1"], "v2", ["Domain"]),
    ],
)
def test_names_versions_columns(kind: str, versions: list[str], storage: str, columns: list[str]) -> None:
    definition = DEFINITIONS[kind]
    spec = definition["spec"]
    assert definition["metadata"]["name"] == f"{kind.lower()}s.getambassador.io"
    assert (spec["group"], spec["scope"], spec["conversion"]) == (GETAMBASSADOR, "Namespaced", {"strategy": "None"})
    assert spec["names"]["categories"] == ["ambassador-crds"]
    assert [item["name"] for item in spec["versions"]] == versions
    assert [item["name"] for item in spec["versions"] if item["storage"]] == [storage]
    assert all(item["served"] for item in spec["versions"])
    for item in spec["versions"]:
        assert [column["name"] for column in item.get("additionalPrinterColumns", [])] == columns
        assert ("status" in item.get("subresources", {})) == (kind in ("Mapping", "Host"))


@pytest.mark.parametrize("kind", sorted(DEFINITIONS))
def test_schemas_are_structural_and_the_same_in_all_versions(kind: str) -> None:
    schemas = [item["schema"]["openAPIV3Schema"] for item in DEFINITIONS[kind]["spec"]["versions"]]
    assert all(schema == schemas[0] for schema in schemas)
    for path, schema in walk(schemas[0]):
        assert is_open(schema) or schema["type"] in ("object", "array", "string", "integer", "boolean"), path
        assert not schema.keys() & {"oneOf", "anyOf", "allOf", "not", "default"}, path
        assert not (schema.get("properties") and "additionalProperties" in schema), path
        assert schema.get("type") != "array" or "items" in schema, path


@pytest.mark.parametrize("kind", sorted(DEFINITIONS))
def test_every_field_of_the_model_is_there(kind: str) -> None:
    fields = set(KINDS[GETAMBASSADOR, kind].body.__struct_encode_fields__)
    spec = schema_of(DEFINITIONS[kind], "v3alpha1")["properties"]["spec"]
    assert fields <= set(spec["properties"])


def test_spot_checks() -> None:
    mapping = dict(walk(schema_of(DEFINITIONS["Mapping"], "v2")))
    assert mapping[".spec"]["required"] == ["prefix", "service"]
    assert mapping[".spec.weight"] == {"type": "integer"}, "Emissary takes every integer"
    assert mapping[".spec.redirect_response_code"]["enum"] == [301, 302, 303, 307, 308]
    assert mapping[".spec.v3health_checks[].health_check"]["x-kubernetes-validations"][0]["rule"] == (
        "has(self.http) != has(self.grpc)"
    )
    assert mapping[".spec.hostname"] == {"type": "string"}
    assert "no rewrite" in mapping[".spec.rewrite"]["description"]
    listener = dict(walk(schema_of(DEFINITIONS["Listener"], "v3alpha1")))
    assert (listener[".spec.port"]["minimum"], listener[".spec.port"]["maximum"]) == (1, 65535)
    assert listener[".spec.ambassador_id"]["type"] == "array"
    module = dict(walk(schema_of(DEFINITIONS["Module"], "v1")))
    assert module[".spec.config"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def test_texts_are_plain() -> None:
    assert plain("A ``x``:\nb of :class:`~a.b.C`.\n\n``None`` means\nno.") == "A x: b of C.\nnot set means no."
    assert plain(None) == ""


def test_the_published_file_is_current() -> None:
    """Write it anew by: sluice crds > deploy/crds/getambassador.io.yaml."""
    assert (ROOT / "deploy/crds/getambassador.io.yaml").read_text(encoding="utf-8") == render()


def test_the_file_reads_back() -> None:
    assert [item["metadata"]["name"] for item in yaml.safe_load_all(render())] == [
        item["metadata"]["name"] for item in DEFINITIONS.values()
    ]
    assert all(item["spec"]["conversion"]["strategy"] == "None" for item in yaml.safe_load_all(render()))


def published() -> list[Schema]:
    if not PUBLISHED.exists():
        return []
    documents = yaml.safe_load_all(PUBLISHED.read_text(encoding="utf-8"))
    return [item for item in documents if item and item["kind"] == "CustomResourceDefinition"]


@pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the definitions of Emissary are not here; SLUICE_EMISSARY_CRDS says where they are"
)
def test_every_field_of_emissary_is_there_with_its_type() -> None:
    compared = 0
    for theirs in published():
        ours = DEFINITIONS[theirs["spec"]["names"]["kind"]]
        for version in theirs["spec"]["versions"]:
            mine = dict(walk(schema_of(ours, version["name"])))
            for path, schema in walk(version["schema"]["openAPIV3Schema"]):
                where = f"{ours['spec']['names']['kind']} {version['name']} {path}"
                compared += 1
                if path in mine:
                    compare(mine[path], schema, where)
                else:
                    assert any(is_open(mine[above]) for above in parents(path) if above in mine), where
            stored = {item["name"]: item["storage"] for item in ours["spec"]["versions"]}
            assert stored[version["name"]] == version["storage"]
    assert compared > 1000


def parents(path: str) -> Iterator[str]:
    """The places that hold a place: ``.spec.a[]`` for ``.spec.a[].b``, and so on."""
    for end in range(len(path) - 1, 0, -1):
        if path[end] in ".[{":
            yield path[:end]


def compare(mine: Schema, theirs: Schema, where: str) -> None:
    """The same type, and nothing refused that they accept."""
    if not (is_open(mine) and where.rpartition(".")[2] in WIDER):
        assert mine.get("type") == theirs.get("type"), where
    for bound in ("minimum", "maximum"):
        assert mine.get(bound) in (None, theirs.get(bound)), where
    assert "enum" not in mine or set(mine["enum"]) >= set(theirs.get("enum", [object()])), where
    assert set(mine.get("required", [])) <= set(theirs.get("required", [])), where
    assert mine.get("x-kubernetes-preserve-unknown-fields") or not theirs.get("x-kubernetes-preserve-unknown-fields")
