"""Raw objects of a cluster to one set of typed ones, where an event costs one object.

The rules are those of folders: an object that is edited into something invalid keeps its last good version, with a
finding; objects in the annotation ``getambassador.io/config`` belong to the annotated object and go with it. An
object of the API wins over one of the same name in an annotation, and of several annotations the first by kind,
namespace and name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec
import orjson

from gateway.base.keys import ObjectKey
from gateway.diagnostics import Collector, Diagnostic
from gateway.resources.depth import cut, is_deeper
from gateway.resources.reader import crashed_object, read_object
from gateway.resources.resource_set import ResourceSet
from gateway.resources.written import forget_managers
from gateway.resources.yamltree import MAX_DEPTH
from gateway.sources.assembly import SourceState
from gateway.sources.statuses import SeenStatuses

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as Map

    from gateway.kube.events import RawObject
    from gateway.resources.model import Resource
    from gateway.resources.reader import ReadResult, ReadSettings

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A raw object that was read, not yet part of the store."""

    key: ObjectKey
    uid: str
    version: str
    result: ReadResult
    text: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """A raw object that the store had in this version when it came."""

    key: ObjectKey
    held: Held

    @property
    def version(self) -> str:
        """The resource version."""
        return self.held.version


@dataclass(frozen=True, slots=True)
class Held:
    """What one object of the API contributes: itself and what its annotation declares."""

    uid: str
    version: str
    text: bytes
    """The object as JSON, for the copy on disk; empty when none is kept."""
    objects: dict[ObjectKey, Resource]
    findings: tuple[Diagnostic, ...] = ()
    refused: frozenset[ObjectKey] = frozenset()


