"""Stable rows of shared memory for named objects.

A row must not move while its object lives, and is reused as late as possible, so that a scraper rarely sees the
counters of a new object continue those of an old one. Row 0 is shared by everything that found no free row.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OTHER = 0
LISTENER_ROWS = 64
CLUSTER_ROWS = 4096


class RowTable:
    """Rows 1..``size``-1 by name, with a first-in first-out free list. Who finds no row waits for one."""

    __slots__ = ("_free", "_names", "_rows", "_waiting")

    def __init__(self, size: int) -> None:
        self._rows: dict[str, int] = {}
        self._free: deque[int] = deque(range(1, size))
        self._waiting: dict[str, None] = {}
        self._names: dict[int, str] | None = None

    def change(self, gone: Iterable[str], fresh: Iterable[str]) -> list[str]:
        """Objects vanish and new ones come; the names, also of older objects, that have a row of their own now."""
        for name in gone:
            row = self._rows.pop(name)
            self._waiting.pop(name, None)
            self._names = None
            if row != OTHER:
                self._free.append(row)
        for name in fresh:
            self._rows[name] = OTHER
            self._waiting[name] = None
        placed: list[str] = []
        for name in list(islice(self._waiting, len(self._free))):
            del self._waiting[name]
            self._rows[name] = self._free.popleft()
            self._names = None
            placed.append(name)
        return placed

    def row(self, name: str) -> int:
        """Row of ``name``; 0 when it has none."""
        return self._rows.get(name, OTHER)

    def names(self) -> Mapping[int, str]:
        """Row to name, without the shared row: as it is now, whatever changes later."""
        if self._names is None:
            self._names = {row: name for name, row in self._rows.items() if row != OTHER}
        return self._names
