"""Wait for changes below some folders. What changed does not matter: the loader looks at everything."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from watchfiles import Change, awatch

from gateway.sources.tree import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

QUIET_MS = 10
"""Changes are reported once nothing has happened for this long, so that a writer can finish."""

MAX_WAIT_MS = 200
"""A writer that never stops delays the report by this much at most."""

RESCAN_S = 5.0
"""Without any event :meth:`Watcher.wait` returns after this time, for file systems that report nothing (NFS)."""

_MAX_LINKS = 40
"""Links on the way of one path; Linux follows as many."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What to watch: ``deep`` folders with everything below, ``shallow`` ones for their own entries only.

    The folder above each path is watched too, because it sees the swap of a link and the rename of a folder. Of its
    entries only ``entries`` matter: the paths that were given, and every link on the way to what they mean.
    """

    deep: frozenset[str] = frozenset()
    shallow: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    """Folders every entry of which matters."""
    entries: frozenset[str] = frozenset()
    identities: frozenset[tuple[str, int, int]] = frozenset()
    """Device and inode of each folder: a new folder under an old name has to be watched anew."""

    @classmethod
    def of(cls, paths: Iterable[str], targets: Iterable[str]) -> WatchPlan:
        """Look at the file system and decide; ``targets`` are folders that links lead to."""
        roots = tuple(os.path.abspath(path) for path in paths)
        deep = frozenset(root for root in roots if os.path.isdir(root))
        entries = frozenset(entry for root in roots for entry in _way(root))
        wanted = frozenset(map(_existing, targets))
        shallow = wanted | frozenset(_existing(os.path.dirname(entry)) for entry in entries)
        return cls(deep, shallow, wanted, entries, frozenset(_identities(deep | shallow)))

    def matters(self, _change: Change, path: str) -> bool:
        """Whether an event of a shallow folder may change what is loaded."""
        if path in self.entries or os.path.dirname(path) in self.targets:
            return True
        return any(entry.startswith(f"{path}/") for entry in self.entries)

    def ends(self, change: Change, path: str) -> bool:
        """Whether an event says that a watched folder is another one now."""
        if change is Change.modified:
            return False
        return any(folder == path or folder.startswith(f"{path}/") for folder in self.deep | self.shallow)


def may_be_manifest(change: Change, path: str) -> bool:
    """Whether an event below a deep folder may change what is loaded: a log that grows there does not.

    What came or went may have been a folder, whatever its name.
    """
    return change is not Change.modified or path.lower().endswith(SUFFIXES) or os.path.isdir(path)


class Watcher:
    """An async context manager: inside it, :meth:`wait` returns after a change, or after :data:`RESCAN_S`."""

    __slots__ = ("_changed", "_ended", "_plan", "_polling", "_tasks")

    def __init__(self, plan: WatchPlan, *, polling: bool) -> None:
        self._plan = plan
        self._polling = polling
        self._changed = asyncio.Event()
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Set the watches; events from now on are seen."""
        if self._plan.deep:
            self._tasks.append(asyncio.create_task(self._follow(self._plan.deep, may_be_manifest, recursive=True)))
        self._tasks.append(asyncio.create_task(self._follow(self._plan.shallow, self._plan.matters, recursive=False)))
        # The first step of a task sets its watch: watchfiles does so before it waits for anything.
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching and wait for the threads to end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def running(self) -> bool:
        """Whether every watch still works; a watched folder may have gone away."""
        return not self._ended and not any(task.done() for task in self._tasks)

    async def wait(self) -> None:
        """Wait for a change."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RESCAN_S):
                await self._changed.wait()
        self._changed.clear()

    async def _follow(
        self, folders: frozenset[str], matters: Callable[[Change, str], bool], *, recursive: bool
    ) -> None:
        try:
            async for changes in awatch(
                *sorted(folders),
                watch_filter=matters,
                debounce=MAX_WAIT_MS,
                step=QUIET_MS,
                recursive=recursive,
                force_polling=self._polling,
                ignore_permission_denied=True,
            ):
                self._ended = self._ended or any(self._plan.ends(change, path) for change, path in changes)
                self._changed.set()
        except OSError as error:
            _log.warning("cannot watch %s: %s; looking every %s s instead", ", ".join(sorted(folders)), error, RESCAN_S)
            await asyncio.sleep(RESCAN_S)
        finally:
            self._changed.set()


def _existing(folder: str) -> str:
    """The nearest folder above that exists."""
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder


def _way(path: str) -> set[str]:
    """The path, every link that has to be followed on its way, and where the way ends."""
    passed, here, links = {path}, os.path.sep, 0
    rest = path.split(os.path.sep)[::-1]
    while rest:
        step = rest.pop()
        if step == os.path.pardir:
            here = os.path.dirname(here)
        elif step not in ("", os.path.curdir):
            entry = os.path.join(here, step)
            try:
                target = os.readlink(entry)
            except OSError:
                here = entry
                continue
            links += 1
            passed.add(entry)
            if links > _MAX_LINKS:
                return passed
            here = os.path.sep if os.path.isabs(target) else here
            rest += target.split(os.path.sep)[::-1]
    return {*passed, here}


def _identities(folders: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    for folder in folders:
        with suppress(OSError):
            status = os.stat(folder)
            yield folder, status.st_dev, status.st_ino
