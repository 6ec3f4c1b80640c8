"""In which version an object of a cluster was written, whatever the version is that it was read in.

The definitions of ``sluice crds`` convert by name alone, so an object that was applied as getambassador.io/v2 can be
read as v3alpha1 and is the same. What a field means is told by its form, but for one: a Mapping without a host serves
every host in v1 and v2, and in v3alpha1 only those whose ``mappingSelector`` takes it. Kubernetes notes in
``metadata.managedFields`` in which version a field was written.
"""

from __future__ import annotations

from collections.abc import Mapping as Map

from gateway.resources.model import GETAMBASSADOR


def written_version(kind: str, version: str, raw: Map[str, object]) -> str:
    """The version of the last writer of a Mapping's prefix where Kubernetes knows it, else ``version``."""
    metadata = raw.get("metadata")
    entries = metadata.get("managedFields") if kind == "Mapping" and isinstance(metadata, Map) else None
    newest: tuple[str, str] | None = None
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, Map) or not _owns_prefix(entry.get("fieldsV1")):
            continue
        group, _, written = str(entry.get("apiVersion", "")).partition("/")
        time = str(entry.get("time", ""))
        if group == GETAMBASSADOR and written and (newest is None or time >= newest[0]):
            newest = (time, written)
    return newest[1] if newest is not None else version


def forget_managers(raw: dict[str, object]) -> None:
    """Leave nothing in ``metadata.managedFields``, which is often longer than the object, but what is read here."""
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return
    group, _, version = str(raw.get("apiVersion", "")).rpartition("/")
    written = written_version(str(raw.get("kind", "")), version, raw)
    del metadata["managedFields"]
    if written != version:
        owned: dict[str, object] = {"f:spec": {"f:prefix": {}}}
        metadata["managedFields"] = [{"apiVersion": f"{group}/{written}", "fieldsV1": owned}]


def _owns_prefix(fields: object) -> bool:
    spec = fields.get("f:spec") if isinstance(fields, Map) else None
    return isinstance(spec, Map) and "f:prefix" in spec
