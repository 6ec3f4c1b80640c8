"""The objects of all files as one set, put together again only where a file changed.

Of several declarations of one object the first stays, in the order of the files. Each file has a share: what it
declares, with places and findings. A new state takes shares of unchanged files over, and looks at an object again only
if a file that declares it changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.diagnostics import Collector, Diagnostic, Origin
from gateway.resources.model import Location, Resource
from gateway.resources.resource_set import ResourceSet
from gateway.sources.filestate import FileState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Mapping as Map

    from gateway.base.keys import ObjectKey


@dataclass(frozen=True, slots=True)
class SourceState:
    """All objects of a source and everything there is to say about them."""

    resources: ResourceSet
    diagnostics: tuple[Diagnostic, ...]
    refused: int = 0
    """Objects that are declared and not part of ``resources``, because of an error in them."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """An object and where it stands."""

    resource: Resource
    place: Location


@dataclass(frozen=True, slots=True)
class Share:
    """What one file contributes."""

    state: FileState
    objects: dict[ObjectKey, Declaration] = field(default_factory=dict)
    repeated: dict[ObjectKey, list[Declaration]] = field(default_factory=dict)
    """Later declarations of objects that the file has declared already."""
    findings: tuple[Diagnostic, ...] = ()
    refused: frozenset[ObjectKey] = frozenset()

    @classmethod
    def of(cls, shown: str, state: FileState) -> Share:
        """Collect the content of a file that diagnostics call ``shown``."""
        refused = frozenset(key for placed in state.pieces for key in placed.parsed.refused)
        share = cls(state, findings=tuple(_findings(state)), refused=refused)
        for placed in state.pieces:
            for entry in placed.parsed.entries:
                share._add(entry.key, entry.resource, Location(shown, placed.document, placed.line + entry.line))
        for entry in state.kept:
            share._add(entry.key, entry.resource, Location(shown, 0, entry.line))
        return share

    def declarations(self, key: ObjectKey) -> tuple[Declaration, ...]:
        """All declarations of an object that the file declares."""
        return (self.objects[key], *self.repeated.get(key, ()))

    def _add(self, key: ObjectKey, resource: Resource, place: Location) -> None:
        declaration = Declaration(resource, place)
        if self.objects.setdefault(key, declaration) is not declaration:
            self.repeated.setdefault(key, []).append(declaration)


_NOTHING = Share(FileState())


class Assembly:
    """The shares of all files, and the set they make."""

    __slots__ = ("_declared", "_duplicates", "_refused", "_shares", "state")

    def __init__(self) -> None:
        self._shares: dict[str, Share] = {}
        self._declared: dict[ObjectKey, tuple[str, ...]] = {}
        """The files that declare an object, in their order."""
        self._duplicates: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
        self._refused: dict[str, frozenset[ObjectKey]] = {}
        """Of the files that declare something that is refused."""
        self.state = SourceState(ResourceSet(), ())

    def update(self, files: Map[str, FileState], general: Iterable[Diagnostic]) -> SourceState:
        """Take the content of all files, in their order, and findings beside them; return the new state."""
        if [name for name in self._shares if name in files] != [name for name in files if name in self._shares]:
            # The order, which decides between declarations, is another one: begin anew.
            self._shares, self._declared, self._duplicates, self._refused = {}, {}, {}, {}
        before = self._shares
        fresh = {
            name: Share.of(name, state)
            for name, state in files.items()
            if name not in before or before[name].state is not state
        }
        self._shares = {name: fresh.get(name) or before[name] for name in files}
        gone = [name for name in before if name not in files]
        changed = {name: (before.get(name, _NOTHING), self._shares.get(name, _NOTHING)) for name in (*gone, *fresh)}
        touched = self._declare(changed)
        self._judge(touched)
        for name, (_, share) in changed.items():
            self._refused.pop(name, None)
            if share.refused:
                self._refused[name] = share.refused
        refused = frozenset().union(*self._refused.values()) - self._declared.keys()
        self.state = SourceState(self._collect(touched), self._findings(general), len(refused))
        return self.state

    def _declare(self, changed: Map[str, tuple[Share, Share]]) -> set[ObjectKey]:
        """Note which files declare what; the objects that may be others now. ``changed``: shares before and after,
        files that are gone first."""
        position = {name: number for number, name in enumerate(self._shares)}
        touched: set[ObjectKey] = set()
        for name, (old, new) in changed.items():
            alone = (name,)
            for key in old.objects.keys() - new.objects.keys():
                others = tuple(other for other in self._declared[key] if other != name)
                if others:
                    self._declared[key] = others
                else:
                    del self._declared[key]
                touched.add(key)
            for key, declaration in new.objects.items():
                earlier = old.objects.get(key)
                if earlier is None:
                    others = self._declared.get(key, ())
                    self._declared[key] = tuple(sorted((*others, name), key=position.__getitem__)) if others else alone
                if earlier != declaration or key in old.repeated or key in new.repeated:
                    touched.add(key)
        return touched

    def _collect(self, touched: set[ObjectKey]) -> ResourceSet:
        """The set of all objects that count. Where many may be others, it is cheaper to collect all of them."""
        before = self.state.resources
        if len(touched) * 4 >= len(self._declared):
            chosen = {key: self._chosen(key) for key in self._declared}
            objects: dict[ObjectKey, Resource] = {key: item.resource for key, item in chosen.items()}
            return ResourceSet.of_keyed(objects, {key: item.place for key, item in chosen.items()}, before)
        declared = {key: self._chosen(key) if key in self._declared else None for key in touched}
        return before.replaced(
            {key: item.resource if item is not None else None for key, item in declared.items()},
            {key: item.place for key, item in declared.items() if item is not None},
        )

    def _chosen(self, key: ObjectKey) -> Declaration:
        return self._shares[self._declared[key][0]].objects[key]

    def _judge(self, touched: Iterable[ObjectKey]) -> None:
        """Find declarations that do not count."""
        for key in touched:
            names = self._declared.get(key, ())
            all_of_them = [item for name in names for item in self._shares[name].declarations(key)]
            if len(all_of_them) > 1:
                first, *others = all_of_them
                self._duplicates[key] = tuple(_refused(other, first.place) for other in others)
            else:
                self._duplicates.pop(key, None)

    def _findings(self, general: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        found = Collector()
        found.extend(general)
        for share in self._shares.values():
            found.extend(share.findings)
        for refused in self._duplicates.values():
            found.extend(refused)
        return found.sorted()


def _findings(state: FileState) -> Iterator[Diagnostic]:
    yield from state.faults
    for placed in state.pieces:
        for diagnostic in placed.parsed.diagnostics:
            yield diagnostic.at_line(placed.line + diagnostic.line - 1)
    pieces = [placed.parsed for placed in state.pieces]
    stand_ins = [entry.resource for piece in pieces for entry in (*piece.stand_ins, *piece.guesses)]
    for entry in state.kept:
        if entry.resource in stand_ins:
            continue
        message = "its last good version stays in use until the newer one is corrected"
        yield Diagnostic("warning", "last-good-kept", message, entry.resource.origin, line=entry.line)


def _refused(item: Declaration, first: Location) -> Diagnostic:
    """Of two declarations of one object the first stays, and the finding names both places."""
    origin, place = item.resource.origin, item.place
    message = f"is declared already at {first}, which stays; the one at {place} is refused"
    where = Origin(origin.kind, origin.namespace, origin.name, place.path)
    return Diagnostic("error", "object-duplicate", message, where, line=place.line)