@dataclass(slots=True)
class ObjectStore:
    """All objects of the cluster that matter. Not safe for several threads."""

    settings: ReadSettings
    keep_text: bool = False
    """Whether objects are kept as JSON too."""
    seen: SeenStatuses = field(default_factory=SeenStatuses)
    """Where statuses of objects that change are noted."""
    _held: dict[ObjectKey, Held] = field(default_factory=dict)
    _keys: dict[str, set[ObjectKey]] = field(default_factory=dict)
    """Keys of ``_held`` by kind."""
    _annotated: dict[ObjectKey, set[ObjectKey]] = field(default_factory=dict)
    """Objects that annotations declare, and whose annotations."""
    _findings: dict[ObjectKey, tuple[Diagnostic, ...]] = field(default_factory=dict)
    _duplicates: dict[ObjectKey, tuple[Diagnostic, ...]] = field(default_factory=dict)
    _refused: dict[ObjectKey, frozenset[ObjectKey]] = field(default_factory=dict)
    _touched: set[ObjectKey] = field(default_factory=set)
    _general: tuple[Diagnostic, ...] = ()
    _told_anew: bool = False
    _state: SourceState = field(default_factory=lambda: SourceState(ResourceSet(), ()))

    def read(self, kind_group: str, raw: RawObject) -> Parsed | Known:
        """Read an object; one that is known in this version is not read again."""
        metadata = raw["metadata"]
        key = ObjectKey(kind_group, metadata.get("namespace", ""), metadata["name"])
        uid, version = metadata.get("uid", ""), metadata.get("resourceVersion", "")
        held = self._held.get(key)
        if held is not None and version and (held.uid, held.version) == (uid, version):
            return Known(key, held)
        forget_managers(raw)
        annotations = metadata.get("annotations")
        if annotations:
            annotations.pop(_LAST_APPLIED, None)
        status = raw.pop("status", None)
        if held is not None:
            self.seen.note(key, version, status)
        if is_deeper(raw, MAX_DEPTH):
            # Whoever reads it refuses it all the same, and encoders have limits of their own.
            raw = {name: cut(value, MAX_DEPTH) for name, value in raw.items()}
        text = orjson.dumps(raw) if self.keep_text else b""
        try:
            result = read_object(raw, settings=self.settings)
        except Exception as crash:  # noqa: BLE001 - the crash barrier: all other objects of the kind go on
            result = crashed_object(key, raw, crash, self.settings)
        return Parsed(key, uid, version, result, text)

    def put(self, item: Parsed | Known) -> None:
        """Take an object in, or its new version."""
        before = self._held.get(item.key)
        after = item.held if isinstance(item, Known) else _hold(item, before)
        if after is not before:
            self._swap(item.key, before, after)

    def remove(self, key: ObjectKey) -> None:
        """Take an object out, with what its annotation declares."""
        self.seen.forget(key)
        before = self._held.get(key)
        if before is not None:
            self._swap(key, before, None)

    def replace(self, kind_group: str, namespace: str, objects: Iterable[Parsed | Known]) -> None:
        """These are all objects of a kind (in a namespace, unless that is empty) now."""
        listed = set()
        for item in objects:
            self.put(item)
            listed.add(item.key)
        for key in self.keys(kind_group) - listed:
            if not namespace or key.namespace == namespace:
                self.remove(key)

    def keys(self, kind_group: str) -> frozenset[ObjectKey]:
        """The objects of a kind that the API has, refused ones among them."""
        return frozenset(self._keys.get(kind_group, ()))

    def version(self, key: ObjectKey) -> str:
        """The resource version of an object; empty when it is not here."""
        held = self._held.get(key)
        return held.version if held is not None else ""

    def texts(self) -> list[bytes]:
        """All objects as JSON."""
        return [held.text for held in self._held.values() if held.text]

    def state(self, general: tuple[Diagnostic, ...] = ()) -> SourceState:
        """Everything as it is now; the same object as before when nothing that counts has changed.

        ``general``: findings about the source itself.
        """
        changed, self._touched = self._touched, set()
        if general != self._general:
            self._general, self._told_anew = general, True
        before = self._state
        resources = self._collect(changed) if changed else before.resources
        if resources is before.resources and not self._told_anew:
            return before
        found = before.diagnostics
        if self._told_anew:
            found = self._all_findings()
            self._told_anew = False
        refused = {key for keys in self._refused.values() for key in keys if key not in resources}
        self._state = SourceState(resources, found, len(refused))
        return self._state

    def _swap(self, parent: ObjectKey, before: Held | None, after: Held | None) -> None:
        old = before.objects if before is not None else {}
        new = after.objects if after is not None else {}
        if after is not None:
            self._held[parent] = after
            if before is None:
                self._keys.setdefault(parent.kind_group, set()).add(parent)
        else:
            del self._held[parent]
            self._keys[parent.kind_group].discard(parent)
        for key in {*old, *new}:
            if old.get(key) is not new.get(key):
                self._touched.add(key)
            if key != parent:
                self._note_annotated(key, parent, declared=key in new)
        self._tell(self._findings, parent, after.findings if after is not None else ())
        self._tell(self._refused, parent, after.refused if after is not None else frozenset())
        for key in {*old, *new}:
            if key in self._annotated or key in self._duplicates:
                self._judge(key)

    def _note_annotated(self, key: ObjectKey, parent: ObjectKey, *, declared: bool) -> None:
        parents = self._annotated.setdefault(key, set())
        if declared:
            parents.add(parent)
        else:
            parents.discard(parent)
        if not parents:
            del self._annotated[key]

    def _declarers(self, key: ObjectKey) -> list[ObjectKey]:
        """Whose objects declare ``key``; the first one counts."""
        own = self._held.get(key)
        declarers = [key] if own is not None and key in own.objects else []
        return [*declarers, *sorted(self._annotated.get(key, ()))]

    def _chosen(self, key: ObjectKey) -> Resource | None:
        if key not in self._annotated:
            own = self._held.get(key)
            return own.objects.get(key) if own is not None else None
        return self._held[self._declarers(key)[0]].objects[key]

    def _judge(self, key: ObjectKey) -> None:
        """Find declarations that do not count."""
        first, *others = self._declarers(key) or (key,)
        where = "in the API" if first == key else f"in the annotation of {first}"
        found = tuple(
            Diagnostic(
                "error",
                "object-duplicate",
                f"is declared already {where}, which stays; the one in the annotation of {other} is refused",
                self._held[other].objects[key].origin,
            )
            for other in others
        )
        self._tell(self._duplicates, key, found)

    def _tell(self, table: dict[ObjectKey, V], key: ObjectKey, item: V) -> None:
        """Note something to say about an object; nothing is said by an empty ``item``."""
        if item and table.get(key) != item:
            table[key] = item
        elif item or table.pop(key, None) is None:
            return
        self._told_anew = True

    def _collect(self, touched: set[ObjectKey]) -> ResourceSet:
        before = self._state.resources
        if len(touched) * 4 < len(before):
            chosen = {key: self._chosen(key) for key in touched}
            differing = {key: item for key, item in chosen.items() if item is not before.by_key(key)}
            return before.replaced(differing, {}) if differing else before
        keys = {key for held in self._held.values() for key in held.objects}
        objects = {key: found for key in keys if (found := self._chosen(key)) is not None}
        return ResourceSet.of_keyed(objects, {}, before)

    def _all_findings(self) -> tuple[Diagnostic, ...]:
        found = Collector()
        found.extend(self._general)
        for table in (self._findings, self._duplicates):
            for findings in table.values():
                found.extend(findings)
        return found.sorted()


