"""The Kubernetes source: every kind followed, one state whenever something changed.

The first state comes when all kinds are listed, or known to be absent, and what they refer to is there. While the API
server is away the last state stands; a copy on disk stands in for it in a process that has just started.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.base.keys import kind_group
from gateway.diagnostics import Diagnostic, Origin
from gateway.kube.backoff import Backoff
from gateway.kube.client import Access, KubeClient
from gateway.kube.failure import Unreachable
from gateway.kube.timing import Pulse, Timing
from gateway.resources.resource_set import ResourceSet
from gateway.sources.kubernetes.cluster import Cluster
from gateway.sources.kubernetes.diskcopy import TOUCH_S, DiskCopy, Scope
from gateway.sources.kubernetes.store import ObjectStore
from gateway.sources.status import SourceStatus
from gateway.sources.statuses import SeenStatuses

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from gateway.base.keys import ObjectKey
    from gateway.resources.reader import ReadSettings
    from gateway.settings import KubernetesSettings
    from gateway.sources.assembly import SourceState

COPY_AFTER_S = 2.0
"""Seconds for which a process that has just started waits for the API server before it serves the copy on disk."""
HOLD_S = 1.0
"""Seconds for which a change waits for the content that it refers to: a Host and its Secret come together."""
WRITE_AFTER_S = 2.0
"""Seconds after a change until the copy on disk is written; more changes go into the same write."""
STALE_S = 10.0
"""Seconds after which a process that serves the copy on disk takes up kinds one by one, though others do not answer."""
READ_AT_ONCE = 200
"""Objects of the copy that are read until others have their turn: probes must be answered meanwhile."""
LOAD_S = 60.0
"""Seconds for one state of a cluster."""

logger = logging.getLogger(__name__)


class KubernetesSource:
    """Objects of a cluster, as far as the gateway may read them and they are in its scope."""

    def __init__(
        self,
        settings: KubernetesSettings,
        read: ReadSettings,
        references: Callable[[ResourceSet], frozenset[ObjectKey]],
        *,
        connect: Callable[[Access], Awaitable[KubeClient]] = KubeClient.connect,
        timing: Timing | None = None,
        seen: SeenStatuses | None = None,
    ) -> None:
        """``references`` tells which Secrets and ConfigMaps objects refer to, by key. ``seen`` is told statuses."""
        self._settings = settings
        self._read = read
        self._references = references
        self._connect = connect
        self._pulse = Pulse(random.random)
        self._timing = timing or Timing(rest=self._pulse.rest)
        self._store = ObjectStore(read, bool(settings.state_dir), seen or SeenStatuses())
        self._wake = asyncio.Event()
        self._dirty = asyncio.Event()
        self._cluster: Cluster | None = None
        self._held_until: float | None = None
        self._complete = False
        """Whether everything was there once."""
        self._stale = False
        """Whether objects come from the copy on disk."""
        self._stale_since = 0.0
        """When all objects of that copy were true for certain (seconds of the loop's clock)."""
        self._stale_until = float("inf")
        """When objects from the copy are mixed with those that are listed (seconds of the loop's clock)."""

    async def load(self) -> SourceState:
        """The first state. Raises :class:`gateway.kube.Unreachable` when there is none within a minute."""
        states = self.watch()
        try:
            async with asyncio.timeout(LOAD_S):
                return await anext(states)
        except TimeoutError:
            lost = self._cluster.lost if self._cluster is not None else ""
            raise Unreachable(f"the cluster did not tell everything: {lost or 'no answer'}") from None
        finally:
            await states.aclose()

    async def watch(self) -> AsyncGenerator[SourceState, None]:
        """Yield a state as soon as everything is known, and one after every change; ends only when it is closed.

        Raises :class:`gateway.kube.Unreachable` when there are no credentials.
        """
        settings = self._settings
        async with await self._connect(Access(settings.kubeconfig, settings.context, settings.in_cluster)) as client:
            cluster = Cluster(client, settings, self._store, self._timing, self._pulse, self._wake.set)
            self._cluster = cluster
            cluster.refer(self._references(ResourceSet()))
            copy = DiskCopy(settings.state_dir, self._scope(client)) if settings.state_dir else None
            work = [*cluster.work(), *([self._keep(copy)] if copy is not None else [])]
            tasks = [asyncio.create_task(one) for one in work]
            for task in tasks:
                task.add_done_callback(lambda _: self._wake.set())
            try:
                last = await self._from_copy(copy, cluster) if copy is not None else None
                if last is not None:
                    yield last
                while True:
                    last = await self._next(last, cluster, tasks)
                    yield last
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await cluster.close()

    def status(self) -> SourceStatus:
        """How the source is doing."""
        if self._cluster is None:
            return SourceStatus("kubernetes", up=False)
        return self._cluster.status(stale=self._stale)

    async def _from_copy(self, copy: DiskCopy, cluster: Cluster) -> SourceState | None:
        """What the disk has, if the API server does not answer soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(COPY_AFTER_S):
                while not cluster.listed and not cluster.lost:
                    await self._woken()
        if cluster.listed:
            return None
        found = await asyncio.to_thread(copy.read)
        if found is None:
            return None
        for number, raw in enumerate(found.objects):
            if number % READ_AT_ONCE == 0:
                await asyncio.sleep(0)
            group = str(raw["apiVersion"]).rpartition("/")[0]
            parsed = self._store.read(kind_group(raw["kind"], group), raw)
            if not cluster.has_listed(parsed.key):
                self._store.put(parsed)
        self._stale = True
        now = asyncio.get_running_loop().time()
        self._stale_since, self._stale_until = now - found.age, now + STALE_S
        logger.warning("the API server does not answer: serving the copy of %.0f s ago", found.age)
        return self._store.state(self._general(cluster))

    async def _next(self, last: SourceState | None, cluster: Cluster, tasks: list[asyncio.Task[None]]) -> SourceState:
        """Wait until everything is known and something differs from ``last``."""
        loop = asyncio.get_running_loop()
        referred = False
        while True:
            for task in tasks:
                if task.done():
                    task.result()
            mixed = self._stale and loop.time() >= self._stale_until
            patience = self._stale_until - loop.time() if self._stale and not mixed else None
            if self._complete or mixed or (cluster.listed and not (referred and cluster.outstanding)):
                state = self._referring(cluster)
                referred = True
                if not self._complete and cluster.listed and not cluster.outstanding:
                    self._complete, self._stale = True, False
                    state = self._referring(cluster)
                hold = self._hold(loop.time(), outstanding=cluster.outstanding)
                patience = hold if hold > 0 else patience
                if (self._complete or mixed) and hold <= 0:
                    if state is not last:
                        self._dirty.set()
                        return state
                    patience = None
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._woken()

    def _hold(self, now: float, *, outstanding: bool) -> float:
        """Seconds that a state has to wait for content that is on its way. Content that does not come holds up the
        first of the states that wait for it only."""
        if not outstanding:
            self._held_until = None
            return 0.0
        if self._held_until is None:
            self._held_until = now + HOLD_S
        return self._held_until - now

    def _referring(self, cluster: Cluster) -> SourceState:
        """The present state, when it is known what it refers to."""
        general = self._general(cluster)
        cluster.refer(self._references(self._store.state(general).resources))
        return self._store.state(general)

    def _general(self, cluster: Cluster) -> tuple[Diagnostic, ...]:
        """Findings about the source itself."""
        if not self._stale:
            return cluster.diagnostics()
        message = "the API server has not told everything since the start: objects of a copy on disk are in use"
        return (Diagnostic("warning", "source-stale", message, Origin("Cluster")), *cluster.diagnostics())

    async def _woken(self) -> None:
        await self._wake.wait()
        self._wake.clear()

    async def _keep(self, copy: DiskCopy) -> None:
        """Write the copy on disk some time after a change; one that cannot be written is tried again."""
        backoff = Backoff(self._timing.chance)
        current = False
        """Whether the copy is what the cluster says."""
        while True:
            try:
                async with asyncio.timeout(TOUCH_S):
                    await self._dirty.wait()
            except TimeoutError:
                if current and self._complete and self.status().up:
                    await asyncio.to_thread(copy.confirm)
                continue
            await self._timing.pause(WRITE_AFTER_S)
            self._dirty.clear()
            age = asyncio.get_running_loop().time() - self._stale_since if self._stale else 0.0
            current = False
            if await asyncio.to_thread(copy.write, self._store.texts(), age):
                current = age == 0.0
                backoff.succeeded()
            else:
                self._dirty.set()
                await self._timing.pause(backoff.failed())

    def _scope(self, client: KubeClient) -> Scope:
        settings = self._settings
        return Scope(
            client.server,
            settings.namespaces,
            settings.label_selector,
            settings.field_selector,
            self._read.ambassador_id,
            self._read.namespace,
        )
