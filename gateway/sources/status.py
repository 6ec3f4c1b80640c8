"""How a source is doing, for metrics and the admin port."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One moment of a source."""

    name: str
    up: bool = True
    """Whether changes reach the gateway now."""
    silent_for: float = 0.0
    """Seconds since the last contact with the part of the source that has been silent longest; 0 while it is up."""
    stale: bool = False
    """Whether the configuration comes from a copy on disk because the source has not answered yet."""
    lists: Mapping[str, int] = field(default_factory=dict)
    """Complete lists by kind: one at start, and one whenever a watch could not go on where it ended."""
    restarts: Mapping[str, int] = field(default_factory=dict)
    """Watches that were cut, by kind."""
    denied: tuple[str, ...] = ()
    """Kinds that the gateway may not read."""
    waiting: tuple[str, ...] = ()
    """Kinds of which nothing is known yet."""
    missing: tuple[str, ...] = ()
    """Kinds that the cluster does not have."""
