"""One raw object (what JSON or YAML gives) to typed resources and located findings.

An object with any error is refused as a whole; it is never half-applied. Everything else of the same file is read.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

import msgspec

from gateway.diagnostics import Collector, Diagnostic, Origin
from gateway.resources.annotations import CONFIG_ANNOTATION, AnnotatedObject, annotated_objects
from gateway.resources.build import ObjectHead, build, build_generic, read_metadata
from gateway.resources.depth import is_deeper
from gateway.resources.generic import ACCEPTED_KINDS
from gateway.resources.model import DEFAULT_AMBASSADOR_ID, DEFAULT_NAMESPACE, GETAMBASSADOR, Metadata, Resource
from gateway.resources.registry import AMBASSADOR_VERSIONS, KINDS, KNOWN_KINDS
from gateway.resources.schema import MAX_PROBLEMS, Inspection, Problem, join
from gateway.resources.standins import guesses, stand_in
from gateway.resources.variables import expanded, references
from gateway.resources.yamltree import MAX_DEPTH, ManifestError

if TYPE_CHECKING:
    from gateway.base.keys import ObjectKey

_TOP_LEVEL = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_AUTOMATIC_ID = "_automatic_"
_LEGACY_GROUP = "ambassador"
_MAX_NAME = 253
_SHOWN = 80
_REPORT = "please report this with the manifest"


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """``ambassador_id``: objects of other ids are left out. ``namespace``: that of objects without one. ``variables``:
    what ``${NAME}`` stands for in objects of getambassador.io."""

    ambassador_id: str = DEFAULT_AMBASSADOR_ID
    namespace: str = DEFAULT_NAMESPACE
    variables: Map[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What one document gave. The findings have no line yet; whoever knows the place of the document adds it."""

    resources: tuple[Resource, ...]
    diagnostics: tuple[Diagnostic, ...]
    refused: tuple[ObjectKey, ...] = ()
    """Objects that have a name but were refused for an error."""
    stand_ins: tuple[Resource, ...] = ()
    """What counts for refused objects that never were good, where their absence would open something."""
    parents: Map[ObjectKey, ObjectKey] = field(default_factory=dict)
    """Of all these, the objects in annotations, and whose annotations."""
    unreadable: tuple[ObjectKey, ...] = ()
    """Objects whose annotation cannot be read as a whole: what it declared earlier must stay."""
    guesses: tuple[Resource, ...] = ()
    """What counts for protections that such an annotation mentions, where none of the kind is known from earlier."""


DEFAULT_SETTINGS = ReadSettings()


def read_object(raw: object, path: str = "", settings: ReadSettings = DEFAULT_SETTINGS) -> ReadResult:
    """Read one object, or a ``List`` of objects, with all that its annotations declare. Never raises."""
    reader = _Reader(path, settings)
    reader.read(raw, 0)
    return reader.result()


def crashed_object(key: ObjectKey, raw: Map[str, object], crash: Exception, settings: ReadSettings) -> ReadResult:
    """What counts for an object whose reading failed for a fault in the gateway: it is refused, others go on.

    The text of the exception is left out: it may quote what is in the object.
    """
    kind, _, group = key.kind_group.partition(".")
    head, metadata = ObjectHead(group, "", kind, ""), Metadata(name=key.name, namespace=key.namespace)
    inspection = Inspection()
    inspection.problems.append(Problem("error", "object-crash", "", _crash_message(crash), _REPORT))
    reader = _Reader("", settings)
    if reader._belongs_here(head, metadata, raw.get("spec")):
        reader._settle(None, head, metadata, raw, inspection)
    found = raw.get("metadata")
    annotations = found.get("annotations") if isinstance(found, Map) else None
    if isinstance(annotations, Map) and CONFIG_ANNOTATION in annotations:
        reader._guess(str(annotations[CONFIG_ANNOTATION]), head, metadata)
    return reader.result()


