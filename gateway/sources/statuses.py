"""What objects of a cluster say in their ``status``, for the few that changed last.

The configuration does not depend on it. Who writes statuses does, and need not ask the API server for an object that
has just told: the resource version says whether that is still true when it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.resources.depth import is_deeper
from gateway.resources.yamltree import MAX_DEPTH

if TYPE_CHECKING:
    from gateway.base.keys import ObjectKey

_OBJECTS: Final = 1_000
_BYTES: Final = 16_384
"""Of one status: ours are of a few hundred."""


@dataclass(slots=True)
class SeenStatuses:
    """At most 1,000 statuses of at most 16 KiB. Only kinds (with their group) that were asked for."""

    kinds: frozenset[str] = frozenset()
    _seen: dict[ObjectKey, tuple[str, bytes]] = field(default_factory=dict)

    def note(self, key: ObjectKey, version: str, status: object) -> None:
        """An event came with this status, in this resource version."""
        if key.kind_group not in self.kinds:
            return
        self._seen.pop(key, None)
        if not version or is_deeper(status, MAX_DEPTH):
            return
        text = orjson.dumps(status if isinstance(status, dict) else {})
        if len(text) > _BYTES:
            return
        self._seen[key] = (version, text)
        if len(self._seen) > _OBJECTS:
            del self._seen[next(iter(self._seen))]

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._seen.pop(key, None)

    def of(self, key: ObjectKey) -> tuple[str, dict[str, Any]] | None:
        """Resource version and status, if they are remembered."""
        found = self._seen.get(key)
        return (found[0], orjson.loads(found[1])) if found is not None else None
