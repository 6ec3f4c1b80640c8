"""Which kinds an API group has, in which versions: an installed CustomResourceDefinition shows up here."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from gateway.kube.backoff import Backoff
from gateway.kube.failure import ApiFailure, Unreachable
from gateway.kube.paths import ResourcePath

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.kube.client import KubeClient
    from gateway.kube.timing import Timing

POLL_S = 5.0
"""Seconds between two looks while a kind is missing: as soon as somebody who installs it looks for an effect."""
EARLY_POLL_S, EARLY_S = 0.5, 5.0
"""The same in the first seconds, when an API server that has just started may not know of its definitions yet."""

logger = logging.getLogger(__name__)


async def served_versions(client: KubeClient, group: str) -> Mapping[str, tuple[str, ...]]:
    """The versions of each plural name in ``group``, in the order of the server; empty when there is no such group.

    Raises :class:`Unreachable` and :class:`ApiFailure` as :class:`KubeClient` does; a half answer is none.
    """
    found: dict[str, tuple[str, ...]] = {}
    try:
        answer = await _unless_missing(client, f"/apis/{group}")
        for version in [str(item["version"]) for item in answer["versions"]] if answer is not None else ():
            listing = await _unless_missing(client, f"/apis/{group}/{version}")
            for name in [str(item["name"]) for item in listing["resources"]] if listing is not None else ():
                found[name] = (*found.get(name, ()), version)
    except (KeyError, TypeError) as error:
        raise Unreachable(f"GET /apis/{group}: the answer is no list of versions or kinds") from error
    return {name: versions for name, versions in found.items() if "/" not in name}


class ServedGroup:
    """The kinds of one group, looked at until all that are wanted are there. Run :meth:`run` as a task."""

    def __init__(self, client: KubeClient, group: str, preferred: Sequence[str], timing: Timing) -> None:
        """``preferred``: versions that are read, the best one first."""
        self._client = client
        self._group = group
        self._preferred = tuple(preferred)
        self._timing = timing
        self._served: Mapping[str, tuple[str, ...]] | None = None
        self.whole = False
        """Whether the last answer had all kinds that are installed: a server that starts learns of them one by one."""
        self._looked = asyncio.Event()
        self._wanted = asyncio.Event()
        self._wanted.set()

    async def paths(self, plural: str) -> tuple[ResourcePath, ...]:
        """Where objects of a kind are, the best version first; empty when the server has no such kind.

        Waits until the server has been asked once.
        """
        while self._served is None:
            await self._looked.wait()
        versions = self._served.get(plural, ())
        return tuple(ResourcePath(self._group, item, plural) for item in self._preferred if item in versions)

    async def next_look(self) -> None:
        """Wait until the server has been asked again."""
        self._wanted.set()
        await self._looked.wait()

    async def run(self) -> None:
        """Ask the server while anybody misses a kind."""
        backoff = Backoff(self._timing.chance)
        first: float | None = None
        told = False
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                # In this order: what a server that is ready says afterwards is all of it.
                ready = await self._client.ready()
                self._served = await served_versions(self._client, self._group)
                self.whole = ready
            except (ApiFailure, Unreachable) as failure:
                # Whoever waits goes on waiting.
                self._wanted.set()
                if not told:
                    logger.warning("cannot ask which kinds of %s there are: %s", self._group, failure)
                told = True
                after = failure.retry_after if isinstance(failure, ApiFailure) else None
                await self._timing.rest(backoff.failed(after))
                continue
            backoff.succeeded()
            told = False
            self._looked.set()
            self._looked = asyncio.Event()
            now = self._timing.clock()
            first = now if first is None else first
            poll = EARLY_POLL_S if now - first < EARLY_S else POLL_S
            await self._timing.pause(poll * (0.75 + self._timing.chance() / 2))


class ServedPlace:
    """A kind of a group whose kinds may come and go."""

    __slots__ = ("_group", "_plural")

    def __init__(self, group: ServedGroup, plural: str) -> None:
        self._group = group
        self._plural = plural

    async def paths(self) -> tuple[ResourcePath, ...]:
        """See :class:`gateway.kube.reflector.Place`."""
        return await self._group.paths(self._plural)

    @property
    def certain(self) -> bool:
        """See :class:`gateway.kube.reflector.Place`."""
        return self._group.whole

    async def change(self) -> None:
        """See :class:`gateway.kube.reflector.Place`."""
        await self._group.next_look()


class FixedPlace:
    """A kind that every server has."""

    __slots__ = ("_path",)

    def __init__(self, path: ResourcePath) -> None:
        self._path = path

    async def paths(self) -> tuple[ResourcePath, ...]:
        """See :class:`gateway.kube.reflector.Place`."""
        return (self._path,)

    @property
    def certain(self) -> bool:
        """See :class:`gateway.kube.reflector.Place`."""
        return True

    async def change(self) -> None:
        """It never comes or goes; the caller's own back-off is the wait."""


async def _unless_missing(client: KubeClient, path: str) -> dict[str, list[dict[str, object]]] | None:
    try:
        answer: dict[str, list[dict[str, object]]] = await client.get(path)
    except ApiFailure as failure:
        if failure.missing:
            return None
        raise
    return answer
