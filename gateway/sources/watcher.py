"""Wait for changes below some folders. What changed does not matter: the loader looks at everything."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from watchfiles import awatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from watchfiles import Change

QUIET_MS = 10
"""Changes are reported once nothing has happened for this long, so that a writer can finish."""

MAX_WAIT_MS = 200
"""A writer that never stops delays the report by this much at most."""

RESCAN_S = 5.0
"""Without any event :meth:`Watcher.wait` returns after this time, for file systems that report nothing (NFS)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What to watch: ``deep`` folders with everything below, ``shallow`` ones for their own entries only.

    The folder above each path is watched too, because it sees the swap of a link and the rename of a folder.
    ``roots`` are the absolute paths that were given: of the entries above them only these matter.
    """

    deep: frozenset[str] = frozenset()
    shallow: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    roots: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, paths: Iterable[str], targets: Iterable[str]) -> WatchPlan:
        """Look at the file system and decide; ``targets`` are folders that links lead to."""
        roots = tuple(os.path.abspath(path) for path in paths)
        deep = frozenset(root for root in roots if os.path.isdir(root))
        parents = {_existing(os.path.dirname(root)) for root in roots}
        beside = {os.path.dirname(root) for root in roots if root not in deep} | {_existing(path) for path in targets}
        return cls(
            deep, frozenset(parents | {folder for folder in beside if os.path.isdir(folder)}), frozenset(beside), roots
        )

    def matters(self, _change: Change, path: str) -> bool:
        """Whether an event of a shallow folder may change what is loaded."""
        if os.path.dirname(path) in self.targets:
            return True
        return any(root == path or root.startswith(f"{path}/") for root in self.roots)


class Watcher:
    """An async context manager: inside it, :meth:`wait` returns after a change, or after :data:`RESCAN_S`."""

    __slots__ = ("_changed", "_plan", "_polling", "_tasks")

    def __init__(self, plan: WatchPlan, *, polling: bool) -> None:
        self._plan = plan
        self._polling = polling
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Set the watches; events from now on are seen."""
        if self._plan.deep:
            self._tasks.append(asyncio.create_task(self._follow(self._plan.deep, None, recursive=True)))
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
        return not any(task.done() for task in self._tasks)

    async def wait(self) -> None:
        """Wait for a change."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RESCAN_S):
                await self._changed.wait()
        self._changed.clear()

    async def _follow(
        self, folders: frozenset[str], matters: Callable[[Change, str], bool] | None, *, recursive: bool
    ) -> None:
        try:
            async for _ in awatch(
                *sorted(folders),
                watch_filter=matters,
                debounce=MAX_WAIT_MS,
                step=QUIET_MS,
                recursive=recursive,
                force_polling=self._polling,
                ignore_permission_denied=True,
            ):
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
