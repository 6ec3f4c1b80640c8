"""Raw parts to one typed object: the fast way first, the careful way when that fails."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from gateway.base.keys import ObjectKey, kind_group
from gateway.diagnostics import Origin
from gateway.resources.core import ConfigMap, EndpointSlice, Secret, SecretData
from gateway.resources.generic import Generic
from gateway.resources.legacy import relax, upgrade
from gateway.resources.legacy_ingress import upgrade_ingress
from gateway.resources.model import GETAMBASSADOR, Metadata, Resource
from gateway.resources.module import MODULE_NAME
from gateway.resources.registry import ConfigMapBody, EndpointSliceBody, KindEntry, SecretBody
from gateway.resources.rules import broken_rules
from gateway.resources.schema import Inspection, Problem, inspect_value
from gateway.resources.written import written_version

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T", bound=msgspec.Struct)
_MAX_NAME = 253
_NOT_ACTED_ON = {
    "FilterPolicy": "filters are not supported yet: routes under its rules are refused with 500 until they are",
}
_MODULE_IGNORED = "only the Module named ambassador is acted on; this one is accepted and has no effect"
_MODULE_AUTHENTICATION = "stands for an AuthService, as in Emissary, and is not acted on yet; declare an AuthService"


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What an object says it is, and the file it comes from."""

    group: str
    version: str
    kind: str
    path: str

    def origin(self, metadata: Metadata) -> Origin:
        """The origin of the object for diagnostics."""
        return Origin(self.kind, metadata.namespace, metadata.name, self.path)

    def key(self, metadata: Metadata) -> ObjectKey:
        """The key of the object in a set; an Ingress of the old group is one of the new group."""
        group = "networking.k8s.io" if self.group == "extensions" else self.group
        return ObjectKey(kind_group(self.kind, group), metadata.namespace, metadata.name)


def read_metadata(raw: object, inspection: Inspection) -> Metadata | None:
    """Type ``metadata``; ``None`` when it has an error."""
    metadata = _convert(raw if raw is not None else {}, Metadata, "metadata", inspection, _same)
    if metadata is None:
        return None
    for field, text in (("name", metadata.name), ("namespace", metadata.namespace)):
        if len(text) > _MAX_NAME or any(character in "/\\" or not character.isprintable() for character in text):
            inspection.expected(f"metadata.{field}", "a name of at most 253 characters without / and spaces", text)
    if not metadata.name:
        inspection.missing("metadata.name", "a string")
    return None if inspection.failed else metadata


def build(
    entry: KindEntry, head: ObjectHead, metadata: Metadata, raw: Map[str, object], inspection: Inspection
) -> Resource | None:
    """Type one object; ``None`` when it has an error, which is then in ``inspection``."""
    if head.group == GETAMBASSADOR and head.kind == "Module" and metadata.name != MODULE_NAME:
        message = _MODULE_AUTHENTICATION if metadata.name == "authentication" else _MODULE_IGNORED
        inspection.problems.append(Problem("warning", "module-ignored", "metadata.name", message))
        return build_generic(head, metadata, raw, inspection)
    origin = head.origin(metadata)
    if entry.flat:
        body = _convert(raw, entry.body, "", inspection, _same)
        return None if body is None else _flat(body, metadata, origin, inspection)
    spec = raw.get("spec")
    if spec is None:
        spec = {}
    relaxed: Callable[[dict[str, object]], dict[str, object]] = _same
    if head.group == GETAMBASSADOR:
        if isinstance(spec, dict):
            spec = upgrade(head.kind, written_version(head.kind, head.version, raw), spec)

        def relaxed(raw: dict[str, object]) -> dict[str, object]:
            return relax(head.kind, raw)

    elif head.version == "v1beta1" and head.kind == "Ingress" and isinstance(spec, dict):
        spec = upgrade_ingress(spec)
    body = _convert(spec, entry.body, "spec", inspection, relaxed)
    if body is None:
        return None
    resource = entry.model(metadata=metadata, origin=origin, spec=body)  # type: ignore[call-arg]
    inspection.problems.extend(broken_rules(resource))
    return resource


def build_generic(
    head: ObjectHead, metadata: Metadata, raw: Map[str, object], inspection: Inspection
) -> Resource | None:
    """Keep an object of a kind that is accepted without being acted on."""
    spec = raw.get("spec")
    if spec is not None and not isinstance(spec, Map):
        inspection.expected("spec", "an object", spec)
        return None
    if head.kind != "Module":
        message = _NOT_ACTED_ON.get(head.kind, f"kind {head.kind} is accepted but not acted on yet")
        inspection.problems.append(Problem("warning", "kind-not-acted-on", "", message))
    origin = head.origin(metadata)
    return Generic(metadata=metadata, origin=origin, generic_kind=head.kind, spec=spec if spec is not None else {})


def _flat(body: msgspec.Struct, metadata: Metadata, origin: Origin, inspection: Inspection) -> Resource | None:
    match body:
        case SecretBody():
            texts = {key: text.encode("utf-8", "surrogatepass") for key, text in body.string_data.items()}
            values = {**body.data, **texts}
            return Secret(metadata=metadata, origin=origin, type=body.type, data=SecretData(values))
        case ConfigMapBody():
            return ConfigMap(metadata=metadata, origin=origin, data=body.data, binary_data=body.binary_data)
        case EndpointSliceBody():
            return EndpointSlice(
                metadata=metadata,
                origin=origin,
                address_type=body.address_type,
                endpoints=body.endpoints or (),
                ports=body.ports or (),
            )
    return None


def _convert(
    raw: object,
    model: type[T],
    path: str,
    inspection: Inspection,
    relaxed: Callable[[dict[str, object]], dict[str, object]],
) -> T | None:
    try:
        return msgspec.convert(raw, model)
    except (msgspec.ValidationError, RecursionError, UnicodeError):
        pass
    value = relaxed(raw) if isinstance(raw, dict) else raw
    clean = inspect_value(value, model, path, inspection)
    if inspection.failed:
        return None
    try:
        return msgspec.convert(clean, model)
    except (msgspec.ValidationError, UnicodeError) as error:
        text = str(error) if inspection.show_values else "a value of the wrong type"
        inspection.problems.append(Problem("error", "field-type", path, text))
        return None


def _same(raw: dict[str, object]) -> dict[str, object]:
    return raw
