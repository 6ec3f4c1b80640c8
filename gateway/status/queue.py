"""What waits to be written, kind by kind, and how hard the API server may be worked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.status.ownership import managers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.base.keys import ObjectKey
    from gateway.kube import ResourcePath
    from gateway.status.wanted import RawStatus


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """How hard the API server may be worked."""

    per_second: float = 50.0
    burst: int = 50
    retry_shortest: float = 1.0
    """Seconds until a write that failed is tried again; doubles up to ``retry_longest``."""
    retry_longest: float = 60.0
    refused: float = 300.0
    """Seconds until a kind is tried again whose status we may not write."""

    def wait(self, failures: int, random: float) -> float:
        """Seconds to wait after so many failures in a row before; ``random`` in [0, 1)."""
        return min(self.retry_shortest * 2.0 ** min(failures, 10), self.retry_longest) * (0.5 + random / 2)


@dataclass(frozen=True, slots=True)
class Known:
    """What an object says now."""

    status: RawStatus
    version: str
    writers: frozenset[str] = frozenset()
    """Who wrote the addresses of an Ingress."""

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Known:
        """From the object."""
        status = raw.get("status")
        version = str(raw["metadata"].get("resourceVersion", ""))
        return cls(status if isinstance(status, dict) else {}, version, managers(raw))


class Queue:
    """Objects of one kind that wait for their write, and what is known about writing that kind."""

    __slots__ = ("_fresh", "_paths", "_urgent", "backlog", "failures", "not_before", "room")

    def __init__(self, paths: Sequence[ResourcePath]) -> None:
        self._paths = tuple(paths)
        self._urgent: dict[ObjectKey, None] = {}
        """Objects that are not served as written: somebody waits to hear why."""
        self._fresh: dict[ObjectKey, None] = {}
        """Other objects of which something changed; they go before the backlog of a start."""
        self.backlog: dict[ObjectKey, Known] = {}
        """Objects that said something else when this process began to lead."""
        self.room = True
        """Whether objects keep conditions, as far as was seen."""
        self.not_before = 0.0
        """When the next write may be tried, after one that failed."""
        self.failures = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._fresh) + len(self.backlog)

    @property
    def rank(self) -> int:
        """How much the next object matters, to compare queues."""
        return 2 if self._urgent else 1 if self._fresh else 0

    @property
    def path(self) -> ResourcePath:
        """The version that is used. Where one needs a conversion webhook that is gone, another may not."""
        return self._paths[self.failures % len(self._paths)]

    def settled(self) -> None:
        """A write has succeeded: stay with that version, and with short waits."""
        self._paths = (self.path, *(path for path in self._paths if path is not self.path))
        self.failures = 0

    def put(self, key: ObjectKey, *, urgent: bool) -> None:
        """An object of which something changed."""
        self.drop(key)
        (self._urgent if urgent else self._fresh)[key] = None

    def drop(self, key: ObjectKey) -> None:
        """Nothing is to be written for the object."""
        for part in (self._urgent, self._fresh, self.backlog):
            part.pop(key, None)

    def pop(self) -> tuple[ObjectKey, Known | None]:
        """The next object."""
        for part in (self._urgent, self._fresh):
            if part:
                key = next(iter(part))
                del part[key]
                return key, None
        key = next(iter(self.backlog))
        return key, self.backlog.pop(key)
