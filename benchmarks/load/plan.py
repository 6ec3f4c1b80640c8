"""What a run is asked for and what it brings back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.load.clients import Load
    from benchmarks.load.process import Proxy

WARM_UP = 1.0
FOREIGN_LIMIT = 0.05
"""Part of a core that other programs may take while a point is measured; above it the point is measured again."""


@dataclass(frozen=True)
class Plan:
    proxies: tuple[type[Proxy], ...]
    rounds: int
    seconds: float
    groups: frozenset[str]
    proxy_core: int = 0
    load_core: int = 1
    changes: int = 20
    attempts: int = 3
    """How often a disturbed point is measured; the least disturbed measurement counts."""
    idle_connections: int = 2000


@dataclass(frozen=True)
class Scenario:
    name: str
    load: Load
    peer_bar: float = 1.1
    """What CPU may cost as a multiple of the better of nginx and HAProxy."""


@dataclass(frozen=True)
class Sample:
    """One point of one round."""

    group: str
    proxy: str
    scenario: str
    requests: int
    """Or messages, calls, connections: what the group counts."""
    errors: int
    rate: float
    cpu_us: float
    system_share: float
    cpu_share: float
    """Part of the measured time in which the gateway was on its core: below 0.95 it was waiting for load."""
    foreign_share: float
    """Part of the measured time in which the gateway's core did other things."""
    p50_ms: float | None
    p99_ms: float | None
    detail: str
    peer_bar: float


@dataclass(frozen=True)
class Idle:
    """What one idle connection costs in one round, in bytes of the whole tree of processes."""

    proxy: str
    site: str
    connections: int
    rss: int
    pss: int
    closed: int
    """Connections that the gateway had closed before the second look."""


@dataclass
class Outcome:
    methods: dict[str, str] = field(default_factory=dict)
    """What each group that ran does, in words."""
    samples: list[Sample] = field(default_factory=list)
    idle: list[Idle] = field(default_factory=list)
    memory: dict[str, dict[str, list[dict[str, object]]]] = field(default_factory=dict)
    start_seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    changes: dict[str, dict[str, object]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """What a gateway or this machine cannot do."""
    failures: list[str] = field(default_factory=list)
    """What should have worked."""