def _hold(parsed: Parsed, before: Held | None) -> Held:
    """What an object contributes, with the last good version of what is refused in it.

    An object that was deleted and made again (another ``uid``) has no past.
    """
    result = parsed.result
    earlier = before.objects if before is not None and before.uid == parsed.uid else {}
    objects: dict[ObjectKey, Resource] = {}
    findings = list(result.diagnostics)
    for resource in result.resources:
        key = resource.key
        if key not in objects:
            objects[key] = _settled(resource, earlier.get(key))
        else:
            message = f"is declared twice in the annotation of {parsed.key}; the first one stays"
            findings.append(Diagnostic("error", "object-duplicate", message, resource.origin))
    stand_ins = {item.key: item for item in result.stand_ins}
    for key in result.refused:
        kept = earlier.get(key)
        if key in objects or kept is None:
            continue
        objects[key] = kept
        if kept != stand_ins.get(key):
            message = "its last good version stays in use until the newer one is corrected"
            findings.append(Diagnostic("warning", "last-good-kept", message, kept.origin))
    for key, item in stand_ins.items():
        objects.setdefault(key, item)
    if result.unreadable:
        findings += _keep_annotated(result, parsed.key, earlier, objects)
    return Held(parsed.uid, parsed.version, parsed.text, objects, tuple(findings), frozenset(result.refused))


def _keep_annotated(
    result: ReadResult, parent: ObjectKey, earlier: Map[ObjectKey, Resource], objects: dict[ObjectKey, Resource]
) -> list[Diagnostic]:
    """An annotation that cannot be read takes nothing away that it declared."""
    declared = {item.key for item in result.resources}
    before = {key: item for key, item in earlier.items() if key != parent}
    kept = {key: item for key, item in before.items() if key not in declared and key not in result.refused}
    for key, item in kept.items():
        objects.setdefault(key, item)
    known = {key.kind_group for key in before}
    for item in result.guesses:
        if item.key.kind_group not in known:
            objects.setdefault(item.key, item)
    message = "stays in use, because the annotation that declared it cannot be read"
    return [
        Diagnostic("warning", "last-good-kept", message, item.origin)
        for item in kept.values()
        if item not in result.guesses
    ]


def _settled(new: Resource, old: Resource | None) -> Resource:
    """The old object where only the resource version differs: a status that is written makes no new configuration."""
    if old is None or type(old) is not type(new):
        return new
    version = old.metadata.resource_version
    same = msgspec.structs.replace(new, metadata=msgspec.structs.replace(new.metadata, resource_version=version))
    return old if same == old else new
