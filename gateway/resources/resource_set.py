"""An immutable set of objects, and what changed between two of them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar, cast

from gateway.base.differences import differences, same_objects
from gateway.base.keys import ObjectKey, kind_group
from gateway.resources.core import Secret
from gateway.resources.model import Location, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Mapping as Map

    from gateway.diagnostics import Diagnostic

R = TypeVar("R", bound=Resource)
_NO_LOCATION = Location()
_KEY = attrgetter("key")
_FIRST = itemgetter(0)
_STEPS = 8
"""How many steps a set remembers: who looks at it may have missed some."""
_FEW = 256
"""Objects of a step that is worth remembering."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference of two sets, each part kind by kind in the order of namespace and name."""

    added: tuple[Resource, ...] = ()
    changed: tuple[tuple[Resource, Resource], ...] = ()
    """Pairs of the older and the newer object."""
    removed: tuple[Resource, ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[Resource | None, Resource | None]]) -> Changes:
        """From objects before and after, ``None`` where there is none."""
        pairs = tuple(pairs)
        return cls(
            tuple(newer for older, newer in pairs if older is None and newer is not None),
            tuple((older, newer) for older, newer in pairs if older is not None and newer is not None),
            tuple(older for older, newer in pairs if older is not None and newer is None),
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def within(self, kind: type[R]) -> tuple[list[R], list[R]]:
        """What was and what is of one type, as :func:`gateway.base.differences.differences` has it."""
        gone = [item for item in (*self.removed, *(older for older, _ in self.changed)) if isinstance(item, kind)]
        fresh = [item for item in (*self.added, *(newer for _, newer in self.changed)) if isinstance(item, kind)]
        return gone, fresh

    @property
    def kinds(self) -> frozenset[type[Resource]]:
        """The types of all objects that differ."""
        types = {type(resource) for resource in (*self.added, *self.removed)}
        return frozenset(types | {type(newer) for _, newer in self.changed})


class _Identity:
    """Stands for a set, which would stay in memory."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """A few changes of the set that ``start`` stands for."""

    start: _Identity
    pairs: tuple[tuple[Resource | None, Resource | None], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ResourceSet:
    """Objects by key, with a view per type. Build it with :meth:`build`; it never changes.

    Objects that did not change are the very same Python objects in successive sets, and so is the view of a
    type without changes: ``new.of(Mapping) is old.of(Mapping)``. Compare with ``is``; that is what makes translation
    incremental and :func:`diff` fast. Views are ordered; the order of iteration over the set says nothing.
    """

    _by_key: Map[ObjectKey, Resource] = field(default_factory=lambda: MappingProxyType({}))
    _views: Map[type[Resource], tuple[Resource, ...]] = field(default_factory=lambda: MappingProxyType({}))
    _locations: Map[ObjectKey, Location] = field(default_factory=lambda: MappingProxyType({}))
    _steps: tuple[_Step, ...] = ()
    """The last steps from earlier sets to this one."""
    _identity: _Identity = field(default_factory=_Identity)

    @classmethod
    def build(
        cls,
        resources: Iterable[Resource],
        locations: Map[ObjectKey, Location] | None = None,
        previous: ResourceSet | None = None,
    ) -> ResourceSet:
        """Collect objects; of several with one key the first stays. Views are shared with ``previous`` where equal."""
        by_key: dict[ObjectKey, Resource] = {}
        for resource in resources:
            by_key.setdefault(resource.key, resource)
        return cls.of_keyed(by_key, locations, previous)

    @classmethod
    def of_keyed(
        cls,
        by_key: Map[ObjectKey, Resource],
        locations: Map[ObjectKey, Location] | None = None,
        previous: ResourceSet | None = None,
    ) -> ResourceSet:
        """The same for objects whose keys are known already; the caller gives the mappings away."""
        groups: dict[type[Resource], list[ObjectKey]] = {}
        for key, resource in by_key.items():
            groups.setdefault(type(resource), []).append(key)
        views: dict[type[Resource], tuple[Resource, ...]] = {}
        for kind, keys in groups.items():
            keys.sort()
            members = [by_key[key] for key in keys]
            earlier = previous._views.get(kind, ()) if previous is not None else ()
            views[kind] = earlier if same_objects(earlier, members) else tuple(members)
        return cls(by_key, views, locations or {})

    def replaced(self, objects: Map[ObjectKey, Resource | None], locations: Map[ObjectKey, Location]) -> ResourceSet:
        """The set with some objects added, replaced or (``None``) taken away, and with new locations of some.

        Tables are copied as a whole, so only the given objects cost time that anyone notices.
        """
        by_key, places = dict(self._by_key), {**self._locations, **locations}
        views: dict[type[Resource], list[Resource]] = {}
        pairs: list[tuple[Resource | None, Resource | None]] = []
        for key, newer in sorted(objects.items(), key=_FIRST):
            older = by_key.get(key)
            if older is newer:
                continue
            pairs.append((older, newer))
            for kind in {type(item) for item in (older, newer) if item is not None}:
                if kind not in views:
                    views[kind] = list(self._views.get(kind, ()))
            if older is not None:
                _take_out(views[type(older)], key)
            if newer is not None:
                _insert(views[type(newer)], key, newer)
                by_key[key] = newer
            else:
                del by_key[key]
                places.pop(key, None)
        changed = {kind: tuple(members) for kind, members in views.items()}
        kept = {kind: members for kind, members in {**self._views, **changed}.items() if members}
        return ResourceSet(by_key, kept, places, self._continued(pairs))

    def _continued(self, pairs: Sequence[tuple[Resource | None, Resource | None]]) -> tuple[_Step, ...]:
        """The steps to a set with these changes; none after many, and none that would keep an old Secret in memory."""
        if len(pairs) > _FEW or any(isinstance(older, Secret) for older, _ in pairs):
            return ()
        return (*self._steps[1 - _STEPS :], _Step(self._identity, tuple(pairs)))

    def joined(self, kind: type[R], members: tuple[R, ...]) -> ResourceSet:
        """The set with all objects of a type that it has none of, in order; ``members`` itself becomes their view."""
        by_key: dict[ObjectKey, Resource] = dict(self._by_key)
        by_key.update((item.key, item) for item in members)
        return ResourceSet(by_key, {**self._views, kind: members} if members else self._views, self._locations)

    def of(self, kind: type[R]) -> tuple[R, ...]:
        """All objects of one type, ordered by namespace and name (those of a generic type by kind first)."""
        return cast("tuple[R, ...]", self._views.get(kind, ()))

    def get(self, kind: type[R], namespace: str, name: str) -> R | None:
        """One object by type and name, or ``None``."""
        found = self._by_key.get(ObjectKey(kind_group(kind.KIND, kind.GROUP), namespace, name))
        return cast("R | None", found)

    def by_key(self, key: ObjectKey) -> Resource | None:
        """One object by key, or ``None``."""
        return self._by_key.get(key)

    def location(self, key: ObjectKey) -> Location:
        """Where an object stands in its file; an empty location for objects of a cluster."""
        return self._locations.get(key, _NO_LOCATION)

    def locate(self, diagnostic: Diagnostic, key: ObjectKey) -> Diagnostic:
        """Return the diagnostic with the line of the object with this key."""
        return diagnostic.at_line(self.location(key).line)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_key.values())

    def __contains__(self, key: object) -> bool:
        return key in self._by_key


def diff(old: ResourceSet, new: ResourceSet) -> Changes:
    """Compare two sets by the identity of their objects, for whatever reason they differ.

    A set that was made from the other in a few steps knows the answer. What two others have in common is passed over at
    the speed of memory; see :mod:`gateway.base.differences`.
    """
    known = next((index for index, step in enumerate(new._steps) if step.start is old._identity), None)
    if known is not None:
        return _joined(new._steps[known:])
    added: list[Resource] = []
    changed: list[tuple[Resource, Resource]] = []
    removed: list[Resource] = []
    for kind in {**old._views, **new._views}:
        gone, fresh = differences(old._views.get(kind, ()), new._views.get(kind, ()))
        if not gone and not fresh:
            continue
        for newer in fresh:
            older = old._by_key.get(newer.key)
            if older is None:
                added.append(newer)
            else:
                changed.append((older, newer))
        removed.extend(older for older in gone if older.key not in new._by_key)
    return Changes(tuple(added), tuple(changed), tuple(removed))


def _joined(steps: Iterable[_Step]) -> Changes:
    """What several steps have changed in the end."""
    pairs: dict[ObjectKey, tuple[Resource | None, Resource | None]] = {}
    for step in steps:
        for older, newer in step.pairs:
            key = cast("Resource", older if newer is None else newer).key
            first = pairs[key][0] if key in pairs else older
            pairs[key] = (first, newer)
    return Changes.of(pairs[key] for key in sorted(pairs) if pairs[key][0] is not pairs[key][1])


def _insert(view: list[Resource], key: ObjectKey, resource: Resource) -> None:
    view.insert(bisect_left(view, key, key=_KEY), resource)


def _take_out(view: list[Resource], key: ObjectKey) -> None:
    del view[bisect_left(view, key, key=_KEY)]
