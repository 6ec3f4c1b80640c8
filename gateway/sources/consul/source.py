"""A source beside another one: the other's objects, and for each service of Consul that they need, its instances.

A state that needs a service for the first time waits a moment for Consul's answer, so that a route does not begin
without instances. Consul away: the last instances stay.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from gateway.base.differences import same_objects
from gateway.diagnostics import Diagnostic
from gateway.resources import Mapping, Module, TCPMapping, diff
from gateway.resources.consul import ConsulService
from gateway.resources.hosts import ConsulResolver
from gateway.sources.consul.answer import ConsulError
from gateway.sources.consul.follower import Follower, Pace
from gateway.translate.ambassador.consul import consul_targets

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from gateway.resources import ResourceSet
    from gateway.resources.consul import ConsulTarget
    from gateway.sources.assembly import SourceState
    from gateway.sources.consul.follower import Consul
    from gateway.sources.source import Source
    from gateway.sources.status import SourceStatus

FIRST_WAIT_S, NEXT_WAIT_S = 5.0, 1.0
"""How long the first state, and a later one, waits for services that it needs for the first time."""


@dataclass(slots=True)
class _Followed:
    follower: Follower
    task: asyncio.Task[None]
    service: ConsulService | None = None
    """The object of its last answer."""


class WithConsul:
    """See :class:`gateway.sources.source.Source`."""

    def __init__(self, source: Source, namespace: str, connect: Callable[[], Consul], pace: Pace | None = None) -> None:
        """``namespace``: that of the gateway. ``connect`` is called when the first service is needed, and may
        raise :class:`ConsulError`."""
        self._source, self._namespace, self._connect, self._pace = source, namespace, connect, pace or Pace()
        self._client: Consul | None = None
        self._unusable = ""
        """Why no Consul can be asked at all."""
        self._view: tuple[ConsulService, ...] = ()
        """The last answers, in the order of a set of resources."""
        self._followed: dict[ConsulTarget, _Followed] = {}
        self._inner: SourceState | None = None
        self._news = asyncio.Event()

    def status(self) -> SourceStatus:
        """Of the other source."""
        return self._source.status()

    async def watch(self) -> AsyncGenerator[SourceState, None]:
        """Yield a state as soon as there is one, and one after every change that matters."""
        reading = asyncio.ensure_future(self._read())
        reading.add_done_callback(lambda _: self._news.set())
        wait, merged, before = FIRST_WAIT_S, None, None
        try:
            while not reading.done():
                await self._news.wait()
                self._news.clear()
                state = self._inner
                if state is None:
                    continue
                if before is None or not _same_needs(before.resources, state.resources):
                    await self._follow(consul_targets(state.resources, self._namespace), wait)
                    wait = NEXT_WAIT_S
                before = state
                fresh = self._merged(state, merged)
                if fresh is not merged:
                    merged = fresh
                    yield merged
            reading.result()
        finally:
            await self._end(reading)

    async def _read(self) -> None:
        watch = self._source.watch()
        try:
            async for state in watch:
                self._inner = state
                self._news.set()
        finally:
            await watch.aclose()

    async def _follow(self, targets: frozenset[ConsulTarget], seconds: float) -> None:
        """Follow these services and no others; wait for first answers of those that are new."""
        for target in self._followed.keys() - targets:
            self._followed.pop(target).task.cancel()
        fresh = sorted(targets - self._followed.keys())
        if not fresh:
            return
        if self._client is None:
            try:
                self._client = self._connect()
            except ConsulError as error:
                self._unusable = str(error)
                return
        for target in fresh:
            follower = Follower(self._client, target, self._news.set, self._pace)
            self._followed[target] = _Followed(follower, asyncio.ensure_future(follower.run()))
        asked = [asyncio.ensure_future(self._followed[target].follower.asked.wait()) for target in fresh]
        _, late = await asyncio.wait(asked, timeout=seconds)
        for one in late:
            one.cancel()

    def _merged(self, state: SourceState, earlier: SourceState | None) -> SourceState:
        """The state with what Consul says; ``earlier`` if that is the same."""
        for target, item in self._followed.items():
            known = item.follower.instances
            if known is not None and (item.service is None or item.service.instances != known):
                item.service = ConsulService.of(target, known)
        services = [item.service for item in self._followed.values() if item.service is not None]
        view = tuple(sorted(services, key=attrgetter("key")))
        if not same_objects(view, self._view):
            self._view = view
        found = tuple(self._findings(state.resources.of(ConsulResolver)))
        if not self._view and not found:
            return state
        resources = state.resources.joined(ConsulService, self._view)
        merged = replace(state, resources=resources, diagnostics=(*state.diagnostics, *found))
        return earlier if earlier is not None and _equal(earlier, merged) else merged

    def _findings(self, resolvers: Iterable[ConsulResolver]) -> Iterable[Diagnostic]:
        """What keeps Consul from being heard, at the resolver that names it."""
        for resolver in resolvers:
            if self._unusable:
                yield Diagnostic("error", "consul-unusable", self._unusable, resolver.origin)
            for target in sorted(self._followed):
                trouble = self._followed[target].follower.trouble
                if trouble and (target.place.address, target.place.datacenter) == (
                    resolver.spec.address,
                    resolver.spec.datacenter,
                ):
                    message = f"service {target.service}: {trouble}"
                    yield Diagnostic("warning", "consul-unheard", message, resolver.origin, "spec.address")

    async def _end(self, reading: asyncio.Future[None]) -> None:
        tasks = [reading, *(item.task for item in self._followed.values())]
        self._followed = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None


def _same_needs(old: ResourceSet, new: ResourceSet) -> bool:
    """Whether nothing differs that decides which services are needed."""
    return all(old.of(kind) is new.of(kind) for kind in (ConsulResolver, Mapping, TCPMapping, Module))


def _equal(first: SourceState, second: SourceState) -> bool:
    """Whether two states say the same; services of unchanged answers are the same objects."""
    return (
        first.diagnostics == second.diagnostics
        and first.refused == second.refused
        and not diff(first.resources, second.resources)
    )
