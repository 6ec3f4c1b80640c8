"""Keeps statuses: takes part in the election, and while it leads compares and writes."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.kube import ApiFailure, Unreachable
from gateway.kube.lease import Clock, Election, LeaseTimes
from gateway.sources.statuses import SeenStatuses
from gateway.status.addresses import given_address, published
from gateway.status.kinds import KindFinder
from gateway.status.queue import WriteLimits
from gateway.status.table import StatusTable
from gateway.status.writer import RESULTS, StatusWriter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from collections.abc import Mapping as Map

    from gateway import ir
    from gateway.diagnostics import Diagnostic
    from gateway.kube import KubeClient, ResourcePath
    from gateway.resources import ResourceSet

logger = logging.getLogger(__name__)

LEASE = "sluice-status"
_SETTLE_S = 0.2
"""Between two looks at the configuration: a status may come this much later, and bursts cost one look."""
_ADDRESSES_S = 10.0
"""Between two looks at the Services in front of the gateway; their addresses change when a load balancer is made."""
_RESTART_S = 60.0
"""Until statuses are tried again after a fault of ours."""


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """What metrics show."""

    leading: bool
    pending: int
    writes: Map[str, int]


@dataclass(frozen=True, slots=True)
class Served:
    """A configuration that is in force, and what was found about it."""

    model: ir.Gateway
    resources: ResourceSet
    findings: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Publishing:
    """Where and as whom statuses are written."""

    identity: str
    """Unique among the replicas."""
    namespace: str
    """The gateway's own: of its Lease and its Service."""
    watched: tuple[str, ...] = ()
    """The namespaces whose objects are ours; all without any."""
    kinds: tuple[str, ...] = ("Mapping", "Host", "Ingress")
    """Kinds whose status is written."""
    service: str = ""
    """``namespace/name`` of the Service in front of the gateway; empty for the one with Emissary's label."""
    addresses: tuple[str, ...] = ()
    """Addresses to publish instead of those of a Service."""
    lease: str = LEASE
    times: LeaseTimes = field(default_factory=LeaseTimes)
    limits: WriteLimits = field(default_factory=WriteLimits)


class StatusKeeper:
    """One replica's part in it. ``connect`` makes a client of the API server."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[KubeClient]],
        publishing: Publishing,
        clock: Clock | None = None,
        seen: SeenStatuses | None = None,
    ) -> None:
        """``seen``: statuses that need not be asked for."""
        self._connect, self._publishing, self._clock = connect, publishing, clock or Clock()
        self._seen = seen or SeenStatuses()
        self._election: Election | None = None
        self._served: Served | None = None
        self._look = asyncio.Event()
        self._addresses = tuple(map(given_address, publishing.addresses))
        self._writer: StatusWriter | None = None
        self._results: Counter[str] = Counter()

    @property
    def leading(self) -> bool:
        """Whether this replica writes statuses."""
        return self._election is not None and self._election.leading

    def offer(self, model: ir.Gateway, resources: ResourceSet, findings: tuple[Diagnostic, ...]) -> None:
        """A configuration is in force. Costs nothing where this replica does not lead."""
        self._served = Served(model, resources, findings)
        self._look.set()

    def facts(self) -> StatusFacts:
        """For metrics."""
        pending = self._writer.pending if self._writer is not None else 0
        return StatusFacts(self.leading, pending, {result: self._results[result] for result in RESULTS})

    async def run(self) -> None:
        """Until cancelled. Whatever goes wrong here is told and tried again: traffic never depends on it."""
        while True:
            try:
                client = await self._connect()
                try:
                    await self._take_part(client)
                finally:
                    await client.close()
            except Unreachable as error:
                logger.warning("statuses cannot be written: %s", error)
            except Exception as crash:  # noqa: BLE001 - a fault in statuses must not end the gateway
                fault = _innermost(crash)
                frames = "".join(traceback.format_tb(fault.__traceback__))
                logger.error("statuses are not written for a while: %s\n%s", type(fault).__name__, frames)
            await self._clock.sleep(_RESTART_S)

    async def _take_part(self, client: KubeClient) -> None:
        mine = self._publishing
        self._election = Election(client, mine.namespace, mine.lease, mine.identity, mine.times, self._clock)
        try:
            await self._election.run(lambda: self._lead(client))
        finally:
            self._election = None

    async def _lead(self, client: KubeClient) -> None:
        """Write, from the beginning whenever another kind was installed."""
        async with asyncio.TaskGroup() as tasks:
            if "Ingress" in self._publishing.kinds and not self._publishing.addresses:
                tasks.create_task(self._watch_addresses(client))
            finder = KindFinder(client, self._publishing.kinds, self._clock)
            while True:
                paths = await finder.next()
                work = tasks.create_task(self._compare(client, paths))
                await finder.others()
                work.cancel()
                await asyncio.wait((work,))

    async def _compare(self, client: KubeClient, paths: Map[str, Sequence[ResourcePath]]) -> None:
        """Statuses of the configuration in force, again whenever that changes."""
        mine = self._publishing
        table = StatusTable()
        writer = StatusWriter(
            client,
            paths,
            mine.watched,
            self._clock,
            mine.limits,
            lambda: self.leading,
            self._results,
            seen=self._seen,
            takes_over=bool(mine.service or mine.addresses),
        )
        self._writer = writer
        self._look.set()
        begun = False
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._look.wait()
                    self._look.clear()
                    served = self._served
                    if served is None:
                        continue
                    changes = await asyncio.to_thread(
                        table.update, served.model, served.resources, served.findings, self._addresses
                    )
                    if begun:
                        writer.take(changes)
                    else:
                        await writer.compare({key: wanted for key, wanted in changes.items() if wanted is not None})
                        tasks.create_task(writer.run())
                        begun = True
                    await self._clock.sleep(_SETTLE_S)
        finally:
            self._writer = None

    async def _watch_addresses(self, client: KubeClient) -> None:
        """Ask for the addresses now and then. While they cannot be had the last ones stay."""
        told = False
        while True:
            try:
                addresses = await published(client, self._publishing.namespace, self._publishing.service)
            except (ApiFailure, Unreachable) as error:
                if not told:
                    what = f"Service {self._publishing.service}" if self._publishing.service else "Services"
                    logger.warning("addresses for Ingresses cannot be had from %s: %s", what, error)
                told = True
            else:
                told = False
                if addresses != self._addresses:
                    self._addresses = addresses
                    self._look.set()
            await self._clock.sleep(_ADDRESSES_S)


def _innermost(crash: BaseException) -> BaseException:
    """Of a group of tasks the first fault: the group itself says nothing."""
    while isinstance(crash, BaseExceptionGroup):
        crash = crash.exceptions[0]
    return crash
