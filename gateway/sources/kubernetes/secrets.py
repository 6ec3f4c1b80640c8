"""Secrets and ConfigMaps that the configuration refers to, and no others.

Names and versions of all of them are followed (metadata only); content is asked for one by one. Without the right to
list, the content of what is referred to is asked for again and again.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.base.keys import ObjectKey
from gateway.diagnostics import Diagnostic, Origin
from gateway.kube.backoff import Backoff
from gateway.kube.failure import ApiFailure, Unreachable
from gateway.kube.reflector import Reflector
from gateway.kube.served import FixedPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.kube.client import KubeClient
    from gateway.kube.events import RawObject
    from gateway.kube.paths import ResourcePath
    from gateway.kube.timing import Timing
    from gateway.settings import KubernetesSettings
    from gateway.sources.kubernetes.kinds import WatchedKind
    from gateway.sources.kubernetes.store import ObjectStore

_AT_ONCE = 16
"""Requests for content that are under way at the same time."""
_POLL_S, _POLL_EACH_S = 10.0, 0.05
"""Seconds between two rounds without the right to list; with many names a round takes longer."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Names:
    """A follower that remembers the version of each name in one namespace, or in all."""

    content: ReferencedContent
    namespace: str
    versions: dict[ObjectKey, str] = field(default_factory=dict)

    def read(self, raw: RawObject) -> tuple[ObjectKey, str]:
        metadata = raw["metadata"]
        key = ObjectKey(self.content.kind.kind_group, metadata.get("namespace", ""), metadata["name"])
        return key, metadata.get("resourceVersion", "")

    def replaced(self, items: list[tuple[ObjectKey, str]]) -> None:
        self.versions = dict(items)
        self.content.review()

    def changed(self, changes: list[tuple[tuple[ObjectKey, str], bool]]) -> None:
        for (key, version), gone in changes:
            if gone:
                self.versions.pop(key, None)
            else:
                self.versions[key] = version
        self.content.review({key for (key, _), _ in changes})