@dataclass(frozen=True, slots=True)
class _Reader:
    path: str
    settings: ReadSettings
    resources: list[Resource] = field(default_factory=list)
    refused: list[ObjectKey] = field(default_factory=list)
    stand_ins: list[Resource] = field(default_factory=list)
    parents: dict[ObjectKey, ObjectKey] = field(default_factory=dict)
    unreadable: list[ObjectKey] = field(default_factory=list)
    guesses: list[Resource] = field(default_factory=list)
    found: Collector = field(default_factory=Collector)

    def result(self) -> ReadResult:
        return ReadResult(
            tuple(self.resources),
            self.found.sorted(),
            tuple(self.refused),
            tuple(self.stand_ins),
            self.parents,
            tuple(self.unreadable),
            tuple(self.guesses),
        )

    def read(self, raw: object, depth: int) -> None:
        if not isinstance(raw, Map):
            self._refuse_document("expected an object with apiVersion and kind")
            return
        version, kind = raw.get("apiVersion"), raw.get("kind")
        if not (isinstance(version, str) and isinstance(kind, str) and version and kind):
            missing = "apiVersion" if not (isinstance(version, str) and version) else "kind"
            self._refuse_document(f"{missing} is missing or no string; expected an object of Kubernetes", missing)
            return
        if kind.endswith("List") and isinstance(items := raw.get("items"), list):
            self._read_list(items, depth)
            return
        group, _, plain_version = version.rpartition("/")
        head = ObjectHead(group[:_MAX_NAME], plain_version[:_MAX_NAME], kind[:_MAX_NAME], self.path)
        self._read_kind(head, raw)

    def _read_list(self, items: list[object], depth: int) -> None:
        if depth >= MAX_DEPTH:
            self._refuse_document("has lists inside lists")
            return
        for item in items:
            self.read(item, depth + 1)

    def _read_kind(self, head: ObjectHead, raw: Map[str, object]) -> None:
        entry = KINDS.get((head.group, head.kind))
        accepted = head.group == GETAMBASSADOR and head.kind in ACCEPTED_KINDS
        if entry is None and not accepted:
            self._skip_kind(head, raw)
            return
        inspection = Inspection(show_values=head.kind != "Secret")
        metadata = read_metadata(raw.get("metadata"), inspection)
        if metadata is None:
            self._report(head.origin(_raw_name(raw)), inspection.problems)
            return
        if entry is not None and entry.cluster_wide:
            metadata = msgspec.structs.replace(metadata, namespace="")
        elif not metadata.namespace:
            metadata = msgspec.structs.replace(metadata, namespace=self.settings.namespace)
        deep = is_deeper(raw, MAX_DEPTH)
        if head.group == GETAMBASSADOR and not deep:
            raw = self._with_variables(raw, inspection)
        if self._belongs_here(head, metadata, raw.get("spec")):
            if deep:
                message = f"is nested deeper than {MAX_DEPTH} levels"
                inspection.problems.append(Problem("error", "object-depth", "", message))
                self._settle(None, head, metadata, raw, inspection)
            else:
                self._read_body(head, metadata, raw, inspection)
        self._read_annotation(head, metadata)

    def _with_variables(self, raw: Map[str, object], inspection: Inspection) -> Map[str, object]:
        """Replace references to variables in ``spec``, and tell of those that stay."""
        spec = raw.get("spec")
        if self.settings.variables:
            spec = expanded(spec, self.settings.variables)
            raw = {**raw, "spec": spec}
        left = sorted(references(spec))
        if left:
            names = ", ".join(f"${{{name}}}"[:_SHOWN] for name in left[:3]) + (", …" if len(left) > 3 else "")
            message = f"{names} is not replaced; Emissary takes variables of its environment"
            hint = "sluice run --expand-variables PREFIX replaces those whose names begin so, in files"
            inspection.problems.append(Problem("notice", "differs-from-emissary", "spec", message, hint))
        return raw

    def _read_body(self, head: ObjectHead, metadata: Metadata, raw: Map[str, object], inspection: Inspection) -> None:
        entry = KINDS.get((head.group, head.kind))
        versions = entry.versions if entry is not None else AMBASSADOR_VERSIONS
        if head.version not in versions and (entry is not None or head.kind not in ("Filter", "FilterPolicy")):
            expected = "one of " + ", ".join(sorted(versions))
            inspection.expected("apiVersion", f"version {expected}", head.version)
        if entry is None or not entry.flat:
            for key in raw:
                if key not in _TOP_LEVEL:
                    hint = "fields belong under spec" if head.group == GETAMBASSADOR else ""
                    inspection.problems.append(
                        Problem("warning", "field-unknown", join("", key), "is not a known field and is ignored", hint)
                    )
        try:
            resource = (
                build_generic(head, metadata, raw, inspection)
                if entry is None
                else build(entry, head, metadata, raw, inspection)
            )
        except Exception as crash:  # noqa: BLE001 - the crash barrier: this object is refused, others are read
            inspection.problems.append(Problem("error", "object-crash", "", _crash_message(crash), _REPORT))
            resource = None
        self._settle(resource, head, metadata, raw, inspection)

    def _settle(
        self,
        resource: Resource | None,
        head: ObjectHead,
        metadata: Metadata,
        raw: Map[str, object],
        inspection: Inspection,
    ) -> None:
        """Take an object in, or refuse it, and report what was found."""
        self._report(head.origin(metadata), inspection.problems)
        if resource is not None and not inspection.failed:
            self.resources.append(resource)
        else:
            self.refused.append(head.key(metadata))
            closed = stand_in(head.kind, metadata, head.origin(metadata), raw) if head.group == GETAMBASSADOR else None
            if closed is not None:
                self.stand_ins.append(closed)

    def _skip_kind(self, head: ObjectHead, raw: Map[str, object]) -> None:
        origin = head.origin(_raw_name(raw))
        if head.group in (GETAMBASSADOR, _LEGACY_GROUP):
            close = get_close_matches(head.kind, KNOWN_KINDS, n=1, cutoff=0.7)
            hint = f"did you mean {close[0]}?" if close else ""
            self.found.error("kind-unknown", f"no kind {head.kind} in {head.group}", origin, "kind", hint)
        else:
            api = f"{head.group}/{head.version}" if head.group else head.version
            self.found.notice("kind-ignored", f"objects of {api} {head.kind} are not read", origin)

    def _belongs_here(self, head: ObjectHead, metadata: Metadata, spec: object) -> bool:
        """Apply ``ambassador_id``; an absent or empty one means ``default`` (Emissary, ``AmbassadorID.Matches``)."""
        if head.group != GETAMBASSADOR or not isinstance(spec, Map):
            return True
        given = spec.get("ambassador_id") or spec.get("ambassadorId") or [DEFAULT_AMBASSADOR_ID]
        ids = [given] if isinstance(given, str) else given
        if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
            return True
        names = {item.removeprefix("--apiVersion-v3alpha1-only--") for item in ids}
        if names & {self.settings.ambassador_id, _AUTOMATIC_ID}:
            return True
        self.found.notice(
            "ambassador-id-other",
            f"belongs to ambassador_id {', '.join(sorted(names))[:200]}, not to {self.settings.ambassador_id}",
            head.origin(metadata),
            "spec.ambassador_id",
        )
        return False

    def _read_annotation(self, head: ObjectHead, metadata: Metadata) -> None:
        text = metadata.annotations.get(CONFIG_ANNOTATION)
        if text is None:
            return
        field, parent = join("metadata.annotations", CONFIG_ANNOTATION), head.origin(metadata)
        try:
            objects = annotated_objects(text, metadata)
        except ManifestError as error:
            where = f" (line {error.line} of the annotation)" if error.line else ""
            self.found.error("annotation-invalid", f"{error}{where}", parent, field)
            self._guess(text, head, metadata)
            return
        for item in objects:
            self._read_annotated(item, head, metadata, field)

    def _read_annotated(self, item: AnnotatedObject, head: ObjectHead, metadata: Metadata, field: str) -> None:
        parent = head.origin(metadata)
        if item.problem:
            self.found.error("annotation-invalid", item.problem, parent, field)
            annotated = ObjectHead(GETAMBASSADOR, "", head.kind, self.path)
            if self._belongs_here(annotated, metadata, item.raw.get("spec")):
                self._guess(str(item.raw), head, metadata)
            return
        inner = _Reader(self.path, replace(self.settings, namespace=metadata.namespace))
        inner.read(item.raw, MAX_DEPTH)
        self.resources.extend(inner.resources)
        self.refused.extend(inner.refused)
        self.stand_ins.extend(inner.stand_ins)
        keys = (*inner.refused, *[one.key for one in inner.resources])
        self.parents.update(dict.fromkeys(keys, head.key(metadata)))
        if not keys and inner.found.has_errors:
            self._guess(str(item.raw), head, metadata)
        for diagnostic in inner.found.sorted():
            hint = f"{diagnostic.hint + '; ' if diagnostic.hint else ''}in annotation {CONFIG_ANNOTATION} of {parent}"
            self.found.add(replace(diagnostic, hint=hint))

    def _guess(self, text: str, head: ObjectHead, metadata: Metadata) -> None:
        """A document of an annotation does not say which object it is."""
        own = self.settings.ambassador_id
        if own != DEFAULT_AMBASSADOR_ID and not any(name in text for name in (own, _AUTOMATIC_ID)):
            return
        key = head.key(metadata)
        self.unreadable.append(key)
        found = guesses(text, metadata, head.origin(metadata))
        self.guesses.extend(found)
        self.parents.update(dict.fromkeys([one.key for one in found], key))

    def _report(self, origin: Origin, problems: list[Problem]) -> None:
        # Errors come first, so that the end of a long list never hides why an object was refused.
        ordered = sorted(problems, key=lambda problem: problem.severity)
        if len(ordered) > MAX_PROBLEMS:
            message = f"has {len(ordered) - MAX_PROBLEMS} more findings that are not shown"
            self.found.notice("findings-omitted", message, origin)
        for problem in ordered[:MAX_PROBLEMS]:
            self.found.add(
                Diagnostic(problem.severity, problem.code, problem.message, origin, problem.path, problem.hint)
            )

    def _refuse_document(self, message: str, field: str = "") -> None:
        self.found.error("object-invalid", message, Origin(path=self.path), field)


def _crash_message(crash: Exception) -> str:
    return f"could not be read because of a fault in the gateway ({type(crash).__name__})"


def _raw_name(raw: Map[str, object]) -> Metadata:
    """The name of an object that could not be read, as far as it can be told."""
    metadata = raw.get("metadata")
    parts = metadata if isinstance(metadata, Map) else {}
    name, namespace = parts.get("name"), parts.get("namespace")
    return Metadata(
        name=name[:_MAX_NAME] if isinstance(name, str) else "(no name)",
        namespace=namespace[:_MAX_NAME] if isinstance(namespace, str) else "",
    )
