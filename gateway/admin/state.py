"""What the admin port may know about the gateway, as plain values that the assembly hands over for each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.admin.metrics import Counters
    from gateway.diagnostics import Diagnostic
    from gateway.sources import SourceStatus
    from gateway.status.keeper import StatusFacts


@dataclass(frozen=True, slots=True)
class Facts:
    """One moment of the gateway."""

    ready: bool
    reason: str
    """Why it is not ready; empty when it is."""
    version: int
    """Version of the current configuration; 0 before the first one."""
    digest: str
    """Content hash of the current configuration: equal on replicas that serve the same manifests."""
    config_age: float
    """Seconds since the current configuration was made."""
    workers_wanted: int
    workers_ready: int
    """Workers that serve the current configuration."""
    restarts: int
    """Workers that were replaced after a crash."""
    stalls: int
    """How often a worker stopped turning."""
    update_failures: int
    """Updates that crashed; the last good configuration stayed."""
    diagnostics: tuple[Diagnostic, ...]
    issues: tuple[tuple[str, str, str], ...]
    """(section key, field path, message) of what the workers could not compile."""
    memory_used: float | None
    """Share of the pod's memory limit that is in use; ``None`` without a limit."""
    memory_pressure: int
    """See :data:`gateway.plane.pressure.Level`."""
    listeners: Mapping[int, str]
    """Row of shared memory to listener."""
    clusters: Mapping[int, str]
    """Row of shared memory to cluster."""
    breakers: Mapping[str, tuple[int | None, ...]]
    """Limits of clusters with circuit breakers: connections, pending, requests and retries of the default priority,
    then of the high one; ``None`` where there is no limit."""
    source: SourceStatus
    """Where the objects come from, and how that is doing."""
    status: StatusFacts | None = None
    """Of writing statuses; ``None`` where none are written."""


class Observed(Protocol):
    """What the admin port watches."""

    def facts(self) -> Facts:
        """The present moment; cheap."""

    def counters(self) -> Counters | None:
        """Sums over all workers, ``None`` while there is no shared memory."""
