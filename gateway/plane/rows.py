"""Stable rows of shared memory for named objects.

A row must not move while its object lives, and is reused as late as possible, so that a scraper rarely sees the
counters of a new object continue those of an old one. Row 0 is shared by everything that found no free row.
"""

from __future__ import annotations

from collections import deque

OTHER = 0
LISTENER_ROWS = 64
CLUSTER_ROWS = 4096


class RowTable:
    """Rows 1..``size``-1 by name, with a first-in first-out free list."""

    __slots__ = ("_free", "_rows")

    def __init__(self, size: int) -> None:
        self._rows: dict[str, int] = {}
        self._free: deque[int] = deque(range(1, size))

    def assign(self, names: list[str]) -> None:
        """Make ``names`` the living objects: rows of vanished ones become free, new ones get a row (or 0)."""
        wanted = set(names)
        gone = [name for name in self._rows if name not in wanted]
        for name in gone:
            row = self._rows.pop(name)
            if row != OTHER:
                self._free.append(row)
        for name in names:
            if self._rows.get(name, OTHER) == OTHER:
                self._rows[name] = self._free.popleft() if self._free else OTHER

    def row(self, name: str) -> int:
        """Row of ``name``; 0 when it has none."""
        return self._rows.get(name, OTHER)

    def names(self) -> dict[int, str]:
        """Row to name, without the shared row."""
        return {row: name for name, row in self._rows.items() if row != OTHER}
