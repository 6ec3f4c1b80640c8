"""One kind of the API server, followed: list, then watch from there, for ever.

Source of the rules: Kubernetes, API concepts ("Efficient detection of changes", "Watch bookmarks", "410 Gone
responses", "Retrieving large results sets in chunks"). Resource versions are opaque. A version that is too old means
a new list that *replaces* what is known, so that objects deleted meanwhile disappear.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from gateway.kube.backoff import Backoff
from gateway.kube.events import RawObject, read_events
from gateway.kube.failure import ApiFailure, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.kube.client import KubeClient
    from gateway.kube.paths import ResourcePath
    from gateway.kube.timing import Timing

T = TypeVar("T")

PAGE = 500
"""Objects of one page of a list, as ``kubectl`` asks for them."""
WATCH_S = 300
"""Seconds after which the server shall end a watch, and as many again of jitter: watches of many gateways spread."""
SILENCE_S = 150.0
"""Seconds without a byte: bookmarks come every minute or so. TCP keepalive finds a vanished peer sooner."""
ABSENT_AFTER_S = 3.0
"""Seconds for which a kind has to be refused until it counts as absent: an API server that starts refuses at first."""
ASK_AGAIN_S = 0.5
"""Shortest of the waits until then."""
DISTRUST_AFTER_S = 60.0
"""Seconds without contact after which a list is made instead of a watch: the store behind may be another one."""
_STEADY_S = 5.0
"""A watch that lived as long was a good one."""
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Phase: TypeAlias = Literal["starting", "followed", "lost", "denied", "missing"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """How a kind is doing. ``lost``: no contact now; ``denied``, ``missing``: refused, or not installed."""

    phase: Phase = "starting"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind; empty for all. ``namespace`` says nothing about kinds without one."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""

    @property
    def query(self) -> list[tuple[str, str]]:
        """Query parameters of lists and watches."""
        pairs = (("labelSelector", self.labels), ("fieldSelector", self.fields))
        return [(name, value) for name, value in pairs if value]


class Place(Protocol):
    """Where a kind is."""

    async def paths(self) -> tuple[ResourcePath, ...]:
        """The paths of its versions, the best one first; empty while it is not installed."""

    @property
    def certain(self) -> bool:
        """Whether no path means that the kind is not installed, and not that the server does not know of it yet."""

    async def change(self) -> None:
        """Wait until that may have changed."""


class Follower(Protocol[T]):
    """Who wants to know. ``read`` makes of a raw object what the other two get, as soon as it has come."""

    def read(self, raw: RawObject) -> T:
        """Decode one object; it is given away."""

    def replaced(self, items: list[T]) -> None:
        """These are all objects now."""

    def changed(self, changes: list[tuple[T, bool]]) -> None:
        """Objects in the order of their changes, each with whether it is gone. An added one may be known already."""


class Reflector(Generic[T]):
    """Follows one kind and tells its ``follower``. Run :meth:`run` as a task; it ends only when it is cancelled."""

    def __init__(
        self,
        client: KubeClient,
        place: Place,
        follower: Follower[T],
        timing: Timing,
        *,
        selection: Selection,
        metadata_only: bool = False,
        patience: float = ABSENT_AFTER_S,
        required: bool = False,
        on_condition: Callable[[], None] = lambda: None,
    ) -> None:
        """``metadata_only`` asks for names and versions without content. ``patience``: seconds of refusals until the
        kind counts as absent; one that is ``required`` never does while it is installed. ``on_condition`` is called
        after a change of :attr:`condition` or :attr:`listed`."""
        self._client = client
        self._place = place
        self._follower = follower
        self._timing = timing
        self._selection = selection
        self._accept, self._accept_list = (
            (METADATA_ONLY, METADATA_LIST_ONLY) if metadata_only else ("application/json", "application/json")
        )
        self._patience = patience
        self._required = required
        self._on_condition = on_condition
        self._backoff = Backoff(timing.chance)
        self._told = False
        """Whether the last failure was an answer that said what to do next."""
        self._version = ""
        """Where to continue; empty when a list has to be made."""
        self._choice = 0
        """Which of several served versions is read."""
        self._refused_at: float | None = None
        self._lost_at: float | None = None
        self._contact = timing.clock()
        self.condition = Condition()
        self.listed = False
        """Whether everything there is is known, or it is known that there is nothing to know."""
        self.lists = 0
        """Complete lists: one at start, and one whenever a watch could not go on."""
        self.restarts = 0
        """Watches that ended otherwise than by their time."""

    @property
    def namespace(self) -> str:
        """The namespace that is followed; empty for all."""
        return self._selection.namespace

    @property
    def silent_for(self) -> float:
        """Seconds since the last contact; 0 while the kind is followed, or there is nothing to follow."""
        fine = self.condition.phase in ("followed", "denied", "missing")
        return 0.0 if fine else self._timing.clock() - self._contact

    async def run(self) -> None:
        """Follow the kind."""
        while True:
            wait = 0.0
            try:
                paths = await self._place.paths()
                if paths:
                    await self._follow(paths[self._choice % len(paths)])
                else:
                    self._not_installed()
                    await self._place.change()
            except ApiFailure as failure:
                self._failed(failure)
                if self._refused_at is not None and self._doubtful():
                    wait = ASK_AGAIN_S * (1.0 + self._timing.chance())
                else:
                    wait = self._wait_of(failure)
                if failure.retry_after is not None:
                    await self._timing.pause(wait)
                    continue
                if failure.missing:
                    await self._place.change()
            except Unreachable as failure:
                self._told = False
                self._lost(str(failure))
                wait = self._backoff.failed()
            except Exception as crash:  # noqa: BLE001 - the crash barrier: other kinds go on, this one begins anew
                self._version = ""
                self._lost(f"an object made the gateway stumble: {type(crash).__name__}")
                # Without the text of the exception, which may quote what is in an object.
                frames = "".join(traceback.format_tb(crash.__traceback__))
                logger.error("a list or watch crashed and begins anew: %s\n%s", type(crash).__name__, frames)
                wait = self._backoff.failed()
            if wait:
                await self._timing.rest(wait)

    async def _follow(self, path: ResourcePath) -> None:
        """One list where it is needed, and one watch."""
        if self._lost_at is not None and self._timing.clock() - self._lost_at > DISTRUST_AFTER_S:
            self._version = ""
        if not self._version:
            self._version = await self._list(path)
        await self._watch(path)

    async def _list(self, path: ResourcePath) -> str:
        items: list[T] = []
        collection, query = path.collection(self._selection.namespace), self._selection.query
        token, version = "", ""
        while True:
            pages = [("limit", str(PAGE)), *([("continue", token)] if token else [])]
            page = await self._client.get(collection, [*query, *pages], accept=self._accept_list)
            raw, token, version = _page(page, collection, version)
            # Items of a list do not say what they are.
            said = {} if self._accept != "application/json" else {"apiVersion": path.api_version}
            kind = str(page.get("kind", "")).removesuffix("List")
            items += [self._follower.read({"kind": kind, **said, **item}) for item in raw]
            if not token:
                break
        self.lists += 1
        self._follower.replaced(items)
        self._reached()
        return version

    async def _watch(self, path: ResourcePath) -> None:
        seconds = WATCH_S + int(WATCH_S * self._timing.chance())
        query = [
            *self._selection.query,
            ("resourceVersion", self._version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(seconds)),
        ]
        collection = path.collection(self._selection.namespace)
        began = self._timing.clock()
        batches = self._client.watch(collection, query, SILENCE_S, self._accept)
        try:
            async with aclosing(batches):
                async for lines in batches:
                    self._reached()
                    read = read_events(lines)
                    if read.events:
                        self._follower.changed([(self._follower.read(one.object), one.deleted) for one in read.events])
                        self._backoff.succeeded()
                    self._version = read.version or self._version
                    if read.failure is not None:
                        raise read.failure
        except (ApiFailure, Unreachable):
            self.restarts += 1
            raise
        finally:
            if self._timing.clock() - began >= _STEADY_S:
                self._backoff.succeeded()
        if self._timing.clock() - began < min(_STEADY_S, seconds):
            self.restarts += 1
            raise Unreachable(f"GET {collection}: the watch ended at once")
        self._reached()

    def _wait_of(self, failure: ApiFailure) -> float:
        """Seconds until the next try after an answer that is an error.

        A server that was away and starts says 429 with a second to wait while it fills its caches, and then that its
        history is gone (410). It is there, so the waits of its absence count no more; those for such answers do.
        """
        told = failure.expired or failure.retry_after is not None
        if told and not self._told:
            self._backoff.succeeded()
        self._told = told
        return self._backoff.failed(failure.retry_after)

    def _reached(self) -> None:
        self._contact = self._timing.clock()
        self._lost_at = self._refused_at = None
        self._settle(Condition("followed"), listed=True)

    def _failed(self, failure: ApiFailure) -> None:
        """Take up an answer that is an error."""
        if failure.expired:
            self._version = ""
        elif failure.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            self._absent(failure)
        else:
            if failure.status == HTTPStatus.INTERNAL_SERVER_ERROR and "conversion" in failure.message:
                # The converting webhook is away; objects that are stored in another served version need none.
                self._choice += 1
                self._version = ""
            self._lost(str(failure))

    def _absent(self, failure: ApiFailure) -> None:
        if self._doubtful() or (self._required and failure.refused and not self.listed):
            self._lost(str(failure))
        elif failure.missing:
            self._missing(failure.message)
        else:
            # What is known of the kind stays: rights that were taken away say nothing about the objects.
            self._version = ""
            self._settle(Condition("denied", failure.message), listed=True)

    def _not_installed(self) -> None:
        if self.listed or self._place.certain or not self._doubtful():
            self._missing("the kind is not installed")

    def _doubtful(self) -> bool:
        """Whether a refusal is too young to be believed."""
        now = self._timing.clock()
        if self._refused_at is None:
            self._refused_at = now
        return now - self._refused_at < self._patience

    def _missing(self, message: str) -> None:
        self._version = ""
        if self.condition.phase != "missing":
            self._follower.replaced([])
        self._settle(Condition("missing", message), listed=True)

    def _lost(self, message: str) -> None:
        if self._lost_at is None:
            self._lost_at = self._timing.clock()
        if self.condition.phase in ("starting", "followed", "lost"):
            self._settle(Condition("lost", message), listed=self.listed)

    def _settle(self, condition: Condition, *, listed: bool) -> None:
        if condition != self.condition or listed != self.listed:
            self.condition, self.listed = condition, listed
            self._on_condition()


def _page(page: Any, path: str, version: str) -> tuple[list[RawObject], str, str]:
    """Items, the token of the next page, and the version of the list (that of its first page)."""
    try:
        metadata = page["metadata"]
        return page["items"] or [], metadata.get("continue") or "", version or metadata["resourceVersion"]
    except (KeyError, TypeError, AttributeError) as error:
        raise Unreachable(f"GET {path}: the answer is no list") from error
