"""What one configuration does differently from the one before it, in one line for the log.

Successive configurations share what did not change, so that only the rest is looked at; see
:mod:`gateway.base.differences`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway import ir
from gateway.base.differences import differences
from gateway.resources import ResourceSet, diff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.diagnostics import Diagnostic
    from gateway.plane.pipeline import Update


class Named(Protocol):
    """A part of the model."""

    @property
    def name(self) -> str: ...


_NAME = attrgetter("name")


class Count(NamedTuple):
    """How many of something differ."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def plus(self, other: Count) -> Count:
        return Count(self.added + other.added, self.changed + other.changed, self.removed + other.removed)

    def __str__(self) -> str:
        return ", ".join(f"{number} {word}" for word, number in self._asdict().items() if number)


def summary(before: Update | None, after: Update, gone: Iterable[Diagnostic], fresh: Iterable[Diagnostic]) -> str:
    """``objects 1 changed; routes 2 added; findings 1 new``. ``gone`` and ``fresh`` are findings."""
    counts = _counts(before, after)
    parts = [f"{what} {count}" for what, count in counts.items() if any(count)]
    if before is not None and before.model.options != after.model.options:
        parts.append("options changed")
    gone, fresh = {found.at_line(0) for found in gone}, {found.at_line(0) for found in fresh}
    news = {"new": len(fresh - gone), "gone": len(gone - fresh)}
    if any(news.values()):
        parts.append(f"findings {', '.join(f'{number} {word}' for word, number in news.items() if number)}")
    return "; ".join(parts) or "nothing that counts"


def _counts(before: Update | None, after: Update) -> dict[str, Count]:
    old, new = before.model if before is not None else ir.Gateway(), after.model
    changes = diff(before.resources if before is not None else ResourceSet(), after.resources)
    gone, fresh = differences(old.virtual_hosts, new.virtual_hosts)
    earlier = {host.name: host.routes for host in gone}
    routes = Count()
    for host in fresh:
        routes = routes.plus(_count(earlier.pop(host.name, ()), host.routes))
    return {
        "objects": Count(len(changes.added), len(changes.changed), len(changes.removed)),
        "listeners": _count(old.listeners, new.listeners),
        "virtual hosts": _count(old.virtual_hosts, new.virtual_hosts),
        "routes": routes.plus(Count(removed=sum(map(len, earlier.values())))),
        "clusters": _count(old.clusters, new.clusters),
        "certificates": _count(old.certificates, new.certificates),
    }


def _count(old: Sequence[Named], new: Sequence[Named]) -> Count:
    """Parts that are other objects now, told apart by their names."""
    gone, fresh = (set(map(_NAME, items)) for items in differences(old, new))
    changed = len(gone & fresh)
    return Count(len(fresh) - changed, changed, len(gone) - changed)
