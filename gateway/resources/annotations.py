"""Objects inside the annotation ``getambassador.io/config``.

Its value is YAML, one or many documents, each an object whose ``metadata`` and ``spec`` fields may stand at the top
level (Emissary, ``pkg/snapshot/v1/annotations.go``). Such objects live in the namespace of the annotated object; they
have its labels unless they bring ``metadata_labels``.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.resources.model import GETAMBASSADOR
from gateway.resources.yamltree import parse_yaml

if TYPE_CHECKING:
    from gateway.resources.model import Metadata

CONFIG_ANNOTATION = "getambassador.io/config"
_METADATA_FIELDS = frozenset({"name", "namespace", "generation"})
_OBJECT_FIELDS = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


@dataclass(frozen=True, slots=True)
class AnnotatedObject:
    """One document of the annotation in the usual form, or the reason why it is none; then ``raw`` is what it says."""

    raw: Map[str, object]
    problem: str = ""


def annotated_objects(text: str, parent: Metadata) -> list[AnnotatedObject]:
    """Read the annotation of one object. Raises :class:`~gateway.resources.yamltree.ManifestError`."""
    return [_unfold(document.value, parent) for document in parse_yaml(text)]


def _unfold(value: object, parent: Metadata) -> AnnotatedObject:
    if not isinstance(value, Map):
        return AnnotatedObject({"spec": value}, "expected objects with apiVersion, kind and name")
    metadata, spec = value.get("metadata"), value.get("spec")
    names: dict[str, object] = dict(metadata) if isinstance(metadata, Map) else {}
    fields: dict[str, object] = dict(spec) if isinstance(spec, Map) else {}
    for key, item in value.items():
        if key in _METADATA_FIELDS:
            names[key] = item
        elif key == "metadata_labels":
            names["labels"] = item
        elif key not in _OBJECT_FIELDS:
            fields[key] = item
    raw = {"kind": value.get("kind"), "metadata": names, "spec": fields}
    namespace = names.get("namespace") or parent.namespace
    if namespace != parent.namespace:
        shown = str(namespace)[:80]
        return AnnotatedObject(
            raw, f"expected namespace {parent.namespace}, that of the annotated object, got {shown!r}"
        )
    # An annotation inside an annotation is not expanded again.
    names.pop("annotations", None)
    names = {"labels": dict(parent.labels), **names, "namespace": namespace}
    version = value.get("apiVersion")
    if isinstance(version, str) and version.startswith("ambassador/"):
        version = GETAMBASSADOR + version.removeprefix("ambassador")
    if not isinstance(version, str) or not version.startswith(f"{GETAMBASSADOR}/"):
        shown = str(version)[:80]
        return AnnotatedObject(raw, f"expected apiVersion {GETAMBASSADOR}/v3alpha1 or an older one, got {shown!r}")
    return AnnotatedObject({"apiVersion": version, "kind": value.get("kind"), "metadata": names, "spec": fields})
