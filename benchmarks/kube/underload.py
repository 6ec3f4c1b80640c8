"""What requests notice of changes."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.kube.measure import Prober, change, changes_at_once
from benchmarks.kube.objects import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.kube.load import Latencies, SteadyRequests
    from tests.support.kube.client import KubeClient

PHASES = ("quiet", "foreign changes", "changes")
_CHANGING = 100
"""Mappings that change in turn."""


@dataclass(frozen=True, slots=True)
class Load:
    """How to measure. ``name`` makes changes others than those of another measurement."""

    name: str
    requests: SteadyRequests
    rounds: int
    rate: float
    """Changes a second."""


@dataclass(frozen=True, slots=True)
class Phase:
    """All rounds of one kind. Milliseconds; medians of the rounds, and the range of the 99 %."""

    requests: int
    failures: int
    changes: int
    p50_ms: float
    p99_ms: float
    p99_lowest_ms: float
    p99_highest_ms: float

    @classmethod
    def of(cls, rounds: Sequence[tuple[Latencies, int]]) -> Phase:
        """From latencies and how many changes were made meanwhile."""
        p99 = [one.p99_ms for one, _ in rounds]
        return cls(
            sum(one.requests for one, _ in rounds),
            sum(one.failures for one, _ in rounds),
            sum(changes for _, changes in rounds),
            round(statistics.median(one.p50_ms for one, _ in rounds), 2),
            round(statistics.median(p99), 2),
            min(p99),
            max(p99),
        )


async def under_load(kube: KubeClient, prober: Prober, load: Load) -> dict[str, Phase]:
    """Latencies of requests while nothing changes, while a Mapping of another gateway does, and while ours do.

    The second tells how much of a difference is the API server's work. The three take turns, because other work on the
    machine comes and goes.
    """
    found: dict[str, list[tuple[Latencies, int]]] = {name: [] for name in PHASES}
    for number in range(load.rounds):
        for name in PHASES:
            found[name].append(await _round(kube, prober, load, name, f"{load.name}-{number}"))
    return {name: Phase.of(rounds) for name, rounds in found.items()}


async def _round(kube: KubeClient, prober: Prober, load: Load, phase: str, version: str) -> tuple[Latencies, int]:
    running = load.requests.start()
    ended = asyncio.create_task(asyncio.to_thread(running.wait))
    count = 0
    while phase != "quiet" and not ended.done():
        count += 1
        if phase == "changes":
            await changes_at_once(kube, prober, [2 + count % _CHANGING], f"{version}-{count}")
        else:
            await change(kube, FOREIGN, f"{version}-{count}")
        await asyncio.wait([ended], timeout=1 / load.rate)
    return await ended, count