class ReferencedContent:
    """The objects of one kind that something refers to. Run :meth:`run` as a task."""

    def __init__(
        self,
        client: KubeClient,
        kind: WatchedKind,
        path: ResourcePath,
        store: ObjectStore,
        settings: KubernetesSettings,
        timing: Timing,
        on_change: Callable[[], None],
    ) -> None:
        """``on_change`` is called after anything that the store or this object shows may have changed."""
        self.kind = kind
        self._client = client
        self._path = path
        self._store = store
        self._namespaces = frozenset(settings.namespaces)
        self._timing = timing
        self._on_change = on_change
        self._names = [_Names(self, item.namespace) for item in kind.selections(settings)]
        self.reflectors = [
            Reflector(
                client,
                FixedPlace(path),
                names,
                timing,
                selection=selection,
                metadata_only=True,
                on_condition=self._condition_changed,
            )
            for names, selection in zip(self._names, kind.selections(settings), strict=True)
        ]
        self._asked: frozenset[ObjectKey] = frozenset()
        self._wanted: frozenset[ObjectKey] = frozenset()
        self._fetched: dict[ObjectKey, tuple[str, str]] = {}
        """The version that was known when the content was asked for, and the version that came."""
        self._failures: dict[ObjectKey, str] = {}
        self._findings: tuple[Diagnostic, ...] | None = None
        self._tasks: dict[ObjectKey, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._needed = asyncio.Event()

    @property
    def needed(self) -> bool:
        """Whether something was referred to; a kind that nothing refers to is not even listed."""
        return self._needed.is_set()

    @property
    def outstanding(self) -> bool:
        """Whether content that is referred to may be there and was never asked for with an answer."""
        return any(key not in self._fetched and key not in self._failures for key in self._tasks)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What cannot be read, and why."""
        if self._findings is None:
            outside = [key for key in self._wanted if not self._inside(key)]
            self._findings = tuple(self._finding(key) for key in sorted({*outside, *self._failures}))
        return self._findings

    def _finding(self, key: ObjectKey) -> Diagnostic:
        origin = Origin(self.kind.kind, key.namespace, key.name)
        if key not in self._failures:
            message = "is outside of the namespaces that the gateway reads"
            return Diagnostic("warning", "reference-outside", message, origin)
        kept = "; its last good version stays in use" if self._store.version(key) else ""
        message = f"cannot be read{kept}: {self._failures[key]}"
        return Diagnostic("error", "reference-unreadable", message, origin)

    def want(self, keys: frozenset[ObjectKey]) -> None:
        """These are referred to now; the content of others is forgotten. Keys of other kinds are left out."""
        if keys is self._asked:
            return
        self._asked = keys
        keys = frozenset(key for key in keys if key.kind_group == self.kind.kind_group)
        if keys == self._wanted:
            return
        fresh, self._wanted = keys - self._wanted, keys
        self._findings = None
        self._needed.set()
        for key in self._store.keys(self.kind.kind_group) - keys:
            self._store.remove(key)
        for key in (self._fetched.keys() | self._failures.keys() | self._tasks.keys()) - keys:
            self._forget(key)
        self.review(fresh)

    async def run(self) -> None:
        """Follow names, and ask again for what cannot be followed."""
        await self._needed.wait()
        async with asyncio.TaskGroup() as group:
            for reflector in self.reflectors:
                group.create_task(reflector.run())
            group.create_task(self._poll())

    async def _poll(self) -> None:
        while True:
            await self._timing.pause(
                max(_POLL_S, _POLL_EACH_S * len(self._wanted)) * (0.75 + self._timing.chance() / 2)
            )
            for key in self._wanted:
                if self._inside(key) and not self._followed(key):
                    self._begin(key)

    async def close(self) -> None:
        """End the requests that are under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def review(self, keys: Iterable[ObjectKey] | None = None) -> None:
        """Look at what is known of some objects (of all that are wanted), and ask for content that is newer."""
        for key in self._wanted if keys is None else self._wanted.intersection(keys):
            if not self._inside(key):
                continue
            if not self._followed(key):
                if key not in self._fetched:
                    self._begin(key)
            elif self._version(key) is None:
                self._gone(key)
            elif self._due(key):
                self._begin(key)
        self._on_change()

    def _condition_changed(self) -> None:
        self.review()

    def _inside(self, key: ObjectKey) -> bool:
        return not self._namespaces or key.namespace in self._namespaces

    def _reflector(self, key: ObjectKey) -> tuple[_Names, Reflector[tuple[ObjectKey, str]]]:
        pairs = zip(self._names, self.reflectors, strict=True)
        return next(pair for pair in pairs if pair[0].namespace in ("", key.namespace))

    def _followed(self, key: ObjectKey) -> bool:
        """Whether names tell about changes; before the first list nobody knows, and content has to wait for it."""
        return self._reflector(key)[1].condition.phase not in ("denied", "missing")

    def _version(self, key: ObjectKey) -> str | None:
        """The newest version that is known; ``None`` for an object that is not there."""
        names, reflector = self._reflector(key)
        return names.versions.get(key) if reflector.listed else ""

    def _due(self, key: ObjectKey) -> bool:
        version = self._version(key)
        return bool(version) and version not in self._fetched.get(key, ())

    def _begin(self, key: ObjectKey) -> None:
        if key not in self._tasks:
            task = asyncio.create_task(self._fetch(key), name=f"content of {key}")
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: ObjectKey, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.result()
            self._on_change()

    async def _fetch(self, key: ObjectKey) -> None:
        """Ask for the content until there is an answer, and again while it is older than what is known."""
        backoff = Backoff(self._timing.chance)
        path = self._path.item(key.namespace, key.name)
        while True:
            version = self._version(key) or ""
            after: float | None = None
            try:
                async with self._slots:
                    self._got(key, version, await self._client.get(path))
            except ApiFailure as failure:
                if failure.missing:
                    self._gone(key)
                    self._fetched[key] = (version, "")
                    if not self._followed(key) or not self._due(key):
                        return
                    # It was made again meanwhile.
                else:
                    after = failure.retry_after
                    self._fail(key, str(failure))
            except Unreachable as failure:
                if key in self._fetched:
                    self._fail(key, str(failure))
            except Exception as crash:  # noqa: BLE001 - the crash barrier: this object is asked for again, others go on
                # Without the text of the exception, which may quote a secret.
                frames = "".join(traceback.format_tb(crash.__traceback__))
                logger.error("content of %s: %s\n%s", key, type(crash).__name__, frames)
                self._fail(key, type(crash).__name__)
            else:
                if not self._followed(key) or not self._due(key):
                    return
                backoff.succeeded()
            self._on_change()
            await self._timing.rest(backoff.failed(after))

    def _got(self, key: ObjectKey, version: str, raw: RawObject) -> None:
        try:
            parsed = self._store.read(self.kind.kind_group, raw)
        except (KeyError, TypeError, AttributeError) as error:
            raise Unreachable(f"{key}: the answer is no object") from error
        self._fail(key, "")
        self._fetched[key] = (version, parsed.version)
        if not self._followed(key) or self._version(key) is not None:
            # Otherwise it was deleted while its content was on the way.
            self._store.put(parsed)

    def _fail(self, key: ObjectKey, message: str) -> None:
        """Note why an object cannot be read; an empty message for one that can."""
        if message != self._failures.get(key, ""):
            self._findings = None
            self._failures.pop(key, None)
            if message:
                self._failures[key] = message

    def _gone(self, key: ObjectKey) -> None:
        self._fail(key, "")
        self._fetched.pop(key, None)
        self._store.remove(key)

    def _forget(self, key: ObjectKey) -> None:
        self._fetched.pop(key, None)
        self._fail(key, "")
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()
