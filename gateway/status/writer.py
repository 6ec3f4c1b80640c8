"""Writes statuses to the API server: only what differs, one at a time, at a bounded rate.

One request after the other needs no care for two writes of one object, and an API server that answers in 20 ms is asked
50 times a second, which is the limit anyway. Each write carries the resource version it was made for, so it never
replaces what somebody else wrote meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from gateway.kube import ApiFailure, Unreachable
from gateway.sources.statuses import SeenStatuses
from gateway.status.ownership import is_foreign, shown
from gateway.status.queue import Known, Queue
from gateway.status.wanted import IngressStatus, merge_patch

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Callable, Sequence
    from collections.abc import Mapping as Map

    from gateway.base.keys import ObjectKey
    from gateway.kube import ResourcePath
    from gateway.kube.lease import Clock
    from gateway.status.ownership import Shown
    from gateway.status.queue import WriteLimits
    from gateway.status.wanted import RawStatus, Wanted

logger = logging.getLogger(__name__)

RESULTS = ("written", "missing", "conflict", "foreign", "refused", "invalid", "failed")
"""Labels of the metric: ``missing`` objects are gone, ``foreign`` addresses stay, ``failed`` writes are tried again."""
_PAGE = 500
_SHORTEST_S = 0.001
"""A wait that is shorter than the clock can tell would never end."""
_CONFLICTS = 5
"""Conflicts in a row after which an object waits for its next change: somebody else writes it all the time."""


class StatusApi(Protocol):
    """What writing needs of :class:`gateway.kube.KubeClient`."""

    async def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Any:
        """An object, or a page of a list."""

    async def patch(self, path: str, body: object) -> Any:
        """Merge a patch into an object; the object as stored."""


class StatusWriter:
    """Brings objects to the statuses they shall have."""

    def __init__(
        self,
        client: StatusApi,
        paths: Map[str, Sequence[ResourcePath]],
        namespaces: Sequence[str],
        clock: Clock,
        limits: WriteLimits,
        leading: Callable[[], bool],
        results: Counter[str],
        *,
        seen: SeenStatuses | None = None,
        takes_over: bool = False,
    ) -> None:
        """``paths``: the versions of each kind (with its group), the best one first. ``namespaces``: where to look,
        everywhere without any. ``results`` counts what became of the writes. ``seen``: what need not be asked for.
        ``takes_over``: replace addresses of Ingresses that another program wrote, because an operator says which ones
        are right."""
        self._client, self._namespaces, self._clock, self._limits = client, namespaces, clock, limits
        self._leading, self._results = leading, results
        self._queues = {kind: Queue(versions) for kind, versions in paths.items() if versions}
        self._wanted: dict[ObjectKey, Wanted] = {}
        self._work = asyncio.Event()
        self._tokens, self._filled_at = float(limits.burst), clock.now()
        self._told: set[tuple[str, int]] = set()
        self._seen = seen or SeenStatuses()
        self._takes_over = takes_over
        self._held: set[Shown] = set()
        """Addresses that we have been told to publish so far."""
        self._told_foreign = False

    @property
    def pending(self) -> int:
        """Objects that wait for their write."""
        return sum(map(len, self._queues.values()))

    async def compare(self, wanted: Map[ObjectKey, Wanted]) -> None:
        """Begin with these statuses: list what objects say, and note those that say something else."""
        self._wanted = {key: status for key, status in wanted.items() if key.kind_group in self._queues}
        for status in self._wanted.values():
            self._hold(status)
        for kind, queue in self._queues.items():
            names = {(key.namespace, key.name): key for key in self._wanted if key.kind_group == kind}
            if names:
                await self._list(kind, queue, names)

    def take(self, changes: Map[ObjectKey, Wanted | None]) -> None:
        """Statuses that are others now; ``None`` for objects that are gone."""
        for key, wanted in changes.items():
            queue = self._queues.get(key.kind_group)
            if queue is None:
                continue
            if wanted is None:
                self._wanted.pop(key, None)
                queue.drop(key)
            else:
                self._hold(wanted)
                self._wanted[key] = wanted
                queue.put(key, urgent=wanted.faulty)
        self._work.set()

    async def run(self) -> None:
        """Write until cancelled, while we lead."""
        while True:
            self._work.clear()
            now = self._clock.now()
            ready = [queue for queue in self._queues.values() if len(queue) and queue.not_before <= now]
            if ready and self._leading():
                await self._next(max(ready, key=attrgetter("rank")))
            elif self.pending:
                await self._clock.sleep(self._limits.retry_shortest)
            else:
                await self._work.wait()

    async def _next(self, queue: Queue) -> None:
        key, known = queue.pop()
        wanted = self._wanted.get(key)
        if wanted is None:
            return
        try:
            await self._write(queue, key, wanted, known)
        except ApiFailure as failure:
            self._failed(queue, key, failure)
        except Unreachable as error:
            self._again(queue, key, error, None)

    async def _write(self, queue: Queue, key: ObjectKey, wanted: Wanted, known: Known | None) -> None:
        item = queue.path.item(key.namespace, key.name)
        if known is None and (seen := self._seen.of(key)) is not None:
            version, status = seen
            known = Known(status, version)
        for _ in range(_CONFLICTS):
            if known is None:
                await self._token()
                known = Known.of(await self._client.get(item))
            patch = merge_patch(wanted, known.status, self._now(), room=queue.room)
            if not patch or self._stays(key, wanted, known):
                return
            await self._token()
            body = {"metadata": {"resourceVersion": known.version}, "status": patch}
            try:
                stored = await self._client.patch(f"{item}/status", body)
            except ApiFailure as failure:
                if not failure.conflicting:
                    raise
                self._results["conflict"] += 1
                known = None
                continue
            self._results["written"] += 1
            queue.settled()
            if "conditions" in patch:
                self._look_for_room(queue, Known.of(stored).status)
            return

    def _hold(self, wanted: Wanted) -> None:
        if isinstance(wanted, IngressStatus):
            self._held.add(frozenset(wanted.addresses))

    def _stays(self, key: ObjectKey, wanted: Wanted, known: Known) -> bool:
        """Whether the addresses of an Ingress are somebody else's, and stay; said once."""
        if self._takes_over or not is_foreign(wanted, known.status, known.writers, self._held):
            return False
        self._results["foreign"] += 1
        if not self._told_foreign:
            self._told_foreign = True
            there = ", ".join(sorted(item.ip or item.hostname for item in shown(known.status)))
            who = ", ".join(sorted(known.writers)) or "another program"
            logger.warning(
                "%s shows addresses that are not ours (%s, written by %s); they stay. --publish-service or "
                "--publish-address replaces them",
                key,
                there,
                who,
            )
        return True

    def _look_for_room(self, queue: Queue, stored: RawStatus) -> None:
        """Learn from an answer whether objects of a kind keep conditions (Emissary's definitions have none)."""
        if stored.get("conditions"):
            queue.room = True
        elif queue.room:
            queue.room = False
            # Most of a backlog differs in nothing else.
            queue.backlog = {
                key: known
                for key, known in queue.backlog.items()
                if merge_patch(self._wanted[key], known.status, "", room=False)
            }

    def _failed(self, queue: Queue, key: ObjectKey, failure: ApiFailure) -> None:
        """What a failure means for the object; what is worth another try is put back."""
        if failure.missing:
            # Gone, or declared in an annotation of another object.
            self._results["missing"] += 1
        elif failure.refused:
            self._results["refused"] += 1
            self._put_back(queue, key, self._limits.refused)
            self._tell(key, failure, "; the gateway needs get of the objects and patch of their status")
        elif failure.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            self._results["invalid"] += 1
            self._tell(key, failure, "")
        else:
            self._again(queue, key, failure, failure.retry_after)

    def _again(self, queue: Queue, key: ObjectKey, error: Exception, least: float | None) -> None:
        """Try later: what failed is the API server or what it calls for this kind, not the object."""
        self._results["failed"] += 1
        wait = self._limits.wait(queue.failures, self._clock.random())
        if not queue.failures:
            logger.warning("status of %s could not be written, it is tried again: %s", key, error)
        queue.failures += 1
        self._put_back(queue, key, max(wait, least or 0.0))

    def _put_back(self, queue: Queue, key: ObjectKey, seconds: float) -> None:
        queue.not_before = self._clock.now() + seconds
        if key in self._wanted:
            queue.put(key, urgent=False)

    def _tell(self, key: ObjectKey, failure: ApiFailure, hint: str) -> None:
        """Once for each kind and status: the next object would say the same."""
        if (key.kind_group, failure.status) not in self._told:
            self._told.add((key.kind_group, failure.status))
            logger.warning("status of %s cannot be written: %s%s", key, failure, hint)

    async def _list(self, kind: str, queue: Queue, names: Map[tuple[str, str], ObjectKey]) -> None:
        """Compare all objects of a kind, page by page; what says the right thing is not kept."""
        while True:
            try:
                for namespace in self._namespaces or ("",):
                    async for raw in self._objects(queue.path.collection(namespace)):
                        metadata = raw["metadata"]
                        key = names.get((metadata.get("namespace", ""), metadata["name"]))
                        if key is not None:
                            known = Known.of(raw)
                            if merge_patch(self._wanted[key], known.status, "", room=queue.room):
                                queue.backlog[key] = known
            except (ApiFailure, Unreachable) as error:
                if isinstance(error, ApiFailure) and (error.refused or error.missing):
                    logger.warning("objects of %s cannot be listed, so their status is not written: %s", kind, error)
                    return
            else:
                queue.settled()
                return
            await self._clock.sleep(self._limits.wait(queue.failures, self._clock.random()))
            queue.failures += 1

    async def _objects(self, path: str) -> AsyncIterator[dict[str, Any]]:
        token = ""
        while True:
            query = [("limit", str(_PAGE)), *([("continue", token)] if token else [])]
            page = await self._client.get(path, query)
            for raw in page.get("items") or ():
                yield raw
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return

    async def _token(self) -> None:
        """Wait for the next request that the rate allows."""
        limits = self._limits
        while True:
            now = self._clock.now()
            self._tokens = min(float(limits.burst), self._tokens + (now - self._filled_at) * limits.per_second)
            self._filled_at = now
            if self._tokens >= 1.0:
                self._tokens -= 1.0
                return
            await self._clock.sleep(max((1.0 - self._tokens) / limits.per_second, _SHORTEST_S))

    def _now(self) -> str:
        return self._clock.utc().strftime("%Y-%m-%dT%H:%M:%SZ")
